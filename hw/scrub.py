"""Checks what is in the memories of an array: their CRCs, while it is idle."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .contents import LATENCY, WORD, shapes

__all__ = ["Scrubber", "pass_clocks"]

# Clocks between the last word of a memory and the first of the next: the words on their way, the
# comparison, and the look-up of the next shape.
_BETWEEN = LATENCY + 5


def pass_clocks(config):
    """Clocks of a pass over all memories without a pause, those of replicas among them. A flipped
    bit is found by the end of the pass after the one in which it has flipped."""
    return sum(shape.copies * (shape.words + _BETWEEN) for shape in shapes(config))


class Scrubber(wiring.Component):
    """Reads all memories word by word, over and over, and compares the CRC-32 of the words of each
    with the one that it should have.

    A pass goes on where it has stopped when ``go`` was low. Words that are on their way then still
    arrive. A reset begins a pass anew, and leaves the CRCs as they are.

    Parameters
    ----------
    config : :class:`hw.config.ArrayConfig`, of a ``reloadable`` array
    crcs : of each memory, by its number, at power-up

    Members
    -------
    go : ``In(1)``: words may be read
    memory, copy, row, column, read : ``Out``, the word that is asked for; see
        :class:`hw.contents.ContentsBus`
    word : ``In(32)``: :data:`hw.contents.LATENCY` clocks later
    w_memory, w_crc, w_en : ``In``: the CRC that a memory should have
    done : ``Out(1)``: a memory has been compared
    last : ``Out(1)``, then: it was the last one of a pass
    wrong : ``Out(1)``, then: it has another CRC
    whose : ``Out(8)``, then: its number
    """

    def __init__(self, config, crcs):
        self._shapes, self._crcs = shapes(config), crcs
        number = range(max(2, len(crcs)))
        super().__init__({
            "go": In(1),
            "memory": Out(8),
            "copy": Out(8),
            "row": Out(24),
            "column": Out(8),
            "read": Out(1),
            "word": In(WORD),
            "w_memory": In(number),
            "w_crc": In(WORD),
            "w_en": In(1),
            "done": Out(1),
            "last": Out(1),
            "wrong": Out(1),
            "whose": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        count = len(self._shapes)
        m.submodules.crcs = crcs = memory.Memory(shape=WORD, depth=max(2, count), init=self._crcs)
        w_port, r_port = crcs.write_port(), crcs.read_port()
        m.d.comb += [
            w_port.addr.eq(self.w_memory), w_port.data.eq(self.w_crc), w_port.en.eq(self.w_en),
            r_port.addr.eq(self.memory),
        ]
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=WORD).create()

        # What is last is registered; the state before the first word of a memory gives it time.
        final = {name: Signal(24, name=f"last_{name}") for name in ("row", "column", "copy")}
        self._look_up(m, final)
        last_memory = Signal()
        m.d.sync += last_memory.eq(self.memory == count - 1)
        is_last = {name: Signal(name=f"is_last_{name}") for name in final}
        m.d.comb += [is_last[name].eq(getattr(self, name) == value)
                     for name, value in final.items()]

        coming = Signal(LATENCY)
        m.d.sync += coming.eq(Cat(self.read, coming))
        m.d.comb += [crc.data.eq(self.word), crc.valid.eq(coming[-1]), self.whose.eq(self.memory)]

        with m.FSM():
            with m.State("Begin"):
                m.d.comb += crc.start.eq(1)
                m.next = "Look up"
            with m.State("Look up"):
                m.next = "Read"
            with m.State("Read"):
                m.d.comb += self.read.eq(self.go)
                with m.If(self.go):
                    m.d.sync += self.column.eq(Mux(is_last["column"], 0, self.column + 1))
                    with m.If(is_last["column"]):
                        m.d.sync += self.row.eq(Mux(is_last["row"], 0, self.row + 1))
                        with m.If(is_last["row"]):
                            m.next = "Arrive"
            with m.State("Arrive"):
                with m.If(coming == 0):
                    m.next = "Compare"
            with m.State("Compare"):
                m.d.comb += [
                    self.done.eq(1),
                    self.last.eq(last_memory & is_last["copy"]),
                    self.wrong.eq(crc.crc != r_port.data),
                ]
                m.d.sync += self.copy.eq(Mux(is_last["copy"], 0, self.copy + 1))
                with m.If(is_last["copy"]):
                    m.d.sync += self.memory.eq(Mux(last_memory, 0, self.memory + 1))
                m.next = "Begin"
        return m

    def _look_up(self, m, final):
        """The last row, column and copy of the memory."""
        with m.Switch(self.memory):
            for number, shape in enumerate(self._shapes):
                with m.Case(number):
                    m.d.sync += [
                        final["row"].eq(shape.depth - 1),
                        final["column"].eq(shape.columns - 1),
                        final["copy"].eq(shape.copies - 1),
                    ]
        return final
