# amaranth: UnusedElaboratable=no
import random
from dataclasses import replace

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.encoder import word_layout
from hw.fetch import Fetch

from .cases import mapped
from .stepping import DYNAMICS, named
from .streams import STALLS


def commands_of(core, rng, count=80):
    """Random commands that look inside the memories."""
    table = Fetch(core).table()
    for _ in range(count):
        index, step = rng.randrange(len(table)), rng.randrange(len(core.scan.charges))
        planes = core.scan.charges[::-1][step].planes
        place = table[index]
        empty = planes[place["source"]] is None or rng.random() < 0.2
        depths = [source.beats for source in core.sources]
        corners = {str(s): rng.randrange(max(1, depth - place["offset"]))
                   for s, depth in enumerate(depths)}
        yield {"index": index, "step": step, "corners": corners, "empty": int(empty),
               "double": rng.randrange(2), "last": rng.randrange(2), "descend": rng.randrange(2),
               "finish": rng.randrange(2)}


def beats_of(source, rng):
    """Random counts, or trains, for all of a spike memory."""
    fmap = source.map.one_slice
    most = (1 << fmap.bits) - 1 if fmap.code == "train" else fmap.levels
    return [sum(rng.randrange(most + 1) << c * fmap.bits for c in range(fmap.word))
            for _ in range(source.beats)]


def some_live(core, rng):
    """The core with few of the spikes that count, and with none in many of the taps. All lanes of
    masked rows do."""
    widths = [None if source.lanes else source.map.word for source in core.sources
              for _ in range(source.taps)]

    def live(width):
        if width is None:
            return (1 << core.lanes) - 1
        return rng.getrandbits(width) & rng.getrandbits(width) * rng.randrange(2)

    return replace(core, live=tuple(tuple(map(live, widths)) for _ in core.masks))


def check(core, seed, stalls):
    """The words of random commands; all of them."""
    rng = random.Random(seed)
    counts = [beats_of(source, rng) for source in core.sources]
    commands = list(commands_of(core, rng))
    dut = Fetch(core)
    verilog.convert(dut)
    expected = dut.model(commands, counts)
    idle, busy = STALLS[stalls]
    received, left = [], []
    descents = sum(command["descend"] for command in commands)

    async def memories(ctx):
        ports = [getattr(dut, f"{port}{s}")
                 for s in range(len(counts)) for port in ("en", "address")]
        async for _, _, *values in ctx.tick().sample(*ports):
            for s, memory in enumerate(counts):
                if values[2 * s]:
                    ctx.set(getattr(dut, f"counts{s}"), memory[values[2 * s + 1]])

    async def feed(ctx):
        chance = random.Random(1)
        for command in commands:
            while chance.random() < idle:
                await ctx.tick()
            ctx.set(dut.i.payload, command)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def drain(ctx):
        chance = random.Random(2)
        for _ in range(500):
            ctx.set(dut.o.ready, chance.random() >= busy)
            _, _, valid, ready, payload, descend, finish = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.descend, dut.finish)
            if descend:
                left.append(finish)
            if valid and ready:
                received.append(payload.as_bits())
        if len(received) == len(expected) and len(left) == descents:
            return
        raise AssertionError(f"{len(received)} of {len(expected)} words")

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memories, background=True)
    sim.add_testbench(feed)
    sim.add_testbench(drain)
    sim.run()
    layout = word_layout(core)
    received = [{field: layout.from_bits(bits)[field] for field in expected[0]}
                for bits in received]
    assert received == expected
    assert left == [command["finish"] for command in commands if command["descend"]]
    return received


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name,code", [("conv", "phase"), ("residual", "phase"),
                                       ("residual", "rate"), ("mobile", "phase")])
def test_fetch_equals_model(name, code, stalls):
    _, _, _, config, _ = mapped(name, code)
    check(config.layers[-2], name, stalls)


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("kinds", [("train",), ("image", "train")])
@pytest.mark.parametrize("name", ["if", "cif", "st-bif", "two slices"])
def test_fetch_of_trains_equals_model(name, kinds, stalls):
    words = check(named(name, kinds, side=3, kernel=2), name, stalls)
    signs = {word["subtract"] for word in words if word["spikes"]}
    assert signs == {0, int(DYNAMICS[name].signed)}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name,code", [("conv", "phase"), ("residual", "rate"),
                                       ("mobile", "phase")])
def test_fetch_skips_what_does_not_count(name, code, stalls):
    _, _, _, config, _ = mapped(name, code)
    core = some_live(config.layers[-2], random.Random(0))
    words = check(core, name, stalls)
    assert len(words) < 80
    carried = {(word["double"], word["last"]) for word in words if not word["spikes"]}
    assert carried == {(1, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize("stalls", STALLS)
def test_fetch_of_trains_skips_what_does_not_count(stalls):
    core = named("two slices", ("image", "train"), side=3, kernel=2)
    assert len(check(some_live(core, random.Random(0)), 0, stalls)) < 80
