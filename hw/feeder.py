"""Between words of the bus and beats of the array."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Collector", "Feeder", "Packing"]


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
    """The input buffer of two samples, and what turns them into beats.

    While the beats of one sample are sent, the words of the next one are written. A clock with
    ``start`` says that they are all there; they are sent once, when all beats before are. Beats
    that share a word come one a clock, wider ones take as many clocks as they have words, and one
    more.

    Parameters
    ----------
    packing : :class:`Packing`

    Members
    -------
    w_addr, w_data, w_en : ``In``, writes a word of the next sample; not unless ``free``
    start : ``In(1)``; not unless ``free``
    free : ``Out(1)``, high while there is room for the next sample
    first : ``Out(1)``, the beat is the first of a sample
    o : ``Out(stream.Signature(beat_bits))``
    """

    def __init__(self, packing):
        if not isinstance(packing, Packing):
            raise TypeError(f"packing must be a Packing, not {packing!r}")
        self._packing = packing
        super().__init__({
            "w_addr": In(range(packing.words)),
            "w_data": In(32),
            "w_en": In(1),
            "start": In(1),
            "free": Out(1),
            "first": Out(1, init=1),
            "o": Out(stream.Signature(packing.beat_bits)),
        })

    @property
    def packing(self):
        return self._packing

    def model(self, words):
        """The words of a sample to beats."""
        return self._packing.unpack(words)

    def elaborate(self, platform):
        # Words of the two samples lie beside each other. `index` is the word that `load.data`
        # shows, because the memory is read where it will be in the next clock. `parts` words have
        # been taken into `window`, from which beats are shifted.
        m = Module()

        packing = self._packing
        m.submodules.words = words = memory.Memory(shape=32, depth=2 * packing.words, init=[])
        store = words.write_port()
        load = words.read_port()

        filled, fed = Signal(), Signal()
        waiting = Signal(range(3))
        busy = Signal()
        index = Signal(range(packing.words + 1))
        window = Signal(32 * packing.per_beat)
        parts = Signal(range(packing.per_beat + 1))
        slot = Signal(range(packing.per_word))
        left = Signal(range(packing.beats + 1), init=packing.beats)

        full = Signal()
        sent = Signal()
        used = Signal()
        take = Signal()
        done = Signal()
        m.d.comb += [
            self.free.eq(waiting != 2),
            store.addr.eq(Cat(filled, self.w_addr)),
            store.data.eq(self.w_data),
            store.en.eq(self.w_en),
            load.addr.eq(Cat(fed, (index + take)[:len(index)])),
            full.eq(parts == packing.per_beat),
            sent.eq(self.o.valid & self.o.ready),
            used.eq(sent & (slot == packing.per_word - 1)),
            take.eq(busy & (~full | used)),
            done.eq(sent & (left == 1)),
            self.o.valid.eq(busy & full),
            self.o.payload.eq(window),
        ]

        with m.If(take):
            m.d.sync += window.eq(Cat(window, load.data)[32:])
            m.d.sync += parts.eq(Mux(full, 1, parts + 1))
            m.d.sync += slot.eq(0)
            m.d.sync += index.eq(index + 1)
        with m.Elif(sent):
            m.d.sync += window.eq(window >> packing.beat_bits)
            m.d.sync += slot.eq(slot + 1)

        with m.If(sent):
            m.d.sync += left.eq(left - 1)
            m.d.sync += self.first.eq(0)
        # For a clock the memory is read where the next sample begins.
        with m.If(done):
            m.d.sync += Cat(index, parts, slot, busy).eq(0)
            m.d.sync += [left.eq(packing.beats), self.first.eq(1), fed.eq(~fed)]
        with m.Elif(waiting != 0):
            m.d.sync += busy.eq(1)
        with m.If(self.start):
            m.d.sync += filled.eq(~filled)
        m.d.sync += waiting.eq(waiting + self.start - done)

        return m


class Collector(wiring.Component):
    """Takes the logits of samples, a group of lanes at a time, and keeps those of the last few.

    The first sample is kept in slot 1, and so on in turn.

    A beat is stored in as many clocks as it has lanes; until then no other one is taken.

    Parameters
    ----------
    classes : logits of a sample
    lanes : logits in a beat; those beyond ``classes`` are ignored
    bits : of a logit, at most 64
    slots : samples that are kept, a power of two

    Members
    -------
    i : ``In(stream.Signature(data.ArrayLayout(signed(bits), lanes)))``
    last : ``Out(1)``, the beat that is offered is the last one of a sample
    done : ``Out(1)``, high for a clock when the sample is stored
    r_slot, r_addr : ``In``, a word of the logits in a slot, which have one each, or two if they are
        wider than that
    r_data : ``Out(32)``, this word, sign-extended, one clock later
    """

    def __init__(self, classes, lanes, bits, *, slots):
        for name, value in (("classes", classes), ("lanes", lanes), ("bits", bits)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if bits > 64:
            raise ValueError(f"bits must be at most 64, not {bits!r}")
        if slots < 2 or slots & slots - 1:
            raise ValueError(f"slots must be a power of two, at least 2, not {slots!r}")
        self._classes, self._lanes, self._bits, self._slots = classes, lanes, bits, slots
        self._words = -(-bits // 32)
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(signed(bits), lanes))),
            "last": Out(1),
            "done": Out(1),
            "r_slot": In(range(slots)),
            "r_addr": In(range(classes * self._words)),
            "r_data": Out(32),
        })

    def model(self, beats):
        """Beats of a sample, as integers, to the words of its logits, the lowest first."""
        mask, sign = (1 << self._bits) - 1, 1 << self._bits - 1
        logits = (beat >> self._bits * k & mask for beat in beats for k in range(self._lanes))
        signed = [(logit ^ sign) - sign for logit in logits][:self._classes]
        return [logit >> 32 * k & 0xffffffff for logit in signed for k in range(self._words)]

    def elaborate(self, platform):
        m = Module()

        m.submodules.logits = logits = memory.Memory(
            shape=signed(self._bits), depth=self._slots * self._classes, init=[])
        store = logits.write_port()
        load = logits.read_port()

        beat = Signal(self._bits * self._lanes)
        left = Signal(range(self._lanes + 1))
        slot = Signal(range(self._slots), init=1)
        index = Signal(range(self._classes))
        base = Signal(range(-(-self._classes // self._lanes)))
        final = Signal()

        m.d.comb += [
            self.i.ready.eq(left == 0),
            self.last.eq(base == -(-self._classes // self._lanes) - 1),
            final.eq(index == self._classes - 1),
            store.addr.eq(Cat(slot, index)),
            store.data.eq(beat[:self._bits]),
            store.en.eq(left != 0),
            self.done.eq(store.en & final),
        ]

        if self._words == 1:
            m.d.comb += load.addr.eq(Cat(self.r_slot, self.r_addr))
            m.d.comb += self.r_data.eq(load.data)
        else:
            high = Signal()
            m.d.sync += high.eq(self.r_addr[0])
            m.d.comb += load.addr.eq(Cat(self.r_slot, self.r_addr[1:]))
            m.d.comb += self.r_data.eq(Mux(high, load.data >> 32, load.data))

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += beat.eq(self.i.payload)
            m.d.sync += left.eq(self._lanes)
            m.d.sync += base.eq(Mux(self.last, 0, base + 1))
        with m.If(store.en):
            m.d.sync += beat.eq(beat >> self._bits)
            m.d.sync += left.eq(Mux(final, 0, left - 1))
            m.d.sync += index.eq(Mux(final, 0, index + 1))
            m.d.sync += slot.eq(slot + final)

        return m
