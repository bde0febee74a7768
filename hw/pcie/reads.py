"""Reads of host memory: several at a time, their words in the order in which they were asked."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.bits import one_hot_mux
from hw.stream import Queue

from .receive import COMPLETION

__all__ = ["BURST", "FAULTS", "TAGS", "Reads"]

TAGS = 4
"""Reads that may be under way. A completion ends at a multiple of 64 bytes, so those of a read are
eight at most, and all together no more than the 36 whose headers a 7-series block holds: an
endpoint can't tell a host to wait with them."""

BURST = 128
"""Most words of a read."""

FAULTS = data.StructLayout({"refused": 1, "poisoned": 1, "late": 1})
"""Why reads have failed: a completion with another status than Successful Completion, one whose
data is poisoned, or one that has not come in time."""


_PLACE = (TAGS - 1).bit_length()
_QUEUE = 8


class Reads(wiring.Component):
    """Numbers reads, and brings what comes back into their order.

    Completions of different reads come in any order, those of one read in ascending order, in as
    many parts as the host likes. Each read has a place in the buffer for all of its words, so a
    completion is always taken. Only what was asked for counts: a completion with another tag, or
    which does not continue where the one before has ended, is ignored.

    The lowest bits of a tag number the places, which are used in turn. The others are ``era``, so
    that completions of an earlier era are not taken for those of the present one.

    After a fault no more words come out. Reads without a completion count as lost if none has come
    for ``patience`` clocks.

    Parameters
    ----------
    patience : clocks, a power of two

    Members
    -------
    era : ``In(2)``
    length : ``In(range(BURST + 1))``, words of the next read
    tag : ``Out(8)``, its tag
    free : ``Out(1)``, whether there may be another read
    take : ``In(1)``, there is a read of this length; not unless ``free``
    i : ``In(stream.Signature(COMPLETION, always_ready=True))``
    o : ``Out(stream.Signature(32))``
    under_way : ``Out(1)``, whether reads have no complete answer
    faults : ``Out(FAULTS)``
    strangers : ``Out(1)``, high for each completion that is ignored
    """

    def __init__(self, *, patience):
        if not isinstance(patience, int) or patience < 2 or patience & patience - 1:
            raise ValueError(f"patience must be a power of two, not {patience!r}")
        self._patience = patience
        super().__init__({
            "era": In(2),
            "length": In(range(BURST + 1)),
            "tag": Out(8), "free": Out(1), "take": In(1),
            "i": In(stream.Signature(COMPLETION, always_ready=True)),
            "o": Out(stream.Signature(32)),
            "under_way": Out(1),
            "faults": Out(FAULTS),
            "strangers": Out(1),
        })

    def elaborate(self, platform):
        # A read takes the place that `head` numbers; the one that `tail` numbers leaves first. Of
        # each place `asked` is the words of its read, `missing` those that have not come.
        m = Module()

        m.submodules.words = words = memory.Memory(shape=32, depth=TAGS * BURST, init=[])
        store, load = words.write_port(), words.read_port()
        m.submodules.queue = queue = Queue(32, depth=_QUEUE)
        connect(m, queue.o, flipped(self.o))
        asked = [Signal(range(BURST + 1), name=f"asked_{k}") for k in range(TAGS)]
        missing = [Signal(range(BURST + 1), name=f"missing_{k}") for k in range(TAGS)]
        head, tail, used = Signal(range(TAGS)), Signal(range(TAGS)), Signal(range(TAGS + 1))
        waiting = Cat(left.any() for left in missing)
        leaves = Signal()
        m.d.comb += [
            self.tag.eq(Cat(head, self.era)),
            self.free.eq((used != TAGS) & ~Value.cast(self.faults).any()),
            self.under_way.eq(waiting.any()),
        ]
        with m.If(self.take):
            m.d.sync += head.eq(head + 1)
            for k in range(TAGS):
                with m.If(head == k):
                    m.d.sync += [asked[k].eq(self.length), missing[k].eq(self.length)]
        m.d.sync += used.eq(used + self.take - leaves)
        moved = self._store(m, store, asked, missing)
        self._load(m, load, queue, asked, waiting, tail, leaves, used)
        self._wait(m, missing, moved)
        return m

    def _store(self, m, store, asked, missing):
        """Take completions; whether one has come that was waited for."""
        item = self.i.p
        place, era, above = item.tag[:_PLACE], item.tag[_PLACE:_PLACE + 2], item.tag[_PLACE + 2:]
        here = Cat(place == k for k in range(TAGS))
        all_, left = Signal(range(BURST + 1)), Signal(range(BURST + 1))
        ours, kept, begun = Signal(), Signal(), Signal()
        m.d.comb += [
            all_.eq(one_hot_mux(here, asked)),
            left.eq(one_hot_mux(here, missing)),
            begun.eq((above == 0) & (era == self.era) & left.any()
                     & (~item.good | (item.byte_count == left << 2))),
            ours.eq(self.i.valid & Mux(item.first, begun, kept) & left.any()),
            self.strangers.eq(self.i.valid & item.first & ~begun),
            store.addr.eq(Cat((all_ - left)[:7], place)),
            store.data.eq(item.data),
            store.en.eq(ours),
        ]
        with m.If(self.i.valid & item.first):
            m.d.sync += kept.eq(begun)
        with m.If(ours):
            refused = ~item.good | item.bare
            with m.If(refused):
                m.d.sync += self.faults.refused.eq(1)
            with m.If(item.poisoned):
                m.d.sync += self.faults.poisoned.eq(1)
            for k in range(TAGS):
                with m.If(here[k]):
                    m.d.sync += missing[k].eq(Mux(refused, 0, left - 1))
        return ours

    def _load(self, m, load, queue, asked, waiting, tail, leaves, used):
        """Words of the first read, when all have come. Two clocks lie between the decision to read
        a word and its place in the queue."""
        index, left = Signal(range(BURST)), Signal(range(BURST + 1))
        fetched, room = Signal(), Signal(range(_QUEUE + 1), init=_QUEUE)
        here = Cat(tail == k for k in range(TAGS))
        fetch = Signal()
        m.d.comb += [
            left.eq(one_hot_mux(here, asked)),
            fetch.eq((used != 0) & ~(here & waiting).any() & (room != 0)
                     & ~Value.cast(self.faults).any()),
            leaves.eq(fetch & (index == left - 1)),
            load.addr.eq(Cat(index, tail)),
            queue.i.payload.eq(load.data),
            queue.i.valid.eq(fetched),
        ]
        m.d.sync += [
            fetched.eq(fetch),
            room.eq(room - fetch + (queue.o.valid & queue.o.ready)),
        ]
        with m.If(fetch):
            m.d.sync += index.eq(Mux(leaves, 0, index + 1))
        m.d.sync += tail.eq(tail + leaves)

    def _wait(self, m, missing, moved):
        """Give reads up whose completions have not come for too long."""
        clocks = Signal(range(self._patience))
        with m.If(~self.under_way | moved | self.take):
            m.d.sync += clocks.eq(0)
        with m.Else():
            m.d.sync += clocks.eq(clocks + 1)
            with m.If(clocks.all()):
                m.d.sync += [self.faults.late.eq(1), *(left.eq(0) for left in missing)]
