import random
from dataclasses import replace

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

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
}
SOURCES = {**_SOURCES, **{f"{name} {rows}": replace(source, rows=rows)
                          for name, source in _SOURCES.items()
                          for rows in (source.least_rows, source.least_rows + 1)}}


class WindowOverMemory(wiring.Component):
    """A window and its memory, which is released row by row as windows leave."""

    def __init__(self, source):
        self.source, self.window = source, Window(source)
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
        column, row = Signal(range(width)), Signal(range(height))
        m.d.comb += memory.finish.eq(row == height - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += column.eq(column + 1)
            with m.If(column == width - 1):
                m.d.comb += memory.descend.eq(1)
                m.d.sync += column.eq(0)
                m.d.sync += row.eq(Mux(memory.finish, 0, row + 1))
        return m


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", SOURCES)
def test_window_equals_model(name, stalls):
    source, fmap = SOURCES[name], SOURCES[name].map
    rng = random.Random(name)
    beats = [rng.choice([0, sum(rng.randrange(fmap.levels + 1) << c * fmap.bits
                                for c in range(fmap.word))]) for _ in range(3 * fmap.beats)]
    dut = WindowOverMemory(source)
    expected = []
    for first in range(0, len(beats), fmap.beats):
        sample = iter(occupancy(fmap, beat) for beat in beats[first:first + fmap.beats])
        expected += dut.window.model([[[next(sample) for _ in range(fmap.chunks)]
                                       for _ in range(fmap.width)] for _ in range(fmap.height)])
    received, clocks = run(dut, [(dut.i, beats)], [(dut.o, len(expected))], stalls=stalls)
    assert received == [sum(bit << k * fmap.planes for k, bit in enumerate(window))
                        for window in expected]
    if stalls == "none" and source.rows == 2 * fmap.height:
        columns = source.kernel[1] + (source.positions[1] - 1) * source.stride[1]
        reads = source.positions[0] * columns * source.kernel[0] * fmap.chunks
        assert clocks <= 3 * max(reads, fmap.beats) + fmap.beats + 10


@pytest.mark.parametrize("name", SOURCES)
def test_a_window_needs_no_rows_below_it(name):
    source, fmap = SOURCES[name], SOURCES[name].map
    (oy, ox), (top, _) = source.positions, source.corner
    for rows in range(1, fmap.height + 1):
        complete = sum(1 for k in range(oy)
                       if min(fmap.height, top + k * source.descent + source.kernel[0]) <= rows)
        dut = WindowOverMemory(source)
        run(dut, [(dut.i, [1] * (rows * source.row))], [(dut.o, complete * ox)])
