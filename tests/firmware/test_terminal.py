"""The driver as a program of this machine, at the pseudo-terminal of the virtual board."""

import os
import pty
import subprocess
import threading
import time
import tty
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from host.manifest import load
from host.virtual import virtual_board
from tests.host.conftest import SEQUENCES, STREAM
from tests.host.test_device import Vandal
from tests.host.test_sequence import elements, expected
from tests.networks import linear

from .compiling import EXAMPLES, SANITIZERS, SOURCES, compile_c


@pytest.fixture(scope="session")
def program_of(builds, tmp_path_factory):
    """Name of a network -> the example for POSIX, compiled with sanitizers for its build."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = tmp_path_factory.mktemp("program") / "classify"
            compile_c("gcc", *SANITIZERS, f"-I{builds(name)}", *SOURCES,
                      EXAMPLES / "posix/classify.c", "-o", done[name])
        return done[name]
    return get


def run(program, port, raw, *arguments):
    return subprocess.run([program, port, *map(str, arguments)], timeout=60, check=False,
                          input=np.asarray(raw).astype(np.uint8).tobytes(), capture_output=True)


def logits(done):
    """Classes and logits that a program has printed."""
    assert (done.returncode, done.stderr) == (0, b"")
    rows = np.array([line.split() for line in done.stdout.splitlines()], np.int64)
    return rows[:, 0], rows[:, 1:]


def test_images(builds, program_of, images):
    network = linear()
    raw = images(network, 20)
    with virtual_board(builds("linear")) as port:
        for _ in range(2):
            classes, found = logits(run(program_of("linear"), port, raw))
            assert np.array_equal(found, network.predict(raw))
            assert np.array_equal(classes, network.predict(raw).argmax(axis=1))


class Cable:
    """A pseudo-terminal between a program and a port. It lets bytes through as ``spoil`` says, and
    is pulled out after so many."""

    def __init__(self, port, spoil):
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path, self.spoil, self.left, self.carried = os.ttyname(slave), spoil, 1 << 30, 0
        self._slave, self._port = slave, os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._threads = [threading.Thread(target=self._carry, args=ends, daemon=True) for ends in (
            (self._master, self._port), (self._port, self._master))]
        for thread in self._threads:
            thread.start()

    def close(self):
        """Close all ends, after the board has closed its own."""
        os.close(self._slave)
        for thread in self._threads:
            thread.join(10)
        os.close(self._master)
        os.close(self._port)

    def _carry(self, source, sink):
        with suppress(OSError):
            while data := os.read(source, 256):
                passed = self.spoil(data)[:max(0, self.left)]
                self.left -= len(data)
                self.carried += len(data)
                os.write(sink, passed)


@contextmanager
def cable(board, spoil=bytes):
    with virtual_board(board) as port:
        wire = Cable(port, spoil)
        yield wire
    wire.close()


def test_a_noisy_cable(builds, program_of, images):
    network = linear()
    raw = images(network, 20)
    with cable(builds("linear"), Vandal(5, 0.003)) as wire:
        _, found = logits(run(program_of("linear"), wire.path, raw))
        assert np.array_equal(found, network.predict(raw))
        assert wire.carried > 20 * (30 + 40)


@pytest.mark.parametrize("left", [0, 100, 1003])
def test_a_cable_that_is_pulled_out(left, builds, program_of, images):
    network = linear()
    raw = images(network, 20)
    with cable(builds("linear")) as wire:
        wire.left, began = left, time.monotonic()
        done = run(program_of("linear"), wire.path, raw)
        assert time.monotonic() - began < 10
        assert done.returncode == 1
        assert done.stderr.endswith(b": no answer; is the board powered and configured, and this "
                                    b"its line?\n")
        assert bool(done.stdout) == (left > 1000)
        wire.left = 1 << 30
        _, found = logits(run(program_of("linear"), wire.path, raw))
        assert np.array_equal(found, network.predict(raw))


def test_a_port_that_is_none(program_of, tmp_path):
    done = run(program_of("linear"), tmp_path / "nothing", [])
    assert done.returncode == 1
    assert done.stderr.endswith(b"nothing: No such file or directory\n")


def test_usage(program_of):
    for arguments in ([], ["port", "0"], ["port", "1", "2"]):
        done = subprocess.run([program_of("linear"), *arguments], capture_output=True, check=False)
        assert done.returncode == 2
        assert b"usage: " in done.stderr


def test_a_sequence(builds, program_of):
    """Two sequences, block by block; the second one begins anew."""
    sequences = [elements(8, seed=seed) for seed in (1, 2)]
    blocks = np.concatenate(sequences).reshape(-1, STREAM, 3).swapaxes(1, 2)
    with virtual_board(builds("stream")) as port:
        _, found = logits(run(program_of("stream"), port, blocks, 8 // STREAM))
    assert np.array_equal(found, np.concatenate([expected(sequence) for sequence in sequences]))


def test_interleaved_sequences(builds, program_of):
    """Side by side: pixels lie by channel, element and sequence, logits by sequence."""
    beside, manifest = SEQUENCES["both"]["interleaved"], load(builds("both"))
    sequences = np.stack([elements(8, seed=seed) for seed in range(beside)])
    blocks = sequences.reshape(beside, -1, STREAM, 3).transpose(1, 3, 2, 0)
    assert manifest.map == blocks.shape[1:]
    with virtual_board(builds("both")) as port:
        _, found = logits(run(program_of("both"), port, blocks, 8 // STREAM))
    answers = np.stack([expected(sequence) for sequence in sequences], axis=1)
    assert np.array_equal(found, answers.reshape(len(blocks), -1))
