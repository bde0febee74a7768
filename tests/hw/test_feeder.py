# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog

from hw.feeder import Collector, Feeder, Packing

from .streams import STALLS, run

SHAPES = [(1, 1), (1, 32), (7, 1), (64, 2), (33, 5), (9, 16), (9, 17), (5, 31), (6, 32), (4, 33),
          (5, 64), (3, 100)]


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
    words = [word for sample in samples for word in dut.packing.pack(sample)]
    sent, clocks = run(dut, [(dut.i, words)], [(dut.o, 5 * beats)], stalls=stalls, seed=beats)
    assert sent == [beat | (k == 0) << bits for sample in samples
                    for k, beat in enumerate(dut.model(dut.packing.pack(sample)))]
    assert dut.model(dut.packing.pack(samples[0])) == samples[0]
    if stalls == "none":
        # Without a gap, from sample to sample.
        assert clocks == 5 * beats * dut.packing.per_beat + 1


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("classes, lanes, bits, positions", [
    (1, 1, 1, 1), (10, 10, 12, 1), (10, 4, 13, 1), (3, 16, 32, 1), (7, 1, 20, 1), (8, 4, 9, 1),
    (5, 2, 33, 1), (3, 4, 64, 1), (1, 1, 40, 1), (10, 4, 13, 3), (5, 2, 33, 2), (1, 1, 8, 5)])
def test_collector(classes, lanes, bits, positions, stalls):
    rng = random.Random(classes)
    dut = Collector(classes, lanes, bits, positions=positions)
    groups = positions * -(-classes // lanes)
    samples = [[rng.getrandbits(bits * lanes) for _ in range(groups)] for _ in range(6)]
    began = [rng.getrandbits(32) for _ in samples]
    # The clock runs over.
    begin = (1 << 32) - 100
    taken, clock = [], begin

    async def tell(ctx):
        nonlocal clock
        while True:
            ctx.set(dut.clock, clock & 0xffffffff)
            _, _, valid, ready = await ctx.tick().sample(dut.i.valid, dut.i.ready)
            if valid and ready:
                taken.append(clock)
            clock += 1

    words, _ = run(dut, [(dut.i, [dut.i.payload.shape().from_bits(beat)
                                  for sample in samples for beat in sample]),
                         (dut.began, began)],
                   [(dut.o, 6 * len([*dut.model(samples[0]), 0]))], stalls=stalls, seed=classes,
                   beside=[tell])
    expected = []
    for sample, since, last in zip(samples, began, taken[groups - 1::groups], strict=True):
        expected += [*dut.model(sample), 1 << 32 | last - since & 0xffffffff]
    assert words == expected


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("quiet", [1, 5, 32, 70])
def test_collector_tells_which_layers_are_quiet(quiet, stalls):
    rng, words = random.Random(quiet), -(-quiet // 32)
    dut = Collector(5, 2, 9, quiet=quiet)
    beats = [rng.getrandbits(18) for _ in range(3 * 6)]
    told = [rng.getrandbits(quiet) for _ in range(6)]
    taken = []

    async def tell(ctx):
        ctx.set(dut.quiet, rng.getrandbits(quiet))
        while True:
            # Only what is there with the last beat of a sample counts.
            last = len(taken) % 3 == 2
            ctx.set(dut.quiet, told[len(taken) // 3] if last and len(taken) < 18
                    else rng.getrandbits(quiet))
            _, _, valid, ready = await ctx.tick().sample(dut.i.valid, dut.i.ready)
            if valid and ready:
                taken.append(None)

    sent, _ = run(dut, [(dut.i, [dut.i.payload.shape().from_bits(beat) for beat in beats]),
                        (dut.began, [0] * 6)], [(dut.o, 6 * (5 + words + 1))], stalls=stalls,
                  seed=quiet, beside=[tell])
    for k in range(6):
        *found, clocks = sent[k * (6 + words):][:6 + words]
        expected = told[k]
        assert found == [*dut.model(beats[3 * k:][:3]),
                         *(expected >> 32 * j & 0xffffffff for j in range(words))]
        assert clocks >> 32 == 1


@pytest.mark.parametrize("dut", [Feeder(Packing(5, 7)), Feeder(Packing(5, 70)),
                                 Collector(9, 4, 7)],
                         ids=["narrow", "wide", "collector"])
def test_verilog(dut):
    assert "module dut" in verilog.convert(dut, name="dut")


def test_collector_extends_the_sign():
    assert Collector(3, 2, 4).model([0x8f, 0x07]) == [0xffffffff, 0xfffffff8, 7]
    assert Collector(2, 1, 34).model([1 << 33 | 5, 1 << 32]) == [5, 0xfffffffe, 0, 1]


def test_collector_leaves_out_what_each_position_has_too_many_of():
    dut = Collector(3, 2, 8, positions=2)
    assert dut.model([0x0201, 0x7f03, 0x0504, 0x7f06]) == [1, 2, 3, 4, 5, 6]


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^beats must be a positive integer, not 0$"):
        Packing(0, 1)
    with pytest.raises(ValueError, match=r"^beat_bits must be a positive integer, not 1.5$"):
        Packing(1, 1.5)
    with pytest.raises(TypeError, match=r"^packing must be a Packing, not 5$"):
        Feeder(5)
    with pytest.raises(ValueError, match=r"^lanes must be a positive integer, not 0$"):
        Collector(1, 0, 1)
    with pytest.raises(ValueError, match=r"^bits must be at most 64, not 65$"):
        Collector(1, 1, 65)
