"""Address sequences: nested loops whose variables walk through a spike memory."""

import functools
import operator
from dataclasses import dataclass
from itertools import product

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Loop", "Sequence"]


@dataclass(frozen=True)
class Loop:
    """One loop of a nest: each of ``count`` iterations moves the point by ``(dy, dx)``, and the
    address by ``dy`` rows of the ring and ``words`` words within the row."""

    count: int
    dy: int = 0
    dx: int = 0
    words: int = 0

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count!r}")


class Sequence(wiring.Component):
    """A nest of loops over a map whose rows lie in a ring, without a multiplier.

    Every layer type is such a nest over the same memories and lanes: a convolution walks rows,
    columns and kernel rows, a pooling walks its window, a linear layer walks the whole map. The
    nest starts over by itself, on the next map, after its last element.

    Parameters
    ----------
    loops : :class:`Loop` objects, outermost first
    start : ``(y, x)`` of the first element
    size : ``(height, width)`` of the map; elements outside it are reported as not ``inside``
    offset : words from the beginning of its row to the first element; negative in the padding
    row : words of a row
    rows : rows of the ring
    past : rows above the map that may be part of it

    Members
    -------
    next : ``In(1)``: move on
    floor : ``In``, 0 or negative: the first row that is part of the map; only with a ``past``
    inside : ``Out(1)``: the element lies on the map
    slot : ``Out``: the row of the ring that the element lies in
    address : ``Out``: of the element, if it is ``inside``; modulo the width otherwise
    last : ``Out(n)``: bit k is set while loop k (0 is the outermost) is in its last iteration
    """

    def __init__(self, loops, *, start=(0, 0), size=(1, 1), offset=0, row=1, rows=1, past=0):
        self._loops = tuple(loops)
        self._start = start
        self._size = size
        self._offset = offset
        self._row = row
        self._rows = rows
        self._past = past
        super().__init__({
            "next": In(1),
            **({"floor": In(range(-past, 1))} if past else {}),
            "inside": Out(1),
            "slot": Out(range(max(2, rows))),
            "address": Out(range(max(2, row * rows))),
            "last": Out(len(self._loops)),
        })

    def model(self, run=0, *, floor=0):
        """Elements of the run with that number: tuples ``(inside, slot, address, last)``."""
        for indices in product(*(range(loop.count) for loop in self._loops)):
            moves = list(zip(self._loops, indices, strict=True))
            y = self._start[0] + sum(loop.dy * index for loop, index in moves)
            x = self._start[1] + sum(loop.dx * index for loop, index in moves)
            slot = (run * self._size[0] + y) % self._rows
            words = self._offset + sum(loop.words * index for loop, index in moves)
            last = sum((index == loop.count - 1) << k for k, (loop, index) in enumerate(moves))
            yield (floor <= y < self._size[0] and 0 <= x < self._size[1], slot,
                   slot * self._row + words, last)

    def elaborate(self, platform):
        m = Module()

        # done[k]: loop k and all loops inside it are in their last iteration.
        done = [self.last[k:].all() for k in range(len(self._loops))] + [Const(1)]
        for k, loop in enumerate(self._loops):
            # That an iteration is the last one is found out as the one before it ends.
            index = Signal(range(max(2, loop.count)), name=f"turn_{k}")
            last = Signal(name=f"last_{k}", init=loop.count == 1)
            m.d.comb += self.last[k].eq(last)
            if loop.count > 1:
                with m.If(self.next & done[k + 1]):
                    m.d.sync += index.eq(Mux(last, 0, index + 1))
                    m.d.sync += last.eq(index == loop.count - 2)

        moves = self._moves()
        slots = self._places(
            m, done, "slot", Const(self._start[0] % self._rows, len(self.slot)),
            [move.slot if move.rows else None for move in moves], drifts=self._drifts)
        # Address arithmetic is modulo the width: off the map it may wrap, and nobody looks.
        width = len(self.address)
        addresses = self._places(
            m, done, "address", Const(
                (self._start[0] % self._rows * self._row + self._offset) % (1 << width), width),
            [functools.partial(move.address, slot=slot) if move.rows or move.words else None
             for move, slot in zip(moves, [slots[0], *slots], strict=True)], drifts=self._drifts)

        inside = []
        for axis, (delta, start, end) in enumerate(zip(("dy", "dx"), self._start, self._size,
                                                       strict=True)):
            reach = [getattr(loop, delta) * (loop.count - 1) for loop in self._loops]
            low = min(0, start + sum(min(0, r) for r in reach))
            high = max(end, start + sum(max(0, r) for r in reach))
            first = Const(start, Shape.cast(range(low, high + 1)))
            adds = [functools.partial(operator.add, getattr(loop, delta))
                    if loop.count > 1 and getattr(loop, delta) else None for loop in self._loops]
            place = self._places(m, done, "yx"[axis], first, [lambda _, first=first: first, *adds])
            edge = self.floor if self._past and delta == "dy" else 0
            inside += [place[-1] >= edge, place[-1] < end]

        m.d.comb += self.slot.eq(slots[-1])
        m.d.comb += self.address.eq(addresses[-1])
        m.d.comb += self.inside.eq(Cat(inside).all())
        return m

    @property
    def _drifts(self):
        """Whether successive maps begin in different rows of the ring."""
        return self._size[0] % self._rows != 0

    def _moves(self):
        """How the element moves in the ring as the nest starts over, and as each loop begins
        its next iteration."""
        height, outer = self._size[0], self._loops[0]
        slots = {(self._start[0] + run * height) % self._rows for run in range(self._rows)}
        moves = []
        for loop in self._loops:
            before, slots = slots, {(slot + index * loop.dy) % self._rows
                                    for slot in slots for index in range(loop.count)}
            repeats = loop.count > 1
            leaves = {(slot + index * loop.dy) % self._rows
                      for slot in before for index in range(loop.count - 1)}
            moves.append(self._move(repeats * loop.dy, repeats * loop.words, leaves))
            if loop is outer:
                leaves = {(slot + (loop.count - 1) * loop.dy) % self._rows for slot in before}
                again = self._move(height - (loop.count - 1) * loop.dy,
                                   (1 - loop.count) * loop.words, leaves)
        return [again, *moves]

    def _move(self, dy, words, leaves):
        rows = dy % self._rows
        return _Move(rows, words, self._row, self._rows,
                     any(slot + rows >= self._rows for slot in leaves))

    def _places(self, m, done, name, first, moves, *, drifts=False):
        """A quantity that every loop moves: its values when each loop began its present
        iteration.

        A loop that begins its next iteration sets the loops inside it to begin there.

        Parameters
        ----------
        first : constant that it begins with
        moves : from a value to the next one, or None where it stays: as the nest starts over (from
            the last iteration of the outermost loop), and as each loop begins its next iteration
        drifts : whether it begins with something else each time
        """
        again, *moves = moves
        places, own, place = [], [], first
        for k, move in enumerate(moves):
            own.append(move is not None or (drifts and k == 0))
            if own[-1]:
                place = Signal(first.shape(), name=f"{name}_{k}", init=first.value)
            places.append(place)

        def begin(level, value):
            for place, is_own in zip(places[level:], own[level:], strict=True):
                if is_own:
                    m.d.sync += place.eq(value)

        with m.If(self.next):
            with m.If(done[0]):
                begin(0, places[0] if again is None else again(places[0]))
            for k, move in enumerate(moves):
                with m.Elif(done[k + 1]):
                    begin(k, places[k] if move is None else move(places[k]))
        return places


@dataclass(frozen=True)
class _Move:
    """A move in a ring: ``rows`` ahead, fewer than the ring has, and ``words`` within the row.

    ``row`` are the words of a row, ``ring`` the rows of the ring; ``wraps`` says whether the move
    ever leads past the end of the ring.
    """

    rows: int
    words: int
    row: int
    ring: int
    wraps: bool

    def _beyond(self, slot):
        return slot >= self.ring - self.rows if self.wraps else Const(0)

    def slot(self, slot):
        return slot + Mux(self._beyond(slot), self.rows - self.ring, self.rows)

    def address(self, address, slot):
        ahead = self.rows * self.row + self.words
        size = self.ring * self.row
        if size == 1 << len(address):
            return address + ahead
        return address + Mux(self._beyond(slot), ahead - size, ahead)
