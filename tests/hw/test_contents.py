"""Memories that are written and read through the bus, and arrays that compute with them."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from gen.ir.beats import pack, to_ints
from gen.plan.mapping import map_network
from gen.plan.mapping import options as given
from hw.array import Array
from hw.contents import LATENCY, row_words, shapes
from tests import networks, sequences

from .cases import logits

CASES = {
    "linear": (networks.linear, {"lanes": {"fc1": 3, "out": 2}}),
    "replicas": (networks.convolutional, {"replicas": {"conv1": 2}, "lanes": {"conv2": 5}}),
    "changes": (sequences.layered, {"differential": {"dense": ["dense"]}}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_word_of_every_memory(name):
    """Another network's memories are written word by word, while the array is idle; each word is
    then read in each copy, and the array computes what the other network does."""
    make, options = CASES[name]
    first, second = make(seed=1), make(seed=2)
    config, image = map_network(first, **options, membranes={})
    other_config, other = map_network(second, **given(config))
    assert other_config == config
    dut = Array(config, image)
    counts = np.random.default_rng(0).integers(0, first.input_levels + 1, (2, *first.input_shape))
    fmap, out = config.input, config.readout
    beats = to_ints(pack(counts.reshape(2, fmap.channels, fmap.height, fmap.width), fmap).reshape(
        2 * fmap.beats, -1))
    results = []

    async def answers(ctx):
        got = []
        sent = 0
        ctx.set(dut.o.ready, 1)
        while len(got) < 2 * out.beats:
            if sent < len(beats):
                ctx.set(dut.i.payload, beats[sent])
            ctx.set(dut.i.valid, sent < len(beats))
            _, _, ready, valid, payload = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.payload)
            sent += bool(ready) and sent < len(beats)
            if valid:
                got.append(payload)
        results.append(logits(out, got))

    async def read(ctx, number, copy, row, column):
        bus = dut.contents
        for name, value in (("memory", number), ("copy", copy), ("row", row), ("column", column),
                            ("read", 1)):
            ctx.set(getattr(bus, name), value)
        await ctx.tick()
        ctx.set(bus.read, 0)
        await ctx.tick().repeat(LATENCY - 1)
        word = ctx.get(bus.word)
        await ctx.tick()
        assert ctx.get(bus.word) == 0
        return word

    async def bench(ctx):
        await answers(ctx)
        bus = dut.contents
        for number, shape in enumerate(shapes(config)):
            rows = other[shape.name].rows
            for row in range(shape.depth):
                for column, word in enumerate(row_words(rows[row], shape.width)):
                    for field, value in (("memory", number), ("row", row), ("column", column),
                                         ("data", word), ("write", 1)):
                        ctx.set(getattr(bus, field), value)
                    await ctx.tick()
        ctx.set(bus.write, 0)
        await ctx.tick().repeat(3)
        rng = np.random.default_rng(3)
        for number, shape in enumerate(shapes(config)):
            for copy in range(shape.copies):
                for row in rng.integers(0, shape.depth, 5).tolist():
                    words = row_words(other[shape.name].rows[row], shape.width)
                    for column, word in enumerate(words):
                        assert await read(ctx, number, copy, row, column) == word
        await answers(ctx)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert (results[0] == first.run(counts).logits).all()
    assert (results[1] == second.run(counts).logits).all()
    assert (results[0] != results[1]).any()
