# amaranth: UnusedElaboratable=no
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.bus import Status
from hw.mailbox import Mailbox
from hw.registers import RegisterMap

MAP = RegisterMap(9, 5)
RESULT = MAP.result_words - 1
DEVICE = (*range(11), MAP.input_size, MAP.output_size)
"""Addresses of the registers that the device has."""


class Bench:
    """A mailbox whose device is played by the test, one call after the other."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def tick(self, count=1):
        for _ in range(count):
            await self.ctx.tick()

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

    async def take(self, count=MAP.input_words):
        """Words of a sample."""
        ctx, o = self.ctx, self.dut.o
        ctx.set(o.ready, 1)
        words = []
        while len(words) < count:
            if ctx.get(o.valid):
                words.append(ctx.get(o.payload))
            await self.tick()
        ctx.set(o.ready, 0)
        return words

    async def give(self, words):
        """The words of a result, in as many clocks."""
        ctx, i = self.ctx, self.dut.i
        ctx.set(i.valid, 1)
        for k, word in enumerate(words, 1):
            ctx.set(i.p.data, word)
            ctx.set(i.p.last, k == len(words))
            assert ctx.get(i.ready)
            await self.tick()
        ctx.set(i.valid, 0)
        await self.tick()


def simulate(test, registers=MAP):
    dut = Mailbox(registers)

    async def testbench(ctx):
        await test(Bench(ctx, dut))

    async def device(ctx):
        """Registers of the device, each of which holds a hundred times its address."""
        before = 0
        async for _, _, addr in ctx.tick().sample(dut.device.addr):
            ctx.set(dut.device.r_data, 100 * before if before in DEVICE else 0)
            before = addr

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.add_process(device)
    sim.run()


def test_verilog():
    assert "module dut" in verilog.convert(Mailbox(MAP), name="dut")


def images(number):
    """Words of a sample, which differ from those of others."""
    return [16 * number + k for k in range(9)]


def test_samples_wait_for_each_other():
    async def test(bench):
        for number in (1, 2, 3):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
            assert await bench.read(MAP.status) == 1
            if number == 1:
                assert await bench.take() == images(1)
        assert await bench.write(MAP.input, images(4)) == Status.BUSY
        assert await bench.write(MAP.input, [*images(4), 4]) == Status.BUSY
        # A number that was there is acknowledged all the same.
        for number in (3, 2, 1, 0):
            assert await bench.write(MAP.input, [*images(5), number]) == Status.OK
        assert await bench.write(MAP.submit, [5]) == Status.ORDER
        for number in (2, 3):
            assert await bench.take() == images(number)
        assert await bench.write(MAP.input, [*images(4), 4]) == Status.OK
        # There is room for its words, but not yet for its result.
        assert await bench.take() == images(4)
        assert await bench.write(MAP.input, [*images(5), 5]) == Status.BUSY
        for number in (1, 2, 3, 4):
            await bench.give([number] * RESULT)
            assert await bench.read(MAP.completed) == number
            assert await bench.read(MAP.status) == (number < 4)
        for number in (1, 2, 3, 4):
            assert await bench.read(MAP.slot(number)) == 4
            assert await bench.read(MAP.slot(number) + 2) == number
        assert await bench.write(MAP.input, [*images(5), 5]) == Status.OK
        await bench.take()
        await bench.give([5] * RESULT)
        assert [await bench.read(MAP.slot(n) + 2) for n in (2, 3, 4, 5)] == [2, 3, 4, 5]
    simulate(test)


def test_a_write_that_begins_busy_does_not_act():
    async def test(bench):
        for number in (1, 2):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
        await bench.begin()
        assert await bench.word(MAP.input, 99) == Status.BUSY
        await bench.take()
        await bench.tick(5)
        for k in range(1, 9):
            assert await bench.word(MAP.input + k, 99) == Status.BUSY
        assert await bench.word(MAP.submit, 3) == Status.BUSY
        assert await bench.read(MAP.submitted) == 2
        assert await bench.write(MAP.submit, [3]) == Status.INCOMPLETE
        assert await bench.write(MAP.input, [*images(3), 3]) == Status.OK
        for number in (2, 3):
            assert await bench.take() == images(number)
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
        await bench.take()
        await bench.tick()
        assert await bench.write(MAP.input, [*images(3), 3]) == Status.OK
        for number in (2, 3):
            assert await bench.take() == images(number)
        for number in (1, 2, 3):
            await bench.give([number] * RESULT)
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


def test_a_result_may_be_read_word_by_word():
    async def test(bench):
        for number in range(1, 7):
            assert await bench.write(MAP.input, [*images(number), number]) == Status.OK
            await bench.take()
            await bench.give([*(100 * number + k for k in range(5)), 7 * number])
            for kept in range(max(1, number - 3), number + 1):
                words = [await bench.read(MAP.slot(kept) + k) for k in range(MAP.result_words)]
                assert words == [number, 7 * kept, *(100 * kept + k for k in range(5))]
    simulate(test)


def test_the_other_registers_are_the_device_s():
    async def test(bench):
        ctx, counters = bench.ctx, bench.dut.bus.counters
        ctx.set(counters.frames, 11)
        ctx.set(counters.crc_errors, 12)
        ctx.set(counters.dropped, 13)
        await bench.open(0x80000001)
        found = [await bench.read(addr) for addr in range(20)]
        assert found == [*range(0, 1100, 100), 11, 12, 13, 0, 0, 0, 1700, 1800, 0x80000001]
    simulate(test)


def test_an_exchange_is_answered_by_the_result_before():
    async def test(bench):
        for number in (0, 1, 2, 3, 4, 0xffff):
            bench.ctx.set(bench.dut.bus.w_data, number)
            assert bench.ctx.get(bench.dut.bus.answer) == MAP.slot(number - 1)
    simulate(test)


@pytest.mark.parametrize("registers", [RegisterMap(1, 1), RegisterMap(5, 1, 2), RegisterMap(3, 9)])
def test_sizes(registers):
    async def test(bench):
        where = registers
        for number in (1, 2):
            words = [number] * where.input_words
            assert await bench.write(where.input, [*words, number]) == Status.OK
        for number in (1, 2):
            assert await bench.take(where.input_words) == [number] * where.input_words
            await bench.give([*range(10, 10 + where.result_words - 2), number])
        for number in (1, 2):
            words = [await bench.read(where.slot(number) + k) for k in range(where.result_words)]
            assert words == [2, number, *range(10, 10 + where.result_words - 2)]
    simulate(test, registers)


STEPS = RegisterMap(2, 3, quiet_words=1, most_timesteps=7)


def test_time_steps_are_chosen_while_no_sample_is_under_way():
    async def test(bench):
        where, dut = STEPS, bench.dut
        for wrong in (0, 8, 1 << 31):
            assert await bench.write(where.timesteps, [wrong]) == Status.RANGE
        assert bench.ctx.get(dut.timesteps) == 7
        for value in (1, 7, 3):
            assert await bench.write(where.timesteps, [value]) == Status.OK
            assert bench.ctx.get(dut.timesteps) == value
        await bench.open(5)
        assert bench.ctx.get(dut.timesteps) == 3
        assert await bench.write(where.input, [1, 2, 1]) == Status.OK
        for value in (3, 4):
            assert await bench.write(where.timesteps, [value]) == Status.BUSY
        assert await bench.write(where.timesteps, [9]) == Status.RANGE
        assert await bench.take(2) == [1, 2]
        await bench.give([10, 11, 12, 5, 99])
        assert [await bench.read(where.slot(1) + k) for k in range(where.result_words)] == [
            1, 99, 10, 11, 12, 5]
        assert await bench.write(where.timesteps, [4]) == Status.OK
        assert bench.ctx.get(dut.timesteps) == 4
    simulate(test, STEPS)


def test_the_register_exists_only_with_several_time_steps():
    assert STEPS.region(STEPS.timesteps, 1, write=True).owned
    assert STEPS.region(STEPS.timesteps, 2, write=True) is None
    assert STEPS.region(STEPS.timesteps, 1, write=False) is None
    assert MAP.region(MAP.timesteps, 1, write=True) is None
    assert not hasattr(Mailbox(MAP), "timesteps")
    for wrong in (0, 65):
        with pytest.raises(ValueError, match=rf"^most_timesteps must be 1 to 64, not {wrong}$"):
            RegisterMap(1, 1, most_timesteps=wrong)


def test_bad_parameters():
    with pytest.raises(TypeError, match=r"^registers must be a RegisterMap, not 5$"):
        Mailbox(5)
