"""How a board's design comes out of reset."""

import pytest
from amaranth.sim import Simulator

from gen.build.startup import PHASE, Hold, Standstill


def traced(dut, outputs, again, clocks):
    """Values of some outputs in each clock; `again` is high in the clocks it holds."""
    trace = []

    async def bench(ctx):
        for clock in range(clocks):
            ctx.set(dut.again, clock in again)
            trace.append(tuple(ctx.get(getattr(dut, name)) for name in outputs))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return trace


def phases(trace):
    """Runs of equal values: value and length."""
    found = []
    for value in trace:
        if found and found[-1][0] == value:
            found[-1][1] += 1
        else:
            found.append([value, 1])
    return [tuple(phase) for phase in found]


ON, STOPPED, RELEASED, WORKING = (1, 1), (1, 0), (0, 0), (0, 1)


def starts(trace):
    """On, stopped, released, working, each for long enough."""
    (on, first), *rest, (working, _) = phases(trace)
    assert (on, working) == (ON, WORKING)
    assert first >= PHASE
    assert [value for value, _ in rest] == [STOPPED, RELEASED]
    assert all(length >= PHASE - 1 for _, length in rest)


def test_reset_ends_while_the_clock_stands_still():
    trace = traced(Standstill(), ("reset", "running"), (), 5 * PHASE)
    starts(trace)


@pytest.mark.parametrize("at", [1, PHASE + 5, 2 * PHASE + 5, 3 * PHASE - 1, 3 * PHASE + 7])
def test_reset_at_any_time_starts_all_over(at):
    again = range(at, at + 3)
    trace = traced(Standstill(), ("reset", "running"), again, at + 5 * PHASE)
    starts(trace[again[-1] + 1:])


@pytest.mark.parametrize("clocks", [0, 1, 37])
def test_hold(clocks):
    again = range(100, 104)
    trace = [reset for reset, in traced(Hold(clocks), ("reset",), again, 200)]
    (on, first), (off, _), (once_more, second), (working, _) = phases(trace)
    assert (on, off, once_more, working) == (1, 0, 1, 0)
    assert first >= clocks + 1
    assert second >= clocks + len(again)
