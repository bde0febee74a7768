"""Samples on their way through an array."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .feeder import Collector, Feeder
from .registers import SLOTS
from .stream import Queue

__all__ = ["Samples"]


class Samples(wiring.Component):
    """Feeds an array with samples, and keeps its results.

    Samples are numbered, modulo 2**16, in the order in which they are started. One is written while
    the one before waits, and as many as the array takes, at most as many as results are kept, are
    computed at once. The result of sample ``n`` is in slot ``n % SLOTS``.

    Parameters
    ----------
    packing : :class:`~hw.feeder.Packing`
    readout : configuration of the layer that the logits come from

    Members
    -------
    w_addr, w_data, w_en : ``In``, writes a word of the next sample; not unless ``free``
    start : ``In(1)``, starts the next sample; not unless ``free``
    free : ``Out(1)``, there is room for the next sample; two clocks behind
    started, completed : ``Out(16)``, numbers of the last samples
    r_slot, r_addr : ``In``, what is read one clock later, see :class:`~hw.feeder.Collector`
    r_logit : ``Out(32)``, a word of a logit
    r_cycles : ``Out(32)``, clocks from the sample's first beat to its last logits
    o : ``Out(stream.Signature(beat_bits))``, beats to the array
    i : ``In(stream.Signature(readout.logit_bits))``, logits from it
    """

    def __init__(self, packing, readout):
        self._packing, self._readout = packing, readout
        super().__init__({
            "w_addr": In(range(packing.words)),
            "w_data": In(32),
            "w_en": In(1),
            "start": In(1),
            "free": Out(1, init=1),
            "started": Out(16),
            "completed": Out(16),
            "r_slot": In(range(SLOTS)),
            "r_addr": In(range(readout.channels * -(-readout.membrane_bits // 32))),
            "r_logit": Out(32),
            "r_cycles": Out(32),
            "o": Out(stream.Signature(packing.beat_bits)),
            "i": In(stream.Signature(readout.logit_bits)),
        })

    def elaborate(self, platform):
        m = Module()

        readout = self._readout
        m.submodules.feeder = feeder = Feeder(self._packing)
        m.submodules.collector = collector = Collector(
            readout.channels, readout.lanes, readout.membrane_bits, slots=SLOTS)
        # Whether the array takes a beat does not reach the feeder in the same clock.
        m.submodules.beats = beats = Queue(
            data.StructLayout({"beat": self._packing.beat_bits, "first": 1}), depth=3)
        connect(m, flipped(self.i), collector.i)

        under_way = (self.started - self.completed)[:SLOTS.bit_length()]
        m.d.comb += [
            feeder.w_addr.eq(self.w_addr),
            feeder.w_data.eq(self.w_data),
            feeder.w_en.eq(self.w_en),
            feeder.start.eq(self.start),
            beats.i.p.beat.eq(feeder.o.payload),
            beats.i.p.first.eq(feeder.first),
            beats.i.valid.eq(feeder.o.valid),
            feeder.o.ready.eq(beats.i.ready),
            self.o.payload.eq(beats.o.p.beat),
            self.o.valid.eq(beats.o.valid),
            beats.o.ready.eq(self.o.ready),
            collector.r_slot.eq(self.r_slot),
            collector.r_addr.eq(self.r_addr),
            self.r_logit.eq(collector.r_data),
        ]
        m.d.sync += [
            self.free.eq(feeder.free & (under_way != SLOTS)),
            self.started.eq(self.started + self.start),
            self.completed.eq(self.completed + collector.done),
        ]
        self._count_clocks(m, self.o.valid & self.o.ready & beats.o.p.first,
                           self.i.valid & self.i.ready & collector.last)
        return m

    def _count_clocks(self, m, begins, ends):
        """Both are looked at a clock later, which makes no difference to the difference."""
        m.submodules.begun = begun = memory.Memory(shape=32, depth=SLOTS, init=[])
        m.submodules.cycles = cycles = memory.Memory(shape=32, depth=SLOTS, init=[])
        began, since = begun.write_port(), begun.read_port()
        ended, read = cycles.write_port(), cycles.read_port()
        clock = Signal(32, reset_less=True)
        # Slots of the samples that will begin and end next.
        first, last = Signal(range(SLOTS), init=1), Signal(range(SLOTS), init=1)
        m.d.sync += [
            clock.eq(clock + 1),
            began.en.eq(begins),
            ended.en.eq(ends),
            first.eq(first + began.en),
            last.eq(last + ended.en),
        ]
        m.d.comb += [
            began.addr.eq(first),
            began.data.eq(clock),
            since.addr.eq(last),
            ended.addr.eq(last),
            ended.data.eq(clock - since.data),
            read.addr.eq(self.r_slot),
            self.r_cycles.eq(read.data),
        ]
