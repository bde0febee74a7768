"""The driver through a pseudo-terminal into the Verilated top level."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from host.cli import main
from host.device import Device
from host.errors import LinkError
from host.link import SerialLink
from host.mailbox import Mailbox
from host.manifest import load
from host.transport import Transport
from host.virtual import virtual_board
from tests.leftovers import alive, eventually, users
from tests.networks import linear

from .conftest import NETWORKS


@pytest.fixture(scope="module")
def folder(builds):
    return builds("linear")


def test_infer_and_status(folder, images, tmp_path, capfd):
    network = linear()
    raw = images(network, 12)
    logits = network.predict(raw)
    for name, array in (("images", raw), ("logits", logits), ("labels", logits.argmax(axis=1))):
        np.save(tmp_path / f"{name}.npy", array)
    common = ["--board", str(folder), "--port", "virtual", "--json"]
    assert main(["infer", str(tmp_path / "images.npy"), *common, "--limit", "10",
                 "--labels", str(tmp_path / "labels.npy"),
                 "--reference", str(tmp_path / "logits.npy")]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["logits"] == logits[:10].tolist()
    assert report["predictions"] == logits[:10].argmax(axis=1).tolist()
    assert (report["images"], report["retries"], report["mismatches"]) == (10, 0, 0)
    assert report["accuracy"] == 1.0
    assert len(report["cycles"]) == 10
    assert 10 < report["cycles_mean"] < 1000

    assert main(["status", *common]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["matches"]
    assert status["digest"] == load(folder).digest
    assert status["submitted"] == 0

    np.save(tmp_path / "logits.npy", logits + (np.arange(12) == 7)[:, None])
    assert main(["infer", str(tmp_path / "images.npy"), *common, "--reference",
                 str(tmp_path / "logits.npy")]) == 1
    assert json.loads(capfd.readouterr().out)["mismatches"] == 5


def test_every_step(builds, images, tmp_path, capfd):
    """Accuracy against time-steps from the Verilated board, and what it says of exactness."""
    network, folder = NETWORKS["stepping"](), builds("stepping")
    raw = images(network, 6)
    raw[::2] = 0
    np.save(tmp_path / "images.npy", raw)
    np.save(tmp_path / "labels.npy", network.predict(raw).argmax(axis=1))
    common = ["infer", str(tmp_path / "images.npy"), "--board", str(folder), "--port", "virtual"]
    assert main([*common, "--labels", str(tmp_path / "labels.npy"), "--every-step",
                 "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    trace = network.run(network.encode(raw))
    assert [step["logits"] for step in report["steps"]] == trace.steps.tolist()
    assert [step["timesteps"] for step in report["steps"]] == list(range(1, 8))
    assert report["steps"][-1]["accuracy"] == 1.0
    quiet = network.quiet(trace)
    assert report["exact"] == np.all(list(quiet.values()), axis=0).tolist()
    assert report["images_exact"] == sum(report["exact"])
    assert report["not_quiet"] == {name: int((~still).sum()) for name, still in quiet.items()
                                   if not still.all()}

    assert main([*common, "--timesteps", "2"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert "timesteps         2" in said
    assert "images exact      0" in said
    assert main([*common, "--timesteps", "8"]) == 1
    assert capfd.readouterr().err.endswith("the device runs 1 to 7 time-steps, not 8\n")


def test_one_board_serves_many_drivers_and_survives_garbage(folder, images):
    network, manifest = linear(), load(folder)
    raw = images(network, 3)
    with virtual_board(folder) as path:
        for turn in range(3):
            with Transport(path, manifest.baud) as transport:
                transport.write(np.random.default_rng(turn).bytes(500))
                frames = SerialLink(transport, patience=30)
                device = Device(Mailbox(frames, manifest, patience=30), manifest)
                assert np.array_equal(device.infer(raw).logits, network.predict(raw))
                status = device.status()
                assert status["submitted"] == 3 * (turn + 1)
        assert status["crc_errors"] + status["dropped"] > 0


@contextmanager
def start(folder):
    with subprocess.Popen([sys.executable, "-m", "gen", "virtual", str(folder)],
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("/dev/")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(folder, number):
    with start(folder) as process:
        process.send_signal(number)
        assert process.wait(timeout=10) == -number


def test_it_ends_with_its_parent(folder):
    code = ("import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'gen', 'virtual', "
            f"{str(folder)!r}], stdout=subprocess.PIPE, text=True); p.stdout.readline(); "
            "print(p.pid, flush=True); import os; os._exit(0)")
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                             check=True).stdout)
    assert eventually(lambda: not alive(pid))


@pytest.fixture
def compiling(folder, tmp_path):
    """Runs a command that compiles the board, and waits until it does so; gives the process, and
    the cache that it compiles in."""
    started = []

    def start(*command):
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)})
        started.append(process)
        assert process.stderr.readline() == "compiling board with Verilator\n"
        assert eventually(lambda: any("cc1plus" in Path(f"/proc/{pid}/comm").read_text()
                                      for pid in users(tmp_path)), 60)
        return process, tmp_path / "spikeloom"

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", [["gen", "virtual"], ["host", "status", "--port", "virtual",
                                                          "--board"]], ids=lambda c: c[0])
def test_nothing_compiles_for_a_process_that_has_ended(compiling, folder, command, number):
    process, cache = compiling("-m", *command, str(folder))
    process.send_signal(number)
    status = process.wait(timeout=10)
    if command[0] == "gen":
        assert status == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(number, -number)
    assert eventually(lambda: not users(cache))
    assert eventually(lambda: not list(cache.iterdir()))


def test_it_ends_with_a_parent_that_died_while_it_compiled(folder):
    with start(folder) as process:
        command = Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
        assert command.pop() == str(os.getpid())
    gone = process.pid
    done = subprocess.run([*command, str(gone)], stdout=subprocess.DEVNULL, timeout=10, check=False)
    assert done.returncode == 0


def children(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def test_a_stopped_board_is_an_error_in_bounded_time(folder, images):
    began = time.monotonic()
    with (pytest.raises(LinkError, match=r"^virtual: no answer;"), virtual_board(folder) as path,
          Transport(path, load(folder).baud, name="virtual") as transport):
        manifest = load(folder)
        frames = SerialLink(transport, patience=0.1, attempts=3)
        device = Device(Mailbox(frames, manifest), manifest)
        (pid,) = set(users("/board\0")) & set(children(os.getpid()))
        os.kill(pid, signal.SIGSTOP)
        device.infer(images(linear(), 3))
    assert time.monotonic() - began < 30
    assert not alive(pid)


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def test_it_dozes_when_nothing_happens(folder):
    with start(folder) as process:
        time.sleep(3)
        before = processor_seconds(process)
        time.sleep(2)
        after = processor_seconds(process)
        process.terminate()
    assert after - before < 1.2


def test_ctrl_c_leaves_whole_lines(folder, images, tmp_path):
    np.save(tmp_path / "images.npy", images(linear(), 2000))
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "host", "infer", str(tmp_path / "images.npy"), "--board",
         str(folder), "--port", "virtual"], stderr=stderr,
        # In a shell's background job the interrupt would be ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL))
    os.close(stderr)
    said = b""
    while b" of 2000 images" not in said:
        said += os.read(terminal, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    with suppress(OSError):  # the other end is closed
        while rest := os.read(terminal, 1000):
            said += rest
    os.close(terminal)
    assert said.endswith(b" of 2000 images\r\n")
    assert b"Traceback" not in said
