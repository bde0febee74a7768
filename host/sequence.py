"""A sequence that goes to a device block by block, and its answers."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .errors import HostError
from .flight import Flight
from .manifest import Manifest

__all__ = ["Answer", "Sequence"]


@dataclass(frozen=True)
class Answer:
    """What a device answers after a block.

    Members
    -------
    elements : of the sequence up to the end of the block
    logits : ``(classes,)``, or ``(classes, H, W)`` of a read-out that answers several times a
        block; of interleaved sequences ``(interleaved, ...)``
    cycles : clocks from the block's first input beat to its last logits
    """

    elements: int
    logits: np.ndarray
    cycles: int


class Sequence:
    """A sequence of any length. Elements are sent in any portions; whenever a block is complete it
    goes to the device, which answers in order.

    Parameters
    ----------
    flight : the way to the device, which nothing else uses meanwhile
    manifest : of its build
    result : words of a result to logits ``(*logit_shape)`` and clocks

    Members
    -------
    elements : sent so far
    due : answers to read
    """

    def __init__(self, flight: Flight, manifest: Manifest,
                 result: Callable[[list[int]], tuple[np.ndarray, int]]) -> None:
        self._flight, self._manifest, self._result = flight, manifest, result
        self._waiting: deque[np.ndarray] = deque()  # elements of a block that is not complete
        self._sent = self._read = 0
        self.elements = 0

    @property
    def due(self) -> int:
        """Answers to read: blocks that were sent and not answered yet."""
        return self._sent - self._read

    def send(self, elements: np.ndarray) -> None:
        """Send elements. What is no whole block waits for the elements to come.

        Parameters
        ----------
        elements : raw, see :meth:`host.manifest.Manifest.encode_elements`

        Raises
        ------
        HostError
            If they are of another shape, type or range; then none is sent. If the link fails; then
            the sequence is over. Or if it is over.
        """
        rows = self._manifest.shape[1]
        for element in self._manifest.encode_elements(np.asarray(elements)):
            self._waiting.append(element)
            self.elements += 1
            if len(self._waiting) == rows:
                block = np.stack(self._waiting, axis=1)
                self._flight.send(self._manifest.pack(block, begins=self._sent == 0).tolist())
                self._waiting.clear()
                self._sent += 1

    def read(self) -> Answer:
        """Wait for the next answer.

        Raises
        ------
        HostError
            If none is due, because no block is complete without an answer. If the link fails, or
            the sequence is over.
        """
        if not self.due:
            rows = self._manifest.shape[1]
            raise HostError(f"no answer is due: the device answers after every {rows} elements, "
                            f"and {len(self._waiting)} have been sent since the last block")
        logits, cycles = self._result(self._flight.receive())
        self._read += 1
        return Answer(self._read * self._manifest.shape[1], logits, cycles)

    def answers(self) -> Iterator[Answer]:
        """The answers that are due."""
        while self.due:
            yield self.read()
