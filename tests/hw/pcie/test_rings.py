# amaranth: UnusedElaboratable=no
"""Both rings alone: what is asked for, what is written and where, and what waits."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.pcie.reads import BURST
from hw.pcie.rings import ResultRing, SampleRing
from tests.hw.streams import STALLS

BASE, BLOCK, MASK = 0x5_0001_0000, 0x5_0002_0000, 1023


@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("stalls", STALLS)
def test_samples_are_asked_for_in_bursts(stalls, code):
    dut, rng = SampleRing(), random.Random(code)
    verilog.convert(dut, name="dut")
    _, busy = STALLS[stalls]
    index, found, steps = 0, [], [rng.choice([1, 9, 100, 500]) for _ in range(12)]

    async def test(ctx):
        nonlocal index
        for port, value in ((dut.base, BASE), (dut.mask, MASK), (dut.max_read, code),
                            (dut.enable, 1), (dut.tag, 5)):
            ctx.set(port, value)
        for step in steps:
            index += step
            ctx.set(dut.index, index)
            idle = 0
            while idle < 40:  # by chance there is room again long before
                ctx.set(dut.free, rng.random() >= busy)
                ctx.set(dut.o.ready, rng.random() >= busy)
                *_, valid, ready, access, take, length = await ctx.tick().sample(
                    dut.o.valid, dut.o.ready, dut.o.payload, dut.take, dut.length)
                assert take == (valid and ready)
                if take:
                    found.append((access.address, access.length, access.write, access.tag))
                    assert length == access.length
                idle = 0 if valid else idle + 1
            assert ctx.get(dut.read) == index

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(test)
    simulator.run()
    wanted, place = [], 0
    for step in steps:
        wanted += [(BASE + 4 * (start & MASK), length, 0, 5) for start, length in
                   SampleRing.model(place, place + step, min(32 << code, BURST))]
        place += step
    assert found == wanted
    assert all(address % 4096 + 4 * length <= 4096 for address, length, *_ in found)


class Recorder:
    """A result ring, its results, and a host that takes them now and then."""

    def __init__(self, results, *, stalls="none", code=0, seed=0, room=MASK + 1, limit=60_000):
        self.dut, self.random = ResultRing(), random.Random(seed)
        verilog.convert(self.dut, name="dut")
        self.results, self.code, self.room, self.limit = results, code, room, limit
        self.idle, self.busy = STALLS[stalls]
        self.memory, self.told, self.lengths = {}, [], []
        self.taken = self.held = 0
        self.wanted = ResultRing.model(results)

    def run(self):
        """Until the host has seen all."""
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        for process in (self._feed, self._write):
            simulator.add_testbench(process)
        simulator.run()
        return self

    async def _feed(self, ctx):
        dut = self.dut
        for result in self.results:
            for k, word in enumerate(result):
                while self.random.random() < self.idle:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"data": word, "last": k == len(result) - 1})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def _write(self, ctx):
        dut, words, clocks = self.dut, [], 0
        for port, value in ((dut.base, BASE), (dut.mask, MASK), (dut.block, BLOCK),
                            (dut.max_payload, self.code), (dut.enable, 1), (dut.status, 0xabc)):
            ctx.set(port, value)
        ctx.set(dut.index, self.room - MASK - 1 & 0xffffffff)
        while not self.told or self.told[-1] != len(self.wanted):
            clocks += 1
            assert clocks < self.limit
            ready = self.random.random() >= self.busy
            whole = ctx.get(dut.o.valid) and len(words) == ctx.get(dut.o.p.length)
            ctx.set(dut.words.ready, ready and not whole)
            ctx.set(dut.o.ready, whole)
            *_, moved, word, valid, access, told = await ctx.tick().sample(
                dut.words.valid, dut.words.payload, dut.o.valid, dut.o.payload, dut.told)
            if moved and ready and not whole:
                words.append(word)
            if valid and whole:
                self._access(ctx, access, words, told)
                words = []

    def _access(self, ctx, access, words, told):
        assert access.write
        assert len(words) == access.length
        assert told == (access.address == BLOCK)
        if told:
            assert words[1] == 0xabc
            self.told.append(words[0])
            assert self.told[-1] <= self.written
            self.taken = words[0]
            ctx.set(self.dut.index, self.taken + self.room - MASK - 1 & 0xffffffff)
            return
        self.lengths.append(access.length)
        assert access.address % 4096 + 4 * access.length <= 4096
        for k, word in enumerate(words):
            self.memory[self.written] = word
            assert access.address + 4 * k == BASE + 4 * (self.written & MASK)
            self.held += 1
        assert self.written - self.taken <= self.room

    @property
    def written(self):
        return self.held


def results(count, size, seed=0):
    rng = random.Random(seed)
    return [[rng.getrandbits(32) for _ in range(size)] for _ in range(count)]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("stalls", STALLS)
def test_results(stalls, code):
    recorder = Recorder(results(150, 9), stalls=stalls, code=code, seed=1).run()
    assert [recorder.memory[k] for k in range(len(recorder.wanted))] == recorder.wanted
    assert max(recorder.lengths) <= min(32 << code, BURST)


def test_bursts_fill_while_the_link_is_busy():
    """Results that wait go together, and the host is told in time."""
    recorder = Recorder(results(300, 20), stalls="none", code=2).run()
    assert recorder.lengths.count(BURST) > len(recorder.lengths) / 2
    assert max(after - before for before, after in zip(
        recorder.told, recorder.told[1:], strict=False)) <= (ResultRing.MOST + 1) * BURST


@pytest.mark.parametrize("size", [1, 2, 700])
def test_results_of_any_size(size):
    """Also those that are longer than the queue."""
    recorder = Recorder(results(12, size), code=1).run()
    assert [recorder.memory[k] for k in range(len(recorder.wanted))] == recorder.wanted


def test_no_more_is_written_than_the_host_has_room_for():
    recorder = Recorder(results(100, 9), room=200).run()
    assert [recorder.memory[k] for k in range(len(recorder.wanted))] == recorder.wanted


def statuses(fault):
    """Pairs of words of the status blocks, the fault arising at that clock, after a result."""
    dut, told = ResultRing(), []
    verilog.convert(dut, name="dut")

    async def test(ctx):
        words = []
        for port, value in ((dut.enable, 1), (dut.mask, MASK), (dut.index, 0), (dut.block, BLOCK),
                            (dut.i.payload, {"data": 7, "last": 1}), (dut.i.valid, 1)):
            ctx.set(port, value)
        await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        for clock in range(120):
            ctx.set(dut.faults.refused, clock >= fault)
            ctx.set(dut.status, (clock >= fault) << 8)
            # The access is taken some clocks after its last word.
            whole = ctx.get(dut.o.valid) and len(words) == ctx.get(dut.o.p.length)
            ctx.set(dut.words.ready, clock % 3 == 0 and not whole)
            ctx.set(dut.o.ready, clock % 5 == 0 and whole)
            *_, moves, word, leaves, address = await ctx.tick().sample(
                dut.words.valid & dut.words.ready, dut.words.payload,
                dut.o.valid & dut.o.ready, dut.o.p.address)
            if moves:
                words.append(word)
            if leaves:
                told.extend([words] if address == BLOCK else [])
                words = []

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(test)
    simulator.run()
    return told


def test_a_fault_is_told_whenever_it_arises():
    """At most once more than what was written."""
    for fault in range(12, 28):
        told = statuses(fault)
        assert told[-1] == [2, 1 << 8], fault
        assert len(told) <= 2
