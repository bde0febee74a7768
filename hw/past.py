"""Sequences that go on from sample to sample.

Each sample is a block of a sequence, and its rows are the next elements. A window that reaches
above the map of a block sees the last rows of the blocks before, which are still in the ring, back
to the block that began the sequence. Whether a block begins one is known when its first beat enters
the array, and each window asks when its walk comes to the block.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["Begun", "Past", "Turn", "begun_member", "begun_signature", "look_back", "tell"]

# Samples that may enter before a component that is far behind is heard.
_LATE = 3


def begun_signature(most):
    """What components are told of the samples that have entered the array, and what they say.

    ``entered`` is the number of the samples modulo ``2 * most``, and ``fresh`` tells of each of the
    last ``most``, a power of two, by its number, whether it begins a sequence. ``room`` says that
    the component is not so far behind that it still needs to know of a sample that the next ones
    would take the place of.
    """
    return wiring.Signature({"entered": Out(range(2 * most)), "fresh": Out(most), "room": In(1)})


def begun_member(most):
    """``begun``, of a component with windows that look into the past; nothing if ``most`` is 0."""
    return {"begun": In(begun_signature(most))} if most else {}


def tell(m, begun, components):
    """Let several components have the member ``begun`` of what they are parts of."""
    for component in components:
        m.d.comb += [component.begun.entered.eq(begun.entered),
                     component.begun.fresh.eq(begun.fresh)]
    m.d.comb += begun.room.eq(Cat(component.begun.room for component in components).all())


def _keep_room(m, begun, turn):
    """Say whether a component is not far behind, when it is the turn of a sample by its number."""
    behind = Signal.like(begun.entered)
    m.d.sync += behind.eq(begun.entered - turn)
    m.d.comb += begun.room.eq(behind < len(begun.fresh) - _LATE)


class Begun(wiring.Component):
    """Keeps account of the samples under way.

    Parameters
    ----------
    most : samples that may be under way, a power of two

    Members
    -------
    begins, fresh : ``In(1)``: a sample enters; it begins a sequence
    ends : ``In(1)``: the last logits of a sample leave
    room : ``Out(1)``: a sample may enter
    o : ``Out(begun_signature(most))``
    """

    def __init__(self, most):
        if most < 1 or most & most - 1:
            raise ValueError(f"most must be a power of two, not {most!r}")
        self._most = most
        super().__init__({
            "begins": In(1),
            "fresh": In(1),
            "ends": In(1),
            "room": Out(1, init=1),
            "o": Out(begun_signature(most)),
        })

    def elaborate(self, platform):
        m = Module()
        under_way = Signal(range(self._most + 1))
        changed = Signal.like(under_way)
        m.d.comb += changed.eq(under_way + self.begins - self.ends)
        m.d.sync += under_way.eq(changed)
        m.d.sync += self.room.eq((changed != self._most) & self.o.room)
        with m.If(self.begins):
            m.d.sync += self.o.entered.eq(self.o.entered + 1)
            m.d.sync += self.o.fresh.bit_select(
                self.o.entered[:exact_log2(self._most)], 1).eq(self.fresh)
        return m


class Turn(wiring.Component):
    """Which of the samples under way it is the turn of.

    Parameters
    ----------
    most : see :class:`Begun`

    Members
    -------
    begun : ``In(begun_signature(most))``
    next : ``In(1)``: go on to the next sample
    fresh : ``Out(1)``: the present sample begins a sequence, as the first one after a reset does
        whatever it says; right as soon as it has entered the array
    """

    def __init__(self, most):
        self._most = most
        super().__init__({"begun": In(begun_signature(most)), "next": In(1), "fresh": Out(1)})

    def elaborate(self, platform):
        m = Module()
        turn, reset = Signal.like(self.begun.entered), Signal(init=1)
        m.d.sync += [turn.eq(turn + self.next), reset.eq(reset & ~self.next)]
        m.d.comb += self.fresh.eq(
            reset | self.begun.fresh.bit_select(turn[:exact_log2(self._most)], 1))
        _keep_room(m, self.begun, turn)
        return m


class Past(wiring.Component):
    """How far a window may look into the past.

    Parameters
    ----------
    source : :class:`hw.maps.SourceConfig`, which has a ``past``
    most : see :class:`Begun`

    Members
    -------
    begun : ``In(begun_signature(most))``
    finish : ``In(1)``: the walk over the present sample ends
    known : ``Out(1)``: the present sample has entered the array. After ``finish`` this takes two
        clocks
    floor : ``Out``, while it is ``known``: the first row that belongs to the sequence, 0 or
        negative
    """

    def __init__(self, source, most):
        self._height, self._most = source.map.height, most
        self._rows = source.past
        super().__init__({
            "begun": In(begun_signature(most)),
            "finish": In(1),
            "known": Out(1),
            "floor": Out(range(-self._rows, 1)),
        })

    def elaborate(self, platform):
        m = Module()
        turn, before = Signal.like(self.begun.entered), Signal.like(self.floor)
        fresh = self.begun.fresh.bit_select(turn[:exact_log2(self._most)], 1)
        _keep_room(m, self.begun, turn)
        m.d.sync += self.known.eq((self.begun.entered != turn) & ~self.finish)
        m.d.sync += self.floor.eq(Mux(fresh, 0, before))
        with m.If(self.finish):
            m.d.sync += turn.eq(turn + 1)
            # More rows than a window reaches need not be counted.
            m.d.sync += before.eq(Mux(self.floor < self._height - self._rows, -self._rows,
                                      self.floor - self._height))
        return m


def look_back(m, component, source, walk, finish):
    """Let the walk of a component over a source that has a past look into it.

    Parameters
    ----------
    component : has the member ``begun``, of which this is the only part
    walk : its :class:`hw.sequence.Sequence`
    finish : the walk over the present sample ends

    Returns
    -------
    Whether the walk may go on.
    """
    m.submodules.past = past = Past(source, len(component.begun.fresh))
    tell(m, component.begun, [past])
    m.d.comb += [past.finish.eq(finish), walk.floor.eq(past.floor)]
    return past.known
