"""Access to the registers of a device, for whatever link is in front of it."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Bus", "Status"]


class Status(enum.Enum, shape=3):
    """Outcome of a request. Anything but ``OK`` means that nothing has happened."""

    OK = 0
    UNKNOWN = 1
    """There is no such operation."""
    RANGE = 2
    """The words don't lie in one region that may be accessed in this way."""
    BUSY = 3
    """There is no room for another sample yet."""
    ORDER = 4
    """This sample is not the next one."""
    SESSION = 5
    """The session is not the one that is open."""
    INCOMPLETE = 6
    """Words of the input that come before have not been written."""


Bus = wiring.Signature({
    "addr":     Out(16),
    "session":  Out(32),
    "owner":    In(1),
    "r_data":   In(32),
    "begin":    Out(1),
    "w_en":     Out(1),
    "w_data":   Out(32),
    "w_status": In(Status),
})
"""Registers, as a link sees them.

``owner`` tells whether ``session`` is the one that is open, a clock later; only then may regions be
accessed that are ``owned``. ``r_data`` is the word at ``addr``, three clocks later. ``begin`` is
high for a clock before the first word of a write. ``addr`` and ``w_data`` are there a clock before
``w_en`` is high; ``w_status`` is the outcome of the word that ``w_en`` writes, in the same clock.
"""
