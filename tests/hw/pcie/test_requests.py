# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.pcie.receive import REQUEST
from hw.pcie.requests import LONGEST, Completer
from hw.pcie.tlp import Tlp, Type, memory_read
from tests.hw.streams import STALLS

ID, HOST = 0x0100, 0x0008


def record(tlp):
    return REQUEST.const({
        "supported": tlp.tlp_type is Type.MEMORY, "locked": tlp.tlp_type is Type.MEMORY_LOCKED,
        "memory": tlp.tlp_type in (Type.MEMORY, Type.MEMORY_LOCKED),
        "address": tlp.address >> 2 & 0x3ff, "length": tlp.length & 0x3ff,
        "first_be": tlp.first_be, "last_be": tlp.last_be, "tag": tlp.tag,
        "requester": tlp.requester, "tc": tlp.tc, "attr": tlp.attr})


def random_request(rng):
    ids = {"tag": rng.getrandbits(8), "requester": HOST, "tc": rng.getrandbits(3),
           "attr": rng.getrandbits(2)}
    length = rng.choice([1, 1, 2, 3, LONGEST, LONGEST + 1, 1024])
    last = rng.choice([0xf, 0x1, 0x7]) if length > 1 else 0
    first = rng.randrange(16) if length == 1 else rng.choice([0xf, 0x8, 0xc])
    return rng.choice([
        memory_read(4 * rng.randrange(1024), length, first_be=first, last_be=last, **ids),
        Tlp(Type.MEMORY_LOCKED, address=4 * rng.randrange(1024), **ids),
        Tlp(Type.IO, first_be=1, **ids), Tlp(Type.CONFIG_1, **ids)])


def word(address):
    return address * 0x9e3779b1 & 0xffffffff


@pytest.mark.parametrize("stalls", STALLS)
def test_answers(stalls):
    rng, dut = random.Random(stalls), Completer()
    verilog.convert(dut, name="dut")
    requests = [random_request(rng) for _ in range(80)]
    found, dwords = [], []
    idle, busy = STALLS[stalls]

    async def ask(ctx):
        ctx.set(dut.id, ID)
        for tlp in requests:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.i.payload, record(tlp))
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def read(ctx):
        """The word at an address, two clocks later."""
        before = 0
        while True:
            _, _, addr = await ctx.tick().sample(dut.addr)
            ctx.set(dut.r_data, word(before))
            before = addr

    async def take(ctx):
        while len(found) < len(requests):
            ctx.set(dut.o.ready, rng.random() >= busy)
            *_, valid, ready, dword = await ctx.tick().sample(dut.o.valid, dut.o.ready,
                                                              dut.o.payload)
            if valid and ready:
                dwords.append(dword.data)
                if dword.last:
                    found.append(Tlp.unpack(dwords))
                    dwords.clear()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(ask)
    simulator.add_testbench(take)
    simulator.add_testbench(read, background=True)
    simulator.run()
    assert found == [Completer.model(tlp, tlp.tlp_type is Type.MEMORY, word, ID)
                     for tlp in requests]
