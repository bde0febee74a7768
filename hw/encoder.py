"""The event encoder: words of spikes become row addresses, one a clock."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import lowest, more_than

__all__ = ["EventEncoder", "word_layout", "event_layout"]


def word_layout(word, rows):
    """A word of spikes on its way to the encoder.

    ``row`` is the weight row of the word's first channel. ``double`` says that the potential
    doubles before the first charge of this word, ``last`` that the sums are complete after it. A
    word without a spike carries only these two.
    """
    return data.StructLayout({
        "spikes": word, "row": range(max(2, rows)), "double": 1, "last": 1,
    })


def event_layout(rows):
    """One operation of the lanes: the potential may double, then a row may be added."""
    return data.StructLayout({
        "row": range(max(2, rows)), "add": 1, "double": 1, "last": 1,
    })


class EventEncoder(wiring.Component):
    """Turns the set bits of spike words into events, lowest first, one a clock.

    A word with n spikes takes max(1, n) clocks; the next word follows without a gap.

    Parameters
    ----------
    word : bits of a word
    rows : rows of the weight memory

    Members
    -------
    i : ``In(stream.Signature(word_layout(word, rows)))``
    o : ``Out(stream.Signature(event_layout(rows)))``
    """

    def __init__(self, word, rows):
        self._word = word
        self._rows = rows
        super().__init__({
            "i": In(stream.Signature(word_layout(word, rows))),
            "o": Out(stream.Signature(event_layout(rows))),
        })

    @staticmethod
    def model(words):
        """Dicts in the shape of ``word_layout`` -> dicts in the shape of ``event_layout``."""
        events = []
        for word in words:
            bits = [k for k in range(word["spikes"].bit_length()) if word["spikes"] >> k & 1]
            for turn, bit in enumerate(bits or [0]):
                events.append({
                    "row": word["row"] + bit, "add": int(bool(bits)),
                    "double": word["double"] if turn == 0 else 0,
                    "last": word["last"] if turn == len(bits or [0]) - 1 else 0,
                })
        return events

    def elaborate(self, platform):
        m = Module()
        word = Signal(word_layout(self._word, self._rows))
        held, move, final = Signal(), Signal(), Signal()
        m.d.comb += self.i.ready.eq(~held | (move & final))
        # Whether a spike is the last of its word is computed a clock before it is needed.
        with m.If(move):
            m.d.sync += word.spikes.eq(word.spikes & (word.spikes - 1))
            m.d.sync += final.eq(~more_than(2, word.spikes))
            m.d.sync += word.double.eq(0)
        with m.If(self.i.ready):
            m.d.sync += word.eq(self.i.payload)
            m.d.sync += final.eq(~more_than(1, self.i.p.spikes))
            m.d.sync += held.eq(self.i.valid)

        # Finding a spike and adding its place to the row would be too much for one clock.
        row, place = Signal.like(word.row), Signal(range(max(2, self._word)))
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        m.d.comb += self.o.p.row.eq(row + place)
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(held),
                row.eq(word.row),
                place.eq(lowest(word.spikes)),
                self.o.p.add.eq(word.spikes != 0),
                self.o.p.double.eq(word.double),
                self.o.p.last.eq(word.last & final),
            ]
        return m
