"""Address sequences: nested loops whose variables step through a spike memory."""

from dataclasses import dataclass
from itertools import product

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Loop", "Sequence"]


@dataclass(frozen=True)
class Loop:
    """One loop of a nest: each of ``count`` turns moves the point by ``(dy, dx)`` and the address
    by ``step``."""

    count: int
    dy: int = 0
    dx: int = 0
    step: int = 0

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count!r}")


class Sequence(wiring.Component):
    """A nest of loops, without a multiplier.

    Every layer type is such a nest over the same memories and lanes: a convolution walks rows,
    columns and kernel rows, a pooling walks its window, a linear layer walks the whole map. The
    nest starts over by itself, in the next bank, after its last element.

    Parameters
    ----------
    loops : :class:`Loop` objects, outermost first
    start : ``(y, x)`` of the first element
    size : ``(height, width)`` of the map; elements outside it are reported as not ``inside``
    address : address of the first element in bank 0; negative where padding comes first
    stride : words of a bank
    banks : number of banks

    Members
    -------
    next : ``In(1)``: move on
    inside : ``Out(1)``: the element lies on the map
    address : ``Out``: of the element, if it is ``inside``; modulo the width otherwise
    last : ``Out(n)``: bit k is set while loop k (0 is the outermost) is in its last turn
    """

    def __init__(self, loops, *, start=(0, 0), size=(1, 1), address=0, stride=1, banks=1):
        self._loops = tuple(loops)
        self._start = start
        self._size = size
        self._origin = address
        self._stride = stride
        self._banks = banks
        super().__init__({
            "next": In(1),
            "inside": Out(1),
            "address": Out(range(max(2, stride * banks))),
            "last": Out(len(self._loops)),
        })

    def model(self):
        """Elements of one run in bank 0: tuples ``(inside, address, last)``."""
        for turns in product(*(range(loop.count) for loop in self._loops)):
            moves = list(zip(self._loops, turns, strict=True))
            y = self._start[0] + sum(loop.dy * turn for loop, turn in moves)
            x = self._start[1] + sum(loop.dx * turn for loop, turn in moves)
            address = self._origin + sum(loop.step * turn for loop, turn in moves)
            last = sum((turn == loop.count - 1) << k for k, (loop, turn) in enumerate(moves))
            yield 0 <= y < self._size[0] and 0 <= x < self._size[1], address, last

    def elaborate(self, platform):
        m = Module()

        # done[k]: loop k and all loops inside it are in their last turn.
        done = [self.last[k:].all() for k in range(len(self._loops))] + [Const(1)]
        for k, loop in enumerate(self._loops):
            # Whether a turn is the last one is computed when the turn before it ends.
            turn = Signal(range(max(2, loop.count)), name=f"turn_{k}")
            last = Signal(name=f"last_{k}", init=loop.count == 1)
            m.d.comb += self.last[k].eq(last)
            if loop.count > 1:
                with m.If(self.next & done[k + 1]):
                    m.d.sync += turn.eq(Mux(last, 0, turn + 1))
                    m.d.sync += last.eq(turn == loop.count - 2)

        # Address arithmetic is modulo the width: off the map it may wrap, because nothing reads it.
        size = len(self.address)
        corner = restart = Const(self._origin % (1 << size), size)
        if self._banks > 1:
            corner = Signal(size, init=self._origin % (1 << size))
            restart = Signal(size)
            bank = Signal(range(self._banks))
            m.d.comb += restart.eq(corner + self._stride)
            with m.If(bank == self._banks - 1):
                m.d.comb += restart.eq(self._origin % (1 << size))
            with m.If(self.next & done[0]):
                m.d.sync += corner.eq(restart)
                m.d.sync += bank.eq(Mux(bank == self._banks - 1, 0, bank + 1))
        address = self._sum(m, done, "step", corner, restart)

        inside = []
        for axis, (delta, start, end) in enumerate(zip(("dy", "dx"), self._start, self._size,
                                                       strict=True)):
            reach = [getattr(loop, delta) * (loop.count - 1) for loop in self._loops]
            low = min(0, start + sum(min(0, r) for r in reach))
            high = max(end, start + sum(max(0, r) for r in reach))
            first = Const(start, Shape.cast(range(low, high + 1)))
            place = self._sum(m, done, delta, first, first, name="yx"[axis])
            inside += [place >= 0, place < end]

        m.d.comb += self.address.eq(address)
        m.d.comb += self.inside.eq(Cat(inside).all())
        return m

    def _sum(self, m, done, delta, first, restart, *, name="address"):
        """The present sum of one quantity over all loops.

        ``places[k]`` is the sum when loop k began its present turn. When a loop takes its next
        turn, the loops inside it begin there.
        """
        deltas = [getattr(loop, delta) if loop.count > 1 else 0 for loop in self._loops]
        places, place = [], first
        for k, step in enumerate(deltas):
            if step:
                init = first.init if isinstance(first, Signal) else first.value
                place = Signal(first.shape(), name=f"{name}_{k}", init=init)
            places.append(place)

        def begin(level, value):
            for place, step in zip(places[level:], deltas[level:], strict=True):
                if step:
                    m.d.sync += place.eq(value)

        with m.If(self.next):
            with m.If(done[0]):
                begin(0, restart)
            for k, step in enumerate(deltas):
                with m.Elif(done[k + 1]):
                    begin(k, places[k] + step)
        return places[-1]
