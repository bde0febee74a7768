"""The sliding window: which words of a receptive field hold spikes."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .arrival import Arrival
from .past import begun_member, look_back
from .sequence import Loop, Sequence

__all__ = ["Window"]


class Window(wiring.Component):
    """Walks a map and offers, for each output position, the occupancy bits of the receptive field.

    The bits sit in a shift register that a new column enters from one side, so that a step to the
    right reads ``KY * SX * chunks`` of them and not the whole window. While an offered window
    waits, nothing is read. Once it is taken, the next one is gathered, which may be of the next
    sample.

    Of trains with several slices a window holds one slice. For each group of lanes at a position
    the windows of all slices are gathered anew, one after the other.

    Parameters
    ----------
    source : :class:`hw.maps.SourceConfig`
    groups : of lanes
    most : samples that may be under way, if the source has a ``past`` (see :class:`hw.past.Begun`)

    Members
    -------
    begun : ``In``, see there; only if the source has a ``past``
    filled : ``In(1)``: the spike memory holds one more row
    occupancy_en, occupancy_address, occupancy : towards the spike memory
    o : ``Out(stream)`` of ``taps`` elements (numbered as in ``SourceConfig``) of a bit a plane
    """

    def __init__(self, source, groups=1, *, most=0):
        self._source, self._groups = source, groups
        fmap = source.map
        super().__init__({
            **begun_member(most if source.past else 0),
            "filled": In(1),
            "occupancy_en": Out(1),
            "occupancy_address": Out(range(max(2, source.beats))),
            "occupancy": In(fmap.one_slice.planes),
            "o": Out(stream.Signature(data.ArrayLayout(fmap.one_slice.planes, source.taps))),
        })

    def model(self, occupancy):
        """``occupancy[y][x][beat]`` of a sample -> list of windows, each a list of bits."""
        source, fmap = self._source, self._source.map
        (ky, kx), sx, (top, left) = source.kernel, source.stride[1], source.corner
        height, width = source.positions
        groups = 1 if fmap.slices == 1 else self._groups

        def inside(y, x):
            return 0 <= y < fmap.height and 0 <= x < fmap.width

        return [[occupancy[y][x][q * fmap.slices + slice_index] if inside(y, x) else 0
                 for x in range(left + ox * sx, left + ox * sx + kx)
                 for y in range(top + oy * source.descent, top + oy * source.descent + ky)
                 for q in range(fmap.chunks)]
                for oy in range(height) for ox in range(width)
                for _ in range(groups) for slice_index in range(fmap.slices)]

    def elaborate(self, platform):
        m = Module()
        source, fmap = self._source, self._source.map
        (ky, kx), sx, chunks = source.kernel, source.stride[1], fmap.chunks
        (height, width), beats = source.positions, fmap.position_beats

        inner = [Loop(ky, dy=1), Loop(chunks, words=fmap.slices)]
        m.submodules.walk = walk = Sequence([
            Loop(height, dy=source.descent),
            Loop(kx + (width - 1) * sx, dx=1, words=beats), *inner,
        ] if fmap.slices == 1 else [
            Loop(height, dy=source.descent),
            Loop(width, dx=sx, words=sx * beats),
            Loop(self._groups),
            Loop(fmap.slices, words=1),
            Loop(kx, dx=1, words=beats), *inner,
        ], start=source.corner, size=(fmap.height, fmap.width), offset=source.corner[1] * beats,
            row=source.row, rows=source.rows, past=source.past)

        if fmap.slices == 1:
            # Columns still missing from the window after the present one.
            missing = Signal(range(max(2, kx, sx)), init=kx - 1)
            column = Signal()
            m.d.comb += column.eq(walk.last[2:].all())
            complete = column & (missing == 0)
        else:
            complete = walk.last[4:].all()

        m.submodules.arrival = arrival = Arrival(source)
        advance, issue = Signal(), Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        ready = arrival.ready
        if source.past:
            ready &= look_back(m, self, source, walk, arrival.finish)
        m.d.comb += issue.eq(advance & ready)
        m.d.comb += walk.next.eq(issue)
        m.d.comb += self.occupancy_en.eq(issue)
        m.d.comb += self.occupancy_address.eq(walk.address)
        m.d.comb += [
            arrival.filled.eq(self.filled),
            arrival.descend.eq(issue & walk.last[1:].all()),
            arrival.finish.eq(issue & walk.last.all()),
        ]
        if fmap.slices == 1:
            with m.If(issue & column):
                with m.If(walk.last[1]):
                    m.d.sync += missing.eq(kx - 1)
                with m.Elif(missing == 0):
                    m.d.sync += missing.eq(sx - 1)
                with m.Else():
                    m.d.sync += missing.eq(missing - 1)

        # The bits arrive a clock after their address, and late in that clock if they come from
        # block RAM. They enter the shift register another clock later.
        read, arrives = (Signal(data.StructLayout({"valid": 1, "complete": 1}), name=name)
                         for name in ("read", "arrives"))
        inside, arrived = Signal(), Signal(fmap.one_slice.planes, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                read.valid.eq(issue),
                read.complete.eq(complete),
                inside.eq(walk.inside),
                arrives.eq(read),
                arrived.eq(Mux(inside, self.occupancy, 0)),
                self.o.valid.eq(arrives.valid & arrives.complete),
            ]
            with m.If(arrives.valid):
                m.d.sync += Value.cast(self.o.payload).eq(
                    Cat(Value.cast(self.o.payload)[fmap.one_slice.planes:], arrived))
        return m
