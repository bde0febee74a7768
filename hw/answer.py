"""Answers to a host, as they are sent."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .crc import Crc32
from .request import HEADER
from .slip import Token

__all__ = ["Answers"]


class Answers(wiring.Component):
    """Sends frames: a header that repeats the request's but for its operation, words, and the CRC.

    Members
    -------
    start : ``In(1)``, begin an answer; not while ``busy``
    busy : ``Out(1)``
    op : ``In(8)``, second byte of the header
    position, octet : ``Out``, ``In(8)``, a byte of the request's header, a clock later
    more : ``In(1)``, there is another word
    word : ``In(32)``, the next word, not earlier than 30 clocks after the one before was ``taken``
    taken : ``Out(1)``
    o : ``Out(stream.Signature(Token))``, with an end before and after each frame
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "busy": Out(1),
            "op": In(8),
            "position": Out(range(HEADER)),
            "octet": In(8),
            "more": In(1),
            "word": In(32),
            "taken": Out(1),
            "o": Out(stream.Signature(Token)),
        })

    def elaborate(self, platform):
        # A byte is held while its bits enter the CRC, and moves with the last of them.
        m = Module()

        m.submodules.crc = check = Crc32()
        byte = Signal(8)
        word = Signal(32)
        lane = Signal(2)
        moves, fourth = Signal(), Signal()
        m.d.comb += [
            check.byte.eq(byte),
            moves.eq(self.o.valid & self.o.ready),
            fourth.eq(lane == 3),
            self.busy.eq(1),
        ]

        def send():
            m.d.comb += self.o.valid.eq(check.last)
            m.d.comb += self.o.p.data.eq(byte)
            m.d.comb += check.step.eq(~check.last | self.o.ready)

        def end():
            m.d.comb += self.o.valid.eq(1)
            m.d.comb += self.o.p.end.eq(1)

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.busy.eq(0)
                m.d.comb += check.start.eq(1)
                with m.If(self.start):
                    m.next = "Open"

            with m.State("Open"):
                end()
                with m.If(moves):
                    m.next = "Header"

            with m.State("Header"):
                m.d.sync += byte.eq(Mux(self.position == 1, self.op, self.octet))
                m.next = "Send header"

            with m.State("Send header"):
                send()
                with m.If(moves):
                    m.d.sync += self.position.eq(self.position + 1)
                    m.next = "Recall"
                    with m.If(self.position == HEADER - 1):
                        m.d.sync += self.position.eq(0)
                        m.next = "CRC"
                        with m.If(self.more):
                            m.next = "Word"

            with m.State("Recall"):
                m.next = "Header"

            with m.State("Word"):
                m.d.comb += self.taken.eq(1)
                m.d.sync += word.eq(self.word)
                m.next = "Data"

            with m.State("Data"):
                m.d.sync += byte.eq(word.word_select(lane, 8))
                m.next = "Send data"

            with m.State("Send data"):
                send()
                with m.If(moves):
                    m.d.sync += lane.eq(lane + 1)
                    m.next = "Data"
                    with m.If(fourth):
                        m.next = "CRC"
                        with m.If(self.more):
                            m.next = "Word"

            with m.State("CRC"):
                m.d.sync += byte.eq(check.low)
                m.next = "Send CRC"

            with m.State("Send CRC"):
                send()
                m.d.comb += check.drain.eq(1)
                with m.If(moves):
                    m.d.sync += lane.eq(lane + 1)
                    m.next = "CRC"
                    with m.If(fourth):
                        m.next = "Close"

            with m.State("Close"):
                end()
                with m.If(moves):
                    m.next = "Idle"

        return m
