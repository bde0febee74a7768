"""Rings in host memory: samples that the device reads, and results that it writes."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.feeder import Word

from .reads import BURST, FAULTS
from .transmit import ACCESS

__all__ = ["ResultRing", "SampleRing"]

_DEPTH = 2 * BURST


def _words(code):
    """Words of a burst, from the code of MaxReadRequest or MaxPayload: 128 bytes, 256 or more."""
    return Mux(code == 0, 32, Mux(code == 1, 64, BURST))


def _room(index, code):
    """Words up to the next multiple of a burst."""
    below = Mux(code == 0, index[:5], Mux(code == 1, index[:6], index[:7]))
    return (_words(code) - below)[:len(Const(BURST))]


class SampleRing(wiring.Component):
    """Asks for the words of samples in bursts, each up to a multiple of the longest.

    Members
    -------
    base : ``In(64)``, address in bytes, a multiple of the ring's size and of a burst
    mask : ``In(32)``, words of the ring less 1, and of a burst less 1
    index : ``In(32)``, after the last word that the host has written
    max_read : ``In(3)``, MaxReadRequest, 128 bytes times a power of two
    enable : ``In(1)``, whether there may be a request
    read : ``Out(32)``, after the last word that was asked for
    tag, free : ``In``, of :class:`~hw.pcie.reads.Reads`
    length, take : ``Out``, likewise
    o : ``Out(stream.Signature(ACCESS))``
    """

    def __init__(self):
        super().__init__({
            "base": In(64), "mask": In(32), "index": In(32), "max_read": In(3), "enable": In(1),
            "read": Out(32),
            "tag": In(8), "free": In(1), "length": Out(range(BURST + 1)), "take": Out(1),
            "o": Out(stream.Signature(ACCESS)),
        })

    @staticmethod
    def model(start, stop, words):
        """Reads of the words from ``start`` up to ``stop``: pairs of index and length.

        Parameters
        ----------
        words : of the longest burst
        """
        while start != stop:
            length = min(stop - start, words - start % words)
            yield start, length
            start += length

    def elaborate(self, platform):
        m = Module()

        left = Signal(32)
        m.d.comb += [
            self.o.p.address.eq(self.base | (self.read & self.mask) << 2),
            self.o.p.length.eq(self.length),
            self.o.p.tag.eq(self.tag),
        ]
        m.d.sync += left.eq(self.index - self.read)
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.enable & self.free):
                    m.next = "Look"
            with m.State("Look"):
                room = _room(self.read, self.max_read)
                m.d.sync += self.length.eq(Mux(left < room, left, room))
                m.next = "Idle"
                with m.If(left.any() & self.enable):
                    m.next = "Ask"
            with m.State("Ask"):
                m.d.comb += [self.o.valid.eq(1), self.take.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.d.sync += self.read.eq(self.read + self.length)
                    m.next = "Settle"
            with m.State("Settle"):
                m.next = "Idle"

        return m


class ResultRing(wiring.Component):
    """Writes results, in bursts as long as what there is to write, and then says how far it came.

    Words are written as soon as they complete a result or a burst, while the host has room for
    them. The status block follows when there is no whole burst to write, at the latest after
    :data:`MOST` bursts, and when there is a fault.

    Members
    -------
    base, mask : ``In``, as of :class:`SampleRing`
    index : ``In(32)``, after the last word that the host has taken
    block : ``In(64)``, address in bytes of the status block
    max_payload : ``In(3)``, MaxPayload, 128 bytes times a power of two
    enable : ``In(1)``, whether there may be a request
    status : ``In(32)``, second word of the status block
    faults : ``In(FAULTS)``
    i : ``In(stream.Signature(Word))``, results
    written : ``Out(32)``, after the last word that was written
    o : ``Out(stream.Signature(ACCESS))``
    words : ``Out(stream.Signature(32))``, those of these accesses
    told : ``Out(1)``, the status block was written
    """

    MOST = 8

    def __init__(self):
        super().__init__({
            "base": In(64), "mask": In(32), "index": In(32), "block": In(64),
            "max_payload": In(3), "enable": In(1), "status": In(32), "faults": In(FAULTS),
            "i": In(stream.Signature(Word)),
            "written": Out(32),
            "o": Out(stream.Signature(ACCESS)),
            "words": Out(stream.Signature(32)),
            "told": Out(1),
        })

    @staticmethod
    def model(results):
        """Words that are written for results, which are lists of words."""
        return [word for number, result in enumerate(results, 1) for word in (number, *result)]

    def elaborate(self, platform):
        m = Module()

        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=33, depth=_DEPTH)
        records = self._collect(m, queue)
        # Whether a burst, or else a result, can be written; how much, if so.
        room, size = Signal(range(BURST + 1)), Signal(range(BURST + 1))
        full, some, fits = Signal(), Signal(), Signal()
        taken, held = Signal(32), Signal(32)
        m.d.comb += room.eq(_room(self.written, self.max_payload))
        m.d.sync += [
            taken.eq(self.index + self.mask),
            held.eq(taken - self.written),
            full.eq(queue.level >= room),
            some.eq(records.any()),
            size.eq(Mux(queue.level >= room, room, queue.level)),
        ]
        m.d.comb += fits.eq(~held[31] & (held >= size))
        last_told, faulty, since = Signal(32), Signal(), Signal(range(self.MOST + 1))
        news = Signal()
        m.d.comb += news.eq((last_told != self.written)
                            | (Value.cast(self.faults).any() & ~faulty))
        telling, left, settle = Signal(), Signal(range(BURST + 1)), Signal(2)
        m.d.comb += [
            self.o.p.write.eq(1),
            self.o.p.address.eq(Mux(telling, self.block,
                                    self.base | (self.written & self.mask) << 2)),
            self.words.payload.eq(Mux(telling, Mux(left == 2, self.written, self.status),
                                      queue.r_data[:32])),
        ]
        with m.FSM():
            with m.State("Idle"):
                # The figures above follow what was written in three clocks.
                m.d.sync += settle.eq(settle + ~settle.all())
                tell = news & ~(fits & full & (since != self.MOST))
                with m.If(settle.all() & self.enable & (tell | (fits & (full | some)))):
                    length = Mux(tell, 2, size)
                    m.d.sync += [telling.eq(tell), left.eq(length), self.o.p.length.eq(length)]
                    m.next = "Write"
            with m.State("Write"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.words.valid.eq((telling | queue.r_rdy) & left.any()),
                    queue.r_en.eq(self.words.ready & ~telling & left.any()),
                ]
                moves = self.words.valid & self.words.ready
                m.d.sync += left.eq(left - moves)
                with m.If(moves & telling & (left == 1)):
                    # What becomes faulty from now on has not been told.
                    m.d.sync += faulty.eq(Value.cast(self.faults).any())
                with m.If(self.o.ready):
                    m.d.comb += self.told.eq(telling)
                    m.d.sync += [settle.eq(0), since.eq(Mux(telling, 0, since + 1))]
                    with m.If(telling):
                        m.d.sync += last_told.eq(self.written)
                    with m.Else():
                        m.d.sync += self.written.eq(self.written + self.o.p.length)
                    m.next = "Idle"

        return m

    def _collect(self, m, queue):
        """Put results into the queue, each after its number; how many are there whole."""
        number, begins, records = Signal(32, init=1), Signal(init=1), Signal(range(_DEPTH + 1))
        stored, sent = Signal(), Signal()
        m.d.comb += [
            queue.w_en.eq(self.i.valid),
            queue.w_data.eq(Mux(begins, number, self.i.payload.as_value())),
            self.i.ready.eq(queue.w_rdy & ~begins),
            stored.eq(self.i.valid & self.i.ready & self.i.p.last),
            sent.eq(queue.r_en & queue.r_rdy & queue.r_data[32]),
        ]
        with m.If(queue.w_en & queue.w_rdy):
            m.d.sync += begins.eq(~begins & self.i.p.last)
        m.d.sync += [number.eq(number + stored), records.eq(records + stored - sent)]
        return records
