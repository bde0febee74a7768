"""``hw.encoder``: each word becomes its events, in as many clocks as there are events."""

from amaranth import *
from amaranth.hdl import Assert, Cover

from hw.encoder import EventEncoder

from .properties import Proof, anything, moves, waits

__all__ = ["PROOFS"]

_LATENCY = 2
"""Clocks from a word to its first event; as many words are inside at most."""


def encoder(word, rows):
    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
        waits(m, dut.o)

        # The words inside, oldest first, and which spikes of the oldest are still to come.
        words = [Signal.like(dut.i.payload, name=f"inside_{k}") for k in range(_LATENCY)]
        inside, begun, left = Signal(range(_LATENCY + 1)), Signal(), Signal(word)
        oldest = words[0]
        spikes, bit, single = Signal(word), Signal(range(max(2, word))), Signal()
        m.d.comb += spikes.eq(Mux(begun, left, oldest.spikes))
        for k in reversed(range(word)):
            with m.If(spikes[k]):
                m.d.comb += bit.eq(k)
        m.d.comb += single.eq(sum(spikes) <= 1)

        with m.If(dut.o.valid):
            event = dut.o.p
            m.d.comb += Assert(inside != 0)
            m.d.comb += Assert(event.add == spikes.any())
            with m.If(spikes.any() & (oldest.row + bit < rows)):
                m.d.comb += Assert(event.row == oldest.row + bit)
            m.d.comb += Assert(event.double == (oldest.double & ~begun))
            m.d.comb += Assert(event.last == (oldest.last & single))

        complete = moves(dut.o) & single
        m.d.comb += Assert(~moves(dut.i) | (inside - complete < _LATENCY))
        m.d.sync += inside.eq(inside + moves(dut.i) - complete)
        with m.If(moves(dut.o)):
            m.d.sync += [left.eq(spikes & ~(1 << bit)), begun.eq(~single)]
        with m.If(complete):
            m.d.sync += [word.eq(behind) for word, behind in zip(words, words[1:], strict=False)]
        with m.If(moves(dut.i)):
            for k, place in enumerate(words):
                with m.If(inside - complete == k):
                    m.d.sync += place.eq(dut.i.payload)

        # While words are offered and events taken there is one event in every clock.
        fed = Signal(range(_LATENCY + 1))
        with m.If(~(dut.i.valid & dut.o.ready)):
            m.d.sync += fed.eq(0)
        with m.Elif(fed < _LATENCY):
            m.d.sync += fed.eq(fed + 1)
        m.d.comb += Assert((fed < _LATENCY) | dut.o.valid)

        m.d.comb += Cover(moves(dut.o) & ~dut.o.p.add & dut.o.p.last)
        m.d.comb += Cover(moves(dut.i) & complete & (oldest.spikes == (1 << word) - 1))

    return Proof(lambda: EventEncoder(word, rows), properties)


PROOFS = {f"encoder-{word}": encoder(word, rows) for word, rows in ((1, 3), (3, 7), (4, 12))}
