# amaranth: UnusedElaboratable=no
import pytest
from amaranth import *
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.sequence import Loop, Sequence

NESTS = {
    "one": {"loops": [Loop(1)]},
    "line": {"loops": [Loop(5, dx=1, words=1)], "size": (1, 5), "row": 5},
    "padded": {"loops": [Loop(3, dy=1), Loop(4, dx=1, words=1), Loop(3, dy=1), Loop(2, words=1)],
                   "start": (-1, -1), "size": (3, 4), "offset": -1, "row": 4, "rows": 6},
    "ring": {"loops": [Loop(7, dy=1), Loop(5, dx=1, words=2), Loop(3, dy=1), Loop(2, words=1)],
                 "start": (-1, -1), "size": (7, 3), "offset": -2, "row": 6, "rows": 4},
    "power": {"loops": [Loop(5, dy=1), Loop(4, dx=1, words=1), Loop(2, dy=1)],
              "start": (0, 0), "size": (6, 4), "row": 4, "rows": 4},
    "owed": {"loops": [Loop(3, dy=3), Loop(2, dx=1, words=1), Loop(2, dy=1)],
             "start": (-1, 0), "size": (9, 3), "row": 3, "rows": 3},
    "leap": {"loops": [Loop(2, dy=6), Loop(3, dx=1, words=1)], "start": (4, 0), "size": (12, 3),
             "row": 3, "rows": 2},
    "still": {"loops": [Loop(2, dy=1), Loop(3), Loop(2, dx=2, words=2)], "size": (2, 4),
              "row": 4, "rows": 6},
    "columns": {"loops": [Loop(3, dx=1, words=1), Loop(2, dy=1)], "size": (2, 3), "row": 3,
                "rows": 3},
    "strided": {"loops": [Loop(2, dy=2), Loop(3, dx=2, words=2), Loop(1), Loop(2, words=1)],
                "size": (4, 5), "row": 5, "rows": 4},
}


@pytest.mark.parametrize("name", NESTS)
def test_sequence_equals_model(name):
    nest = NESTS[name]
    dut = Sequence(**nest)
    verilog.convert(dut)
    runs = 2 * nest.get("rows", 1) + 1
    model = [element for run in range(runs) for element in dut.model(run)]
    seen = []

    async def testbench(ctx):
        for index in range(len(model)):
            if index % 3 == 1:
                ctx.set(dut.next, 0)
                await ctx.tick().repeat(2)
            ctx.set(dut.next, 1)
            inside, address, last = ctx.get(dut.inside), ctx.get(dut.address), ctx.get(dut.last)
            slot = ctx.get(dut.slot)
            seen.append((inside, slot, address if inside else None, last))
            await ctx.tick()

    m = Module()
    m.submodules.dut = dut
    m.domains.sync = ClockDomain()  # a nest of one element has no registers
    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert seen == [(int(inside), slot, address if inside else None, last)
                    for inside, slot, address, last in model]


def test_a_loop_has_iterations():
    with pytest.raises(ValueError, match=r"^count must be at least 1, not 0$"):
        Loop(0)
