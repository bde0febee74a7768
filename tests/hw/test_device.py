# amaranth: UnusedElaboratable=no
from dataclasses import replace

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.device import Registers, packing, register_map
from hw.link import Status

from .standin import DIGEST, config

CONFIG = config()
MAP = register_map(CONFIG)
BEATS = packing(CONFIG).beats


class Bench:
    """Registers whose array is played by the test, one call after the other."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut, self.clock = ctx, dut, 0

    async def tick(self, count=1):
        for _ in range(count):
            await self.ctx.tick()
            self.clock += 1

    async def read(self, addr):
        self.ctx.set(self.dut.bus.addr, addr)
        await self.tick(3)
        return self.ctx.get(self.dut.bus.r_data)

    async def owner(self, session):
        self.ctx.set(self.dut.bus.session, session)
        await self.tick()
        return self.ctx.get(self.dut.bus.owner)

    async def open(self, session):
        assert await self.write(MAP.open, [session]) == Status.OK

    async def begin(self):
        self.ctx.set(self.dut.bus.begin, 1)
        await self.tick()
        self.ctx.set(self.dut.bus.begin, 0)

    async def word(self, addr, value):
        ctx, bus = self.ctx, self.dut.bus
        ctx.set(bus.addr, addr)
        ctx.set(bus.w_data, value)
        await self.tick()
        ctx.set(bus.w_en, 1)
        status = ctx.get(bus.w_status)
        await self.tick()
        ctx.set(bus.w_en, 0)
        await self.tick()
        return status

    async def write(self, addr, words):
        await self.begin()
        for k, value in enumerate(words):
            status = await self.word(addr + k, value)
        return status

    async def take_beats(self):
        """All beats of a sample; the clock of the first."""
        ctx, o = self.ctx, self.dut.o
        ctx.set(o.ready, 1)
        beats, first = [], None
        while len(beats) < BEATS:
            if ctx.get(o.valid):
                beats.append(ctx.get(o.payload))
                first = self.clock if first is None else first
            await self.tick()
        ctx.set(o.ready, 0)
        return beats, first

    async def give_logits(self, values):
        """The logits of a sample; the clock of the last."""
        ctx, i = self.ctx, self.dut.i
        for beat in values:
            ctx.set(i.payload, beat)
            ctx.set(i.valid, 1)
            while not ctx.get(i.ready):
                await self.tick()
            last = self.clock
            await self.tick()
            ctx.set(i.valid, 0)
        await self.tick(3)
        return last


def registers(config=CONFIG):
    return Registers(config, digest=DIGEST, clock_hz=25_000_000)


def simulate(test, config=CONFIG):
    dut = registers(config)

    async def testbench(ctx):
        await test(Bench(ctx, dut))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_verilog():
    assert "module dut" in verilog.convert(registers(), name="dut")


def test_busy_input_is_kept():
    async def test(bench):
        first, second = list(range(1, 10)), list(range(11, 20))
        assert await bench.write(MAP.input, [*first, 1]) == Status.OK
        assert await bench.read(MAP.status) == 1
        assert await bench.write(MAP.input, second) == Status.BUSY
        assert await bench.write(MAP.input, [*second, 2]) == Status.BUSY
        assert await bench.write(MAP.input, [*second, 1]) == Status.OK
        assert await bench.write(MAP.submit, [3]) == Status.ORDER
        beats, _ = await bench.take_beats()
        assert beats == first
        await bench.give_logits([0] * 3)
        assert await bench.read(MAP.status) == 0
        assert await bench.write(MAP.input, [*second, 2]) == Status.OK
        assert (await bench.take_beats())[0] == second
    simulate(test)


def test_a_write_that_begins_busy_does_not_act():
    async def test(bench):
        assert await bench.write(MAP.input, [*range(1, 10), 1]) == Status.OK
        await bench.take_beats()
        await bench.begin()
        assert await bench.word(MAP.input, 99) == Status.BUSY
        await bench.give_logits([0] * 3)
        assert await bench.read(MAP.completed) == 1
        for k in range(1, 9):
            assert await bench.word(MAP.input + k, 99) == Status.BUSY
        assert await bench.word(MAP.submit, 2) == Status.BUSY
        assert await bench.read(MAP.submitted) == 1
        assert await bench.write(MAP.submit, [2]) == Status.INCOMPLETE
        assert await bench.write(MAP.input, [*range(2, 11), 2]) == Status.OK
        assert (await bench.take_beats())[0] == list(range(2, 11))
    simulate(test)


@pytest.mark.parametrize("fed", [False, True])
def test_a_sample_of_another_session_counts_for_none(fed):
    async def test(bench):
        await bench.open(7)
        assert await bench.write(MAP.input, [*range(1, 10), 1]) == Status.OK
        if fed:
            await bench.take_beats()
        await bench.open(8)
        facts = [await bench.read(addr) for addr in (
            MAP.submitted, MAP.completed, MAP.status, MAP.session)]
        assert facts == [0, 0, 1, 8]
        assert await bench.write(MAP.input, [*range(11, 20), 1]) == Status.BUSY
        if not fed:
            await bench.take_beats()
        await bench.give_logits([1] * 3)
        assert await bench.read(MAP.result) == 0
        assert await bench.read(MAP.status) == 0
        assert await bench.write(MAP.input, [*range(11, 20), 1]) == Status.OK
        assert (await bench.take_beats())[0] == list(range(11, 20))
        assert await bench.read(MAP.result) == 0
        await bench.give_logits([2] * 3)
        assert await bench.read(MAP.result) == 1
        assert await bench.read(MAP.result + 2) == 2
    simulate(test)


def test_the_owner_is_who_opened_last():
    async def test(bench):
        assert not await bench.owner(0)
        await bench.open(7)
        assert await bench.owner(7) and not await bench.owner(0) and not await bench.owner(6)
        await bench.open(0x80000007)
        assert await bench.owner(0x80000007) and not await bench.owner(7)
    simulate(test)


@pytest.mark.parametrize("readout_bits", [33, 54])
def test_wide_logits_take_two_words(readout_bits):
    wide = replace(CONFIG, layers=(replace(CONFIG.layers[0], membrane_bits=readout_bits),))
    where = register_map(wide)
    assert where.logit_words == 2

    async def test(bench):
        assert await bench.write(where.input, [*range(9), 1]) == Status.OK
        await bench.take_beats()
        low, high = 1 << readout_bits - 1, (1 << readout_bits - 1) - 1
        await bench.give_logits([low | 5 << readout_bits, high | 1 << readout_bits, 3])
        words = [await bench.read(where.result + 2 + k) for k in range(10)]
        logits = [words[k] | words[k + 1] << 32 for k in range(0, 10, 2)]
        assert logits == [low - (1 << readout_bits) & (1 << 64) - 1, 5, high, 1, 3]
    simulate(test, wide)


@pytest.mark.parametrize("pause", [0, 1, 57])
def test_cycles_are_counted(pause):
    async def test(bench):
        for sample in (1, 2):
            await bench.write(MAP.input, [*range(9), sample])
            await bench.tick(5)
            _, first = await bench.take_beats()
            await bench.tick(pause)
            last = await bench.give_logits([0x1ffff, 5 << 17, 3])
            assert await bench.read(MAP.result) == sample
            assert await bench.read(MAP.result + 1) == last - first
            assert await bench.read(MAP.cycles) == last - first
            logits = [await bench.read(MAP.result + 2 + k) for k in range(5)]
            assert logits == [0xffffffff, 0, 0, 5, 3]
    simulate(test)
