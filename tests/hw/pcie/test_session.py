# amaranth: UnusedElaboratable=no
"""Sessions, against a model that says what the device gets and what the host does."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.pcie.session import Session
from tests.hw.streams import STALLS

WORDS, RESULT = 5, 3


def model(sessions):
    """What the device gets in all, and what the host gets of each session.

    Parameters
    ----------
    sessions : for each, words of samples that came before it ended
    """
    device, host = [], []
    for words in sessions:
        whole = -(-len(words) // WORDS) * WORDS
        device += [*words, *[0] * (whole - len(words))]
        host.append([sum(words[k:k + WORDS]) for k in range(0, len(words) // WORDS * WORDS, WORDS)])
    return device, host


@pytest.mark.parametrize("stalls", STALLS)
def test_sessions(stalls):
    """Each ends at any word. The device adds the words of a sample up."""
    idle, busy = STALLS[stalls]
    rng, dut = random.Random(stalls), Session(WORDS)
    verilog.convert(dut, name="dut")
    taken, got, given, sums, over = [], [], [], [], False

    async def host(ctx):
        nonlocal over
        for number in range(1, 25):
            assert ctx.get(dut.resting)
            await write(ctx, number)
            assert ctx.get(dut.session) == number
            assert not ctx.get(dut.resting)
            taken.append([])
            got.append([])
            count = rng.choice([0, 1, 4, 5, 6, 17, 25])
            for _ in range(count):
                while rng.random() < idle:
                    await ctx.tick()
                word = rng.randrange(1, 1 << 20)
                ctx.set(dut.samples.payload, word)
                ctx.set(dut.samples.valid, 1)
                await ctx.tick().until(dut.samples.ready)
                taken[-1].append(word)
                ctx.set(dut.samples.valid, 0)
            for _ in range(rng.choice([0, 3, 30, 200])):
                await ctx.tick()
            ctx.set(dut.busy, 1)
            await write(ctx, rng.choice([0, 77]))
            assert ctx.get(dut.session) == 0
            await ctx.tick().repeat(rng.randint(1, 9))
            assert not ctx.get(dut.resting)
            ctx.set(dut.busy, 0)
            await ctx.tick().until(dut.resting)
            assert ctx.get(dut.submitted) == ctx.get(dut.completed) == -(-count // WORDS)
            assert ctx.get(dut.era) == number % 4
        over = True

    async def write(ctx, number):
        ctx.set(dut.number, number)
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)

    async def device(ctx):
        """Adds up, and answers some clocks later."""
        while not over:
            ctx.set(dut.o_samples.ready, rng.random() >= busy)
            *_, valid, ready, word = await ctx.tick().sample(
                dut.o_samples.valid, dut.o_samples.ready, dut.o_samples.payload)
            if valid and ready:
                given.append(word)
                if len(given) % WORDS == 0:
                    sums.append(sum(given[-WORDS:]))

    async def answer(ctx):
        done = 0
        while not over:
            if done == len(sums):
                await ctx.tick()
                continue
            for k in range(RESULT):
                ctx.set(dut.results.payload, {"data": sums[done], "last": k == RESULT - 1})
                ctx.set(dut.results.valid, 1)
                await ctx.tick().until(dut.results.ready)
                ctx.set(dut.results.valid, 0)
            done += 1

    async def collect(ctx):
        while not over:
            ctx.set(dut.o_results.ready, rng.random() >= busy)
            *_, valid, ready, word = await ctx.tick().sample(
                dut.o_results.valid, dut.o_results.ready, dut.o_results.payload)
            if valid and ready and word.last:
                got[-1].append(word.data)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in (host, device, answer, collect):
        simulator.add_testbench(process)
    simulator.run()
    device_words, answers = model(taken)
    assert given == device_words
    for found, wanted in zip(got, answers, strict=True):
        assert found == wanted[:len(found)]
    assert sum(map(len, got)) > 20


@pytest.mark.parametrize("words", range(2 * WORDS + 1))
def test_no_sample_begins_while_they_are_refused(words):
    """So many words came before. One that has begun goes on; others wait."""
    dut, given = Session(WORDS), []

    async def test(ctx):
        async def until(count, clocks=30):
            for _ in range(clocks):
                ctx.set(dut.samples.payload, len(given) + 1)
                ctx.set(dut.samples.valid, len(given) < count)
                *_, moves, word = await ctx.tick().sample(
                    dut.o_samples.valid & dut.o_samples.ready, dut.o_samples.payload)
                given.extend([word] * moves)

        ctx.set(dut.number, 9)
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        ctx.set(dut.o_samples.ready, 1)
        await until(words)
        assert len(given) == words
        ctx.set(dut.samples.valid, 0)
        ctx.set(dut.refuses, 1)
        await ctx.tick()
        await until(3 * WORDS)
        assert len(given) == -(-words // WORDS) * WORDS
        assert not ctx.get(dut.samples.ready)
        ctx.set(dut.refuses, 0)
        await until(3 * WORDS)
        assert given == list(range(1, 3 * WORDS + 1))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(test)
    simulator.run()


def test_only_who_finds_it_at_rest_opens_one():
    dut = Session(WORDS)

    async def test(ctx):
        ctx.set(dut.write, 1)
        for number, found in ((0, 0), (5, 5), (6, 0)):
            ctx.set(dut.number, number)
            await ctx.tick()
            assert ctx.get(dut.session) == found

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(test)
    simulator.run()


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^words must be a positive integer, not 0$"):
        Session(0)
