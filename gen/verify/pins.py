"""A Verilated board behind the host's own driver: images go in at its pins, logits come out."""

import os
from pathlib import Path

import numpy as np

from host.device import Device
from host.errors import HostError
from host.frames import OVERHEAD
from host.link import SerialLink
from host.manifest import Manifest

from ..errors import SimulationError
from ..system import processes

__all__ = ["HARNESS", "Board", "infer"]

HARNESS = Path(__file__).parent / "harness" / "pins.cpp"
"""The harness of a simulator. Its top module has ports ``clk``, ``rx``, ``tx``, ``moved`` and
``beats``."""

_SILENT = 3


class Board:
    """A simulator as the line that :class:`host.device.Device` talks over.

    Each request gets an answer or an error, however long the simulation takes. The board's time
    passes in clocks only, so nothing here depends on the speed of the machine.

    Parameters
    ----------
    process : the simulator
    limit : requests in a row after which an array without an answer certainly hangs

    Raises
    ------
    SimulationError
        From any method, if the board does not answer, or its answer is no frame.
    """

    name = "simulation"
    baud = 1_000_000

    def __init__(self, process, limit):
        self._process, self._limit = process, limit
        self._left, self._asked = limit, False

    def progressed(self):
        """A sample is complete: start counting requests again."""
        self._left = self._limit

    def write(self, data):
        self._left -= 1
        if self._left < 0:
            raise SimulationError(f"the array hangs: after {self._limit} requests the sample is "
                                  f"still under way")
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self._fail()
        self._asked = True

    def read(self, seconds):
        """The whole answer at once. ``seconds`` has no meaning here."""
        if not self._asked:
            raise SimulationError("the board's answer is no frame of the link (docs/link.md)")
        self._asked = False
        return os.read(self._process.stdout.fileno(), 1 << 16) or self._fail()

    def _fail(self):
        status = self._process.wait()
        raise SimulationError("the board does not answer on its pins" if status == _SILENT
                              else f"the simulator ended with status {status}")


def infer(simulator: Path, manifest: Manifest, images: np.ndarray, *, divisor: int, patience: int,
          progress=iter):
    """Drive a simulated board as a host drives a real one.

    Parameters
    ----------
    simulator : a top module compiled with :data:`HARNESS`
    manifest : the host's knowledge of the board
    images : raw, ``(N, C, H, W)``
    divisor : clocks a bit of the line lasts
    patience : clocks within which the array certainly answers
    progress : wraps the iteration over images

    Returns
    -------
    The driver's :class:`host.device.Result`; the clocks that passed; and, as 32-bit words, one
    row for each clock in which a layer's output moved.

    Raises
    ------
    SimulationError
        If the board does not answer, its array hangs, or it is not the one of the manifest.
    """
    with processes.scratch() as directory, processes.group() as start:
        spied = directory / "spied"
        process = start([str(simulator), str(divisor), str(patience), str(spied)], bufsize=0,
                        stdin=processes.PIPE, stdout=processes.PIPE)
        board = Board(process, _requests(manifest, divisor, patience))
        try:
            result = Device(SerialLink(board, patience=_FOREVER), manifest,
                            patience=_FOREVER).infer(
                images, progress=lambda counts: _each(board, progress(counts)))
        except HostError as error:
            raise SimulationError(str(error)) from error
        process.stdin.close()
        if process.wait():
            raise SimulationError(f"the simulator ended with status {process.returncode}")
        words = np.fromfile(spied, "<u4")
    return result, int(words[:2].view("<u8")[0]), words[2:]


# The driver counts seconds. The limit of requests ends the wait earlier.
_FOREVER = 1e9


def _requests(manifest, divisor, patience):
    """Requests that together take more clocks than a sample can, its own request included."""
    words, classes = (manifest.registers[name] for name in ("input_words", "classes"))
    most = manifest.registers["max_words"]
    clocks = 10 * divisor * (2 * OVERHEAD + 4 * min(most, 2 + classes))
    return 2 * (-(-words // most) + -(-(2 + classes) // most)) + 10 + -(-patience // clocks)


def _each(board, counts):
    for count in counts:
        board.progressed()
        yield count
