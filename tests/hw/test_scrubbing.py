"""Scrubbing while the last logits have left and layers still compute: of a stream whose convolution
moves by two rows, one row of each block is only looked at in the next."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from gen.ir.beats import pack_input, to_ints
from gen.ir.blocks import answering
from gen.ir.layers import INPUT
from gen.ir.network import Network
from gen.plan.mapping import map_network
from hw.array import Array
from hw.contents import shapes
from hw.device import Device, packing
from hw.loader import crc
from tests.networks import neurons
from tests.sequences import causal, every

from .standin import DIGEST

ROWS, BLOCKS = 2, 6


@pytest.mark.parametrize("pause", [0, 40, 1500])
def test_rows_that_the_next_block_needs(pause):
    rng = np.random.default_rng(0)
    network = Network("stream", (3, ROWS * BLOCKS, 6), 7, 7, (
        neurons(rng, "slow", causal(rng, INPUT, (8, 3, 2, 1)), levels=3),
        neurons(rng, "strided", causal(rng, "slow", (2, 8, 3, 1), stride=2), levels=3),
        every(rng, "strided", 2, (2, BLOCKS, 6))))
    config, image = map_network(network, stream=ROWS, lanes={"slow": 1}, membranes={})
    counts = rng.integers(0, 8, (1, 3, ROWS * BLOCKS, 6))
    expected = answering(network, ROWS, BLOCKS).run(counts).logits.reshape(2, BLOCKS).T.tolist()
    dut = Device(Array(config, image), config, digest=DIGEST, clock_hz=1000, holds="0" * 64, crcs=[
        crc(image[shape.name].rows, shape) for shape in shapes(config)])
    found = []

    async def script(ctx):
        ctx.set(dut.load.idle, 1)
        ctx.set(dut.o.ready, 1)
        for block in range(BLOCKS):
            (beats,) = pack_input(counts[:, :, ROWS * block:][:, :, :ROWS], config,
                                  begins=block == 0)
            if block:
                beats = pack_input(counts[:, :, ROWS * block:][:, :, :ROWS], config)[0]
            words, answer = packing(config).pack(to_ints(beats)), []
            while len(answer) < 3:
                ctx.set(dut.i.valid, bool(words))
                ctx.set(dut.i.payload, words[0] if words else 0)
                _, _, ready, valid, word = await ctx.tick().sample(
                    dut.i.ready, dut.o.valid, dut.o.p.data)
                if words and ready:
                    words.pop(0)
                if valid:
                    answer.append(word - (word >> 31 << 32))
            found.append(answer[:2])
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(pause + 1)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(script)
    simulator.run()
    assert found == expected
