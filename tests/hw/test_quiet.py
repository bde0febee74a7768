# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.maps import MapConfig
from hw.quiet import Quiet

MAPS = [MapConfig(5, 2, 3, 1, 2, "train", 4, -1), MapConfig(1, 1, 1, 2, 1, "train", 3),
        MapConfig(4, 1, 1, 1, 4, "train", 1, -1), MapConfig(3, 2, 2, 1, 2, "train", 35, -1)]


@pytest.mark.parametrize("fmap", MAPS)
def test_quiet_is_a_last_step_without_spikes(fmap):
    rng = random.Random(fmap.beats)
    dut, bits = Quiet(fmap, 4), sum(fmap.step_bits)
    verilog.convert(dut, name="dut")
    chances = [rng.choice([0, 0.02, 0.5]) for _ in range(60)]
    width = fmap.one_slice.bits
    samples = [[[sum((rng.random() < (chance if bit < bits else 0.5)) << bit
                     for bit in range(width)) for _ in range(fmap.word)]
                for _ in range(fmap.beats)] for chance in chances]
    expected = [int(not any(train % (1 << bits) for beat in sample[fmap.slices - 1::fmap.slices]
                            for train in beat)) for sample in samples]
    under_way, seen = 0, []

    async def feed(ctx):
        nonlocal under_way
        for sample in samples:
            while under_way == 4:
                await ctx.tick()
            under_way += 1
            for beat in sample:
                while rng.random() < 0.3:
                    ctx.set(dut.beat, rng.randrange(1 << fmap.beat_bits))
                    await ctx.tick()
                ctx.set(dut.beat, sum(train << k * width for k, train in enumerate(beat)))
                ctx.set(dut.moves, 1)
                await ctx.tick()
                ctx.set(dut.moves, 0)
            arrived.append(None)

    arrived = []

    async def finish(ctx):
        nonlocal under_way
        while len(seen) < len(samples):
            if len(arrived) > len(seen):
                await ctx.tick().repeat(1 + rng.randrange(3 * fmap.beats))
                seen.append(ctx.get(dut.quiet))
                ctx.set(dut.done, 1)
                under_way -= 1
            await ctx.tick()
            ctx.set(dut.done, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(finish)
    simulator.run()
    assert seen == expected
    assert set(expected) == {0, 1}


def test_the_depth_is_a_power_of_two():
    for depth in (1, 3):
        with pytest.raises(ValueError, match=rf"^depth must be a power of two, at least 2, not "
                                             rf"{depth}$"):
            Quiet(MAPS[0], depth)
