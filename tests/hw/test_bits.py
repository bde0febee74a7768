"""Trees of LUTs, over all values of a few bits."""

import pytest
from amaranth import *
from amaranth.sim import Simulator

from hw.bits import lowest, more_than, one_hot_mux, place


def answers(width, expression, inputs):
    """What an expression of a value of ``width`` bits comes to for each input."""
    m = Module()
    value = Signal(width)
    result = expression(value)
    answer = Signal.like(result)
    m.d.comb += answer.eq(result)
    got = []

    async def bench(ctx):
        for x in inputs:
            ctx.set(value, x)
            got.append(ctx.get(answer))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return got


@pytest.mark.parametrize("width", range(1, 9))
def test_lowest(width):
    every = range(1 << width)
    assert answers(width, lowest, every) == [max(0, (x & -x).bit_length() - 1) for x in every]


@pytest.mark.parametrize("width", range(1, 9))
def test_place_and_chosen(width):
    hot = [0, *(1 << k for k in range(width))]
    assert answers(width, place, hot) == [0, *range(width)]
    values = [17 * k % 32 for k in range(1, width + 1)]
    assert answers(width, lambda value: one_hot_mux(value, map(Const, values)), hot) == [0, *values]


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("n", [1, 2, 3])
def test_more_than(width, n):
    every = range(1 << width)
    assert answers(width, lambda value: more_than(n, value), every) == [
        x.bit_count() > n for x in every]
