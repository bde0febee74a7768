"""Loads the memories of an array, and keeps account of what is in them."""

import zlib

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bus import Status
from .contents import WORD, ContentsBus, shapes
from .registers import RegisterMap
from .scrub import Scrubber

__all__ = ["Health", "LoadBus", "Loader", "LoaderModel", "crc"]

LoadBus = wiring.Signature({
    "addr": Out(16),
    "w_en": Out(1),
    "w_data": Out(32),
    "w_status": In(Status),
    "idle": Out(1),
    "refuses": In(1),
})
"""Registers that a host loads the memories with. ``addr`` and ``w_data`` are there a clock before
``w_en`` is high; ``w_status`` is the outcome of the word, in the same clock. ``idle`` says that no
sample is under way, and ``refuses`` that none may be started."""

Health = data.StructLayout({"intact": 1, "loading": 1, "checking": 1, "damaged": 1, "unused": 4,
                            "memory": 8, "passes": 16})
"""What is known of the memories. ``intact``: samples are computed. ``loading``: a host has begun to
load them. ``checking``: what it has loaded is compared. ``damaged``: a CRC was wrong, first that of
``memory``. ``passes`` counts comparisons of all memories, modulo 2**16."""


class Loader(wiring.Component):
    """Registers for loading, and the state of the memories, which a reset does not forget.

    A load begins with a word to ``load``, while no sample is under way. From then on samples are
    refused, whatever happens, until a word to ``check`` has all memories compared with their CRCs,
    all of which must have been written since, and all agree. So nothing is ever computed with half
    of one network. A *block* is words of a memory that follow each other, row by row. Its first
    word, at ``block``, has the number of the memory in the highest 8 bits and the row in the
    others, the next one the place in the row. The words follow at the next addresses, in order; a
    block may be written again. The number after that of the last memory stands for the CRCs of
    all, a row each. The words of ``holds`` say what the memories hold; they are written while these
    are loaded.

    While nothing is loaded and the array is idle, the memories are compared over and over. If a CRC
    is wrong they are ``damaged``, and samples are refused until they are loaded again.

    Parameters
    ----------
    config : :class:`hw.config.ArrayConfig`, ``reloadable``
    registers : :class:`hw.registers.RegisterMap`
    crcs : of each memory at power-up, by its number
    holds : 8 words that say what the memories hold at power-up

    Members
    -------
    bus : ``In(LoadBus)``
    array : ``Out(ContentsBus)``
    idle : ``In(1)``: the array computes nothing, and will not for the next ten clocks
    health : ``Out(Health)``
    loaded : ``Out(1)``: what was loaded is complete
    holds : ``Out``: 8 words
    """

    def __init__(self, config, registers, *, crcs, holds):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._config, self._map = config, registers
        self._crcs, self._holds = crcs, holds
        super().__init__({
            "bus": In(LoadBus),
            "array": Out(ContentsBus),
            "idle": In(1),
            "health": Out(Health),
            "loaded": Out(1),
            "holds": Out(data.ArrayLayout(32, len(holds))),
        })

    def elaborate(self, platform):
        m = Module()
        where, bus, array = self._map, self.bus, self.array
        begins_anew = Signal()
        scrubber = Scrubber(self._config, self._crcs)
        m.submodules.scrubber = ResetInserter(begins_anew)(scrubber)

        # A reset of the fabric leaves memories as they are, so these stay, too.
        intact, loading, checking, damaged = (
            Signal(name=name, init=name == "intact", reset_less=True)
            for name in ("intact", "loading", "checking", "damaged"))
        damaged_memory, passes = Signal(8, reset_less=True), Signal(16)
        words = [Signal(32, name=f"holds_{k}", init=word, reset_less=True)
                 for k, word in enumerate(self._holds)]
        m.d.comb += [
            self.health.intact.eq(intact), self.health.loading.eq(loading),
            self.health.checking.eq(checking), self.health.damaged.eq(damaged),
            self.health.memory.eq(damaged_memory), self.health.passes.eq(passes),
            Value.cast(self.holds).eq(Cat(words)),
            bus.refuses.eq(~intact),
        ]

        begins, checks, names = (Signal(name=name) for name in ("begins", "checks", "names"))
        # What has been written since a load began: the CRC of each memory, and what they hold.
        count = len(self._crcs)
        written = Signal(count + len(words), reset_less=True)
        with m.If(scrubber.w_en):
            m.d.sync += written.bit_select(scrubber.w_memory, 1).eq(1)
        place, offset = Signal(range(where.block_words + 1)), Signal(range(where.block_words))
        is_block, in_order = Signal(), Signal()
        m.d.sync += [
            begins.eq(bus.addr == where.load), checks.eq(bus.addr == where.check),
            names.eq(bus.addr[3:] == where.holds >> 3),
            is_block.eq((bus.addr >= where.block) & (bus.addr < where.block + where.block_words)),
            offset.eq(bus.addr - where.block),
            in_order.eq((bus.addr == where.block) | (bus.addr - where.block == place)),
        ]
        m.d.comb += scrubber.go.eq(checking | intact & self.idle)
        m.d.comb += [
            array.copy.eq(scrubber.copy), array.read.eq(scrubber.read),
            scrubber.word.eq(array.word),
        ]
        with m.If(scrubber.done & scrubber.wrong & (checking | intact)):
            m.d.sync += [damaged.eq(1), damaged_memory.eq(scrubber.whose), intact.eq(0),
                         loading.eq(0), checking.eq(0)]
        with m.Elif(scrubber.done & scrubber.last & (checking | intact)):
            m.d.comb += self.loaded.eq(checking)
            m.d.sync += [passes.eq(passes + 1), intact.eq(1), loading.eq(0), checking.eq(0)]
        # What a host writes in the same clock comes last, and wins.
        with m.If(begins):
            with m.If(~bus.idle & ~loading):
                m.d.comb += bus.w_status.eq(Status.BUSY)
            with m.Elif(bus.w_en):
                m.d.sync += [loading.eq(1), intact.eq(0), checking.eq(0), damaged.eq(0),
                             place.eq(0), written.eq(0)]
        with m.Elif(checks):
            with m.If(~loading & ~intact):
                m.d.comb += bus.w_status.eq(Status.ORDER)
            with m.Elif(loading & ~written.all()):
                m.d.comb += bus.w_status.eq(Status.INCOMPLETE)
            with m.Elif(bus.w_en & loading & ~checking):
                m.d.comb += begins_anew.eq(1)
                m.d.sync += checking.eq(1)
        with m.Elif(~loading | checking):
            m.d.comb += bus.w_status.eq(Status.ORDER)
        with m.Elif(names):
            with m.Switch(bus.addr[:3]):
                for k, word in enumerate(words):
                    with m.Case(k):
                        with m.If(bus.w_en):
                            m.d.sync += [word.eq(bus.w_data), written[count + k].eq(1)]
        with m.Elif(is_block & ~in_order):
            m.d.comb += bus.w_status.eq(Status.INCOMPLETE)
        with m.Elif(is_block & bus.w_en):
            m.d.sync += place.eq(offset + 1)
        self._store(m, scrubber, loading & ~checking & is_block & in_order & bus.w_en, offset)
        return m

    def _store(self, m, scrubber, writes, offset):
        """Words of a block, the first of which say where the others go."""
        bus, array = self.bus, self.array
        count = len(self._crcs)
        number, row, column = Signal(8), Signal(24), Signal(8)
        last = Signal(8)
        with m.Switch(number):
            for k, shape in enumerate(shapes(self._config)):
                with m.Case(k):
                    m.d.comb += last.eq(shape.columns - 1)
        with m.If(writes & (offset == 0)):
            m.d.sync += [number.eq(bus.w_data[24:]), row.eq(bus.w_data[:24])]
        with m.Elif(writes & (offset == 1)):
            m.d.sync += column.eq(bus.w_data)
        with m.Elif(writes):
            m.d.sync += column.eq(Mux(column == last, 0, column + 1))
            m.d.sync += row.eq(row + (column == last))
        stores, whose, at_row, at_column, word = (
            Signal(), Signal(8), Signal(24), Signal(8), Signal(WORD))
        m.d.sync += [stores.eq(writes & (offset > 1)), whose.eq(number), at_row.eq(row),
                     at_column.eq(column), word.eq(bus.w_data)]
        m.d.comb += [
            array.memory.eq(Mux(stores, whose, scrubber.memory)),
            array.row.eq(Mux(stores, at_row, scrubber.row)),
            array.column.eq(Mux(stores, at_column, scrubber.column)),
            array.data.eq(word), array.write.eq(stores & (whose != count)),
            scrubber.w_memory.eq(at_row), scrubber.w_crc.eq(word),
            scrubber.w_en.eq(stores & (whose == count)),
        ]


class LoaderModel:
    """The loader in integers. What is checked is checked at once.

    Parameters
    ----------
    config, registers, holds : as of :class:`Loader`
    rows : of each memory, by its number, lists of integers

    Members
    -------
    rows, holds : as they have been loaded
    intact, loading, damaged, memory : see :data:`Health`
    """

    def __init__(self, config, registers, *, rows, holds):
        self._where, self._shapes = registers, shapes(config)
        self.rows, self.holds = [list(each) for each in rows], list(holds)
        self._crcs = [crc(each, shape) for each, shape in zip(rows, self._shapes, strict=True)]
        self.intact, self.loading, self.damaged, self.memory = True, False, False, 0
        self._missing = set()
        self._words, self._place = [], 0

    @property
    def facts(self):
        """Address -> word, of the registers that are read."""
        health = (self.intact | self.loading << 1 | self.damaged << 3 | self.memory << 8)
        return {self._where.health: health,
                **{self._where.holds + k: word for k, word in enumerate(self.holds)}}

    def write(self, addr, value, idle=True):
        """The status of a word."""
        where = self._where
        if addr == where.load:
            if not (idle or self.loading):
                return Status.BUSY
            self.loading, self.intact, self.damaged, self._place = True, False, False, 0
            self._missing = {*range(len(self.rows) + len(self.holds))}
        elif addr == where.check:
            if not (self.loading or self.intact):
                return Status.ORDER
            if self.loading and self._missing:
                return Status.INCOMPLETE
            if self.loading:
                self.scrub()
        elif not self.loading:
            return Status.ORDER
        elif where.holds <= addr < where.holds + len(self.holds):
            self.holds[addr - where.holds] = value
            self._missing.discard(len(self.rows) + addr - where.holds)
        elif addr not in (where.block, where.block + self._place):
            return Status.INCOMPLETE
        else:
            self._store(addr - where.block, value)
        return Status.OK

    def _store(self, offset, value):
        self._place = offset + 1
        if offset == 0:
            self._at = value >> 24, value & 0xffffff, 0
            return
        number, row, column = self._at
        if offset == 1:
            self._at = number, row, value
            return
        if number == len(self.rows):
            columns = 1
            if row < number:
                self._crcs[row] = value
                self._missing.discard(row)
        elif number > len(self.rows) or row >= len(self.rows[number]) or (
                column >= self._shapes[number].columns):
            columns = 1  # there is no such word; the CRC tells
        else:
            columns, width = self._shapes[number].columns, self._shapes[number].width
            mask = (1 << min(WORD, width - WORD * column)) - 1
            self.rows[number][row] &= ~((1 << WORD) - 1 << WORD * column)
            self.rows[number][row] |= (value & mask) << WORD * column
        column += 1
        self._at = number, row + column // columns, column % columns

    def scrub(self):
        """Compare all memories."""
        wrong = [number for number, (rows, shape) in enumerate(
            zip(self.rows, self._shapes, strict=True)) if crc(rows, shape) != self._crcs[number]]
        self.intact, self.loading, self.damaged = not wrong, False, bool(wrong)
        self.memory = wrong[0] if wrong else self.memory


def crc(rows, shape):
    """CRC-32 of the words of a memory.

    Parameters
    ----------
    rows : integers
    shape : :class:`hw.contents.Shape`
    """
    return zlib.crc32(b"".join(row.to_bytes(shape.columns * WORD // 8, "little") for row in rows))
