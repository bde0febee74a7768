# amaranth: UnusedElaboratable=no
"""Pairs of words become writes to the registers that load the memories."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.bus import Status
from hw.pcie.load import Loads
from tests.hw.streams import STALLS

PAIRS = [(0xffc, 1), (0x800, 0x0100_0005), (0x801, 0xffff_ffff), (24, 0x1234_5678), (0xffd, 1)] * 4


def run(statuses, *, stalls="none", pairs=PAIRS):
    """What is written with the statuses that it gets, and the component's outputs at the end.

    Parameters
    ----------
    statuses : called with a generator of random numbers, returns that of the next attempt
    """
    dut, rng, tried = Loads(), random.Random(stalls), []
    idle, _ = STALLS[stalls]
    verilog.convert(dut, name="dut")
    total = over = None

    async def feed(ctx):
        nonlocal over
        for word in [word for pair in pairs for word in pair]:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        over = False
        while ctx.get(dut.loaded) != len(pairs):
            await ctx.tick()
        over = True

    async def registers(ctx):
        nonlocal total
        before = None
        while not over:
            status = statuses(rng)
            ctx.set(dut.bus.w_status, status)
            *_, addr, word, writes = await ctx.tick().sample(
                dut.bus.addr, dut.bus.w_data, dut.bus.w_en)
            if writes:
                assert before == (addr, word), "it is there a clock before"
                tried.append((addr, word, status))
            before = addr, word
        total = ctx.get(dut.loaded), ctx.get(dut.rejected)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in (feed, registers):
        simulator.add_testbench(process)
    simulator.run()
    return tried, total


@pytest.mark.parametrize("stalls", STALLS)
def test_each_pair_is_written_once(stalls):
    tried, total = run(lambda rng: Status.OK, stalls=stalls)
    assert tried == [(*pair, Status.OK) for pair in PAIRS]
    assert total == (len(PAIRS), 0)


def test_an_address_of_more_bits_is_refused():
    """Also while the device is busy."""
    tried, total = run(lambda rng: Status.BUSY, pairs=[(0x1_0ffc, 1)] * 3)
    assert (tried, total) == ([], (3, 1))


def test_a_word_waits_while_the_device_is_busy():
    tried, total = run(lambda rng: rng.choice([Status.OK, Status.BUSY, Status.BUSY]))
    assert [pair[:2] for pair in tried if pair[2] == Status.OK] == PAIRS
    assert len(tried) > len(PAIRS)
    assert total == (len(PAIRS), 0)


@pytest.mark.parametrize("status", [Status.ORDER, Status.INCOMPLETE])
def test_a_word_that_is_refused_is_told(status):
    tried, total = run(lambda rng: status if rng.random() < 0.2 else Status.OK)
    assert [pair[:2] for pair in tried] == PAIRS
    assert {pair[2] for pair in tried} == {Status.OK, status}
    assert total == (len(PAIRS), 1)
