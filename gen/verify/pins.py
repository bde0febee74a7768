"""A Verilated board behind the host's own driver: images go in at its pins, logits come out."""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gen.errors import SimulationError
from gen.system import processes
from host.device import Device, Result
from host.errors import HostError
from host.frames import OVERHEAD
from host.link import SerialLink
from host.mailbox import Mailbox
from host.manifest import Manifest

__all__ = ["HARNESS", "Board", "connect", "infer"]

HARNESS = Path(__file__).parent / "harness" / "pins.cpp"
"""The harness of a simulator. Its top module has ports ``clk``, ``rx``, ``tx``, ``moved`` and
``beats``."""

_SILENT = 3

_ANSWER = struct.Struct("<QI")


class Board:
    """A simulator as the line that :class:`host.device.Device` talks over.

    Bytes travel in both directions at once. Time passes for the board only while the driver waits
    for an answer, and it is counted in clocks, so nothing here depends on the speed of the machine.
    Each request gets an answer, however long the simulation takes, or an error.

    Parameters
    ----------
    process : the simulator, with pipes as standard input and output
    limit : requests in a row after which an array without an answer certainly hangs

    Members
    -------
    sent, received : numbers of bytes that were written and read
    clocks : clocks that had passed when the last answer was complete

    Raises
    ------
    SimulationError
        From any method, if the board does not answer, or its answer is no frame.
    """

    name = "simulation"
    baud = 1_000_000

    def __init__(self, process: processes.Popen, limit: int) -> None:
        assert process.stdin is not None, "requests go through a pipe"
        assert process.stdout is not None, "answers come through a pipe"
        self._process, self._limit = process, limit
        self._requests, self._answers = process.stdin, process.stdout
        self._left, self._asked = limit, 0
        self.sent = self.received = self.clocks = 0

    def device(self, manifest: Manifest) -> Device:
        """A driver of the board."""
        frames = SerialLink(self, patience=_FOREVER)
        return Device(Mailbox(frames, manifest, patience=_FOREVER), manifest)

    def progressed(self) -> None:
        """A sample is complete: start counting requests again."""
        self._left = self._limit

    def write(self, data: bytes) -> None:
        """Send bytes to the board."""
        self._left -= 1
        if self._left < 0:
            raise SimulationError(f"the array hangs: after {self._limit} requests the sample is "
                                  f"still under way")
        self._command(len(data), data)
        self.sent += len(data)
        self._asked += 1

    def read(self, seconds: float) -> bytes:
        """The next answer, all of it, whatever ``seconds`` says."""
        if not self._asked:
            raise SimulationError("the board's answer is no frame of the link (docs/link.md)")
        self._asked -= 1
        self._command(0)
        header = self._answers.read(_ANSWER.size)
        if len(header) < _ANSWER.size:
            self._fail()
        self.clocks, size = _ANSWER.unpack(header)
        self.received += size
        return self._answers.read(size)

    def end(self) -> None:
        """Let the simulator write its file and end."""
        self._requests.close()
        if status := self._process.wait():
            raise SimulationError(f"the simulator ended with status {status}")

    def _command(self, size, data=b""):
        try:
            self._requests.write(struct.pack("<I", size) + data)
            self._requests.flush()
        except BrokenPipeError:
            self._fail()

    def _fail(self):
        status = self._process.wait()
        raise SimulationError("the board does not answer on its pins" if status == _SILENT
                              else f"the simulator ended with status {status}")


def infer(simulator: Path, manifest: Manifest, images: np.ndarray, *, divisor: int, patience: int,
          progress: Callable[[np.ndarray], Iterable[np.ndarray]] = iter
          ) -> tuple[Result, int, np.ndarray]:
    """Drive a simulated board as a host drives a real one.

    Parameters
    ----------
    simulator : a top module compiled with :data:`HARNESS`
    manifest : what the host knows about the board
    images : raw, ``(N, C, H, W)``
    divisor : clocks of a bit on the line
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
    with processes.scratch() as directory:
        spied = directory / "spied"
        with connect(simulator, manifest, spied, divisor=divisor, patience=patience) as board:
            result = board.device(manifest).infer(
                images, progress=lambda counts: _each(board, progress(counts)))
        words = np.fromfile(spied, "<u4")
    return result, int(words[:2].view("<u8")[0]), words[2:]


@contextmanager
def connect(simulator: Path, manifest: Manifest, spied: Path, *, divisor: int, patience: int
            ) -> Iterator[Board]:
    """Start a simulated board, in this context. See :func:`infer` for the other arguments.

    Parameters
    ----------
    spied : file that the simulator writes at the end: the clocks, and what the layers sent
    """
    with processes.group() as start:
        process = start([str(simulator), str(divisor), str(patience), str(spied)],
                        stdin=processes.PIPE, stdout=processes.PIPE)
        board = Board(process, _requests(manifest, divisor, patience))
        try:
            yield board
        except HostError as error:
            raise SimulationError(str(error)) from error
        board.end()


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
