"""``hw.encoder``: each word becomes its events, in as many clocks as there are events."""

import itertools
from dataclasses import replace

from amaranth import *
from amaranth.hdl import Assert, Cover

from hw.dynamics import Dynamics
from hw.encoder import EventEncoder
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle, step

from .properties import Proof, anything, moves, waits

__all__ = ["PROOFS"]

_LATENCY = 2
"""Clocks from a word to its first event; as many words are inside at most."""


def _core(word, groups, masked, signed):
    """A core with words of so many channels, and as many groups of lanes; if ``signed``, of trains
    whose spikes may take charge back."""
    train = {"code": "train", "low": -1} if signed else {}
    fmap = MapConfig(word, 1, 1, 1, word, **train)
    sources = [SourceConfig(fmap, -1, (1, 1), (1, 1), (0, 0))]
    sources += masked * [replace(sources[0], lanes=tuple(range(word)), fixed=True)]
    maps = [source.map for source in sources]
    schedule = (step(maps, 1, Dynamics(1, signed=True, bound="levels")) if signed
                else settle(maps, 1))
    return CoreConfig("c", "c", tuple(sources), word, word * groups, 2, 4,
                      ((1 << len(sources)) - 1,) * groups, schedule)


def encoder(word, groups, masked=False, *, signed=False):
    core = _core(word, groups, masked, signed)
    rows = max(core.weight_rows, core.parameter_rows * masked)

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
        # A masked word is one event, whatever its spikes.
        whole = oldest.masked.any()
        m.d.comb += single.eq((sum(spikes) <= 1) | whole)

        with m.If(dut.o.valid):
            event = dut.o.p
            m.d.comb += Assert(inside != 0)
            m.d.comb += Assert(event.add == spikes.any())
            with m.If(spikes.any() & (oldest.row + bit < rows)):
                m.d.comb += Assert(event.row == oldest.row + Mux(whole, 0, bit))
            m.d.comb += Assert((event.masked == oldest.masked) & (event.fixed == oldest.fixed))
            m.d.comb += Assert(~whole | (event.mask == oldest.spikes))
            m.d.comb += Assert(event.subtract == oldest.subtract)
            m.d.comb += Assert(event.double == (oldest.double & ~begun))
            m.d.comb += Assert(event.last == (oldest.last & single))

        complete = moves(dut.o) & single
        m.d.comb += Assert(~moves(dut.i) | (inside - complete < _LATENCY))
        m.d.sync += inside.eq(inside + moves(dut.i) - complete)
        with m.If(moves(dut.o)):
            m.d.sync += [left.eq(spikes & ~(1 << bit)), begun.eq(~single)]
        with m.If(complete):
            m.d.sync += [word.eq(behind) for word, behind in itertools.pairwise(words)]
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

    return Proof(lambda: EventEncoder(core), properties)


PROOFS = {f"encoder-{word}": encoder(word, groups) for word, groups in ((1, 3), (3, 2), (4, 3))}
PROOFS |= {"encoder-masked": encoder(3, 2, masked=True),
           "encoder-signed": encoder(3, 2, signed=True)}
