"""Between the two dwords of a beat and single ones."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .tlp import BEAT, DWORD

__all__ = ["Narrow", "Widen"]


class Narrow(wiring.Component):
    """Beats to dwords, one a clock.

    Members
    -------
    i : ``In(stream.Signature(BEAT))``
    o : ``Out(stream.Signature(DWORD))``
    """

    i: In(stream.Signature(BEAT))
    o: Out(stream.Signature(DWORD))

    @staticmethod
    def model(beats):
        """Beats ``(data, pair, last)`` to dwords ``(data, last)``."""
        for both, pair, last in beats:
            yield both & 0xffffffff, int(last and not pair)
            if pair:
                yield both >> 32, last

    def elaborate(self, platform):
        m = Module()

        second = Signal()
        beat = self.i.p
        ends = second | ~beat.pair
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.p.data.eq(Mux(second, beat.data[32:], beat.data[:32])),
            self.o.p.last.eq(beat.last & ends),
            self.i.ready.eq(self.o.ready & ends),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += second.eq(~ends)

        return m


class Widen(wiring.Component):
    """Dwords to beats. A beat has one dword only if its packet ends with it.

    Members
    -------
    i : ``In(stream.Signature(DWORD))``
    o : ``Out(stream.Signature(BEAT))``
    """

    i: In(stream.Signature(DWORD))
    o: Out(stream.Signature(BEAT))

    @staticmethod
    def model(dwords):
        """Dwords ``(data, last)`` to beats ``(data, pair, last)``."""
        first = None
        for dword, last in dwords:
            if first is not None:
                yield dword << 32 | first, 1, last
                first = None
            elif last:
                yield dword, 0, 1
            else:
                first = dword

    def elaborate(self, platform):
        m = Module()

        first, waiting = Signal(32), Signal()
        room = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(room | (~waiting & ~self.i.p.last))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            with m.If(waiting | self.i.p.last):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(Mux(waiting, Cat(first, self.i.p.data), self.i.p.data)),
                    self.o.p.pair.eq(waiting),
                    self.o.p.last.eq(self.i.p.last),
                    waiting.eq(0),
                ]
            with m.Else():
                m.d.sync += [first.eq(self.i.p.data), waiting.eq(1)]

        return m
