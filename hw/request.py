"""Requests of a host, as they arrive."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .crc import Crc32
from .registers import MAX_WORDS
from .slip import Token

__all__ = ["HEADER", "Header", "Requests"]

Header = data.StructLayout({"seq": 8, "op": 8, "addr": 16, "count": 8, "session": 32})

HEADER = Header.size // 8
"""Bytes of a header."""


class Requests(wiring.Component):
    """Takes frames, and hands on the headers of those that are sound.

    A frame that is damaged, too short or too long counts as ``dropped``, and so does one of a
    length other than ``o.p.count`` words if ``data`` says that it should carry so many, or none if
    ``bare``; one with a wrong CRC counts as ``crc_errors``. No token is taken while a header is
    offered. The next frame may come while its words and its header are still read, the header until
    the next one is taken, the words while ``hold`` is high.

    Members
    -------
    i : ``In(stream.Signature(Token))``
    o : ``Out(stream.Signature(Header))``; the header is there two clocks before it is valid
    data, bare : ``In(1)``, whether the header that is there needs words, or none
    hold : ``In(1)``, the words are still read
    index, word : ``In``, ``Out(32)``, one of the words of the header taken last, two clocks later
    position, octet : ``In``, ``Out(8)``, one of the bytes of that header, a clock later
    crc_errors, dropped : ``Out(16)``, counters
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(Token)),
            "o": Out(stream.Signature(Header)),
            "data": In(1),
            "bare": In(1),
            "hold": In(1),
            "index": In(range(MAX_WORDS + 1)),
            "word": Out(32),
            "position": In(range(HEADER)),
            "octet": Out(8),
            "crc_errors": Out(16),
            "dropped": Out(16),
        })

    def elaborate(self, platform):
        # The bytes of two headers are kept beside each other, one being answered while the next
        # one comes. Words, the CRC being the last, are stored by `index`.
        m = Module()

        m.submodules.crc = check = Crc32()
        m.submodules.words = words = memory.Memory(shape=32, depth=MAX_WORDS + 1, init=[])
        m.submodules.octets = octets = memory.Memory(shape=8, depth=32, init=[])
        store, load = words.write_port(), words.read_port()
        keep, recall = octets.write_port(), octets.read_port()

        header = Signal(Header)
        position = Signal(range(HEADER + 1))
        index = Signal(range(MAX_WORDS + 2))
        lane = Signal(2)
        word = Signal(32)
        poisoned = Signal()
        turn = Signal()
        byte = self.i.p.data

        whole = Signal()
        held = Signal()
        taken = Signal()
        m.d.comb += [
            whole.eq(position == HEADER),
            held.eq(self.hold & whole),
            taken.eq(check.step & check.last),
            check.byte.eq(byte),
            store.addr.eq(index),
            store.data.eq(Cat(word[8:], byte)),
            store.en.eq(taken & whole & (lane == 3)),
            keep.addr.eq(Cat(position, turn)),
            keep.data.eq(byte),
            keep.en.eq(taken & ~whole),
            load.addr.eq(self.index),
            recall.addr.eq(Cat(self.position, ~turn)),
            self.octet.eq(recall.data),
            self.o.payload.eq(header),
        ]
        # Block RAM answers late in the clock.
        m.d.sync += self.word.eq(load.data)

        # The header and the index are there clocks before they are judged.
        wrong, matches = Signal(), Signal()
        m.d.sync += [
            matches.eq(check.matches),
            wrong.eq((self.data | self.bare) & (
                (lane != 0) | (index != Mux(self.data, header.count + 1, 1)))),
        ]

        with m.FSM():
            with m.State("Receive"):
                m.d.comb += check.step.eq(self.i.valid & ~self.i.p.end & ~self.i.p.bad & ~held)
                m.d.comb += self.i.ready.eq(self.i.p.end | self.i.p.bad | taken)
                with m.If(self.i.valid & self.i.p.end):
                    with m.If(poisoned | (position != 0)):
                        m.next = "Match"
                with m.Elif(self.i.valid & self.i.p.bad):
                    m.d.sync += poisoned.eq(1)
                with m.If(taken):
                    with m.If(~whole):
                        m.d.sync += header.eq(Cat(header.as_value()[8:], byte))
                        m.d.sync += position.eq(position + 1)
                    with m.Elif(index == MAX_WORDS + 1):
                        m.d.sync += poisoned.eq(1)
                    with m.Else():
                        m.d.sync += word.eq(store.data)
                        m.d.sync += lane.eq(lane + 1)
                        m.d.sync += index.eq(index + store.en)

            with m.State("Match"):
                m.next = "Check"

            with m.State("Check"):
                m.d.comb += check.start.eq(1)
                m.d.sync += [position.eq(0), index.eq(0), lane.eq(0), poisoned.eq(0)]
                m.next = "Receive"
                with m.If(poisoned | (index == 0)):
                    m.d.sync += self.dropped.eq(self.dropped + 1)
                with m.Elif(~matches):
                    m.d.sync += self.crc_errors.eq(self.crc_errors + 1)
                with m.Elif(wrong):
                    m.d.sync += self.dropped.eq(self.dropped + 1)
                with m.Else():
                    m.next = "Offer"

            with m.State("Offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += turn.eq(~turn)
                    m.next = "Receive"

        return m
