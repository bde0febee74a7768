"""Access to registers: those of a device, and those that a host sees through a serial line."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Bus", "Counters", "DeviceBus", "Status"]


DeviceBus = wiring.Signature({"addr": Out(16), "r_data": In(32)})
"""Registers of a device, as a link sees them. ``r_data`` is the word at ``addr``, two clocks later,
or 0 if the device has none there."""

Counters = data.StructLayout({"frames": 16, "crc_errors": 16, "dropped": 16})
"""Good, corrupt and malformed requests."""


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
    """This sample is not the next one, or nothing is being loaded."""
    SESSION = 5
    """The session is not the one that is open."""
    INCOMPLETE = 6
    """Words that come before have not been written, of the input or of a block."""
    DAMAGED = 7
    """The memories are being loaded, or are not what they should be, so no sample is computed."""


Bus = wiring.Signature({
    "addr":     Out(16),
    "session":  Out(32),
    "owner":    In(1),
    "r_data":   In(32),
    "begin":    Out(1),
    "w_en":     Out(1),
    "w_data":   Out(32),
    "w_status": In(Status),
    "answer":   In(16),
    "counters": Out(Counters),
})
"""Registers, as the engine sees them that executes the requests of a host.

``owner`` tells whether ``session`` is the one that is open, a clock later; only then may regions be
accessed that are ``owned``. ``r_data`` is the word at ``addr``, three clocks later. ``begin`` is
high for a clock before the first word of a write. ``addr`` and ``w_data`` are there a clock before
``w_en`` is high; ``w_status`` is the outcome of the word that ``w_en`` writes, in the same clock,
and ``answer`` the address of what answers an exchange that ends with this word. ``counters`` are
those of the engine, which are read like other registers.
"""
