# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.buffers import Results, Samples

from .streams import STALLS


def simulate(dut, *testbenches):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("words", [1, 2, 3, 16, 33])
def test_samples(words, stalls):
    dut, rng = Samples(words), random.Random(words)
    idle, busy = STALLS[stalls]
    samples = [[rng.getrandbits(32) for _ in range(words)] for _ in range(7)]
    sent, clocks = [], []

    async def fill(ctx):
        for sample in samples:
            while not ctx.get(dut.free):
                await ctx.tick()
            # Any word may be written twice.
            for k in [*rng.choices(range(words), k=3), *range(words)]:
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.w_addr, k)
                ctx.set(dut.w_data, sample[k] if rng.random() < 0.5 else 5)
                ctx.set(dut.w_en, 1)
                await ctx.tick()
                ctx.set(dut.w_data, sample[k])
                await ctx.tick()
                ctx.set(dut.w_en, 0)
            await ctx.tick()
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)

    async def drain(ctx):
        rng, clock = random.Random(7), 0
        while len(sent) < 7 * words:
            ready = rng.random() >= busy
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            clock += 1
            if valid and ready:
                sent.append(word)
                clocks.append(clock)

    simulate(dut, fill, drain)
    assert sent == [word for sample in samples for word in sample]
    if stalls == "none":
        assert all(clocks[k + words - 1] - clocks[k] == words - 1
                   for k in range(0, len(clocks), words))


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("words, slots, stride", [(2, 2, 4), (6, 4, 8), (7, 4, 8), (7, 2, 32)])
def test_results(words, slots, stride, stalls):
    dut, rng = Results(words, slots=slots, stride=stride), random.Random(words)
    idle, _ = STALLS[stalls]
    results = [[rng.getrandbits(32) for _ in range(words)] for _ in range(11)]

    async def test(ctx):
        for number, result in enumerate(results, 1):
            for k, word in enumerate(result, 1):
                while rng.random() < idle:
                    await ctx.tick()
                assert ctx.get(dut.i.ready)
                assert ctx.get(dut.completed) == number - 1
                ctx.set(dut.i.p.data, word)
                ctx.set(dut.i.p.last, k == words)
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            assert ctx.get(dut.completed) == number
            for kept in range(max(1, number - slots + 1), number + 1):
                *others, last = results[kept - 1]
                for k, word in enumerate([last, *others], 1):
                    ctx.set(dut.r_addr, kept % slots * stride + k)
                    await ctx.tick()
                    assert ctx.get(dut.r_data) == word

    simulate(dut, test)


@pytest.mark.parametrize("dut", [Samples(1), Samples(9), Results(3, slots=2, stride=4)],
                         ids=["word", "words", "results"])
def test_verilog(dut):
    assert "module dut" in verilog.convert(dut, name="dut")


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^words must be a positive integer, not 0$"):
        Samples(0)
    with pytest.raises(ValueError, match=r"^slots must be a power of two, at least 2, not 3$"):
        Results(3, slots=3, stride=4)
    with pytest.raises(ValueError, match=r"^stride must be a power of two, at least 5, not 4$"):
        Results(4, slots=2, stride=4)
