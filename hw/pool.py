"""Pooling: the sum or the maximum of the counts in a window.

Of trains, a sum adds up the spikes of each time-step. A maximum sends what changes the greatest
count so far (docs/methods.md, 8); it takes a clock for each time-step. Slices of trains are pooled
like chunks, but the maximum goes on from slice to slice.
"""

import math

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .arrival import Arrival
from .past import begun_member, look_back
from .sequence import Loop, Sequence
from .spikes import SpikeMemory, counts_layout, train_layout
from .stream import Stage

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Walks each window over a spike memory, all channels of a beat at once, a beat a clock; for
    the maximum of trains a beat takes as many clocks as it has time-steps.

    Adding counts before the next layer costs ``KY * KX`` clocks of a narrow adder for each output
    beat. It saves the lanes of that layer most of the spikes that they would add one by one.

    Parameters
    ----------
    pool : :class:`hw.layers.PoolConfig`
    most : samples that may be under way, if the source ``continues`` (see :class:`hw.past.Begun`)

    Members
    -------
    begun : ``In``, see there; only if the source ``continues``
    i0 : ``In(stream.Signature(beat_bits))``
    o : ``Out(stream.Signature(out.beat_bits))``
    """

    status = ()

    def __init__(self, pool, *, most=0):
        self._pool = pool
        super().__init__({
            **begun_member(most if pool.continues else 0),
            "i0": In(stream.Signature(pool.source.map.beat_bits)),
            "o": Out(stream.Signature(pool.out.beat_bits)),
        })

    @property
    def i(self):
        return [self.i0]

    def model(self, counts):
        """``counts[y][x][channel]`` -> the same for the output map."""
        source, fold = self._pool.source, sum if self._pool.kind == "sum" else max
        (ky, kx), (sy, sx), (py, px) = source.kernel, source.stride, source.padding
        height, width = source.positions

        def place(y, x, c):
            inside = 0 <= y < source.map.height and 0 <= x < source.map.width
            return counts[y][x][c] if inside else 0

        return [[[fold(place(oy * sy - py + y, ox * sx - px + x, c)
                       for y in range(ky) for x in range(kx))
                  for c in range(source.map.channels)]
                 for ox in range(width)] for oy in range(height)]

    def elaborate(self, platform):
        m = Module()
        source, fmap = self._pool.source, self._pool.source.map
        (ky, kx), (sy, sx), chunks = source.kernel, source.stride, fmap.position_beats
        height, width = source.positions

        m.submodules.spikes = spikes = SpikeMemory(source, occupancy=False)
        m.submodules.walk = walk = Sequence([
            Loop(height, dy=sy),
            Loop(width, dx=sx, words=sx * chunks),
            Loop(chunks, words=1),
            Loop(ky, dy=1),
            Loop(kx, dx=1, words=chunks),
        ], start=source.corner, size=(fmap.height, fmap.width), offset=source.corner[1] * chunks,
            row=source.row, rows=source.rows, past=source.past)
        connect(m, flipped(self.i0), spikes.i)

        m.submodules.arrival = arrival = Arrival(source)
        # The result leaves through a register, because the consumers may be far away.
        m.submodules.stage = stage = Stage(self.o.p.shape())
        connect(m, stage.o, flipped(self.o))
        result = stage.i
        # Whether the result can change, and the present beat is folded into it with this clock.
        free, folded = Signal(), Signal(init=1)
        advance, issue = Signal(), Signal()
        ready = arrival.ready
        if source.past:
            ready &= look_back(m, self, source, walk, arrival.finish)
        m.d.comb += [
            free.eq(~result.valid | result.ready),
            issue.eq(advance & ready),
            walk.next.eq(issue),
            spikes.counts_en.eq(issue),
            spikes.counts_address.eq(walk.address),
            spikes.descend.eq(issue & walk.last[1:].all()),
            spikes.finish.eq(walk.last.all()),
            arrival.filled.eq(spikes.filled),
            arrival.descend.eq(spikes.descend),
            arrival.finish.eq(issue & walk.last.all()),
        ]

        # The counts arrive one clock after the address. Block RAM answers late in the clock, so
        # they are registered before they are folded into the result.
        read, arrives = (Signal(data.StructLayout({"valid": 1, "inside": 1, "last": 1}), name=name)
                         for name in ("read", "arrives"))
        arrived, first = Signal(counts_layout(fmap), reset_less=True), Signal(init=1)
        with m.If(advance):
            m.d.sync += [
                read.valid.eq(issue),
                read.inside.eq(walk.inside),
                read.last.eq(walk.last[3:].all()),
                arrives.eq(read),
                Value.cast(arrived).eq(Mux(read.inside, spikes.counts, 0)),
            ]
        changes = Signal()
        m.d.comb += changes.eq(free & arrives.valid)
        train = fmap.code == "train"
        if train and self._pool.kind == "max":
            timestep = Signal(range(fmap.slice_steps), name="turn")
            m.d.comb += folded.eq(timestep == fmap.slice_steps - 1)
            m.d.comb += advance.eq(free & (folded | ~arrives.valid))
            with m.If(changes):
                m.d.sync += timestep.eq(Mux(folded, 0, timestep + 1))
        else:
            m.d.comb += [folded.eq(1), advance.eq(free)]
        with m.If(free):
            m.d.sync += result.valid.eq(arrives.valid & arrives.last & folded)
        with m.If(changes & folded):
            m.d.sync += first.eq(arrives.last)
        results = data.View(counts_layout(self._pool.out), result.payload)
        fold = {(False, "sum"): self._add, (False, "max"): self._choose,
                (True, "sum"): self._add_trains, (True, "max"): self._accumulate}
        if train and self._pool.kind == "max" and fmap.slices > 1:
            carried = self._carry(m, changes & folded)
            for c in range(fmap.word):
                self._accumulate(m, changes, folded, first, results[c], arrived[c], carried[c])
        else:
            for c in range(fmap.word):
                fold[train, self._pool.kind](m, changes, folded, first, results[c], arrived[c])
        return m

    def _add(self, m, changes, folded, first, result, arrived):
        """Fold what has arrived of a channel into its result."""
        with m.If(changes):
            m.d.sync += result.eq(Mux(first, 0, result) + arrived)

    def _choose(self, m, changes, folded, first, result, arrived):
        so_far = Mux(first, 0, result)
        with m.If(changes):
            m.d.sync += result.eq(Mux(arrived > so_far, arrived, so_far))

    def _add_trains(self, m, changes, folded, first, result, arrived):
        inner, outer = self._pool.source.map, self._pool.out
        new, so_far = (data.View(train_layout(fmap), value)
                       for fmap, value in ((inner, arrived), (outer, result)))
        with m.If(changes):
            for step in range(inner.slice_steps):
                m.d.sync += so_far[step].eq(_spikes(
                    outer, Mux(first, 0, _value(so_far[step])) + _value(new[step])))

    @property
    def _lead(self):
        """Shape of the number of spikes by which the greatest count so far is above a new one."""
        fmap = self._pool.source.map
        most = fmap.timesteps * (fmap.levels - fmap.low)
        return Shape.cast(range(-most, most + 1))

    def _carry(self, m, folds):
        """What the differences of each channel begin with, and where they are left, when a slice of
        a place of the window has been folded: 0 in the first slice, then those that the place had
        at the end of the slice before."""
        fmap, places = self._pool.source.map, math.prod(self._pool.source.kernel)
        layout = data.ArrayLayout(self._lead, fmap.word)
        before, after = Signal(layout, name="carried"), Signal(layout, name="left")
        place, number = Signal(range(places)), Signal(range(fmap.slices))
        last_place, last_slice = place == places - 1, number == fmap.slices - 1

        def following(place):
            return Mux(place == places - 1, 0, place + 1)

        present = Signal.like(place, name="present")
        m.d.comb += present.eq(Mux(folds, following(place), place))
        m.d.sync += place.eq(present)
        with m.If(folds & last_place):
            m.d.sync += number.eq(Mux(last_slice, 0, number + 1))
        kept = after
        if places > 1:
            m.submodules.carry = carry = memory.Memory(
                shape=len(after.as_value()), depth=places, init=[])
            write = carry.write_port()
            # A fold may follow in the next clock, so what it needs is read with this one. Of two
            # places that is the one that is written now.
            read = carry.read_port(transparent_for=[write] if places == 2 else [])
            m.d.comb += [
                write.en.eq(folds), write.addr.eq(place), write.data.eq(after),
                read.en.eq(1), read.addr.eq(following(present)),
            ]
            kept = data.View(layout, read.data)
        begins = Mux(last_place, last_slice, number == 0)
        m.d.comb += before.eq(Mux(begins, 0, kept))
        return [(before[c], after[c]) for c in range(fmap.word)]

    def _accumulate(self, m, changes, folded, first, result, arrived, carried=None):
        """A time-step a clock, the first one first: both trains move up as they are used.

        Parameters
        ----------
        carried : of :meth:`_carry`; if there is none, a place of the window begins with 0
        """
        fmap = self._pool.source.map
        new, so_far = (data.View(train_layout(fmap), value)[fmap.slice_steps - 1]
                       for value in (arrived, result))
        width = len(so_far.as_value())
        # By how much the greatest count so far is above the new one: without and with the spikes of
        # this time-step.
        before, after = (Signal(self._lead, name=name) for name in ("before", "after"))
        start, left = carried or (0, None)
        if left is not None:
            m.d.comb += left.eq(after)
        m.d.comb += after.eq(before + Mux(first, 0, _value(so_far)) - _value(new))
        change = _value(new) + Mux(after > 0, after, 0) - Mux(before > 0, before, 0)
        with m.If(changes):
            m.d.sync += [
                before.eq(Mux(folded, start, after)),
                result.eq(Cat(_spikes(fmap, change), result)[:len(result)]),
            ]
            with m.If(~folded):
                m.d.sync += arrived.eq(arrived << width)


def _value(spikes):
    """The spikes of a time-step, those taken back being negative."""
    return spikes.more - spikes.less


def _spikes(fmap, value):
    """The inverse, as one value."""
    less = (-value)[:(-fmap.low).bit_length()]
    more = value[:fmap.levels.bit_length()]
    return Cat(Mux(value < 0, less, 0), Mux(value < 0, 0, more)) if fmap.low else more
