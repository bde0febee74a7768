"""Samples on their way through a device, several at a time, whatever the link."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import HostError

__all__ = ["Flight"]


class Flight(ABC):
    """Samples on their way through a device, several at a time.

    A link's own class says how samples are sent (:meth:`_send`), how many have no result yet
    (:meth:`_due`), and waits until another step of their way is done (:meth:`_settle`), which adds
    results to ``landed``.

    Parameters
    ----------
    name : of the link, for errors

    Members
    -------
    landed : results that have come
    over : why nothing can be sent or received any more, or nothing

    Raises
    ------
    HostError
        From any method, if it is over.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.landed: deque[list[int]] = deque()
        self.over = ""

    @abstractmethod
    def _send(self, words: Sequence[int]) -> None: ...

    @abstractmethod
    def _due(self) -> int: ...

    @abstractmethod
    def _settle(self) -> None: ...

    def send(self, words: Sequence[int]) -> None:
        """Send a sample as soon as there is room for it."""
        with self._trying():
            self._send(words)

    def receive(self) -> list[int]:
        """Wait for the result of the first sample that has none yet, and return it."""
        with self._trying():
            while not self.landed:
                self._settle()
        return self.landed.popleft()

    def land(self) -> None:
        """Wait for all results."""
        with self._trying():
            while self._due():
                self._settle()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """After an error or an interrupt it is not known what the device has."""
        if self.over:
            raise HostError(f"{self._name}: {self.over}; begin another")
        try:
            yield
        except BaseException:
            self.over = "the sequence was given up after an error"
            raise
