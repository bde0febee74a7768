# amaranth: UnusedElaboratable=no
from dataclasses import replace

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.bus import Status
from hw.device import Registers, packing, register_map

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


def images(number):
    """Beats of a sample, which differ from those of others."""
    return [16 * number + k for k in range(9)]


def test_samples_wait_for_each_other():
    async def test(bench):
        for number in (1, 2, 3):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
            assert await bench.read(MAP.status) == 1
            if number == 1:
                assert (await bench.take_beats())[0] == images(1)
        assert await bench.write(MAP.input, images(4)) == Status.BUSY
        assert await bench.write(MAP.input, [*images(4), 4]) == Status.BUSY
        # A number that was there is acknowledged all the same.
        for number in (3, 2, 1, 0):
            assert await bench.write(MAP.input, [*images(5), number]) == Status.OK
        assert await bench.write(MAP.submit, [5]) == Status.ORDER
        for number in (2, 3):
            assert (await bench.take_beats())[0] == images(number)
        assert await bench.write(MAP.input, [*images(4), 4]) == Status.OK
        # There is room for its words, but not yet for its result.
        assert (await bench.take_beats())[0] == images(4)
        assert await bench.write(MAP.input, [*images(5), 5]) == Status.BUSY
        for number in (1, 2, 3, 4):
            await bench.give_logits([number] * 3)
            assert await bench.read(MAP.completed) == number
            assert await bench.read(MAP.status) == (number < 4)
        for number in (1, 2, 3, 4):
            assert await bench.read(MAP.slot(number)) == 4
            assert await bench.read(MAP.slot(number) + 2) == number
        assert await bench.write(MAP.input, [*images(5), 5]) == Status.OK
        await bench.take_beats()
        await bench.give_logits([5] * 3)
        assert [await bench.read(MAP.slot(n) + 2) for n in (2, 3, 4, 5)] == [2, 3, 4, 5]
    simulate(test)


def test_a_write_that_begins_busy_does_not_act():
    async def test(bench):
        for number in (1, 2):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
        await bench.begin()
        assert await bench.word(MAP.input, 99) == Status.BUSY
        await bench.take_beats()
        await bench.tick(5)
        for k in range(1, 9):
            assert await bench.word(MAP.input + k, 99) == Status.BUSY
        assert await bench.word(MAP.submit, 3) == Status.BUSY
        assert await bench.read(MAP.submitted) == 2
        assert await bench.write(MAP.submit, [3]) == Status.INCOMPLETE
        assert await bench.write(MAP.input, [*images(3), 3]) == Status.OK
        for number in (2, 3):
            assert (await bench.take_beats())[0] == images(number)
    simulate(test)


def test_another_session_goes_on_with_the_numbers():
    async def test(bench):
        await bench.open(7)
        for number in (1, 2):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
        await bench.open(8)
        facts = [await bench.read(addr) for addr in (
            MAP.submitted, MAP.completed, MAP.status, MAP.session)]
        assert facts == [2, 0, 1, 8]
        assert await bench.write(MAP.input, images(3)) == Status.BUSY
        await bench.take_beats()
        assert await bench.write(MAP.input, [*images(3), 3]) == Status.OK
        for number in (2, 3):
            assert (await bench.take_beats())[0] == images(number)
        for number in (1, 2, 3):
            await bench.give_logits([number] * 3)
            assert await bench.read(MAP.slot(3)) == number
        assert await bench.read(MAP.slot(3) + 2) == 3
    simulate(test)


def test_what_another_session_wrote_counts_for_nothing():
    async def test(bench):
        await bench.open(7)
        assert await bench.write(MAP.input, images(1)) == Status.OK
        await bench.open(8)
        assert await bench.write(MAP.submit, [1]) == Status.INCOMPLETE
        assert await bench.write(MAP.input + 8, [5, 1]) == Status.INCOMPLETE
    simulate(test)


def test_the_owner_is_who_opened_last():
    async def test(bench):
        assert not await bench.owner(0)
        await bench.open(7)
        assert await bench.owner(7)
        assert not await bench.owner(0)
        assert not await bench.owner(6)
        await bench.open(0x80000007)
        assert await bench.owner(0x80000007)
        assert not await bench.owner(7)
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
        words = [await bench.read(where.slot(1) + 2 + k) for k in range(10)]
        logits = [words[k] | words[k + 1] << 32 for k in range(0, 10, 2)]
        assert logits == [low - (1 << readout_bits) & (1 << 64) - 1, 5, high, 1, 3]
    simulate(test, wide)


@pytest.mark.parametrize("pause", [0, 1, 57])
def test_cycles_are_counted(pause):
    async def test(bench):
        for sample in range(1, 7):
            await bench.write(MAP.input, [*range(9), sample])
            await bench.tick(5)
            _, first = await bench.take_beats()
            await bench.tick(pause)
            last = await bench.give_logits([0x1ffff, 5 << 17, 3])
            where = MAP.slot(sample)
            assert await bench.read(where) == sample
            assert await bench.read(where + 1) == last - first
            logits = [await bench.read(where + 2 + k) for k in range(5)]
            assert logits == [0xffffffff, 0, 0, 5, 3]
    simulate(test)


def test_cycles_of_samples_that_overlap():
    async def test(bench):
        firsts, lasts = [], []
        for sample in (1, 2, 3):
            await bench.write(MAP.input, [*range(9), sample])
            firsts.append((await bench.take_beats())[1])
        for sample in (1, 2, 3):
            await bench.tick(10 * sample)
            lasts.append(await bench.give_logits([sample] * 3))
        cycles = [await bench.read(MAP.slot(sample) + 1) for sample in (1, 2, 3)]
        assert cycles == [last - first for first, last in zip(firsts, lasts, strict=True)]
    simulate(test)


def test_samples_of_one_beat():
    """They begin and end as fast as they can."""
    tiny = config(channels=1, size=1, word=1, classes=1, lanes=1)
    where = register_map(tiny)

    async def test(bench):
        ctx, dut = bench.ctx, bench.dut
        for number in (1, 2):
            assert await bench.write(where.input, [number, number]) == Status.OK
        ctx.set(dut.o.ready, 1)
        await bench.tick(20)
        ctx.set(dut.o.ready, 0)
        for number in (1, 2):
            await bench.give_logits([number])
        await bench.tick(3)
        assert [await bench.read(where.slot(n) + 2) for n in (1, 2)] == [1, 2]
        assert await bench.read(where.completed) == 2
    simulate(test, tiny)
