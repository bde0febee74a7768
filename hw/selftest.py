"""A device that tests itself: it computes samples that it knows the results of."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .contents import WORD, ContentsBus, ContentsPort, Rows
from .feeder import Word

__all__ = ["SelfTest", "selftest_words"]


def selftest_words(config, image):
    """Words of samples, and of their results, in an image of the memories of a
    :class:`hw.config.ArrayConfig`; ``None`` if the device does not test itself."""
    return [image[f"selftest.{name}"].rows for name in ("samples", "results")
            ] if config.selftests else None


class SelfTest(wiring.Component):
    """Stands between a link and a device, and sends samples of its own after a reset, and whenever
    it is told to. The link has to wait meanwhile. Otherwise the words of both sides pass.

    Parameters
    ----------
    samples : words of all samples
    expected : words of all results, without the clocks that each of them ends with
    number : that stands for a core on the bus, if these words may be loaded

    Members
    -------
    i, results : ``In(stream.Signature(32))``, from the link; ``In(stream.Signature(Word))``, from
        the device
    o, answers : ``Out``, the same to the other side
    may : ``In(1)``: a test may begin; it is carried through
    again : ``In(1)``: test once more; not while a sample of the link's is under way
    running : ``Out(1)``
    under_way : ``Out(1)``: samples of the test are
    passed, failed : ``Out(1)``, of the last test
    contents : ``In(ContentsBus)``; only if there is a ``number``. A word is there a clock earlier
        than that of an array
    """

    def __init__(self, samples, expected, *, number=None):
        if not samples or not expected:
            raise ValueError("there must be samples, and results of them")
        self._samples, self._expected, self._number = samples, expected, number
        super().__init__({
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(32)),
            "results": In(stream.Signature(Word)),
            "answers": Out(stream.Signature(Word)),
            "may": In(1, init=1),
            "again": In(1),
            "running": Out(1, init=1),
            "under_way": Out(1),
            "passed": Out(1),
            "failed": Out(1),
            **({} if number is None else {"contents": In(ContentsBus)}),
        })

    def elaborate(self, platform):
        m = Module()
        written = self._number is not None
        m.submodules.samples = samples = Rows(WORD, len(self._samples), self._samples,
                                              written=written)
        m.submodules.expected = expected = Rows(WORD, len(self._expected), self._expected,
                                                written=written)
        sent = Signal(range(len(self._samples) + 1))
        compared = Signal(range(len(self._expected) + 1))
        # A word of a memory is there a clock after its number.
        has_sample, has_expected = Signal(), Signal()
        sends, compares, wrong, differs = Signal(), Signal(), Signal(), Signal()
        begun, ends, due = Signal(), Signal(), Signal()
        m.d.comb += [
            samples.addr.eq(sent), expected.addr.eq(compared),
            self.o.payload.eq(Mux(self.running, samples.data, self.i.payload)),
            self.o.valid.eq(Mux(self.running, has_sample, self.i.valid)),
            self.i.ready.eq(self.o.ready & ~self.running),
            self.answers.payload.eq(self.results.payload),
            self.answers.valid.eq(self.results.valid & ~self.running),
            self.results.ready.eq(Mux(self.running, has_expected, self.answers.ready)),
            sends.eq(self.running & self.o.valid & self.o.ready),
            compares.eq(self.running & self.results.valid & self.results.ready),
            differs.eq(~self.results.p.last & (self.results.p.data != expected.data)),
            begun.eq(has_sample | (sent != 0)), self.under_way.eq(self.running & begun),
            ends.eq(compares & self.results.p.last & (compared == len(self._expected))),
        ]
        m.d.sync += [
            has_sample.eq(self.running & ~sends & (sent != len(self._samples))
                          & (begun | self.may)),
            has_expected.eq(self.running & ~compares),
            sent.eq(sent + sends),
            compared.eq(compared + (compares & ~self.results.p.last)),
            wrong.eq(wrong | compares & differs),
        ]
        # A test whose samples are under way ends before the next one begins.
        with m.If(ends):
            m.d.sync += [self.running.eq(due | self.again), due.eq(0), sent.eq(0), compared.eq(0),
                         wrong.eq(0), self.passed.eq(~wrong & ~due & ~self.again),
                         self.failed.eq(wrong & ~due & ~self.again)]
        with m.Elif(self.again):
            m.d.sync += [self.running.eq(1), self.passed.eq(0), self.failed.eq(0),
                         due.eq(self.running & begun)]
        if self._number is not None:
            self._open(m, samples, expected)
        return m

    def _open(self, m, samples, expected):
        """Let the bus write and read words."""
        m.submodules.port = port = ContentsPort((WORD, WORD), self._number, 0)
        connect(m, flipped(self.contents), port.bus)
        for k, rows in enumerate((samples, expected)):
            row = Signal(WORD, name=f"row_{k}", reset_less=True)
            m.d.sync += row.eq(rows.data)
            m.d.comb += [
                rows.w_addr.eq(port.row), rows.w_data.eq(port.data),
                rows.w_en.eq(getattr(port, f"writes{k}")), getattr(port, f"rows{k}").eq(row),
            ]
            with m.If(port.reads[k]):
                m.d.comb += rows.addr.eq(port.row)
