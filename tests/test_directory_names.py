"""Every command in a directory whose name means something to a shell and to make, in a locale that
knows no other letters than ASCII's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen.ir import artifact
from tests.networks import linear

ROOT = Path(__file__).parents[1]

NAME = "my net's $(build); ü#1"


@pytest.fixture
def folder(tmp_path):
    """With a network, images and their logits."""
    folder = tmp_path / NAME
    folder.mkdir()
    network = linear()
    images = np.random.default_rng(0).integers(0, 256, (4, *network.input_shape), np.uint8)
    artifact.save(network, folder / "net.npz")
    np.save(folder / "images.npy", images)
    np.save(folder / "logits.npy", network.predict(images))
    return folder


@pytest.fixture(params=["utf-8 mode", "ascii"])
def run(folder, request):
    """Runs a command there, as a process that has compiled nothing yet; gives what it prints."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    env = os.environ | {
        "LC_ALL": "C", "PYTHONPATH": str(ROOT), "TMPDIR": str(folder),
        "XDG_CACHE_HOME": str(folder.with_name("cache")),
        # Not ours, and takes minutes.
        "YOWASP_CACHE_DIR": os.environ.get("YOWASP_CACHE_DIR") or str(Path(caches, "YoWASP"))}
    if request.param == "ascii":
        env |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    def run_command(*command):
        done = subprocess.run([sys.executable, "-m", *command, "--json"], cwd=folder, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return json.loads(done.stdout)
    return run_command


@pytest.mark.slow
def test_every_command(folder, run):
    out = str(folder / NAME)
    built = run("gen", "build", "net.npz", "--board", "ice40-hx8k", "-o", out)
    assert Path(built["bitstream"]).exists()
    assert built["dsps"] == 0
    assert run("gen", "verify", "net.npz", "--images-file", "images.npy")["mismatches"] == 0
    assert run("gen", "verify", out, "--images-file", "images.npy")["mismatches"] == 0
    assert run("gen", "verify", out, "--netlist", "--images-file",
               "images.npy")["mismatches"] == 0
    assert run("gen", "simulate", "digits", "--limit", "8")["mismatches"] == 0
    report = run("gen", "report", out)
    assert report["mismatches"] == 0
    assert Path(report["report"]).exists()
    answer = run("host", "infer", "images.npy", "--board", out, "--port", "virtual",
                 "--reference", "logits.npy")
    assert answer["mismatches"] == 0
    assert answer["images"] == 4
    assert not list(folder.parent.rglob("build")), "a shell has read the name"
    assert not list(folder.glob("spikeloom-*")), "scratch directories are left"
