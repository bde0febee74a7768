"""Answers to the requests of a host."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .receive import REQUEST
from .tlp import CPL1, CPL2, DWORD, HEAD, CompletionStatus, Type, completion, swapped

__all__ = ["LONGEST", "Completer"]

LONGEST = 32
"""Dwords that a read may ask for: no more than a completion may always carry."""

_LATENCY = 2


class Completer(wiring.Component):
    """Answers requests, one after the other.

    A memory read of up to :data:`LONGEST` dwords is answered by one completion with data, a longer
    one with the status Completer Abort, and anything else with Unsupported Request.

    Members
    -------
    i : ``In(stream.Signature(REQUEST))``
    id : ``In(16)``, bus, device and function number
    addr : ``Out(10)``, dword that is read
    r_data : ``In(32)``, its word, two clocks later
    o : ``Out(stream.Signature(DWORD))``, completions
    """

    i: In(stream.Signature(REQUEST))
    id: In(16)
    addr: Out(10)
    r_data: In(32)
    o: Out(stream.Signature(DWORD))

    @staticmethod
    def model(request, supported, read, completer):
        """The answer to a packet.

        Parameters
        ----------
        read : called with the number of a dword in the BAR, returns its word
        completer : the endpoint's number
        """
        if not supported:
            status = CompletionStatus.UNSUPPORTED
        elif request.length > LONGEST:
            status = CompletionStatus.ABORT
        else:
            first = request.address >> 2
            words = [read(first + k & 0x3ff) for k in range(request.length)]
            return completion(request, words, completer=completer)
        if request.tlp_type not in (Type.MEMORY, Type.MEMORY_LOCKED):
            return completion(request, completer=completer, status=status, count=4, address=0)
        return completion(request, completer=completer, status=status)

    def elaborate(self, platform):
        m = Module()

        request = self.i.p
        status, carries = Signal(CompletionStatus), Signal()
        place, left = Signal(10), Signal(range(LONGEST + 1))
        wait = Signal(range(_LATENCY + 1))
        count, lead = self._bytes(m, request)
        head, one, two = Signal(HEAD), Signal(CPL1), Signal(CPL2)
        m.d.comb += [
            head.tlp_type.eq(Mux(request.locked, Type.COMPLETION_LOCKED, Type.COMPLETION)),
            head.has_data.eq(carries),
            head.length.eq(Mux(carries, request.length, 0)),
            head.tc.eq(request.tc),
            head.attr.eq(request.attr),
            one.byte_count.eq(Mux(request.memory, count, 4)),
            one.status.eq(status),
            one.completer.eq(self.id),
            two.lower_address.eq(Mux(request.memory, Cat(lead, request.address[:5]), 0)),
            two.tag.eq(request.tag),
            two.requester.eq(request.requester),
            self.addr.eq(place),
        ]

        with m.FSM():
            with m.State("Idle"):
                short = (request.length <= LONGEST) & (request.length != 0)
                m.d.sync += [
                    place.eq(request.address), left.eq(request.length),
                    carries.eq(request.supported & short),
                    status.eq(Mux(~request.supported, CompletionStatus.UNSUPPORTED,
                                  Mux(short, CompletionStatus.SUCCESSFUL,
                                      CompletionStatus.ABORT))),
                ]
                with m.If(self.i.valid):
                    m.next = "Head 0"
            with m.State("Head 0"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(head)]
                with m.If(self.o.ready):
                    m.next = "Head 1"
            with m.State("Head 1"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(one)]
                with m.If(self.o.ready):
                    m.next = "Head 2"
            with m.State("Head 2"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(two), self.o.p.last.eq(~carries)]
                m.d.sync += wait.eq(_LATENCY)
                with m.If(self.o.ready):
                    m.next = "Done"
                    with m.If(carries):
                        m.next = "Data"
            with m.State("Data"):
                m.d.comb += [self.o.valid.eq(wait == 0), self.o.p.data.eq(swapped(self.r_data)),
                             self.o.p.last.eq(left == 1)]
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Elif(self.o.ready):
                    m.d.sync += [place.eq(place + 1), left.eq(left - 1), wait.eq(_LATENCY)]
                    with m.If(left == 1):
                        m.next = "Done"
            with m.State("Done"):
                m.d.comb += self.i.ready.eq(1)
                m.next = "Idle"

        return m

    @staticmethod
    def _bytes(m, request):
        """Byte Count of the answer to a memory read, and the lowest bits of its Lower Address."""
        lead, trail, count = Signal(2), Signal(2), Signal(12)
        several = request.length != 1
        with m.Switch(request.first_be):
            for first, pattern in enumerate(("---1", "--10", "-100", "1000")):
                with m.Case(pattern):
                    m.d.comb += lead.eq(first)
        with m.Switch(Mux(several, request.last_be, request.first_be)):
            for last, pattern in enumerate(("1---", "01--", "001-", "0001")):
                with m.Case(pattern):
                    m.d.comb += trail.eq(last)
        m.d.comb += count.eq((request.length << 2) - lead - trail)
        with m.If(~several & (request.first_be == 0)):
            m.d.comb += count.eq(1)
        return count, lead
