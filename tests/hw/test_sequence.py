# amaranth: UnusedElaboratable=no
import pytest
from amaranth import *
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.sequence import Loop, Sequence

NESTS = {
    "one": dict(loops=[Loop(1)]),
    "line": dict(loops=[Loop(5, dx=1, step=1)], size=(1, 5), stride=5),
    "padded": dict(loops=[Loop(3, dy=1, step=4), Loop(4, dx=1, step=1), Loop(3, dy=1, step=4),
                          Loop(2, step=1)],
                   start=(-1, -1), size=(3, 4), address=-5, stride=12, banks=2),
    "still": dict(loops=[Loop(2, dy=1, step=6), Loop(3), Loop(2, dx=2, step=2)],
                  size=(2, 4), stride=12, banks=3),
    "strided": dict(loops=[Loop(2, dy=2, step=10), Loop(3, dx=2, step=2), Loop(1), Loop(2, step=1)],
                    size=(4, 5), stride=20, banks=1),
}


@pytest.mark.parametrize("name", NESTS)
def test_sequence_equals_model(name):
    nest = NESTS[name]
    dut = Sequence(**nest)
    verilog.convert(dut)
    model = list(dut.model())
    runs = 2 * nest.get("banks", 1) + 1
    seen = []

    async def testbench(ctx):
        for turn in range(runs * len(model)):
            if turn % 3 == 1:
                ctx.set(dut.next, 0)
                await ctx.tick().repeat(2)
            ctx.set(dut.next, 1)
            inside, address, last = ctx.get(dut.inside), ctx.get(dut.address), ctx.get(dut.last)
            seen.append((inside, address if inside else None, last))
            await ctx.tick()

    m = Module()
    m.submodules.dut = dut
    m.domains.sync = ClockDomain()  # a nest of one element has no registers
    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    banks, stride = nest.get("banks", 1), nest.get("stride", 1)
    assert seen == [(int(inside), address + run % banks * stride if inside else None, last)
                    for run in range(runs) for inside, address, last in model]


def test_loop_must_turn():
    with pytest.raises(ValueError, match=r"^count must be at least 1, not 0$"):
        Loop(0)
