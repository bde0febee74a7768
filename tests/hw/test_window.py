import random
from dataclasses import replace
from itertools import chain

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from gen.plan.cycles import gathering_clocks
from hw.maps import MapConfig, SourceConfig
from hw.spikes import SpikeMemory
from hw.window import Window

from .streams import STALLS, run
from .test_spikes import occupancy

_SOURCES = {
    "padded": SourceConfig(MapConfig(3, 4, 5, 3, 2), -1, (3, 3), (1, 1), (1, 1)),
    "strided": SourceConfig(MapConfig(2, 7, 8, 1, 2), -1, (3, 2), (2, 3), (1, 0)),
    "pointwise": SourceConfig(MapConfig(9, 3, 3, 5, 4, "rate"), -1, (1, 1), (1, 1), (0, 0)),
    "whole": SourceConfig(MapConfig(4, 3, 4, 7, 1), -1, (3, 4), (1, 1), (0, 0)),
    "slices": SourceConfig(MapConfig(3, 4, 3, 1, 2, "train", 20, -1), -1, (3, 2), (2, 1), (1, 1)),
    "three slices": SourceConfig(MapConfig(2, 2, 3, 2, 2, "train", 35), -1, (1, 1), (1, 1), (0, 0)),
}
SOURCES = {**_SOURCES, **{f"{name} {rows}": replace(source, rows=rows)
                          for name, source in _SOURCES.items()
                          for rows in (source.least_rows, source.least_rows + 1)}}


GROUPS = 2


class WindowOverMemory(wiring.Component):
    """A window and its memory, which is released row by row as windows leave."""

    def __init__(self, source):
        self.source, self.window = source, Window(source, GROUPS)
        self.memory = SpikeMemory(source)
        super().__init__({"i": In(self.memory.i.signature.flip()),
                          "o": Out(self.window.o.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory, m.submodules.window = self.memory, self.window
        memory, window = self.memory, self.window
        connect(m, flipped(self.i), memory.i)
        connect(m, window.o, flipped(self.o))
        m.d.comb += [
            window.filled.eq(memory.filled),
            memory.occupancy_en.eq(window.occupancy_en),
            memory.occupancy_address.eq(window.occupancy_address),
            window.occupancy.eq(memory.occupancy),
        ]
        height, width = self.source.positions
        width *= windows(self.source)
        column, row = Signal(range(width)), Signal(range(height))
        m.d.comb += memory.finish.eq(row == height - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += column.eq(column + 1)
            with m.If(column == width - 1):
                m.d.comb += memory.descend.eq(1)
                m.d.sync += column.eq(0)
                m.d.sync += row.eq(Mux(memory.finish, 0, row + 1))
        return m


def windows(source):
    """Windows of a position."""
    return 1 if source.map.slices == 1 else GROUPS * source.map.slices


def _sample(dut, rng):
    """Beats of a sample, and its windows as the stream has them."""
    fmap = dut.source.map
    bits, planes = fmap.one_slice.bits, fmap.one_slice.planes
    most = fmap.levels if fmap.code != "train" else (1 << bits) - 1
    beats = [rng.choice([0, sum(rng.randrange(most + 1) << c * bits
                                for c in range(fmap.word))]) for _ in range(fmap.beats)]
    found = iter(occupancy(fmap, beat) for beat in beats)
    offered = dut.window.model([[[next(found) for _ in range(fmap.position_beats)]
                                 for _ in range(fmap.width)] for _ in range(fmap.height)])
    return beats, [sum(bit << k * planes for k, bit in enumerate(window)) for window in offered]


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", SOURCES)
def test_window_equals_model(name, stalls):
    source, fmap = SOURCES[name], SOURCES[name].map
    rng = random.Random(name)
    dut = WindowOverMemory(source)
    samples = [_sample(dut, rng) for _ in range(3)]
    beats, expected = (list(chain.from_iterable(each)) for each in zip(*samples, strict=True))
    received, clocks = run(dut, [(dut.i, beats)], [(dut.o, len(expected))], stalls=stalls)
    assert received == expected
    if stalls == "none" and source.rows == 2 * fmap.height:
        reads = source.positions[0] * gathering_clocks(source, GROUPS)
        assert clocks <= 3 * max(reads, fmap.beats) + fmap.beats + 10


@pytest.mark.parametrize("name", SOURCES)
def test_a_window_needs_no_rows_below_it(name):
    source, fmap = SOURCES[name], SOURCES[name].map
    (oy, ox), (top, _) = source.positions, source.corner
    for rows in range(1, fmap.height + 1):
        complete = sum(1 for k in range(oy)
                       if min(fmap.height, top + k * source.descent + source.kernel[0]) <= rows)
        dut = WindowOverMemory(source)
        run(dut, [(dut.i, [1] * (rows * source.row))],
            [(dut.o, complete * ox * windows(source))])


def test_reset_in_any_clock():
    """A counter that a reset misses makes windows wrong after a reset in a few of the clocks."""
    dut, reset = WindowOverMemory(SOURCES["strided"]), Signal()
    beats, expected = _sample(dut, random.Random(0))
    _, clocks = run(dut, [(dut.i, beats)], [(dut.o, len(expected))])
    sim = Simulator(ResetInserter(reset)(dut))
    sim.add_clock(1e-6)

    async def walk(ctx, clocks):
        """Windows of samples that follow each other, from a reset on."""
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        sent, windows = 0, []
        for _ in range(clocks):
            ctx.set(dut.i.payload, beats[sent % len(beats)])
            *_, ready, valid, window = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.payload)
            sent += ready
            windows += [window.as_bits()] * valid
        return windows

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for moment in range(clocks):
            await walk(ctx, moment)
            assert (await walk(ctx, clocks))[:len(expected)] == expected, moment

    sim.add_testbench(testbench)
    sim.run()
