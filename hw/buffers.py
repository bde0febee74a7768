"""Memories between a line that may lose words and the streams of a device."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .feeder import Word

__all__ = ["Results", "Samples"]


class Samples(wiring.Component):
    """Holds the words of two samples.

    While the words of one sample are sent, those of the next one are written, in any order and as
    often as desired. A clock with ``start`` says that they are all there. They are sent once, after
    those of the sample before.

    Parameters
    ----------
    words : words of a sample

    Members
    -------
    w_addr, w_data, w_en : ``In``, writes a word of the next sample; not unless ``free``
    start : ``In(1)``; not unless ``free``, nor in the clock after a word was written
    free : ``Out(1)``, high while there is room for the next sample
    o : ``Out(stream.Signature(32))``
    """

    def __init__(self, words):
        if not isinstance(words, int) or words < 1:
            raise ValueError(f"words must be a positive integer, not {words!r}")
        self._words = words
        super().__init__({
            "w_addr": In(range(words)),
            "w_data": In(32),
            "w_en": In(1),
            "start": In(1),
            "free": Out(1),
            "o": Out(stream.Signature(32)),
        })

    def elaborate(self, platform):
        # Words of the two samples lie beside each other. `index` is the word that `load.data`
        # shows, because the memory is read where it will be in the next clock.
        m = Module()

        m.submodules.words = words = memory.Memory(shape=32, depth=2 * self._words, init=[])
        store, load = words.write_port(), words.read_port()

        filled, sent = Signal(), Signal()
        waiting = Signal(range(3))
        index = Signal(range(self._words))
        moves = Signal()
        done = Signal()
        m.d.comb += [
            self.free.eq(waiting != 2),
            store.addr.eq(Cat(filled, self.w_addr)),
            store.data.eq(self.w_data),
            store.en.eq(self.w_en),
            load.addr.eq(Cat(sent, (index + moves)[:len(index)])),
            self.o.payload.eq(load.data),
            moves.eq(self.o.valid & self.o.ready),
            done.eq(moves & (index == self._words - 1)),
        ]

        m.d.sync += index.eq(index + moves)
        # For a clock the memory is read where the next sample begins.
        with m.If(done):
            m.d.sync += [index.eq(0), self.o.valid.eq(0), sent.eq(~sent)]
        with m.Elif(waiting != 0):
            m.d.sync += self.o.valid.eq(1)
        with m.If(self.start):
            m.d.sync += filled.eq(~filled)
        m.d.sync += waiting.eq(waiting + self.start - done)

        return m


class Results(wiring.Component):
    """Keeps the last few results, each in a slot of its own.

    Results are numbered from 1 on. The first word of a slot is left out; then come the last word of
    the result and all the others.

    Parameters
    ----------
    words : words of a result
    slots : results that are kept, a power of two; that of number ``n`` is in slot ``n % slots``
    stride : words of a slot, a power of two, more than ``words``

    Members
    -------
    i : ``In(stream.Signature(Word))``, always taken
    completed : ``Out(16)``, number of the last result, modulo 2**16
    r_addr : ``In(range(slots * stride))``, which word is read
    r_data : ``Out(32)``, this word, a clock later
    """

    def __init__(self, words, *, slots, stride):
        for name, value, least in (("slots", slots, 2), ("stride", stride, words + 1)):
            if value < least or value & value - 1:
                raise ValueError(f"{name} must be a power of two, at least {least}, not {value!r}")
        self._slots, self._stride = slots, stride
        super().__init__({
            "i": In(stream.Signature(Word)),
            "completed": Out(16),
            "r_addr": In(range(slots * stride)),
            "r_data": Out(32),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.words = words = memory.Memory(
            shape=32, depth=self._slots * self._stride, init=[])
        store, load = words.write_port(), words.read_port()

        last = self.i.valid & self.i.p.last
        place = Signal(range(self._stride), init=2)
        slot = (self.completed + 1)[:self._slots.bit_length() - 1]
        m.d.comb += [
            self.i.ready.eq(1),
            store.addr.eq(Cat(Mux(self.i.p.last, C(1, len(place)), place), slot)),
            store.data.eq(self.i.p.data),
            store.en.eq(self.i.valid),
            load.addr.eq(self.r_addr),
            self.r_data.eq(load.data),
        ]
        with m.If(self.i.valid):
            m.d.sync += place.eq(Mux(self.i.p.last, 2, place + 1))
        m.d.sync += self.completed.eq(self.completed + last)

        return m
