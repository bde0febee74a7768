"""Spike memory: the counts a layer has fired, for the layer that receives them."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SpikeMemory", "spike_plane", "counts_layout"]


def counts_layout(fmap):
    """Layout of a beat: ``map.word`` counts of ``map.bits`` bits."""
    return data.ArrayLayout(fmap.bits, fmap.word)


def spike_plane(fmap, beat, plane):
    """One spike plane of a beat, a bit for each channel.

    Phase code: bit ``plane`` of the count. Rate code: whether the count exceeds ``plane``.
    """
    counts = [beat.word_select(c, fmap.bits) for c in range(fmap.word)]
    if fmap.code == "phase":
        return Cat(count[plane] for count in counts)
    return Cat(count > plane for count in counts)


class SpikeMemory(wiring.Component):
    """Holds ``banks`` samples of a map; the oldest is read while it or a newer one is written.

    Beats are written in the order of the stream. Beside the counts it keeps *occupancy bits*: for
    each beat and spike plane, whether any channel spikes, so that readers never look at a word of
    zeros.

    Parameters
    ----------
    fmap : :class:`hw.config.MapConfig`
    banks : at least 1
    occupancy : whether anybody reads the occupancy bits

    Members
    -------
    i : ``In(stream.Signature(map.beat_bits))``: not ready while all banks are full
    filled : ``Out(1)``: a row of the map has become complete
    release : ``In(1)``: the oldest sample is no longer needed
    occupancy_en, occupancy_address, occupancy : read port of those bits, one clock of latency
    counts_en, counts_address, counts : read port of the counts, one clock of latency
    """

    def __init__(self, fmap, banks, *, occupancy=True):
        if banks < 1:
            raise ValueError(f"banks must be at least 1, not {banks!r}")
        self._map = fmap
        self._banks = banks
        self._with_occupancy = occupancy
        address = range(max(2, fmap.beats * banks))
        super().__init__({
            "i": In(stream.Signature(fmap.beat_bits)),
            "filled": Out(1),
            "release": In(1),
            "occupancy_en": In(1),
            "occupancy_address": In(address),
            "occupancy": Out(fmap.planes),
            "counts_en": In(1),
            "counts_address": In(address),
            "counts": Out(fmap.beat_bits),
        })

    def elaborate(self, platform):
        m = Module()
        fmap, depth = self._map, self._map.beats * self._banks

        # A sample may be released before its last rows have come, if nobody looks at them.
        free, ready = Signal(range(self._banks + 2), init=self._banks), Signal(init=1)
        row = fmap.width * fmap.chunks
        beat = Signal(range(max(2, row)))
        line = Signal(range(max(2, fmap.height)))
        # The next beat completes a row; the next row completes a sample.
        row_ends, sample_ends = Signal(init=row == 1), Signal(init=fmap.height == 1)
        address = Signal(range(max(2, depth)))
        write = Signal()
        m.d.comb += self.i.ready.eq(ready)
        m.d.comb += write.eq(self.i.valid & self.i.ready)
        fills = write & row_ends
        full = fills & sample_ends
        m.d.sync += self.filled.eq(fills)
        m.d.sync += free.eq(free - full + self.release)
        m.d.sync += ready.eq((free > full) | self.release)
        with m.If(write):
            m.d.sync += beat.eq(Mux(row_ends, 0, beat + 1))
            if row > 1:
                m.d.sync += row_ends.eq(beat == row - 2)
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        with m.If(fills):
            m.d.sync += line.eq(Mux(sample_ends, 0, line + 1))
            if fmap.height > 1:
                m.d.sync += sample_ends.eq(line == fmap.height - 2)

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
