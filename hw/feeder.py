"""Between words of a link and beats of the array."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Collector", "Feeder", "Packing", "Word"]

Word = data.StructLayout({"data": 32, "last": 1})
"""A word of a result, and whether it is the last one."""


class Packing:
    """How beats lie in 32-bit words.

    Beats of up to 32 bits share a word, as many as fit whole, the first in the lowest bits. Wider
    beats take several words, the lowest bits first.

    Parameters
    ----------
    beats : beats of a sample
    beat_bits : bits of a beat

    Members
    -------
    per_word : beats in a word, or 1
    per_beat : words of a beat, or 1
    words : words of a sample
    """

    def __init__(self, beats, beat_bits):
        for name, value in (("beats", beats), ("beat_bits", beat_bits)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.beats, self.beat_bits = beats, beat_bits
        self.per_word = max(1, 32 // beat_bits)
        self.per_beat = -(-beat_bits // 32)
        self.words = -(-beats // self.per_word) * self.per_beat

    def pack(self, beats):
        """Beats to words."""
        if self.per_beat > 1:
            return [beat >> 32 * k & 0xffffffff for beat in beats for k in range(self.per_beat)]
        return [sum(beat << self.beat_bits * k
                    for k, beat in enumerate(beats[start:start + self.per_word]))
                for start in range(0, len(beats), self.per_word)]

    def unpack(self, words):
        """Words to beats."""
        mask = (1 << self.beat_bits) - 1
        if self.per_beat > 1:
            return [sum(word << 32 * k for k, word in enumerate(words[start:start + self.per_beat]))
                    & mask for start in range(0, len(words), self.per_beat)]
        return [word >> self.beat_bits * k & mask
                for word in words for k in range(self.per_word)][:self.beats]


class Feeder(wiring.Component):
    """Turns the words of samples into beats.

    Beats that share a word come one a clock, wider ones take as many clocks as they have words.

    Parameters
    ----------
    packing : :class:`Packing`

    Members
    -------
    i : ``In(stream.Signature(32))``, words of samples, one sample after the other
    o : ``Out(stream.Signature(data.StructLayout({"beat": beat_bits, "first": 1})))``, beats, and
        whether they are the first of a sample
    """

    def __init__(self, packing):
        if not isinstance(packing, Packing):
            raise TypeError(f"packing must be a Packing, not {packing!r}")
        self._packing = packing
        super().__init__({
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(
                data.StructLayout({"beat": packing.beat_bits, "first": 1}))),
        })

    @property
    def packing(self):
        return self._packing

    def model(self, words):
        """The words of a sample to beats."""
        return self._packing.unpack(words)

    def elaborate(self, platform):
        # `parts` words have been taken into `window`, from which beats are shifted.
        m = Module()

        packing = self._packing
        window = Signal(32 * packing.per_beat)
        parts = Signal(range(packing.per_beat + 1))
        slot = Signal(range(packing.per_word))
        left = Signal(range(packing.beats + 1), init=packing.beats)
        first = Signal(init=1)

        full = Signal()
        sent = Signal()
        done = Signal()
        used = Signal()
        take = Signal()
        m.d.comb += [
            full.eq(parts == packing.per_beat),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(left == 1),
            used.eq(sent & (done | (slot == packing.per_word - 1))),
            self.i.ready.eq(~full | used),
            take.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(full),
            self.o.p.beat.eq(window),
            self.o.p.first.eq(first),
        ]

        with m.If(take):
            m.d.sync += window.eq(Cat(window, self.i.payload)[32:])
        with m.Elif(sent):
            m.d.sync += window.eq(window >> packing.beat_bits)
        m.d.sync += parts.eq(Mux(used, 0, parts) + take)

        with m.If(sent):
            m.d.sync += slot.eq(Mux(used, 0, slot + 1))
            m.d.sync += left.eq(Mux(done, packing.beats, left - 1))
            m.d.sync += first.eq(done)

        return m


class Collector(wiring.Component):
    """Turns the logits of samples, which come a group of lanes at a time, into words of results.

    A result has a word for each logit, or two if they are wider than that, the lower one first, and
    a word for each 32 bits of ``quiet``. Its last word is the number of clocks from the first beat
    of the sample to its last logits. A beat is taken when all words of the one before were taken.

    Parameters
    ----------
    classes : logits of a position
    lanes : logits in a beat; those beyond ``classes`` are ignored
    bits : of a logit, at most 64
    positions : of a sample, one after the other
    quiet : further bits that come with a sample's last logits

    Members
    -------
    i : ``In(stream.Signature(data.ArrayLayout(signed(bits), lanes)))``
    quiet : ``In``, if there are such bits
    clock : ``In(32)``, the present time
    began : ``In(stream.Signature(32))``, the time at which each sample has begun
    o : ``Out(stream.Signature(Word))``
    """

    def __init__(self, classes, lanes, bits, *, positions=1, quiet=0):
        for name, value in (("classes", classes), ("lanes", lanes), ("bits", bits),
                            ("positions", positions)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if bits > 64:
            raise ValueError(f"bits must be at most 64, not {bits!r}")
        self._classes, self._lanes, self._bits = classes, lanes, bits
        self._words, self._positions, self._quiet = -(-bits // 32), positions, quiet
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(signed(bits), lanes))),
            **({"quiet": In(quiet)} if quiet else {}),
            "clock": In(32),
            "began": In(stream.Signature(32)),
            "o": Out(stream.Signature(Word)),
        })

    def model(self, beats):
        """Beats of a sample, as integers, to the words of its logits, the lowest first."""
        mask, sign = (1 << self._bits) - 1, 1 << self._bits - 1
        groups, logits = -(-self._classes // self._lanes), []
        for first in range(0, len(beats), groups):
            position = [beat >> self._bits * k & mask for beat in beats[first:first + groups]
                        for k in range(self._lanes)]
            logits += [(logit ^ sign) - sign for logit in position[:self._classes]]
        return [logit >> 32 * k & 0xffffffff for logit in logits for k in range(self._words)]

    def elaborate(self, platform):
        m = Module()

        beat = Signal(self._bits * self._lanes)
        left = Signal(range(self._lanes + 1))
        index = Signal(range(self._classes))
        ended = Signal(32)
        ending = Signal()
        final = Signal()
        sent = Signal()
        whole = Signal()

        logit = beat[:self._bits].as_signed()
        m.d.comb += [
            self.i.ready.eq((left == 0) & ~ending),
            self.o.valid.eq(Mux(ending, self.began.valid, left != 0)),
            self.o.p.last.eq(ending),
            self.o.p.data.eq(Mux(ending, ended - self.began.payload, logit)),
            self.began.ready.eq(ending & self.o.ready),
            final.eq(index == self._classes - 1),
            sent.eq(self.o.valid & self.o.ready),
            whole.eq(sent & ~ending),
        ]
        if self._words == 2:
            high = Signal()
            with m.If(sent & ~ending):
                m.d.sync += high.eq(~high)
            m.d.comb += whole.eq(sent & ~ending & high)
            with m.If(high & ~ending):
                m.d.comb += self.o.p.data.eq(logit >> 32)

        completes = self._completes(m, whole, final)

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += beat.eq(self.i.payload)
            m.d.sync += left.eq(self._lanes)
            m.d.sync += ended.eq(self.clock)
        with m.If(whole):
            m.d.sync += beat.eq(beat >> self._bits)
            m.d.sync += left.eq(Mux(final, 0, left - 1))
            m.d.sync += index.eq(Mux(final, 0, index + 1))
            m.d.sync += ending.eq(completes)
        with m.If(sent & self.o.p.last):
            m.d.sync += ending.eq(0)
        if self._quiet:
            self._tell(m, ending, sent)

        return m

    def _completes(self, m, whole, final):
        """Whether a logit is the last one of the sample.

        Parameters
        ----------
        whole : the present logit leaves
        final : it is the last one of its position
        """
        if self._positions == 1:
            return final
        last = self._positions - 1
        left = Signal(range(self._positions), init=last)
        with m.If(whole & final):
            m.d.sync += left.eq(Mux(left == 0, last, left - 1))
        return final & (left == 0)

    def _tell(self, m, ending, sent):
        """The words between the logits and the clocks."""
        words = -(-self._quiet // 32)
        quiet, turn = Signal(32 * words), Signal(range(words + 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += quiet.eq(self.quiet)
        with m.If(ending & (turn != words)):
            m.d.comb += [self.o.valid.eq(1), self.o.p.last.eq(0), self.o.p.data.eq(quiet),
                         self.began.ready.eq(0)]
            with m.If(sent):
                m.d.sync += [turn.eq(turn + 1), quiet.eq(quiet >> 32)]
        with m.If(sent & self.o.p.last):
            m.d.sync += turn.eq(0)
