# amaranth: UnusedElaboratable=no
"""Registers: what is read, and when what is written counts."""

from dataclasses import asdict

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.pcie.bar import FACTS, Bar
from hw.pcie.registers import BAR_BYTES, RingMap, Status
from hw.registers import RegisterMap

MAP, RINGS = RegisterMap(9, 5, most_timesteps=7), RingMap()
DESCRIBING = ("samples_low", "samples_high", "samples_mask", "results_low", "results_high",
              "results_mask", "status_low", "status_high")
CLEAR = {"samples_low": 0x1ff, "results_low": 0x1ff, "status_low": 7}
SET = {"samples_mask": 0x7f, "results_mask": 0x7f}
FACT = {"counts": {"good": 11, "poisoned": 12, "dropped": 13}, "submitted": 5, "completed": 3,
        "session": 0x5e55, "resting": 0, "faults": {"refused": 1, "poisoned": 0, "late": 1},
        "rejected": 1, "samples_read": 0x1234, "results_written": 0x5678, "loaded": 0x9abc}


def tied(name, word):
    """What a register holds of a word."""
    return word & ~CLEAR.get(name, 0) | SET.get(name, 0)


def simulate(test, registers=MAP):
    dut = Bar(registers)
    verilog.convert(dut, name="dut")

    async def read(ctx, address):
        ctx.set(dut.addr, address)
        await ctx.tick().repeat(2)
        return ctx.get(dut.r_data)

    async def write(ctx, address, word):
        ctx.set(dut.w_addr, address)
        ctx.set(dut.w_data, word)
        ctx.set(dut.w_en, 1)
        await ctx.tick()
        ctx.set(dut.w_en, 0)
        opens = ctx.get(dut.open) and ctx.get(dut.number) == word
        await ctx.tick()
        return opens

    async def whole(ctx):
        await test(ctx, dut, read, write)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(whole)
    simulator.run()


def test_map():
    addresses = [*asdict(RINGS).values()]
    assert len(set(addresses)) == len(addresses)
    assert MAP.session < min(addresses)
    assert max(addresses) < BAR_BYTES // 4
    assert RINGS.as_dict()["ring_open"] == RINGS.open


def test_facts():
    async def test(ctx, dut, read, write):
        ctx.set(dut.facts, FACTS.const(FACT))
        for name, value in (("frames", 11), ("crc_errors", 12), ("dropped", 13), ("submitted", 5),
                            ("completed", 3), ("session", 0x5e55)):
            assert await read(ctx, getattr(MAP, name)) == value
        status = sum(1 << bit for bit in (Status.BUSY, Status.REFUSED, Status.LATE,
                                          Status.REJECTED))
        assert await read(ctx, MAP.status) == ctx.get(dut.status) == status
        assert await read(ctx, RINGS.samples_read) == 0x1234
        assert await read(ctx, RINGS.results_written) == 0x5678
        assert await read(ctx, RINGS.loaded) == 0x9abc
        assert await read(ctx, RINGS.open) == 0
        assert await read(ctx, 0x3ff) == 0
        # What the device says of itself.
        ctx.set(dut.device.r_data, 0x51)
        assert await read(ctx, MAP.magic) == 0x51
        assert ctx.get(dut.device.addr) == MAP.magic

    simulate(test)


@pytest.mark.parametrize("resting", [0, 1])
def test_writes(resting):
    """What describes the rings is written at rest, the indices in a session, where they begin
    at 0."""
    async def test(ctx, dut, read, write):
        ctx.set(dut.facts.resting, resting)
        for k, name in enumerate(DESCRIBING):
            assert not await write(ctx, getattr(RINGS, name), 0x80000001 + k)
        await write(ctx, RINGS.interrupt, 1)
        for k, name in enumerate(DESCRIBING):
            held = await read(ctx, getattr(RINGS, name))
            assert held == (tied(name, 0x80000001 + k) if resting else tied(name, 0))
        assert ctx.get(dut.interrupt) == resting
        assert ctx.get(dut.samples) == resting * 0x80000002_80000000
        for name in ("samples_index", "results_index"):
            await write(ctx, getattr(RINGS, name), 0xffffffff)
            assert await read(ctx, getattr(RINGS, name)) == (0 if resting else 0xffffffff)
        ctx.set(dut.facts.resting, 1)
        await ctx.tick()
        assert ctx.get(dut.samples_index) == ctx.get(dut.results_index) == 0
        assert await write(ctx, RINGS.open, 0x1234)

    simulate(test)


def test_time_steps():
    async def test(ctx, dut, read, write):
        ctx.set(dut.facts.resting, 1)
        assert await read(ctx, RINGS.timesteps) == 7
        for word, found in ((3, 3), (0, 3), (8, 3), (0x100000001, 1), (7, 7)):
            await write(ctx, RINGS.timesteps, word & 0xffffffff)
            assert ctx.get(dut.timesteps) == found
        ctx.set(dut.facts.resting, 0)
        await write(ctx, RINGS.timesteps, 2)
        assert ctx.get(dut.timesteps) == 7

    simulate(test)


@pytest.mark.parametrize("memories", [0, 3])
def test_sessions_that_load(memories):
    """They are chosen at rest, where memories may be loaded."""
    async def test(ctx, dut, read, write):
        ctx.set(dut.facts.resting, 1)
        await write(ctx, RINGS.load, 1)
        assert await read(ctx, RINGS.load) == ctx.get(dut.load) == (memories > 0)
        ctx.set(dut.facts.resting, 0)
        await write(ctx, RINGS.load, 0)
        assert ctx.get(dut.load) == (memories > 0)

    simulate(test, RegisterMap(9, 5, memories=memories))


def test_bad_parameters():
    with pytest.raises(TypeError, match=r"^registers must be a RegisterMap, not 7$"):
        Bar(7)
