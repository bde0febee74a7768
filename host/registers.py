"""Registers of a device, whatever the way to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

__all__ = ["Outcome", "Registers", "Status"]


class Status(IntEnum):
    """Status of a request. Anything but ``OK`` means that the device has done nothing."""

    OK = 0
    UNKNOWN = 1
    RANGE = 2
    BUSY = 3
    ORDER = 4
    SESSION = 5
    INCOMPLETE = 6


@dataclass(frozen=True)
class Outcome:
    """Outcome of a request: its status, and the 32-bit words that it read."""

    status: int
    words: tuple[int, ...] = ()


class Registers(Protocol):
    """Registers of one device, in 32-bit words.

    The implementation decides how a request travels, how long an answer may take and how often a
    request is repeated. When it gives up, it raises :class:`~host.errors.LinkError`.

    Members
    -------
    name : what errors call the way to the device
    session : a random number by which the device knows this host, never 0
    retries : requests that had to be sent again
    """

    name: str
    session: int
    retries: int

    def draw_session(self) -> None:
        """Take another session."""

    def read(self, addr: int, count: int) -> Outcome:
        """Read ``count`` words from ``addr`` on."""

    def write(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words`` from ``addr`` on, in ascending order."""

    def exchange(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words``, the last of which is the number of a sample. Read as many words of the
        previous sample's result as an answer holds, from the first on."""

    def post(self, addr: int, words: Sequence[int], *, exchange: bool = False) -> None:
        """Begin a write or an exchange; :meth:`collect` gives its outcome."""

    def collect(self) -> Outcome | None:
        """Outcome of the oldest request that was posted, or ``None`` if the request may be lost.
        All later requests are dropped then as well. The device may have executed the first few of
        them."""

    def forget(self) -> None:
        """Drop the outcomes of all requests that were posted."""
