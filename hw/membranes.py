"""What membranes keep from one row of outputs to the next.

A layer that gets changes of its sources' counts adds them to the charge of the row above, which it
therefore never clears, but for the first row of a sequence (docs/methods.md, 15). A layer whose
rows are time-steps goes on with the potential of the row above (docs/methods.md, 17).
"""

from itertools import pairwise

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .past import Turn, begun_member, tell

__all__ = ["Membranes"]


class Membranes(wiring.Component):
    """The memory of that: a word for each column and group of lanes, or two if there are synaptic
    currents beside the potentials.

    A word is read with the operation that adds it, and written with the sum. A later operation
    finds the sum as soon as there is another one in between.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`, which ``keeps`` charge
    most : samples that may be under way, if a source ``continues`` (see :class:`hw.past.Begun`)

    Members
    -------
    done : ``In(1)``: the last operation of a position and group enters the pipeline of the lanes
    fresh : ``Out(1)``: operations that enter belong to the first row of a sequence, which finds
        nothing
    o : ``Out``, two clocks after an operation has entered: what its position and group has kept
    write, i : ``In``, three clocks after: what is kept
    current : ``In(1)``: an operation that enters means the current; only if there are any
    begun : ``In``, see there; only if a source ``continues``
    """

    def __init__(self, core, *, most=0):
        self._core = core
        width = core.lanes * core.membrane_bits
        super().__init__({
            "done": In(1),
            "fresh": Out(1),
            "o": Out(width),
            "write": In(1),
            "i": In(width),
            **({"current": In(1)} if core.schedule.currents else {}),
            **begun_member(most),
        })

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._core.sources[0].positions
        words = columns * self._core.groups
        place, row = Signal(range(max(2, words))), Signal(range(max(2, rows)))
        first, ends = Signal(init=1), Signal()
        m.d.comb += ends.eq(self.done & (place == words - 1))
        with m.If(self.done):
            m.d.sync += place.eq(Mux(ends, 0, place + 1))
        with m.If(ends):
            m.d.sync += row.eq(Mux(row == rows - 1, 0, row + 1))
            m.d.sync += first.eq(row == rows - 1)
        m.d.comb += self.fresh.eq(first)
        if self._core.continues:
            m.submodules.turn = turn = Turn(len(self.begun.fresh))
            tell(m, self.begun, [turn])
            m.d.comb += [
                turn.next.eq(ends & (row == rows - 1)),
                self.fresh.eq(first & turn.fresh),
            ]

        if words == 1 and not self._core.schedule.currents:
            # A register has the sum as early as a memory would.
            with m.If(self.write):
                m.d.sync += self.o.eq(self.i)
            return m
        # The lowest bit of an address says which word of a place it is.
        currents = int(self._core.schedule.currents)
        asked = Cat(self.current, place) if currents else place
        m.submodules.charge = charge = memory.Memory(
            shape=self.o.shape(), depth=words << currents, init=[])
        w_port = charge.write_port()
        r_port = charge.read_port(transparent_for=(w_port,))
        places = [asked, *(Signal(len(place) + currents, name=f"place_{stage}")
                           for stage in range(1, 4))]
        m.d.sync += [behind.eq(ahead) for ahead, behind in pairwise(places)]
        m.d.comb += [
            r_port.addr.eq(places[1]),
            self.o.eq(r_port.data),
            w_port.en.eq(self.write),
            w_port.addr.eq(places[3]),
            w_port.data.eq(self.i),
        ]
        return m
