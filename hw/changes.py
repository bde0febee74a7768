"""From counts to changes: what each count differs by from that of an earlier row."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .maps import signed_digits
from .past import Turn, begun_member, tell
from .spikes import counts_layout

__all__ = ["Changes"]


class Changes(wiring.Component):
    """Subtracts from each count the one ``stride`` rows above it, and makes signed digits of the
    difference. Above the first rows of a sequence all counts are 0.

    A beat takes two clocks, and another one may follow in each.

    Parameters
    ----------
    source : :class:`hw.maps.SourceConfig` with ``changes``
    most : samples that may be under way, if the source ``continues`` (see :class:`hw.past.Begun`)

    Members
    -------
    i : ``In(stream)``: beats of counts
    o : ``Out(stream)``: beats of changes
    begun : ``In``, see there; only if the source ``continues``
    """

    def __init__(self, source, *, most=0):
        self._source = source
        super().__init__({
            "i": In(stream.Signature(source.arriving.beat_bits)),
            "o": Out(stream.Signature(source.map.beat_bits)),
            **begun_member(most if source.continues else 0),
        })

    @staticmethod
    def model(source, counts):
        """Counts of a sequence ``[y][x]...``, an array or the rows of one -> changes, as the spike
        memory holds them."""
        stride = source.stride[0]
        return [signed_digits(row - counts[y - stride] if y >= stride else row, source.map.digits)
                for y, row in enumerate(counts)]

    def elaborate(self, platform):
        m = Module()
        source, fmap = self._source, self._source.map
        beats, depth = fmap.height * source.row, source.stride[0] * source.row

        # The counts that beats are compared with go round in a memory. It need not be cleared.
        beat, address = Signal(range(max(2, beats))), Signal(range(max(2, depth)))
        first, ends, advance, accept = Signal(init=1), Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            accept.eq(self.i.valid & advance),
            ends.eq(beat == beats - 1),
        ]
        with m.If(accept):
            m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
            m.d.sync += address.eq(Mux(ends | (address == depth - 1), 0, address + 1))
            m.d.sync += first.eq(ends | first & (address != depth - 1))
        m.submodules.counts = counts = memory.Memory(
            shape=source.arriving.beat_bits, depth=max(2, depth), init=[])
        w_port, r_port = counts.write_port(), counts.read_port()
        m.d.comb += [
            w_port.en.eq(accept), w_port.addr.eq(address), w_port.data.eq(self.i.payload),
            r_port.en.eq(advance), r_port.addr.eq(address),
        ]

        # Whether a sample begins a sequence is known a clock after its first beat.
        arrived, now, alone, ended = Signal(), Signal.like(self.i.payload), Signal(), Signal()
        fresh = alone
        if source.continues:
            m.submodules.turn = turn = Turn(len(self.begun.fresh))
            tell(m, self.begun, [turn])
            m.d.comb += turn.next.eq(advance & arrived & ended)
            fresh = alone & turn.fresh
        layout = counts_layout(source.arriving)
        before = Signal(layout)
        m.d.comb += before.eq(Mux(fresh, 0, r_port.data))
        for k, (count, other) in enumerate(zip(layout(now), before, strict=True)):
            difference = Signal(signed(len(count) + 1), name=f"difference_{k}", reset_less=True)
            half = Signal(signed(len(count)), name=f"half_{k}")
            tripled = Signal(signed(fmap.digits + 1), name=f"tripled_{k}")
            digit = Signal(fmap.digits, name=f"digit_{k}")
            with m.If(advance):
                m.d.sync += difference.eq(count - other)
            m.d.comb += [
                half.eq(difference >> 1),
                tripled.eq(difference + half),
                digit.eq(half ^ tripled),
                self.o.payload.word_select(k, fmap.bits).eq(
                    Cat(tripled[:fmap.digits] & digit, half & digit)),
            ]
        with m.If(advance):
            m.d.sync += [
                arrived.eq(self.i.valid),
                now.eq(self.i.payload),
                alone.eq(first),
                ended.eq(ends),
                self.o.valid.eq(arrived),
            ]
        return m
