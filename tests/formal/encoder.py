"""``hw.encoder``: each word becomes its events, in as many clocks as there are events."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import data

from hw.encoder import EventEncoder

from .properties import Proof, anything, moves, waits

__all__ = ["PROOFS"]


def encoder(word, rows):
    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
        waits(m, dut.o)

        # The word inside, and which of its spikes are still to come.
        held = Signal.like(dut.i.payload)
        inside, first, left = Signal(), Signal(), Signal(word)
        bit, single = Signal(range(max(2, word))), Signal()
        with m.If(0):
            pass
        for k in range(word):
            with m.Elif(left[k]):
                m.d.comb += bit.eq(k)
        m.d.comb += single.eq(sum(left) <= 1)
        after = left & ~(1 << bit)

        m.d.comb += Assert(dut.o.valid == inside)
        m.d.comb += Assert(dut.i.ready == (~inside | (dut.o.ready & single)))
        with m.If(moves(dut.o)):
            m.d.comb += Assert(dut.o.p.add == left.any())
            with m.If(left.any() & (held.row + bit < rows)):
                m.d.comb += Assert(dut.o.p.row == held.row + bit)
            m.d.comb += Assert(dut.o.p.clear == (held.clear & first))
            m.d.comb += Assert(dut.o.p.double == (held.double & first))
            m.d.comb += Assert(dut.o.p.last == (held.last & single))
            m.d.sync += [left.eq(after), first.eq(0), inside.eq(~single)]
        with m.If(moves(dut.i)):
            m.d.sync += [held.eq(dut.i.payload), left.eq(dut.i.p.spikes), first.eq(1),
                         inside.eq(1)]
        m.d.comb += Cover(moves(dut.o) & ~dut.o.p.add & dut.o.p.last)
        m.d.comb += Cover(moves(dut.i) & moves(dut.o) & (held.spikes == (1 << word) - 1))

    return Proof(lambda: EventEncoder(word, rows), properties)


PROOFS = {f"encoder-{word}": encoder(word, rows) for word, rows in ((1, 3), (3, 7), (4, 12))}
