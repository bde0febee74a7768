"""CRC-32 as zlib's, a bit a clock, which a serial line leaves time for."""

import zlib

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Crc32"]

_POLYNOMIAL = 0xedb88320
_RESIDUE = 0xdebb20e3
"""What is left after data and the CRC of it, the lowest byte first."""


class Crc32(wiring.Component):
    """The CRC of bytes that are each held for eight clocks.

    Members
    -------
    start : ``In(1)``, begin anew
    step : ``In(1)``, the next bit of ``byte`` enters, the lowest first
    byte : ``In(8)``
    last : ``Out(1)``, the next bit is the eighth
    drain : ``In(1)``, a step shifts the CRC out instead, a byte in eight of them
    low : ``Out(8)``, lowest byte of the CRC of what has entered
    matches : ``Out(1)``, what has entered ends with its own CRC
    """

    start: In(1)
    step: In(1)
    byte: In(8)
    last: Out(1)
    drain: In(1)
    low: Out(8)
    matches: Out(1)

    @staticmethod
    def model(octets):
        """Bytes to the four of their CRC."""
        return zlib.crc32(bytes(octets)).to_bytes(4, "little")

    def elaborate(self, platform):
        m = Module()

        state = Signal(32, init=0xffffffff)
        count = Signal(3)
        feedback = Signal()
        m.d.comb += [
            feedback.eq((state[0] ^ self.byte.bit_select(count, 1)) & ~self.drain),
            self.last.eq(count == 7),
            self.low.eq(~state[:8]),
            self.matches.eq(state == _RESIDUE),
        ]
        with m.If(self.start):
            m.d.sync += [state.eq(0xffffffff), count.eq(0)]
        with m.Elif(self.step):
            m.d.sync += state.eq(state[1:] ^ Mux(feedback, _POLYNOMIAL, 0))
            m.d.sync += count.eq(count + 1)

        return m
