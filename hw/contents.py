"""Memories whose contents a host may replace, and that the device checks while it is idle.

A memory has rows of any width. On the way to it and from it a row is *words* of 32 bits, the first
lane in the lowest bits of the first word; the last word is filled up with zeros.
"""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .bits import merged
from .feeder import Packing

__all__ = ["LATENCY", "QUIET", "WORD", "ContentsBus", "ContentsPort", "Rows", "Shape",
           "idle_contents", "row_words", "shapes", "share"]

WORD = 32
"""Bits of a word."""

LATENCY = 5
"""Clocks from a word that is asked for on the bus of an array to the word."""

ContentsBus = wiring.Signature({
    "memory": Out(8),
    "copy": Out(8),
    "row": Out(24),
    "column": Out(8),
    "data": Out(WORD),
    "write": Out(1),
    "read": Out(1),
    "word": In(WORD),
    "active": In(1),
})
"""Words of all memories of an array, by the number of the memory (see :func:`shapes`), the row, and
the number of the word in it. A word is written in all copies of a memory, those of replicas, and
read in one: it is there :data:`LATENCY` clocks later, and 0 while no word was asked for. Nothing
may be read while the array computes, which it says by ``active``, with gaps of a few clocks, and
:data:`QUIET` clocks after the last."""

QUIET = 16
"""Clocks without ``active`` after which no core looks at its memories, unless it says so again some
ten clocks before."""


_ASKED, _ANSWERED = ([name for name, member in ContentsBus.members.items() if member.flow is flow]
                     for flow in (Out, In))


def share(m, bus, others, *, late=False):
    """Let several components answer on a bus, or a clock ``late``. What is not asked for a word
    gives 0."""
    for other in others:
        m.d.comb += [getattr(other, name).eq(getattr(bus, name)) for name in _ASKED]
    m.d["sync" if late else "comb"] += [
        bus.word.eq(merged(other.word for other in others)),
        bus.active.eq(Cat(other.active for other in others).any()),
    ]


def idle_contents(config):
    """Ports of an instance of the array of a :class:`hw.config.ArrayConfig`, of which no memory is
    read or written."""
    if not config.reloadable:
        return {}
    bus = ContentsBus.create(path=("idle",))
    return {f"{direction}_contents__{name}": getattr(bus, name)
            for direction, names in (("i", _ASKED), ("o", _ANSWERED)) for name in names}


class Shape:
    """The shape of a memory.

    Parameters
    ----------
    name : in a memory image
    width : bits of a row
    depth : rows
    copies : memories with the same contents

    Members
    -------
    columns : words of a row
    words : of the memory
    """

    def __init__(self, name, width, depth, copies):
        self.name, self.width, self.depth, self.copies = name, width, depth, copies
        self.columns = -(-width // WORD)
        self.words = depth * self.columns


def shapes(config):
    """The memories of the device of a :class:`hw.config.ArrayConfig`, in the order of their
    numbers: the weights and the parameters of each core, and what it tests itself with."""
    cores = [Shape(f"{core.port}.{name}", core.lanes * bits, rows, core.replicas)
             for core in config.cores
             for name, bits, rows in (("weights", core.weight_bits, core.weight_rows),
                                      ("parameters", core.membrane_bits, core.parameter_rows))]
    if not config.selftests:
        return cores
    words = Packing(config.input.beats, config.input_bits).words
    return [*cores, Shape("selftest.samples", WORD, config.selftests * words, 1),
            Shape("selftest.results", WORD, config.selftests * config.answer_words, 1)]


def row_words(row, width):
    """The words of a row, an integer."""
    return [row >> WORD * k & (1 << WORD) - 1 for k in range(-(-width // WORD))]


class Rows(wiring.Component):
    """A memory that is read by rows and may be written by words.

    Parameters
    ----------
    width, depth : of the memory
    rows : contents at power-up
    written : whether words are ever written

    Members
    -------
    addr : ``In``
    data : ``Out(width)``: the row, a clock later
    w_addr, w_data : ``In``; only if they are
    w_en : ``In``: a bit for each word of a row; only if they are
    """

    def __init__(self, width, depth, rows, *, written=True):
        self._width, self._depth, self._rows = width, max(2, depth), rows
        self._written, self._columns = written, -(-width // WORD)
        super().__init__({
            "addr": In(range(self._depth)),
            "data": Out(width),
            **({"w_addr": In(range(self._depth)), "w_data": In(WORD), "w_en": In(self._columns)}
               if written else {}),
        })

    def elaborate(self, platform):
        m = Module()
        for k in range(self._columns):
            bits = min(WORD, self._width - WORD * k)
            init = [row >> WORD * k & (1 << bits) - 1 for row in self._rows]
            m.submodules[f"column_{k}"] = column = memory.Memory(shape=bits, depth=self._depth,
                                                                 init=init)
            r_port = column.read_port()
            m.d.comb += [
                r_port.addr.eq(self.addr),
                self.data[WORD * k:WORD * k + bits].eq(r_port.data),
            ]
            if self._written:
                w_port = column.write_port()
                m.d.comb += [
                    w_port.addr.eq(self.w_addr),
                    w_port.data.eq(self.w_data),
                    w_port.en.eq(self.w_en[k]),
                ]
        return m


class ContentsPort(wiring.Component):
    """The end of the bus at the two memories of a core.

    Parameters
    ----------
    widths : bits of a row of weights, and of parameters
    core : number of the core
    copy : number of the replica

    Members
    -------
    bus : ``In(ContentsBus)``
    row : ``Out(24)``: of the word that is read or written
    reads : ``Out(2)``: a row of weights, or of parameters, is asked for
    data : ``Out(32)``: the word that is written
    writes0, writes1 : ``Out``: a bit for each word of a row, of weights and of parameters
    rows0, rows1 : ``In``: the row asked for two clocks before
    """

    def __init__(self, widths, core, copy):
        self._widths, self._core, self._copy = widths, core, copy
        super().__init__({
            "bus": In(ContentsBus),
            "row": Out(24),
            "reads": Out(2),
            "data": Out(WORD),
            **{f"writes{k}": Out(-(-width // WORD)) for k, width in enumerate(widths)},
            **{f"rows{k}": In(width) for k, width in enumerate(widths)},
        })

    def elaborate(self, platform):
        m = Module()
        bus, words = self.bus, []
        m.d.sync += [self.row.eq(bus.row), self.data.eq(bus.data)]
        columns, reads = [Signal(8, name=f"column_{k}") for k in range(3)], [self.reads]
        reads += [Signal(2, name=f"reads_{k}") for k in range(1, 3)]
        m.d.sync += Cat(columns).eq(Cat(bus.column, columns[:-1]))
        m.d.sync += Cat(reads[1:]).eq(Cat(reads[:-1]))
        for k in range(len(self._widths)):
            mine = bus.memory == 2 * self._core + k
            writes, rows = getattr(self, f"writes{k}"), getattr(self, f"rows{k}")
            m.d.sync += [
                self.reads[k].eq(bus.read & mine & (bus.copy == self._copy)),
                writes.eq(Cat(bus.write & mine & (bus.column == place)
                              for place in range(len(writes)))),
            ]
            chosen = Signal(len(writes), name=f"chosen_{k}")
            m.d.sync += chosen.eq(Cat(reads[1][k] & (columns[1] == place)
                                      for place in range(len(writes))))
            words += [Mux(one, rows[WORD * place:WORD * (place + 1)], 0)
                      for place, one in enumerate(chosen)]
        m.d.sync += bus.word.eq(merged(words))
        return m
