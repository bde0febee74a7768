"""Registers of a device, whatever leads there."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

__all__ = ["Outcome", "Registers", "Status"]


class Status(IntEnum):
    """Outcome of a request. Anything but ``OK`` means that nothing has happened."""

    OK = 0
    UNKNOWN = 1
    RANGE = 2
    BUSY = 3
    ORDER = 4
    SESSION = 5
    INCOMPLETE = 6


@dataclass(frozen=True)
class Outcome:
    """What became of a request: its status, and the 32-bit words that it read."""

    status: int
    words: tuple[int, ...] = ()


class Registers(Protocol):
    """Registers of one device, in 32-bit words.

    How a request gets there, how long an answer may take and how often it is tried is the
    implementation's own affair; it raises :class:`~host.errors.LinkError` where it gives up.

    Members
    -------
    name : what errors call the way to the device
    session : a random number that this host is known by, never 0
    retries : requests that had to be sent again
    """

    name: str
    session: int
    retries: int

    def draw_session(self) -> None:
        """Be known by another number from now on."""

    def read(self, addr: int, count: int) -> Outcome:
        """``count`` words from ``addr``."""

    def write(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words`` from ``addr`` on, in ascending order."""

    def exchange(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words``, the last of which is the number of a sample; give what there is of the
        result of the sample before it, from its first word on."""

    def post(self, addr: int, words: Sequence[int], *, exchange: bool = False) -> None:
        """Begin a write or an exchange; :meth:`collect` gives its outcome."""

    def collect(self) -> Outcome | None:
        """Outcome of the oldest request that was posted; ``None`` if it may be lost, and then those
        that were posted after it are forgotten, too. In which case each may have been executed or
        not, in the order in which they were posted."""

    def forget(self) -> None:
        """Want no outcome any more of what was posted."""
