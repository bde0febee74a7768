"""The endpoint: packets on one side, samples and results on the other."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.bus import DeviceBus
from hw.feeder import Word
from hw.loader import LoadBus
from hw.registers import RegisterMap
from hw.run import timesteps_member
from hw.stream import Queue

from .bar import Bar
from .load import Loads
from .reads import Reads
from .receive import REQUEST, Receiver
from .requests import Completer
from .rings import ResultRing, SampleRing
from .session import Session
from .tlp import BEAT, DWORD
from .transmit import Arbiter, Requester
from .width import Narrow, Widen

__all__ = ["LINK", "PATIENCE", "Endpoint"]

LINK = wiring.Signature({
    "i": In(stream.Signature(BEAT)), "o": Out(stream.Signature(BEAT)),
    "id": In(16), "bus_master": In(1), "max_payload": In(3), "max_read": In(3),
    "non_posted_ok": Out(1), "pending": Out(1), "interrupt": Out(1), "interrupt_taken": In(1)})
"""What an endpoint has of its link.

``i`` and ``o`` are packets from the link and to it. ``id`` is the bus, device and function number;
``bus_master`` tells whether there may be requests; ``max_payload`` and ``max_read`` are the codes
of MaxPayload and MaxReadRequest, 128 bytes times a power of two. ``non_posted_ok`` tells whether
there is room for three more requests that want an answer: a link that holds others back meanwhile
lets completions pass. ``pending`` is high while reads have no complete answer, and ``interrupt``
until ``interrupt_taken`` is.
"""

PATIENCE = 1 << 21
"""Clocks in which a completion comes, if it comes: 17 ms at 125 MHz."""

_REQUESTS = 8


class Endpoint(wiring.Component):
    """An endpoint on raw packets.

    BAR0 has the registers of a :class:`~hw.pcie.registers.RingMap`. Samples and results are in two
    rings in host memory. Inside, packets travel a dword a clock.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`
    patience : see :class:`~hw.pcie.reads.Reads`

    Members
    -------
    link : ``Out(LINK)``
    samples : ``Out(stream.Signature(32))``, to the device
    results : ``In(stream.Signature(Word))``, from it
    device : ``Out(DeviceBus)``
    timesteps : ``Out``, only if there are several
    load : ``Out(LoadBus)``, only if memories may be loaded
    """

    def __init__(self, registers, *, patience=PATIENCE):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._map, self._patience = registers, patience
        super().__init__({
            "link": Out(LINK),
            "samples": Out(stream.Signature(32)),
            "results": In(stream.Signature(Word)),
            "device": Out(DeviceBus),
            **timesteps_member(registers.most_timesteps, Out),
            **({"load": Out(LoadBus)} if registers.memories else {}),
        })

    def elaborate(self, platform):
        m = Module()

        link = self.link
        m.submodules.narrow = narrow = Narrow()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.requests = requests = Queue(REQUEST, depth=_REQUESTS)
        m.submodules.completer = completer = Completer()
        m.submodules.bar = bar = Bar(self._map)
        m.submodules.requester = requester = Requester()
        m.submodules.arbiter = arbiter = Arbiter()
        # Whether the link takes a beat does not reach the arbiter in the same clock.
        m.submodules.sent = sent = Queue(DWORD, depth=3)
        m.submodules.widen = widen = Widen()
        connect(m, flipped(link.i), narrow.i)
        connect(m, narrow.o, receiver.i)
        connect(m, receiver.requests, requests.i)
        connect(m, requests.o, completer.i)
        connect(m, completer.o, arbiter.i[0])
        connect(m, requester.o, arbiter.i[1])
        connect(m, arbiter.o, sent.i)
        connect(m, sent.o, widen.i)
        connect(m, widen.o, flipped(link.o))
        connect(m, bar.device, flipped(self.device))
        if self._map.most_timesteps > 1:
            m.d.comb += self.timesteps.eq(bar.timesteps)

        waiting = Signal(range(_REQUESTS + 1))
        arrives = requests.i.valid & requests.i.ready
        leaves = requests.o.valid & requests.o.ready
        m.d.sync += waiting.eq(waiting + arrives - leaves)
        m.d.comb += [
            *(part.id.eq(link.id) for part in (receiver, completer, requester)),
            link.non_posted_ok.eq(waiting <= _REQUESTS - 3),
            bar.w_addr.eq(receiver.w_addr),
            bar.w_data.eq(receiver.w_data),
            bar.w_en.eq(receiver.w_en),
            bar.addr.eq(completer.addr),
            completer.r_data.eq(bar.r_data),
            bar.facts.counts.good.eq(receiver.counts.good),
            bar.facts.counts.poisoned.eq(receiver.counts.poisoned),
        ]
        self._rings(m, receiver, bar, requester)
        return m

    def _rings(self, m, receiver, bar, requester):
        """What belongs to a session. It begins anew whenever the endpoint rests."""
        m.submodules.session = session = Session(self._map.input_words)
        anew = ResetInserter(session.resting)
        reads, sampling, recording = Reads(patience=self._patience), SampleRing(), ResultRing()
        m.submodules.reads, m.submodules.sampling = anew(reads), anew(sampling)
        m.submodules.recording = anew(recording)
        connect(m, receiver.completions, reads.i)
        self._words(m, anew, reads, session, bar)
        connect(m, session.o_samples, flipped(self.samples))
        connect(m, flipped(self.results), session.results)
        connect(m, session.o_results, recording.i)
        connect(m, recording.words, requester.words)

        opened, strangers = session.session.any(), Signal(16)
        m.d.sync += strangers.eq(strangers + reads.strangers)
        m.d.comb += [
            session.write.eq(bar.open),
            session.number.eq(bar.number),
            self.link.pending.eq(reads.under_way),
            session.busy.eq(reads.under_way | sampling.o.valid | recording.o.valid),
            reads.era.eq(session.era),
            reads.length.eq(sampling.length),
            reads.take.eq(sampling.take),
            sampling.tag.eq(reads.tag),
            sampling.free.eq(reads.free),
            sampling.base.eq(bar.samples),
            sampling.mask.eq(bar.samples_mask),
            sampling.index.eq(bar.samples_index),
            sampling.max_read.eq(self.link.max_read),
            sampling.enable.eq(opened & self.link.bus_master),
            recording.base.eq(bar.results),
            recording.mask.eq(bar.results_mask),
            recording.index.eq(bar.results_index),
            recording.block.eq(bar.block),
            recording.max_payload.eq(self.link.max_payload),
            recording.enable.eq(opened & self.link.bus_master),
            recording.status.eq(bar.status),
            recording.faults.eq(reads.faults),
            bar.facts.counts.dropped.eq(receiver.counts.dropped + strangers),
            bar.facts.submitted.eq(session.submitted),
            bar.facts.completed.eq(session.completed),
            bar.facts.session.eq(session.session),
            bar.facts.resting.eq(session.resting),
            bar.facts.faults.eq(reads.faults),
            bar.facts.samples_read.eq(sampling.read),
            bar.facts.results_written.eq(recording.written),
        ]
        self._access(m, sampling, recording, requester)
        with m.If(self._left(m, recording.told) & bar.interrupt):
            m.d.sync += self.link.interrupt.eq(1)
        with m.Elif(self.link.interrupt_taken):
            m.d.sync += self.link.interrupt.eq(0)

    def _words(self, m, anew, reads, session, bar):
        """Words of the ring of samples go to the device, or to its memories."""
        if not self._map.memories:
            connect(m, reads.o, session.samples)
            return
        loads = Loads()
        m.submodules.loads = anew(loads)
        connect(m, loads.bus, flipped(self.load))
        m.d.comb += [
            session.refuses.eq(self.load.refuses),
            bar.facts.rejected.eq(loads.rejected),
            bar.facts.loaded.eq(loads.loaded),
        ]
        for taker, takes in ((session.samples, ~bar.load), (loads.i, bar.load)):
            m.d.comb += [taker.payload.eq(reads.o.payload), taker.valid.eq(reads.o.valid & takes)]
        m.d.comb += reads.o.ready.eq(Mux(bar.load, loads.i.ready, session.samples.ready))

    def _left(self, m, told):
        """Whether the packet that has entered the last queue with ``told`` leaves it, so that an
        interrupt does not overtake it."""
        sent, link = m.submodules.sent, self.link
        inside, before, waits = Signal(range(8)), Signal(range(8)), Signal()
        enters = sent.i.valid & sent.i.ready & sent.i.p.last
        leaves = link.o.valid & link.o.ready & link.o.p.last
        m.d.sync += [inside.eq(inside + enters - leaves), before.eq(before - (leaves & waits))]
        with m.If(told):
            m.d.sync += [waits.eq(1), before.eq(inside - leaves)]
        with m.Elif(before == 0):
            m.d.sync += waits.eq(0)
        return waits & (before == 0)

    @staticmethod
    def _access(m, sampling, recording, requester):
        """Results before samples; the requester takes an access after its last dword."""
        inside, kept, whose = Signal(), Signal(), Signal()
        m.d.comb += whose.eq(Mux(inside, kept, ~recording.o.valid))
        for k, ring in enumerate((recording, sampling)):
            with m.If(whose == k):
                m.d.comb += [requester.i.valid.eq(ring.o.valid),
                             requester.i.payload.eq(ring.o.payload),
                             ring.o.ready.eq(requester.i.ready)]
        with m.If(requester.i.valid):
            m.d.sync += [kept.eq(whose), inside.eq(~requester.i.ready)]
