# amaranth: UnusedElaboratable=no
import random
from functools import partial

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.feeder import Collector, Feeder, Packing

from .streams import STALLS

SHAPES = [(1, 1), (1, 32), (7, 1), (64, 2), (33, 5), (9, 16), (9, 17), (5, 31), (6, 32), (4, 33),
          (5, 64), (3, 100)]


def simulate(dut, *testbenches):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("beats, bits", SHAPES)
def test_packing_is_undone(beats, bits):
    rng = random.Random(beats)
    packing = Packing(beats, bits)
    sample = [rng.getrandbits(bits) for _ in range(beats)]
    words = packing.pack(sample)
    assert len(words) == packing.words
    assert max(words) < 1 << 32
    assert packing.unpack(words) == sample


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("beats, bits", SHAPES)
def test_feeder(beats, bits, stalls):
    rng = random.Random(bits)
    dut = Feeder(Packing(beats, bits))
    samples = [[rng.getrandbits(bits) for _ in range(beats)] for _ in range(5)]
    idle, busy = STALLS[stalls]
    clocks = []

    async def fill(ctx):
        for sample in samples:
            while not ctx.get(dut.free):
                await ctx.tick()
            for k, word in enumerate(dut.packing.pack(sample)):
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.w_addr, k)
                ctx.set(dut.w_data, word)
                ctx.set(dut.w_en, 1)
                await ctx.tick()
                ctx.set(dut.w_en, 0)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)

    async def drain(ctx, rng):
        clock = 0
        for sample in samples:
            begin = None
            for beat in sample:
                valid = False
                while not valid:
                    ctx.set(dut.o.ready, rng.random() >= busy)
                    ready = ctx.get(dut.o.ready)
                    _, _, valid, payload, first = await ctx.tick().sample(
                        dut.o.valid, dut.o.payload, dut.first)
                    clock += 1
                    valid = valid and ready
                assert (payload, first) == (beat, begin is None)
                begin = begin or clock
            ctx.set(dut.o.ready, 0)
            clocks.append(clock - begin)

    simulate(dut, fill, partial(drain, rng=random.Random(7)))
    if stalls == "none":
        assert clocks == [(beats - 1) * dut.packing.per_beat] * 5


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("classes, lanes, bits", [
    (1, 1, 1), (10, 10, 12), (10, 4, 13), (3, 16, 32), (7, 1, 20), (8, 4, 9), (5, 2, 33),
    (3, 4, 64), (1, 1, 40)])
def test_collector(classes, lanes, bits, stalls):
    rng = random.Random(classes)
    idle, _ = STALLS[stalls]
    dut = Collector(classes, lanes, bits, slots=4)
    groups = -(-classes // lanes)
    samples = [[rng.getrandbits(bits * lanes) for _ in range(groups)] for _ in range(6)]

    async def test(ctx):
        for number, sample in enumerate(samples, 1):
            for k, beat in enumerate(sample):
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.i.payload, dut.i.payload.shape().from_bits(beat))
                ctx.set(dut.i.valid, 1)
                assert ctx.get(dut.last) == (k == groups - 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().until(dut.done)
            for kept in range(max(1, number - 3), number + 1):
                ctx.set(dut.r_slot, kept % 4)
                for k, logit in enumerate(dut.model(samples[kept - 1])):
                    ctx.set(dut.r_addr, k)
                    await ctx.tick()
                    assert ctx.get(dut.r_data) == logit

    simulate(dut, test)


@pytest.mark.parametrize("dut", [Feeder(Packing(5, 7)), Feeder(Packing(5, 70)),
                                 Collector(9, 4, 7, slots=2)],
                         ids=["narrow", "wide", "collector"])
def test_verilog(dut):
    assert "module dut" in verilog.convert(dut, name="dut")


def test_collector_extends_the_sign():
    assert Collector(3, 2, 4, slots=2).model([0x8f, 0x07]) == [0xffffffff, 0xfffffff8, 7]
    assert Collector(2, 1, 34, slots=2).model([1 << 33 | 5, 1 << 32]) == [5, 0xfffffffe, 0, 1]


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^beats must be a positive integer, not 0$"):
        Packing(0, 1)
    with pytest.raises(ValueError, match=r"^beat_bits must be a positive integer, not 1.5$"):
        Packing(1, 1.5)
    with pytest.raises(TypeError, match=r"^packing must be a Packing, not 5$"):
        Feeder(5)
    with pytest.raises(ValueError, match=r"^lanes must be a positive integer, not 0$"):
        Collector(1, 0, 1, slots=2)
    with pytest.raises(ValueError, match=r"^bits must be at most 64, not 65$"):
        Collector(1, 1, 65, slots=2)
    with pytest.raises(ValueError, match=r"^slots must be a power of two, at least 2, not 3$"):
        Collector(1, 1, 1, slots=3)
