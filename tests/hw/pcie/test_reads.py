# amaranth: UnusedElaboratable=no
"""Reads that are answered in any order, in any parts, and by what was never asked for."""

import random

import pytest
from amaranth.sim import Simulator

from hw.pcie.reads import BURST, TAGS, Reads
from hw.pcie.receive import COMPLETION
from tests.hw.streams import STALLS

PATIENCE = 64


class Bench:
    """Reads, and a memory that answers them.

    Parameters
    ----------
    lengths : words of the reads that are made as soon as there is room
    answer : called with the bench and the pending reads ``[tag, first word, words left]``, returns
        the next completion words, or nothing
    """

    def __init__(self, lengths, answer, *, stalls="none", seed=0, era=1, limit=50_000, extra=0):
        self.dut, self.answer, self.random = Reads(patience=PATIENCE), answer, random.Random(seed)
        self.lengths, self.era, self.limit, self.extra = lengths, era, limit, extra
        self.idle, self.busy = STALLS[stalls]
        self.pending, self.found, self.tags = [], [], []
        self.strangers = self.clocks = 0
        self.faults = None

    def run(self, total):
        """Simulate until so many words came out, or to the end of time; the words."""
        self._total, self._over = total, False
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        for process in (self._ask, self._answers, self._take):
            simulator.add_testbench(process)
        simulator.run()
        return self.found

    async def _ask(self, ctx):
        dut, first = self.dut, 0
        ctx.set(dut.era, self.era)
        for length in self.lengths:
            ctx.set(dut.length, length)
            while not self._over and (not ctx.get(dut.free) or self.random.random() < self.idle):
                await ctx.tick()
            if self._over:
                return
            tag = ctx.get(dut.tag)
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            self.tags.append(tag)
            self.pending.append([tag, first, length])
            first += length

    async def _answers(self, ctx):
        dut = self.dut
        while not self._over:
            for item in self.answer(self) or ():
                while self.random.random() < self.idle:
                    await ctx.tick()
                ctx.set(dut.i.payload, COMPLETION.const(item))
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            await ctx.tick()

    async def _take(self, ctx):
        dut, extra = self.dut, self.extra
        while len(self.found) < self._total or extra:
            extra -= len(self.found) >= self._total
            ctx.set(dut.o.ready, self.random.random() >= self.busy)
            *_, valid, ready, word, strange = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.strangers)
            self.strangers += strange
            if valid and ready:
                self.found.append(word)
            self.clocks += 1
            assert self.clocks < self.limit
        self._over = True
        self.faults = ctx.get(dut.faults.as_value())
        self.under_way = ctx.get(dut.under_way)


def part(tag, first, left, words, **fields):
    """The words of a completion."""
    return [{"tag": tag, "byte_count": 4 * left, "good": 1, "first": k == 0, "data": first + k,
             **fields} for k in range(words)]


def fair(bench):
    """A part of any pending read."""
    if not bench.pending or bench.random.random() < 0.3:
        return None
    read = bench.random.choice(bench.pending)
    tag, first, left = read
    size = bench.random.randint(1, left)
    read[1:] = [first + size, left - size]
    if size == left:
        bench.pending.remove(read)
    return part(tag, first, left, size)


LENGTHS = [1, BURST, 2, 64, 3, 1, 1, 1, 1, 1, 1, BURST, BURST, 5] * 3


@pytest.mark.parametrize("stalls", STALLS)
def test_order(stalls):
    bench = Bench(LENGTHS, fair, stalls=stalls, seed=3)
    assert bench.run(sum(LENGTHS)) == list(range(sum(LENGTHS)))
    assert bench.tags == [bench.era << 2 | k % TAGS for k in range(len(LENGTHS))]
    assert (bench.strangers, bench.faults, bench.under_way) == (0, 0, 0)


def test_a_word_a_clock():
    """Once a read has come, its words leave without gaps; meanwhile others come."""
    lengths = [BURST] * 20

    def at_once(bench):
        return bench.pending and part(*bench.pending.pop(0), BURST)

    bench = Bench(lengths, at_once)
    bench.run(20 * BURST)
    assert bench.clocks < 1.05 * 20 * BURST + 2 * BURST


@pytest.mark.parametrize("kind", ["other era", "high tag", "not asked", "wrong count", "again"])
def test_strangers(kind):
    """What was not asked for changes nothing."""
    sent = {"again": 0}

    def answer(bench):
        if bench.random.random() < 0.5 and bench.pending:
            tag, _, left = bench.pending[0]
            wrong = {"other era": (tag ^ 4, left), "high tag": (tag | 0x10, left),
                     "not asked": (tag + 1 & 3 | 4 if len(bench.pending) < TAGS else tag | 0x40,
                                   left),
                     "wrong count": (tag, left + 1), "again": (tag ^ 8, left)}[kind]
            sent["again"] += 1
            return part(wrong[0], 0xdead, wrong[1], 3)
        return fair(bench)

    lengths = [7, 3, 5] * 10
    bench = Bench(lengths, answer, seed=4)
    if kind == "not asked":
        bench.lengths = lengths = [7]
    assert bench.run(sum(lengths)) == list(range(sum(lengths)))
    assert bench.strangers > 0
    assert bench.faults == 0


@pytest.mark.parametrize("kind, bit", [("refused", 0), ("bare", 0), ("poisoned", 1), ("late", 2)])
def test_faults(kind, bit):
    """After one nothing comes out, and nothing is waited for for long."""
    done = []

    def answer(bench):
        if kind == "late" or not bench.pending:
            return None
        read = bench.pending.pop(0)
        if done:
            return None if kind == "poisoned" else part(*read, read[2])
        done.append(True)
        fields = {"refused": {"good": 0}, "bare": {"bare": 1}, "poisoned": {"poisoned": 1}}[kind]
        return part(*read, 1 if kind != "poisoned" else read[2], **fields)

    bench = Bench([4] * 6, answer, extra=6 * PATIENCE)
    found = bench.run(0)
    assert bench.faults >> bit & 1
    assert bench.under_way == 0
    assert found == []


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^patience must be a power of two, not 100$"):
        Reads(patience=100)
