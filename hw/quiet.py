"""Whether the neurons of a layer were quiet when a sample ended."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Quiet"]


class Quiet(wiring.Component):
    """Watches a map of trains for spikes in the last time-step of each sample, and keeps what it
    has found of the last few samples until they are done.

    Parameters
    ----------
    fmap : :class:`hw.maps.MapConfig`
    depth : samples that have begun and are not done, at most; a power of two

    Members
    -------
    beat, moves : ``In``, a beat of the map, and whether it moves in this clock
    done : ``In(1)``, the next sample is done
    quiet : ``Out(1)``, whether its last time-step was without spikes; two clocks after its last
        beat
    """

    def __init__(self, fmap, depth):
        if depth < 2 or depth & depth - 1:
            raise ValueError(f"depth must be a power of two, at least 2, not {depth!r}")
        self._fmap, self._depth = fmap, depth
        super().__init__({
            "beat": In(fmap.beat_bits),
            "moves": In(1),
            "done": In(1),
            "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fmap = self._fmap

        # The last time-step of a train is in the lowest bits of its last slice.
        spikes = Cat(self.beat.word_select(k, fmap.one_slice.bits)[:sum(fmap.step_bits)]
                     for k in range(fmap.word)).any()
        if fmap.slices > 1:
            number = Signal(range(fmap.slices))
            final = number == fmap.slices - 1
            with m.If(self.moves):
                m.d.sync += number.eq(Mux(final, 0, number + 1))
            spikes &= final
        spikes_now, moved = Signal(), Signal()
        m.d.sync += [spikes_now.eq(spikes), moved.eq(self.moves)]

        left, before = Signal(range(fmap.beats), init=fmap.beats - 1), Signal()
        found = Signal(self._depth)
        begun, ended = Signal(range(self._depth)), Signal(range(self._depth))
        with m.If(moved):
            m.d.sync += [left.eq(left - 1), before.eq(before | spikes_now)]
            with m.If(left == 0):
                m.d.sync += [left.eq(fmap.beats - 1), before.eq(0), begun.eq(begun + 1)]
                m.d.sync += found.bit_select(begun, 1).eq(~(before | spikes_now))
        m.d.comb += self.quiet.eq(found.bit_select(ended, 1))
        m.d.sync += ended.eq(ended + self.done)
        return m
