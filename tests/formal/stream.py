"""``hw.stream``: queue, fork and turn-taking."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover

from hw.stream import Fork, Merge, Queue

from .properties import Proof, anything, in_order, moves, paced, waits

__all__ = ["PROOFS"]


def queue(depth):
    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
        inside = in_order(m, moves(dut.i), dut.i.payload, moves(dut.o), dut.o.payload, depth)
        waits(m, dut.o)
        full, empty = inside == depth, inside == 0
        m.d.comb += Assert(~(full & dut.i.ready))
        m.d.comb += Assert(~(empty & dut.o.valid))
        # A word needs a clock from the memory to the output, and no more.
        paced(m, ~empty & ~dut.o.valid, 1)
        paced(m, ~full & ~dut.i.ready, 1)
        m.d.comb += Cover(full)

    return Proof(lambda: Queue(2, depth=depth), properties)


def fork(count):
    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, *(o.ready for o in dut.o))
        taken = Cat(o.ready for o in dut.o).all()
        for o in dut.o:
            m.d.comb += Assert(moves(o) == moves(dut.i))
            m.d.comb += Assert(~moves(o) | (o.payload == dut.i.payload))
        m.d.comb += Assert(moves(dut.i) == (dut.i.valid & taken))
        m.d.comb += Cover(moves(dut.i))
        m.d.comb += Cover(dut.i.valid & ~taken)

    return Proof(lambda: Fork(2, count), properties)


def take_turns(count, burst, turns):
    """Payloads come from the streams in the order of the schedule, written out."""
    schedule = [turn % count for turn in range(turns) for _ in range(burst)]

    def properties(m, dut):
        anything(m, dut.o.ready, *(i.valid for i in dut.i), *(i.payload for i in dut.i))
        for i in dut.i:
            waits(m, i, Assume)
        waits(m, dut.o)
        place = Signal(range(len(schedule)))
        with m.If(moves(dut.o)):
            m.d.sync += place.eq(Mux(place == len(schedule) - 1, 0, place + 1))
        whose = Array(Const(k, range(count)) for k in schedule)[place]
        m.d.comb += Assert(dut.o.valid == Array(i.valid for i in dut.i)[whose])
        for k, i in enumerate(dut.i):
            m.d.comb += Assert(moves(i) == (moves(dut.o) & (whose == k)))
            m.d.comb += Assert(~moves(i) | (i.payload == dut.o.payload))
        m.d.comb += Cover(moves(dut.o) & (place == len(schedule) - 1))

    return Proof(lambda: Merge(2, count, burst=burst, turns=turns), properties)


PROOFS = {
    **{f"queue-{depth}": queue(depth) for depth in (2, 3, 4, 5)},
    **{f"fork-{count}": fork(count) for count in (1, 3)},
    **{f"take-turns-{count}-{burst}-{turns}": take_turns(count, burst, turns)
       for count, burst, turns in ((2, 1, 3), (2, 2, 2), (3, 2, 4))},
}
