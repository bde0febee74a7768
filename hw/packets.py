"""Between packets, whose length a sender may get wrong, and the samples of a device."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .feeder import Word
from .stream import Queue

__all__ = ["Answer", "Packets", "model"]

Answer = data.StructLayout({"data": 32, "last": 1, "bad": 1})
"""A word of an answer, whether it is the last one, and whether the packet had another length than a
sample."""


def model(packets, words, begins=None):
    """Packets to the samples that the device gets, and for each whether its result is refused.

    Parameters
    ----------
    packets : words of each
    words, begins : as for :class:`Packets`
    """
    samples, refused, broken = [], [], False
    for packet in packets:
        wrong = len(packet) != words
        if begins is not None:
            place, bit = divmod(begins, 32)
            fresh = place < len(packet) and packet[place] >> bit & 1
            broken = broken and not fresh
        samples.append([*packet, *[0] * words][:words])
        refused.append(wrong or broken)
        broken = begins is not None and (wrong or broken)
    return samples, refused


class Packets(wiring.Component):
    """Gives a device samples whatever the length of packets is, and each packet one answer.

    A packet that ends early is filled up with zeros, and words after the last one of a sample are
    dropped until the packet ends. So a packet of a wrong length takes the device as long as another
    one and leaves nothing behind. Its answer is one word, which is ``bad``. If samples are blocks
    of sequences, so are all answers until a packet begins a sequence: the one that is going on has
    lost an element.

    Parameters
    ----------
    words : of a sample
    ahead : packets that may have ended and wait for their answers, at least 2
    begins : bit of a sample that says whether it begins a sequence, if it is a block of one

    Members
    -------
    i : ``In(stream.Signature(Word))``, packets
    o : ``Out(stream.Signature(32))``, samples
    results : ``In(stream.Signature(Word))``, one for each sample
    answers : ``Out(stream.Signature(Answer))``, the results, or what stands for them
    """

    def __init__(self, words, *, ahead, begins=None):
        if not isinstance(words, int) or words < 1:
            raise ValueError(f"words must be a positive integer, not {words!r}")
        if begins is not None and not 0 <= begins < 32 * words:
            raise ValueError(f"begins must be a bit of {words} words, not {begins!r}")
        self._words, self._ahead, self._begins = words, ahead, begins
        super().__init__({
            "i": In(stream.Signature(Word)),
            "o": Out(stream.Signature(32)),
            "results": In(stream.Signature(Word)),
            "answers": Out(stream.Signature(Answer)),
        })

    def elaborate(self, platform):
        # A verdict is there when the last word of a sample has moved or is certain to be a zero, so
        # always before the last word of the result.
        m = Module()

        m.submodules.verdicts = verdicts = Queue(1, depth=self._ahead)
        index = Signal(range(self._words))
        final, ends, may, takes, wrong = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            final.eq(index == self._words - 1),
            ends.eq(final | self.i.p.last),
            may.eq(verdicts.i.ready | ~ends),
            wrong.eq(final != self.i.p.last),
            self.o.payload.eq(self.i.p.data),
            verdicts.i.payload.eq(wrong | self._broken(m, index, takes, ends, wrong)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += index.eq(Mux(final, 0, index + 1))

        with m.FSM():
            with m.State("Pass"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid & may),
                    self.i.ready.eq(self.o.ready & may),
                    takes.eq(self.i.valid & self.o.ready & may),
                    verdicts.i.valid.eq(self.i.valid & self.o.ready & ends),
                ]
                with m.If(takes & wrong):
                    m.next = "Drop"
                    with m.If(self.i.p.last):
                        m.next = "Fill"

            with m.State("Fill"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(0)]
                with m.If(self.o.ready & final):
                    m.next = "Pass"

            with m.State("Drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.p.last):
                    m.next = "Pass"

        self._answer(m, verdicts.o)
        return m

    def _broken(self, m, index, takes, ends, wrong):
        """Whether the sequence that a packet goes on with has lost an element."""
        if self._begins is None:
            return C(0)
        place, bit = divmod(self._begins, 32)
        broken, fresh = Signal(), Signal()
        m.d.comb += fresh.eq(takes & (index == place) & self.i.p.data[bit])
        with m.If(fresh):
            m.d.sync += broken.eq(0)
        with m.If(takes & ends & wrong):
            m.d.sync += broken.eq(1)
        return broken & ~fresh

    def _answer(self, m, verdict):
        """Of a result that is refused, only the last word moves on, as a zero."""
        results, answers, bad = self.results, self.answers, verdict.payload
        shown = ~bad | results.p.last
        m.d.comb += [
            answers.valid.eq(verdict.valid & results.valid & shown),
            answers.p.data.eq(Mux(bad, 0, results.p.data)),
            answers.p.last.eq(results.p.last),
            answers.p.bad.eq(bad),
            results.ready.eq(verdict.valid & (answers.ready | ~shown)),
            verdict.ready.eq(results.valid & results.ready & results.p.last),
        ]
