"""Spike memory: the counts a layer has fired, for the layer that receives them."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SpikeMemory", "counts_layout", "spike_plane", "train_layout"]


def train_layout(fmap):
    """Layout of a slice of a train: the last time-step in the lowest bits, see
    :class:`hw.maps.MapConfig`."""
    less, more = fmap.step_bits
    return data.ArrayLayout(data.StructLayout({"less": less, "more": more}), fmap.slice_steps)


def counts_layout(fmap):
    """Layout of a beat: ``map.word`` counts, or slices of trains."""
    return data.ArrayLayout(fmap.one_slice.bits, fmap.word)


def spike_plane(fmap, beat, plane):
    """One spike plane of a beat, a bit for each channel.

    Phase code, and changes: bit ``plane`` of the count. Rate code: whether the count exceeds
    ``plane``. Trains: whether the number of spikes of its time-step exceeds the plane's unit; the
    planes are those of a slice.
    """
    fmap = fmap.one_slice
    counts = [beat.word_select(c, fmap.bits) for c in range(fmap.word)]
    if fmap.code in ("phase", "change"):
        return Cat(count[plane] for count in counts)
    if fmap.code == "rate":
        return Cat(count > plane for count in counts)
    offset, width, unit = fmap.train_field(plane)
    return Cat(count[offset:offset + width] > unit for count in counts)


class SpikeMemory(wiring.Component):
    """Holds the last ``source.rows`` rows of a map in a ring; the rows of successive samples follow
    each other without a gap.

    Beats are written in the order of the stream. A row is overwritten when no window looks at it
    any more. Beside the counts the memory keeps *occupancy bits*: for each beat and spike plane,
    whether any channel spikes, so that readers never look at a word of zeros.

    Parameters
    ----------
    source : :class:`hw.maps.SourceConfig`
    occupancy : whether anybody reads the occupancy bits

    Members
    -------
    i : ``In(stream.Signature(map.beat_bits))``: not ready while no row is free
    filled : ``Out(1)``: a row of the map has become complete
    descend : ``In(1)``: an output row has been read
    finish : ``In(1)``: that was the last one of a sample
    occupancy_en, occupancy_address, occupancy : read port of those bits, one clock of latency
    counts_en, counts_address, counts : read port of the counts, one clock of latency
    """

    def __init__(self, source, *, occupancy=True):
        self._source = source
        self._with_occupancy = occupancy
        fmap, address = source.map, range(max(2, source.beats))
        super().__init__({
            "i": In(stream.Signature(fmap.beat_bits)),
            "filled": Out(1),
            "descend": In(1),
            "finish": In(1),
            "occupancy_en": In(1),
            "occupancy_address": In(address),
            "occupancy": Out(fmap.one_slice.planes),
            "counts_en": In(1),
            "counts_address": In(address),
            "counts": Out(fmap.beat_bits),
        })

    def elaborate(self, platform):
        m = Module()
        source, fmap, depth = self._source, self._source.map.one_slice, self._source.beats

        # Rows that may still come before one is overwritten that a window looks at. Rows in the
        # padding count, so every output row frees the same number, except for the last one of a
        # sample. That one may be read before rows have come that nobody looks at.
        free_at_first = source.reach + source.tops[0]
        free = Signal(range(min(0, source.ascent), source.most_free + 1), init=free_at_first)
        ready = Signal(init=free_at_first > 0)
        beat = Signal(range(max(2, source.row)))
        row_ends = Signal(init=source.row == 1)  # with the next beat
        address = Signal(range(max(2, depth)))
        write = Signal()
        m.d.comb += self.i.ready.eq(ready)
        m.d.comb += write.eq(self.i.valid & self.i.ready)
        fills = write & row_ends
        m.d.sync += self.filled.eq(fills)
        more = Mux(self.finish, source.ascent, source.descent)
        if source.ascent < 0:
            # With more padding than a window needs, a sample's first window begins above the last
            # one, and rows are owed for a while.
            frees = free + more > fills
        else:
            # `free` is never negative, so every descent but the last one frees a row.
            frees = Const(1) if source.ascent > 0 else free + source.ascent > fills
            frees |= ~self.finish
        m.d.sync += free.eq(free - fills + Mux(self.descend, more, 0))
        m.d.sync += ready.eq(Mux(self.descend, frees, free > fills))
        with m.If(write):
            m.d.sync += beat.eq(Mux(row_ends, 0, beat + 1))
            if source.row > 1:
                m.d.sync += row_ends.eq(beat == source.row - 2)
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))

        def store(name, width, value, en, read_address, read_data):
            mem = memory.Memory(shape=width, depth=max(2, depth), init=[])
            m.submodules[name] = mem
            w_port, r_port = mem.write_port(), mem.read_port()
            m.d.comb += [
                w_port.en.eq(write), w_port.addr.eq(address), w_port.data.eq(value),
                r_port.en.eq(en), r_port.addr.eq(read_address), read_data.eq(r_port.data),
            ]

        store("counts", fmap.beat_bits, self.i.payload,
              self.counts_en, self.counts_address, self.counts)
        if self._with_occupancy:
            occupancy = Cat(spike_plane(fmap, self.i.payload, k).any() for k in range(fmap.planes))
            store("occupancy", fmap.planes, occupancy, self.occupancy_en, self.occupancy_address,
                  self.occupancy)
        return m
