"""Commands that are interrupted, or killed, while a tool works for them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen.ir import artifact
from tests.leftovers import command_line, eventually, users
from tests.networks import linear

ROOT = Path(__file__).parents[1]

# Command -> a word of the command of the tool that is waited for.
COMMANDS = {
    "build": (["build", "net.npz", "--board", "ice40-hx8k", "-o", "out"], "synth.ys"),
    "verify": (["verify", "net.npz", "--lanes", "fc1=4", "--lanes", "out=3", "--images", "100000",
                "--images-file", "images.npy"], "monitor"),
    "explore": (["explore", "net.npz", "--boards", "arty-a7", "--jobs", "1", "-o", "out",
                 "--synthesise"], "synth.ys"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    artifact.save(linear(), folder / "net.npz")
    np.save(folder / "images.npy",
            np.random.default_rng(0).integers(0, 256, (20_000, 2, 3, 3), np.uint8))
    return folder


@pytest.fixture
def command(files, tmp_path):
    """Runs a command until a tool works for it."""
    started = []

    def start(arguments, word):
        for name in ("net.npz", "images.npy"):
            (tmp_path / name).symlink_to(files / name)
        (tmp_path / "scratch").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "gen", *arguments], cwd=tmp_path, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")})
        started.append(process)
        assert eventually(lambda: process.poll() is not None or any(
            word in command_line(pid) for pid in users(tmp_path)), 200)
        assert process.poll() is None
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name, number", [
    ("build", signal.SIGTERM), ("build", signal.SIGINT), ("build", signal.SIGKILL),
    ("verify", signal.SIGINT), ("verify", signal.SIGKILL),
    ("explore", signal.SIGTERM), ("explore", signal.SIGKILL),
])
def test_no_tool_and_no_file_is_left(command, tmp_path, name, number):
    process = command(*COMMANDS[name])
    process.send_signal(number)
    status = process.wait(timeout=20)
    assert status == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(number, -number)
    assert eventually(lambda: not users(tmp_path))
    assert eventually(lambda: not os.listdir(tmp_path / "scratch"))
    assert not (tmp_path / "out" / "manifest.json").exists()
