# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.maps import MapConfig, SourceConfig
from hw.spikes import SpikeMemory, train_layout

MAP = {"channels": 5, "height": 4, "width": 3, "levels": 5, "word": 2}


def occupancy(fmap, beat):
    fmap = fmap.one_slice
    counts = [beat >> c * fmap.bits & (1 << fmap.bits) - 1 for c in range(fmap.word)]

    def spikes(count, plane):
        if fmap.code == "train":
            return fmap.has_spike(count, plane)
        return count >> plane & 1 if fmap.code == "phase" else count > plane

    return sum(any(spikes(count, k) for count in counts) << k for k in range(fmap.planes))


# Kernel, stride and padding of the rows, and rows of the ring.
WINDOWS = [(1, 1, 0, 1), (2, 1, 0, 2), (2, 1, 0, 3), (3, 1, 1, 3), (3, 1, 1, 5), (2, 2, 0, 8),
           (2, 3, 0, 2), (4, 1, 0, 6), (3, 1, 2, 3), (3, 2, 2, 7), (1, 4, 1, 3), (6, 1, 5, 6),
           (8, 1, 7, 9)]

# The same, with other rows of zeros below the map than above it.
BELOW = [(1, 1, 0, 6, 1), (1, 1, 0, 6, 2), (1, 1, 0, 4, 3), (1, 1, 0, 8, 4), (2, 1, 0, 4, 4),
         (1, 2, 0, 5, 5), (3, 1, 1, 7, 6)]


@pytest.mark.parametrize("shape", [{"code": "phase"}, {"code": "rate"}, {"width": 1, "word": 5}],
                         ids=str)
@pytest.mark.parametrize("kernel,stride,padding,rows,below",
                         [*((*window, None) for window in WINDOWS), *BELOW])
def test_a_row_is_kept_until_no_window_looks_at_it(kernel, stride, padding, rows, below, shape):
    fmap = MapConfig(**{**MAP, "code": "phase", **shape})
    source = SourceConfig(fmap, -1, (kernel, 1), (stride, 1), (padding, 0), rows=rows, below=below)
    rng = random.Random(rows)
    written = [[sum(rng.choice([0, 0, rng.randrange(6)]) << c * fmap.bits
                    for c in range(fmap.word)) for _ in range(source.row)]
               for _ in range(4 * fmap.height)]
    dut = SpikeMemory(source)
    verilog.convert(dut)

    async def write(ctx):
        for beat in (beat for row in written for beat in row):
            ctx.set(dut.i.payload, beat)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    filled = 0

    async def count(ctx):
        nonlocal filled
        async for _, _, pulse in ctx.tick().sample(dut.filled):
            filled += pulse

    async def read(ctx):
        ctx.set(dut.counts_en, 1)
        ctx.set(dut.occupancy_en, 1)
        tops = [sample * fmap.height + top for sample in range(4) for top in source.tops]
        for turn, top in enumerate(tops):
            await ctx.tick().repeat(source.beats + fmap.beats + 2)
            room = max(tops[:turn + 1]) + source.reach
            assert filled == min(room, len(written)), "as many as there is room for"
            begin = turn // len(source.tops) * fmap.height
            for y in range(max(begin, top), min(begin + fmap.height, top + kernel)):
                for k, beat in enumerate(written[y]):
                    address = y % rows * source.row + k
                    ctx.set(dut.counts_address, address)
                    ctx.set(dut.occupancy_address, address)
                    await ctx.tick()
                    assert ctx.get(dut.counts) == beat
                    assert ctx.get(dut.occupancy) == occupancy(fmap, beat)
            ctx.set(dut.descend, 1)
            ctx.set(dut.finish, turn % len(source.tops) == len(source.tops) - 1)
            await ctx.tick()
            ctx.set(dut.descend, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(write)
    sim.add_testbench(count, background=True)
    sim.add_testbench(read)
    sim.run()


@pytest.mark.parametrize("levels, low, timesteps", [(1, 0, 3), (1, -1, 4), (5, -2, 2)])
def test_planes_are_where_the_layout_has_their_numbers(levels, low, timesteps):
    fmap = MapConfig(1, 1, 1, levels, 1, "train", timesteps, low)
    layout = train_layout(fmap)
    assert layout.size == fmap.bits
    for number in range(timesteps):
        step = layout[timesteps - 1 - number]
        for sign, name in ((1, "more"), (-1, "less")):
            field = step.shape[name]
            for unit in range(fmap.units(sign)):
                assert fmap.train_field(fmap.train_plane(number, sign, unit)) == (
                    step.offset + field.offset, field.width, unit)
