"""The driver on mapped files, behind which is the Verilated endpoint."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from functools import partial

import numpy as np
import pytest

from gen.build.builder import build
from gen.data.datasets import load as load_dataset
from gen.ir import shipped
from gen.ir.blocks import answering
from host.cli import main
from host.device import Device
from host.errors import HostError, LinkError, Lost
from host.functions import mapped
from host.manifest import load
from host.pcie import PcieLink
from host.virtual import virtual_board
from tests.leftovers import alive
from tests.networks import linear
from tests.sequences import layered

from .conftest import NETWORKS, SEQUENCES, STREAM


@pytest.fixture(scope="module")
def folder(builds):
    return builds("linear", "pcie")


@pytest.fixture(scope="module")
def board(folder):
    """The line of a virtual board."""
    with virtual_board(folder) as line:
        yield line


@contextmanager
def device(line, folder, *, patience=30):
    manifest = load(folder)
    with closing(mapped(line, "virtual-pcie")) as function:
        yield Device(PcieLink(function, manifest, patience=patience), manifest)


def pid_of(line):
    return int(line.split("/")[2])


def test_infer_and_status(folder, images, tmp_path, capfd):
    network = linear()
    raw = images(network, 12)
    logits = network.predict(raw)
    for name, array in (("images", raw), ("logits", logits)):
        np.save(tmp_path / f"{name}.npy", array)
    common = ["--board", str(folder), "--port", "virtual-pcie", "--json"]
    assert main(["infer", str(tmp_path / "images.npy"), *common,
                 "--reference", str(tmp_path / "logits.npy")]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["logits"] == logits.tolist()
    assert (report["images"], report["retries"], report["mismatches"]) == (12, 0, 0)
    assert main(["status", *common]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["matches"]
    assert (status["submitted"], status["session"], status["clock_hz"]) == (0, 0, 62_500_000)


def test_many_samples_and_many_drivers(board, folder, images):
    """The rings wrap, and each driver opens a session of its own."""
    network = linear()
    for seed, count in enumerate((3, 3000, 1, 700)):
        raw = images(network, count, seed)
        with device(board, folder) as here:
            for part in (raw[:count // 2], raw[count // 2:]):
                assert np.array_equal(here.infer(part).logits, network.predict(part))
            eventually = time.monotonic() + 10
            while here.status()["completed"] != count & 0xffff:
                assert time.monotonic() < eventually
            assert (here.status()["crc_errors"], here.status()["dropped"]) == (0, 0)


def test_only_one_driver_at_a_time(board, folder):
    with (device(board, folder),
          pytest.raises(HostError, match=r"^virtual-pcie: another program uses the device; end it "
                                         r"first$")):
        mapped(board, "virtual-pcie")


def test_another_driver_takes_over(board, folder, images):
    """If it does not heed the lock. The first one gets no answer that is not its own."""
    raw = images(linear(), 5)
    with device(board, folder) as first:
        assert np.array_equal(first.infer(raw).logits, linear().predict(raw))
        other = PcieLink(first.link.function, load(folder), patience=30)
        other.take_over()
        with pytest.raises(Lost, match=r"was taken over by another program since this one opened"):
            first.infer(raw)


@pytest.mark.parametrize("times", [1, 1_000_000])
def test_another_driver_describes_its_own_rings(board, folder, images, monkeypatch, times):
    """Between the description and the session. No sample is read from there."""
    raw, left = images(linear(), 5), times
    with device(board, folder) as here:
        opens = here.link._until_open

        def meanwhile(*args):
            nonlocal left
            if left:
                left -= 1
                here.link.set_ring("samples_low", 0x1000)
            return opens(*args)

        monkeypatch.setattr(here.link, "_until_open", meanwhile)
        here.link.patience = 1 if times > 1 else 30
        if times == 1:
            assert np.array_equal(here.infer(raw).logits, linear().predict(raw))
        else:
            with pytest.raises(HostError, match=r"is another program using it|has been busy"):
                here.infer(raw)


_CRASH = """
import os, sys
import numpy as np
from host.manifest import load
from host.functions import mapped
from host.pcie import PcieLink
manifest = load(sys.argv[1])
link = PcieLink(mapped(sys.argv[2], "crash"), manifest, patience=30)
link.take_over()
with link.flight(1) as flight:
    for k in range(int(sys.argv[3])):
        flight.send([k * 0x1234567 & 0xffffffff] * manifest.registers["input_words"])
    link.set_ring("samples_index", link.sent + 1)
    os._exit(0)
"""


@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_a_driver_that_dies_leaves_nothing_to_the_next(board, folder, images, count):
    """Not even a part of a sample."""
    subprocess.run([sys.executable, "-c", _CRASH, str(folder), board, str(count)], check=True)
    raw = images(linear(), 20, count)
    with device(board, folder) as here:
        assert np.array_equal(here.infer(raw).logits, linear().predict(raw))


def test_a_board_that_disappears(folder, images):
    """A clear error, at once; another board gives the right answers."""
    raw = images(linear(), 4000)
    with virtual_board(folder) as line, device(line, folder) as here:
        assert np.array_equal(here.infer(raw[:5]).logits, linear().predict(raw[:5]))

        def pulling(counts):
            for k, count in enumerate(counts):
                if k == 1000:
                    os.kill(pid_of(line), signal.SIGKILL)
                yield count

        began = time.monotonic()
        with pytest.raises(LinkError, match=r"^virtual-pcie: the device is gone: it was removed or "
                                            r"reset, or lost its link; rescan the bus"):
            here.infer(raw, progress=pulling)
        assert time.monotonic() - began < 5
        with pytest.raises(LinkError, match=r"the device is gone"):
            here.infer(raw[:5])
    with virtual_board(folder) as line, device(line, folder) as here:
        assert np.array_equal(here.infer(raw[:50]).logits, linear().predict(raw[:50]))


def test_a_board_that_stops_is_an_error_in_bounded_time(folder, images):
    began = time.monotonic()
    with virtual_board(folder) as line, device(line, folder, patience=0.5) as here:
        raw = images(linear(), 10)
        here.infer(raw)
        os.kill(pid_of(line), signal.SIGSTOP)
        with pytest.raises(HostError, match=r"the device has not completed a sample in 0\.5 s; "
                                            r"wait longer \(--timeout\), or reset it$"):
            here.infer(raw)
        os.kill(pid_of(line), signal.SIGCONT)
        assert np.array_equal(here.infer(raw).logits, linear().predict(raw))
    assert time.monotonic() - began < 30
    assert not alive(pid_of(line))


def test_memory_that_the_device_does_not_reach(board, folder, images):
    """As if an IOMMU were in the way."""
    raw = images(linear(), 3)
    with device(board, folder) as here:
        here.infer(raw)
        buffer = here.link._buffer
        here.link._buffer = type(buffer)(buffer.words, 0x7f_0000_0000)
        here.link._timesteps = None
        with pytest.raises(LinkError, match=r"could not read memory: it was refused: its address "
                                            r"is not mapped; is an IOMMU in the way\?$"):
            here.infer(raw)
        here.link._buffer = buffer
        assert np.array_equal(here.infer(raw).logits, linear().predict(raw))


@pytest.mark.slow
def test_every_step(builds, images, tmp_path, capfd):
    """Each number of time-steps is a session of its own."""
    network, folder = NETWORKS["stepping"](), builds("stepping", "pcie")
    raw = images(network, 6)
    np.save(tmp_path / "images.npy", raw)
    assert main(["infer", str(tmp_path / "images.npy"), "--board", str(folder), "--port",
                 "virtual-pcie", "--every-step", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    trace = network.run(network.encode(raw))
    assert [step["logits"] for step in report["steps"]] == trace.steps.tolist()


def test_a_sequence_element_by_element(builds):
    network, folder = layered(), builds("stream", "pcie")
    rng = np.random.default_rng(3)
    manifest = load(folder)
    channels, _, width = manifest.shape
    elements = rng.integers(0, network.pixel_max + 1, (10 * STREAM, channels, width))
    raw = elements.transpose(1, 0, 2)[None]
    wanted = answering(network, STREAM, 10).predict(raw).reshape(network.classes, -1)
    with virtual_board(folder) as line, device(line, folder) as here:
        for _ in range(2):
            with here.sequence() as sequence:
                found = []
                for element in elements:
                    sequence.send(element[None])
                    found += [answer.logits.ravel() for answer in sequence.answers()]
            assert np.array_equal(np.array(found).T, wanted)
    assert SEQUENCES["stream"]["stream"] == STREAM


_NOT_SERIAL = "the build's link is PCI Express; give --port pcie:ADDRESS or virtual-pcie"
_SERIAL = "the build's link is a serial port; build it with --link pcie, or take --port virtual"
_NONE = "there is no such device; `python -m host devices` lists those there are"


@pytest.mark.parametrize("link, port, message", [
    ("pcie", "/dev/null", _NOT_SERIAL), ("pcie", "virtual", _NOT_SERIAL),
    ("uart", "virtual-pcie", f"virtual-pcie: {_SERIAL}"),
    ("pcie", "pcie:ffff:ff:1f.7", f"pcie:ffff:ff:1f.7: {_NONE}"),
    ("pcie", "pcie:../..", f"pcie:../..: {_NONE}")])
def test_a_port_that_does_not_fit(builds, link, port, message, capfd):
    assert main(["status", "--board", str(builds("linear", link)), "--port", port]) == 1
    assert capfd.readouterr().err.rstrip().endswith(message)


def test_random_interrupts_of_the_driver(board, folder, images):
    """Whatever a driver was doing when it was killed, the next one gets its own answers."""
    rng, raw = random.Random(5), images(linear(), 40)
    code = ("import sys; import numpy as np; from host.manifest import load; "
            "from host.device import Device; from host.functions import mapped; "
            "from host.pcie import PcieLink; "
            "m = load(sys.argv[1]); d = Device(PcieLink(mapped(sys.argv[2], 'x'), m, "
            "patience=30), m); print('go', flush=True); "
            "[d.infer(np.zeros((500, *m.shape), np.uint8)) for _ in range(1000)]")
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code, str(folder), board],
                              stdout=subprocess.PIPE,
                              preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
                              ) as process:
            assert process.stdout.readline() == b"go\n"
            time.sleep(rng.random())
            with suppress(ProcessLookupError):
                process.kill()
        with device(board, folder) as here:
            assert np.array_equal(here.infer(raw).logits, linear().predict(raw))


@pytest.mark.slow
def test_all_digits_over_both_links(tmp_path, capfd):
    """Logits and predictions of the whole test set are the same bits."""
    network = shipped.find("digits")
    images = load_dataset("digits").test_images
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "logits.npy", network.predict(images))
    found = {}
    for link, port in (("uart", "virtual"), ("pcie", "virtual-pcie")):
        build(network, board="nitefury", out=tmp_path / link, link=link, synthesise=False)
        assert main(["infer", str(tmp_path / "images.npy"), "--board", str(tmp_path / link),
                     "--port", port, "--reference", str(tmp_path / "logits.npy"), "--json"]) == 0
        found[link] = json.loads(capfd.readouterr().out)
    assert found["pcie"]["images"] == 355
    assert found["pcie"]["mismatches"] == 0
    for name in ("logits", "predictions"):
        assert found["pcie"][name] == found["uart"][name]
