import random
import zlib

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.crc import Crc32


def simulate(test):
    dut = Crc32()

    async def testbench(ctx):
        await test(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


async def enter(ctx, dut, octets):
    for octet in octets:
        ctx.set(dut.byte, octet)
        ctx.set(dut.step, 1)
        for k in range(8):
            assert ctx.get(dut.last) == (k == 7)
            await ctx.tick()
        ctx.set(dut.step, 0)
        await ctx.tick()


@pytest.mark.parametrize("length", [0, 1, 9, 50])
def test_it_is_that_of_zlib(length):
    octets = random.Random(length).randbytes(length)

    async def test(ctx, dut):
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await enter(ctx, dut, octets)
            ctx.set(dut.drain, 1)
            found = []
            for _ in range(4):
                found.append(ctx.get(dut.low))
                await enter(ctx, dut, [0x5a])
            ctx.set(dut.drain, 0)
            assert bytes(found) == dut.model(octets) == zlib.crc32(octets).to_bytes(4, "little")
    simulate(test)


@pytest.mark.parametrize("flipped", [None, 0, 37, 71])
def test_data_and_its_crc_match(flipped):
    octets = random.Random(5).randbytes(5)
    frame = int.from_bytes(octets + Crc32.model(octets), "little")
    frame ^= 0 if flipped is None else 1 << flipped

    async def test(ctx, dut):
        await enter(ctx, dut, frame.to_bytes(9, "little"))
        assert ctx.get(dut.matches) == (flipped is None)
    simulate(test)


def test_verilog():
    assert "module dut" in verilog.convert(Crc32(), name="dut")
