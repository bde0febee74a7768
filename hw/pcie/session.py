"""Sessions: what a host has begun, and how it ends, however it ends."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.feeder import Word

__all__ = ["Session"]


class Session(wiring.Component):
    """Lets samples pass to the device, and results back, while a session is open.

    A session that ends in the middle leaves nothing behind. A sample that has begun is filled up
    with zeros, and its result and those of all samples before are dropped. Only then does the
    endpoint rest, and may another session be opened.

    Parameters
    ----------
    words : words of a sample

    Members
    -------
    write, number : ``In``, for a clock: open the session ``number`` if the endpoint rests; end the
        one that is open if it does not, or if ``number`` is 0
    refuses : ``In(1)``, no sample may be begun
    busy : ``In(1)``, whether accesses to host memory are under way
    session : ``Out(32)``, the number of the session that is open, or 0
    era : ``Out(2)``, counts sessions
    resting : ``Out(1)``
    submitted, completed : ``Out(16)``, samples of the session that were begun, and those that have
        their results
    samples, results : ``In``, words of samples, and of results from the device
    o_samples, o_results : ``Out``, to the device, and words of results of the session
    """

    def __init__(self, words):
        if not isinstance(words, int) or words < 1:
            raise ValueError(f"words must be a positive integer, not {words!r}")
        self._words = words
        super().__init__({
            "write": In(1), "number": In(32), "refuses": In(1), "busy": In(1),
            "session": Out(32), "era": Out(2), "resting": Out(1, init=1),
            "submitted": Out(16), "completed": Out(16),
            "samples": In(stream.Signature(32)), "o_samples": Out(stream.Signature(32)),
            "results": In(stream.Signature(Word)), "o_results": Out(stream.Signature(Word)),
        })

    def elaborate(self, platform):
        # A word that the device has been offered stays until it is taken: `feeds` follows
        # `session` only between words, and `admits` what may be begun. So does `keeps`, between
        # results that are handed on.
        m = Module()

        opened = Signal()
        feeds, keeps, admits = Signal(), Signal(), Signal()
        place = Signal(range(self._words))
        passes, moves, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            opened.eq(self.session.any()),
            passes.eq(feeds & (admits | place.any())),
            self.o_samples.valid.eq(Mux(feeds, self.samples.valid & passes, place.any())),
            self.o_samples.payload.eq(Mux(feeds, self.samples.payload, 0)),
            self.samples.ready.eq(passes & self.o_samples.ready),
            self.o_results.valid.eq(keeps & self.results.valid),
            self.o_results.payload.eq(self.results.payload),
            self.results.ready.eq(~keeps | self.o_results.ready),
            moves.eq(self.o_samples.valid & self.o_samples.ready),
            ends.eq(self.results.valid & self.results.ready & self.results.p.last),
        ]
        with m.If(~self.o_samples.valid | self.o_samples.ready):
            m.d.sync += [feeds.eq(opened), admits.eq(~self.refuses)]
        with m.If(~self.o_results.valid | self.o_results.ready):
            m.d.sync += keeps.eq(opened)
        with m.If(moves):
            m.d.sync += place.eq(Mux(place == self._words - 1, 0, place + 1))
            m.d.sync += self.submitted.eq(self.submitted + (place == 0))
        m.d.sync += self.completed.eq(self.completed + ends)

        still = ~(opened | feeds | keeps | self.busy | place.any())
        m.d.sync += self.resting.eq(still & (self.submitted == self.completed))
        with m.If(self.write):
            m.d.sync += self.session.eq(Mux(self.resting, self.number, 0))
            with m.If(self.resting & self.number.any()):
                m.d.sync += [self.resting.eq(0), self.era.eq(self.era + 1),
                             self.submitted.eq(0), self.completed.eq(0)]

        return m
