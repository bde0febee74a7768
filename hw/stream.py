"""Stream plumbing with the hand-shake of ``amaranth.lib.stream``."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import one_hot_mux

__all__ = ["Fork", "Merge", "Queue", "Stage"]


class Queue(wiring.Component):
    """First-in first-out queue that keeps the shape of its payload.

    Parameters
    ----------
    shape : shape of the payload
    depth : entries, at least 2

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape, *, depth):
        if depth < 2:
            raise ValueError(f"depth must be at least 2, not {depth!r}")
        self._shape = shape
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self._shape).width
        m.submodules.fifo = inner = fifo.SyncFIFOBuffered(width=width, depth=self._depth)
        m.d.comb += [
            inner.w_data.eq(self.i.payload),
            inner.w_en.eq(self.i.valid),
            self.i.ready.eq(inner.w_rdy),
            Value.cast(self.o.payload).eq(inner.r_data),
            self.o.valid.eq(inner.r_rdy),
            inner.r_en.eq(self.o.ready),
        ]
        return m


class Stage(wiring.Component):
    """A register for one payload, which cuts the paths in both directions.

    It can be filled a clock after it was emptied, so it passes a payload every two clocks.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid)
        with m.If(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Else():
            m.d.sync += self.o.valid.eq(self.i.valid)
            m.d.sync += self.o.payload.eq(self.i.payload)
        return m


class Fork(wiring.Component):
    """Copies a stream to several consumers; a payload moves when all of them take it.

    The ``ready`` of a consumer must not depend on its ``valid``.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape)).array(count)``
    """

    def __init__(self, shape, count):
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count!r}")
        self._count = count
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)).array(count),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(Cat(o.ready for o in self.o).all())
        for o in self.o:
            m.d.comb += o.payload.eq(self.i.payload)
            m.d.comb += o.valid.eq(self.i.valid & self.i.ready)
        return m


class Merge(wiring.Component):
    """Merges streams that take turns: ``burst`` payloads of each, then of the next.

    After ``turns`` bursts the first stream begins again, whichever stream came last.

    Members
    -------
    i : ``In(stream.Signature(shape)).array(count)``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape, count, *, burst, turns):
        for name, value in (("count", count), ("burst", burst), ("turns", turns)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        self._count, self._burst, self._turns = count, burst, turns
        super().__init__({
            "i": In(stream.Signature(shape)).array(count),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform):
        m = Module()
        # The stream whose turn it is, one-hot. Whether this payload ends a burst, and whether this
        # burst is the last of the turns.
        whose = Signal(self._count, init=1)
        done, final = Signal(init=self._burst == 1), Signal(init=self._turns == 1)
        left = Signal(range(max(2, self._burst)), init=self._burst - 1)
        turn = Signal(range(max(2, self._turns)))
        m.d.comb += [i.ready.eq(mine & self.o.ready)
                     for mine, i in zip(whose, self.i, strict=True)]
        for member in ("valid", "payload"):
            offered = (Value.cast(getattr(i, member)) for i in self.i)
            m.d.comb += getattr(self.o, member).eq(one_hot_mux(whose, offered))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += left.eq(Mux(done, self._burst - 1, left - 1))
            if self._burst > 1:
                m.d.sync += done.eq(left == 1)
            with m.If(done):
                m.d.sync += turn.eq(Mux(final, 0, turn + 1))
                if self._turns > 1:
                    m.d.sync += final.eq(turn == self._turns - 2)
                m.d.sync += whose.eq(Mux(final, 1, whose.rotate_left(1)))
        return m
