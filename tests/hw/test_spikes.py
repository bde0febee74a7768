# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.config import MapConfig
from hw.spikes import SpikeMemory


def occupancy(fmap, beat):
    counts = [beat >> c * fmap.bits & (1 << fmap.bits) - 1 for c in range(fmap.word)]
    return sum(any(n >> k & 1 if fmap.code == "phase" else n > k for n in counts) << k
               for k in range(fmap.planes))


@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("banks", [1, 2, 3])
def test_a_bank_is_kept_until_it_is_released(code, banks):
    fmap = MapConfig(channels=5, height=2, width=3, levels=5, word=2, code=code)
    rng = random.Random(banks)
    samples = [[sum(rng.choice([0, 0, rng.randrange(6)]) << c * fmap.bits for c in range(fmap.word))
                for _ in range(fmap.beats)] for _ in range(4)]
    dut = SpikeMemory(fmap, banks)
    verilog.convert(dut)

    async def write(ctx):
        for beat in (beat for sample in samples for beat in sample):
            ctx.set(dut.i.payload, beat)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    filled = 0

    async def count(ctx):
        nonlocal filled
        for _ in range(400):
            _, _, pulse = await ctx.tick().sample(dut.filled)
            filled += pulse

    async def read(ctx):
        ctx.set(dut.counts_en, 1)
        ctx.set(dut.occupancy_en, 1)
        for turn, sample in enumerate(samples):
            await ctx.tick().repeat(fmap.beats * banks + 2)
            rows = fmap.height * min(turn + banks, len(samples))
            assert filled == rows, "only as many samples as there are banks"
            for k, beat in enumerate(sample):
                address = turn % banks * fmap.beats + k
                ctx.set(dut.counts_address, address)
                ctx.set(dut.occupancy_address, address)
                await ctx.tick()
                assert ctx.get(dut.counts) == beat
                assert ctx.get(dut.occupancy) == occupancy(fmap, beat)
            ctx.set(dut.release, 1)
            await ctx.tick()
            ctx.set(dut.release, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in (write, count, read):
        sim.add_testbench(testbench)
    sim.run()


def test_bad_banks():
    with pytest.raises(ValueError, match=r"^banks must be at least 1, not 0$"):
        SpikeMemory(MapConfig(1, 1, 1, 1, 1), 0)
