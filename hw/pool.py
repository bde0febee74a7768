"""Pooling: the sum or the maximum of the counts in a window."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .arrival import Arrival
from .sequence import Loop, Sequence
from .spikes import SpikeMemory, counts_layout
from .stream import Stage

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Walks each window over a spike memory, all channels of a beat at once, a beat a clock.

    Adding counts before the next layer costs ``KY * KX`` clocks of a narrow adder for each output
    beat. It saves the lanes of that layer most of the spikes that they would add one by one.

    Parameters
    ----------
    pool : :class:`hw.config.PoolConfig`

    Members
    -------
    i0 : ``In(stream.Signature(beat_bits))``
    o : ``Out(stream.Signature(out.beat_bits))``
    """

    status = ()

    def __init__(self, pool):
        self._pool = pool
        super().__init__({
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
        (ky, kx), (sy, sx), chunks = source.kernel, source.stride, fmap.chunks
        height, width = source.positions

        m.submodules.spikes = spikes = SpikeMemory(source, occupancy=False)
        m.submodules.walk = walk = Sequence([
            Loop(height, dy=sy),
            Loop(width, dx=sx, step=sx * chunks),
            Loop(chunks, step=1),
            Loop(ky, dy=1),
            Loop(kx, dx=1, step=chunks),
        ], start=source.corner, size=(fmap.height, fmap.width), offset=source.corner[1] * chunks,
            row=source.row, rows=source.rows)
        connect(m, flipped(self.i0), spikes.i)

        m.submodules.arrival = arrival = Arrival(source)
        # The result leaves through a register, because the consumers may be far away.
        m.submodules.stage = stage = Stage(self.o.p.shape())
        connect(m, stage.o, flipped(self.o))
        result = stage.i
        advance, issue = Signal(), Signal()
        m.d.comb += [
            advance.eq(~result.valid | result.ready),
            issue.eq(advance & arrival.ready),
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
                result.valid.eq(arrives.valid & arrives.last),
            ]
            with m.If(arrives.valid):
                m.d.sync += first.eq(arrives.last)
                folded = data.View(counts_layout(self._pool.out), result.payload)
                for c in range(fmap.word):
                    so_far = Mux(first, 0, folded[c])
                    if self._pool.kind == "sum":
                        m.d.sync += folded[c].eq(so_far + arrived[c])
                    else:
                        m.d.sync += folded[c].eq(Mux(arrived[c] > so_far, arrived[c], so_far))
        return m
