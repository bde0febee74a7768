"""Whether the rows that a walk over a map is about to look at have arrived."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Arrival"]


class Arrival(wiring.Component):
    """Counts the rows of a map, so a layer can begin as soon as its first window is complete.

    A layer that waited for whole samples would add its time to the latency. This one stays only a
    few rows behind the layer before it.

    Parameters
    ----------
    source : :class:`hw.maps.SourceConfig`: the walk visits its output positions row by row

    Members
    -------
    filled : ``In(1)``: another row has arrived, of this sample or of a later one
    descend : ``In(1)``: the walk leaves an output row
    finish : ``In(1)``: this row was the last one of the sample
    ready : ``Out(1)``: all rows that the present output row looks at have arrived
    """

    def __init__(self, source):
        self._source = source
        super().__init__({"filled": In(1), "descend": In(1), "finish": In(1), "ready": Out(1)})

    def elaborate(self, platform):
        m = Module()
        source, height = self._source, self._source.map.height

        # Rows of the map above the lower edge of the window; below the map there is only padding.
        first = source.corner[0] + source.kernel[0]
        final = source.tops[-1] + source.kernel[0]
        edge = Signal(Shape.cast(range(first, final + 1)), init=first)
        # A stride may skip the last rows. The walk then finishes before they arrive, and they are
        # owed.
        rows = Signal(range(min(0, source.least_arrived) - height,
                            source.reach + source.tops[-1] + 1))
        # The number of rows never falls before the walk moves on, so the answer may be a clock old.
        def there(lowest):
            return (rows >= height) | (rows >= lowest)

        with m.If(self.finish):
            m.d.sync += edge.eq(first)
            m.d.sync += self.ready.eq(rows >= height + min(first, height))
        with m.Elif(self.descend):
            m.d.sync += edge.eq(edge + source.descent)
            m.d.sync += self.ready.eq(there(edge + source.descent))
        with m.Else():
            m.d.sync += self.ready.eq(there(edge))
        m.d.sync += rows.eq(Mux(self.finish, rows - height, rows) + self.filled)
        return m
