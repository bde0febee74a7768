"""The event encoder: words of spikes become row addresses, one a clock."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import lowest, more_than

__all__ = ["EventEncoder", "event_layout", "word_layout"]


def _fields(core):
    # What a core does not need takes no bit.
    rows = max(core.weight_rows, core.parameter_rows * core.fixed)
    return {"row": range(max(2, rows)), "masked": int(core.masked), "fixed": int(core.fixed),
            "double": 1, "subtract": int(core.subtracts), "last": 1}


def word_layout(core):
    """A word of spikes on its way to the encoder of a :class:`hw.layers.CoreConfig`.

    ``row`` is the weight row of the word's first channel, ``fixed`` whether it is in the parameter
    memory. A ``masked`` word has one row, and ``spikes`` has a bit for each lane. ``double`` says
    that the potential doubles before the first charge of this word, ``last`` that the sums are
    complete after it. A word without a spike carries these two alone.
    """
    words = [core.lanes if source.lanes else source.map.word for source in core.sources]
    return data.StructLayout({"spikes": max(words), **_fields(core)})


def event_layout(core):
    """One operation of the lanes: the potential may double, then a row may be added; in those lanes
    alone that ``mask`` has a bit for, if it is ``masked``."""
    return data.StructLayout({"mask": core.lanes * core.masked, "add": 1, **_fields(core)})


class EventEncoder(wiring.Component):
    """Turns the set bits of spike words into events, lowest first, one a clock.

    A word with n spikes takes max(1, n) clocks, a masked one a clock; the next word follows without
    a gap.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

    Members
    -------
    i : ``In(stream.Signature(word_layout(core)))``
    o : ``Out(stream.Signature(event_layout(core)))``
    """

    def __init__(self, core):
        self._core = core
        super().__init__({
            "i": In(stream.Signature(word_layout(core))),
            "o": Out(stream.Signature(event_layout(core))),
        })

    @staticmethod
    def model(words):
        """Dicts in the shape of ``word_layout`` -> dicts in the shape of ``event_layout``."""
        events = []
        for word in words:
            spikes = word["spikes"]
            bits = [k for k in range(spikes.bit_length()) if spikes >> k & 1]
            if word["masked"]:
                bits = bits[:1] and [0]
            for k, bit in enumerate(bits or [0]):
                events.append({
                    "row": word["row"] + bit, "add": int(bool(bits)),
                    "masked": word["masked"], "fixed": word["fixed"],
                    "mask": spikes if word["masked"] else 0, "subtract": word["subtract"],
                    "double": word["double"] if k == 0 else 0,
                    "last": word["last"] if k == len(bits or [0]) - 1 else 0,
                })
        return events

    def elaborate(self, platform):
        m = Module()
        word = Signal(word_layout(self._core))
        held, move, final = Signal(), Signal(), Signal()
        m.d.comb += self.i.ready.eq(~held | (move & final))
        # Whether a spike is the last of its word is computed a clock before it is needed.
        with m.If(move):
            m.d.sync += word.spikes.eq(word.spikes & (word.spikes - 1))
            m.d.sync += final.eq(~more_than(2, word.spikes))
            m.d.sync += word.double.eq(0)
        with m.If(self.i.ready):
            m.d.sync += word.eq(self.i.payload)
            m.d.sync += final.eq(~more_than(1, self.i.p.spikes) | self.i.p.masked.any())
            m.d.sync += held.eq(self.i.valid)

        # Finding a spike and adding its place to the row would be too much for one clock.
        row, place = Signal.like(word.row), Signal(range(max(2, len(word.spikes))))
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        m.d.comb += self.o.p.row.eq(row + place)
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(held),
                row.eq(word.row),
                place.eq(Mux(word.masked.any(), 0, lowest(word.spikes))),
                self.o.p.add.eq(word.spikes != 0),
                self.o.p.mask.eq(word.spikes),
                self.o.p.masked.eq(word.masked),
                self.o.p.fixed.eq(word.fixed),
                self.o.p.subtract.eq(word.subtract),
                self.o.p.double.eq(word.double),
                self.o.p.last.eq(word.last & final),
            ]
        return m
