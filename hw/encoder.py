"""The event encoder: words of spikes become row addresses, one a clock."""

from functools import partial

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["EventEncoder", "word_layout", "event_layout", "lowest", "more_than",
           "place"]


def lowest(bits):
    """Index of the lowest set bit of ``bits``, combinationally; 0 if there is none.

    A tree: of two halves the lower one is taken if it has a bit. Finding the bit by a subtraction
    first (``bits & -bits``) would be a carry chain in front of another tree.
    """
    # Each node says whether it has a bit, and where, the lowest bit of the index first.
    nodes = [(bit, ()) for bit in bits]
    while len(nodes) > 1:
        if len(nodes) % 2:
            nodes.append((Const(0), tuple(Const(0) for _ in nodes[0][1])))
        nodes = [(low | high, (*map(partial(Mux, low), lows, highs), ~low & high))
                 for (low, lows), (high, highs) in zip(nodes[::2], nodes[1::2], strict=True)]
    return Cat(nodes[0][1])


def place(one_hot):
    """Index of the only set bit; 0 if there is none. Bit k is the OR of the bits whose own index
    has bit k set."""
    width = len(one_hot)
    return Cat((one_hot & sum(1 << i for i in range(width) if i >> k & 1)).any()
               for k in range(max(1, (width - 1).bit_length())))


def more_than(n, bits):
    """Whether more than ``n`` bits of ``bits`` are set: a tree, which is faster than an adder."""
    # Each node says whether at least 0, 1, ... n + 1 bits are set.
    nodes = [[Const(1), bit, *[Const(0)] * n] for bit in bits]
    while len(nodes) > 1:
        if len(nodes) % 2:
            nodes.append([Const(1), *[Const(0)] * (n + 1)])
        nodes = [[Cat(a[i] & b[k - i] for i in range(k + 1)).any() for k in range(n + 2)]
                 for a, b in zip(nodes[::2], nodes[1::2], strict=True)]
    return nodes[0][n + 1]


def word_layout(word, rows):
    """A word of spikes on its way to the encoder.

    ``row`` is the weight row of the word's first channel. ``double`` says that the potential
    doubles before the first charge of this word, ``last`` that the sums are complete after it. A
    word without a spike carries these two alone.
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
        # Whether a spike is the last of its word is found out a clock before it is looked at.
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
