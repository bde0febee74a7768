"""What an endpoint sends: requests of its own, and the order of all that leaves."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .reads import BURST
from .tlp import DWORD, HEAD, REQ1, Type, memory_read, memory_write, swapped

__all__ = ["ACCESS", "Arbiter", "Requester"]

ACCESS = data.StructLayout({"write": 1, "address": 64, "length": range(BURST + 1), "tag": 8})
"""An access to words of host memory, which must not cross a boundary of 4 KiB."""


class Requester(wiring.Component):
    """Makes memory requests.

    Members
    -------
    i : ``In(stream.Signature(ACCESS))``, taken after the last dword of the request
    words : ``In(stream.Signature(32))``, those that are written
    id : ``In(16)``, bus, device and function number
    o : ``Out(stream.Signature(DWORD))``
    """

    i: In(stream.Signature(ACCESS))
    words: In(stream.Signature(32))
    id: In(16)
    o: Out(stream.Signature(DWORD))

    @staticmethod
    def model(address, length, *, tag=0, words=None, requester=0):
        """The request for an access, which writes ``words`` if there are any."""
        if words is None:
            return memory_read(address, length, tag=tag, requester=requester)
        return memory_write(address, words, tag=tag, requester=requester)

    def elaborate(self, platform):
        m = Module()

        access = self.i.p
        high = access.address[32:]
        head, one = Signal(HEAD), Signal(REQ1)
        four, left = Signal(), Signal(range(BURST + 1))
        m.d.comb += [
            head.tlp_type.eq(Type.MEMORY),
            head.four.eq(four),
            head.has_data.eq(access.write),
            head.length.eq(access.length),
            one.first_be.eq(0xf),
            one.last_be.eq(Mux(access.length == 1, 0, 0xf)),
            one.tag.eq(access.tag),
            one.requester.eq(self.id),
        ]

        with m.FSM():
            with m.State("Idle"):
                # Below 4 GiB the header must have three dwords.
                m.d.sync += [four.eq(high.any()), left.eq(access.length)]
                with m.If(self.i.valid):
                    m.next = "Head 0"
            with m.State("Head 0"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(head)]
                with m.If(self.o.ready):
                    m.next = "Head 1"
            with m.State("Head 1"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(one)]
                with m.If(self.o.ready):
                    m.next = "Low"
                    with m.If(four):
                        m.next = "High"
            with m.State("High"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(high)]
                with m.If(self.o.ready):
                    m.next = "Low"
            with m.State("Low"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(access.address[:32]),
                             self.o.p.last.eq(~access.write)]
                with m.If(self.o.ready):
                    m.next = "Done"
                    with m.If(access.write):
                        m.next = "Data"
            with m.State("Data"):
                m.d.comb += [
                    self.o.valid.eq(self.words.valid),
                    self.words.ready.eq(self.o.ready),
                    self.o.p.data.eq(swapped(self.words.payload)),
                    self.o.p.last.eq(left == 1),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "Done"
            with m.State("Done"):
                m.d.comb += self.i.ready.eq(1)
                m.next = "Idle"

        return m


class Arbiter(wiring.Component):
    """Lets whole packets pass, those of the first stream before those of the second.

    Members
    -------
    i : ``In(stream.Signature(DWORD)).array(2)``
    o : ``Out(stream.Signature(DWORD))``
    """

    i: In(stream.Signature(DWORD)).array(2)
    o: Out(stream.Signature(DWORD))

    def elaborate(self, platform):
        m = Module()

        inside, kept, whose = Signal(), Signal(), Signal()
        first, second = self.i
        m.d.comb += whose.eq(Mux(inside, kept, ~first.valid))
        for k, i in enumerate((first, second)):
            with m.If(whose == k):
                m.d.comb += [self.o.valid.eq(i.valid), self.o.payload.eq(i.payload),
                             i.ready.eq(self.o.ready)]
        with m.If(self.o.valid):
            # A packet that was offered stays until it is taken.
            m.d.sync += [kept.eq(whose), inside.eq(~(self.o.ready & self.o.p.last))]

        return m
