"""What arrives at an endpoint, sorted: writes, requests that want an answer, and completions."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .tlp import CPL1, CPL2, DWORD, HEAD, REQ1, CompletionStatus, Type, swapped

__all__ = ["COMPLETION", "COUNTS", "REQUEST", "Receiver", "ReceiverModel"]

REQUEST = data.StructLayout({
    "supported": 1, "locked": 1, "memory": 1, "address": 10, "length": 10, "first_be": 4,
    "last_be": 4, "tag": 8, "requester": 16, "tc": 3, "attr": 2})
"""A non-posted request. ``supported`` are memory reads; ``address`` counts dwords in the BAR."""

COMPLETION = data.StructLayout({
    "tag": 8, "byte_count": 12, "good": 1, "poisoned": 1, "first": 1, "bare": 1, "data": 32})
"""A word of a completion with what its header says; ``good`` if its status is Successful
Completion, ``first`` if it is the first word of the packet, and ``bare`` if there is no data."""

COUNTS = data.StructLayout({"good": 16, "poisoned": 16, "dropped": 16})
"""Packets that were taken, that were marked as poisoned, and that were unsupported or malformed;
modulo 2**16."""

_NON_POSTED = (Type.MEMORY_LOCKED, Type.IO, Type.CONFIG_0, Type.CONFIG_1, Type.FETCH_ADD,
               Type.SWAP, Type.COMPARE_AND_SWAP)


@dataclass
class ReceiverModel:
    """The receiver in integers: what it makes of packets.

    Parameters
    ----------
    id : of the endpoint

    Members
    -------
    writes : pairs of dword address and word
    requests : packets that want an answer, and whether they are supported
    completions : ``(tag, byte count, good, poisoned, first, bare, word)``
    good, poisoned, dropped : packets
    """

    id: int

    def __post_init__(self):
        self.writes, self.requests, self.completions = [], [], []
        self.good = self.poisoned = self.dropped = 0

    def feed(self, tlp):
        """Take a whole packet."""
        self.poisoned += tlp.poisoned
        if tlp.answers and tlp.requester == self.id:
            self._complete(tlp)
        elif tlp.tlp_type is Type.MEMORY and tlp.has_data:
            self._write(tlp)
        elif tlp.tlp_type is Type.MEMORY or tlp.tlp_type in _NON_POSTED:
            supported = tlp.tlp_type is Type.MEMORY
            self.requests.append((tlp, supported))
            self._count(supported and not tlp.poisoned)
        else:
            self._count(False)

    def _count(self, good):
        self.good += good
        self.dropped += not good

    def _complete(self, tlp):
        good = tlp.status is CompletionStatus.SUCCESSFUL
        words = tlp.payload if tlp.has_data else [0]
        self.completions += [(tlp.tag, tlp.count & 0xfff, good, tlp.poisoned, k == 0,
                              not tlp.has_data, word) for k, word in enumerate(words)]
        self._count(not tlp.poisoned)

    def _write(self, tlp):
        self._count(not tlp.poisoned)
        for k, word in enumerate(tlp.payload):
            last = k == len(tlp.payload) - 1
            enabled = tlp.first_be if k == 0 else tlp.last_be if last else 0xf
            if enabled == 0xf and not tlp.poisoned:
                self.writes.append(((tlp.address >> 2) + k & 0x3ff, word))


class Receiver(wiring.Component):
    """Sorts packets.

    A memory write acts word by word, when its bytes are all enabled; other words, and poisoned
    packets, have no effect. A request that wants an answer is passed on, whether it is supported
    or not; the receiver waits until it is taken. Completions never wait. Messages, completions of
    other requesters, packets with prefixes and those of a type that does not exist are dropped and
    counted. A packet that ends before its header or payload does is dropped from there on, and the
    next one is understood again.

    Members
    -------
    i : ``In(stream.Signature(DWORD))``
    id : ``In(16)``, bus, device and function number
    w_addr, w_data, w_en : ``Out``, writes a word, ``w_addr`` counting dwords
    requests : ``Out(stream.Signature(REQUEST))``
    completions : ``Out(stream.Signature(COMPLETION, always_ready=True))``
    counts : ``Out(COUNTS)``
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(DWORD)),
            "id": In(16),
            "w_addr": Out(10), "w_data": Out(32), "w_en": Out(1),
            "requests": Out(stream.Signature(REQUEST)),
            "completions": Out(stream.Signature(COMPLETION, always_ready=True)),
            "counts": Out(COUNTS),
        })

    def elaborate(self, platform):
        m = Module()

        head, one, two = Signal(HEAD), Signal(32), Signal(32)
        ended, first = Signal(), Signal()
        left, place = Signal(11), Signal(10)
        dword, last = self.i.p.data, self.i.p.last
        good, bad, short = Signal(), Signal(), Signal()
        kind = self._kinds(m, head, two)
        self._fields(m, head, one, two, kind, place, left, first)

        with m.FSM():
            with m.State("Head 0"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += head.eq(dword)
                with m.If(self.i.valid):
                    m.d.comb += short.eq(last)
                    with m.If(~last):
                        m.next = "Head 1"
            with m.State("Head 1"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += one.eq(dword)
                with m.If(self.i.valid):
                    m.d.comb += short.eq(last)
                    m.next = "Head 0"
                    with m.If(~last):
                        m.next = "Head 2"
            with m.State("Head 2"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [two.eq(dword), place.eq(dword[2:]), ended.eq(last)]
                with m.If(self.i.valid):
                    m.next = "Judge"
                    with m.If(head.four):
                        m.d.comb += short.eq(last)
                        m.next = "Head 0"
                        with m.If(~last):
                            m.next = "Head 3"
            with m.State("Head 3"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [place.eq(dword[2:]), ended.eq(last)]
                with m.If(self.i.valid):
                    m.next = "Judge"
            with m.State("Judge"):
                m.d.sync += [left.eq(Cat(head.length, head.length == 0)), first.eq(1)]
                m.next = "Skip"
                with m.If(ended):
                    m.next = "Head 0"
                with m.If(head.has_data & ended):
                    m.d.comb += bad.eq(1)
                with m.Elif(kind.wants):
                    m.d.comb += self.requests.valid.eq(1)
                    with m.If(self.requests.ready):
                        m.d.comb += [good.eq(kind.memory & ~head.ep),
                                     bad.eq(~kind.memory | head.ep)]
                    with m.Else():
                        m.next = "Judge"
                with m.Elif(kind.completion & ~head.has_data):
                    m.d.comb += [self.completions.valid.eq(1), good.eq(~head.ep), bad.eq(head.ep)]
                with m.Elif(kind.completion | (kind.memory & ~head.ep)):
                    m.next = "Payload"
                with m.Else():
                    m.d.comb += bad.eq(1)
            with m.State("Payload"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [left.eq(left - 1), place.eq(place + 1), first.eq(0)]
                    m.d.comb += [
                        self.completions.valid.eq(kind.completion),
                        self.w_en.eq(~kind.completion & self._enabled(one, left, first).all()),
                        good.eq((left == 1) & ~head.ep),
                        bad.eq(Mux(left == 1, head.ep, last)),
                    ]
                    with m.If(last):
                        m.next = "Head 0"
                    with m.Elif(left == 1):
                        m.next = "Skip"
            with m.State("Skip"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & last):
                    m.next = "Head 0"

        poisoned = (good | bad) & head.ep
        m.d.sync += [
            self.counts.good.eq(self.counts.good + good),
            self.counts.dropped.eq(self.counts.dropped + (bad | short)),
            self.counts.poisoned.eq(self.counts.poisoned + poisoned),
        ]
        return m

    def _kinds(self, m, head, two):
        """What the packet is: a request that ``wants`` an answer, a ``memory`` request, or a
        ``completion`` of one of our own."""
        kind = Signal(data.StructLayout({"wants": 1, "memory": 1, "completion": 1}))
        with m.If(~head.prefix):
            with m.Switch(head.tlp_type):
                with m.Case(Type.MEMORY):
                    m.d.comb += [kind.memory.eq(1), kind.wants.eq(~head.has_data)]
                with m.Case(*_NON_POSTED):
                    m.d.comb += kind.wants.eq(1)
                with m.Case(Type.COMPLETION, Type.COMPLETION_LOCKED):
                    m.d.comb += kind.completion.eq(
                        ~head.four & (data.View(CPL2, two).requester == self.id))
        return kind

    def _fields(self, m, head, one, two, kind, place, left, first):
        request, answer = data.View(REQ1, one), data.View(CPL1, one)
        word = swapped(self.i.p.data)
        m.d.comb += [
            self.w_addr.eq(place),
            self.w_data.eq(word),
            self.requests.p.supported.eq(kind.memory),
            self.requests.p.locked.eq(head.tlp_type == Type.MEMORY_LOCKED),
            self.requests.p.memory.eq((head.tlp_type == Type.MEMORY)
                                      | (head.tlp_type == Type.MEMORY_LOCKED)),
            self.requests.p.address.eq(place),
            self.requests.p.length.eq(head.length),
            self.requests.p.first_be.eq(request.first_be),
            self.requests.p.last_be.eq(request.last_be),
            self.requests.p.tag.eq(request.tag),
            self.requests.p.requester.eq(request.requester),
            self.requests.p.tc.eq(head.tc),
            self.requests.p.attr.eq(head.attr),
            self.completions.p.tag.eq(data.View(CPL2, two).tag),
            self.completions.p.byte_count.eq(answer.byte_count),
            self.completions.p.good.eq(answer.status == CompletionStatus.SUCCESSFUL),
            self.completions.p.poisoned.eq(head.ep),
            self.completions.p.first.eq(first | ~head.has_data),
            self.completions.p.bare.eq(~head.has_data),
            self.completions.p.data.eq(Mux(head.has_data, word, 0)),
        ]

    @staticmethod
    def _enabled(one, left, first):
        """Byte enables of the word of a write."""
        request = data.View(REQ1, one)
        return Mux(first, request.first_be, Mux(left == 1, request.last_be, 0xf))
