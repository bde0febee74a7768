"""The memory of the weights, beside the lanes that add its rows."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .contents import WORD, Rows
from .layers import BANK_ROWS

__all__ = ["Weights"]


class Weights(wiring.Component):
    """Reads a row of weights, which is there two clocks after its number; a new one every clock.

    A deep memory is several banks with a register behind each, because block RAM answers late in
    the clock, and a choice between blocks would follow.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
    rows : of ``lanes`` weights each, the first lane in the lowest bits
    written : whether the rows may be written

    Members
    -------
    row : ``In``: number of the row
    weights : ``Out(lanes * weight_bits)``: the row asked for two clocks before
    w_row, w_data, w_en : ``In``: a word of a row is written, see :class:`hw.contents.Rows`; only
        where rows may be
    """

    def __init__(self, core, rows, *, written=False):
        self._core = core
        self._rows = rows
        self._written = written
        width, row = core.lanes * core.weight_bits, range(max(2, core.weight_rows))
        super().__init__({
            "row": In(row),
            "weights": Out(width),
            **({"w_row": In(row), "w_data": In(WORD), "w_en": In(-(-width // WORD))}
               if written else {}),
        })

    def elaborate(self, platform):
        m = Module()
        arrived = []
        for k, depth in enumerate(self._core.weight_banks):
            rows = self._rows[k * BANK_ROWS:][:depth]
            if self._written:
                port = self._bank(m, k, depth, rows)
            else:
                m.submodules[f"bank_{k}"] = bank = memory.Memory(
                    shape=len(self.weights), depth=max(2, depth), init=rows)
                port = bank.read_port()
            register = Signal(len(self.weights), name=f"arrived_{k}", reset_less=True)
            m.d.comb += port.addr.eq(self.row)
            m.d.sync += register.eq(port.data)
            arrived.append(register)
        if len(arrived) == 1:
            m.d.comb += self.weights.eq(arrived[0])
        else:
            asked, whose = (Signal(range(len(arrived)), name=name) for name in ("asked", "whose"))
            m.d.sync += [asked.eq(self.row >> (BANK_ROWS - 1).bit_length()), whose.eq(asked)]
            m.d.comb += self.weights.eq(Array(arrived)[whose])
        return m

    def _bank(self, m, k, depth, rows):
        """A bank whose rows may be written."""
        m.submodules[f"bank_{k}"] = bank = Rows(len(self.weights), depth, rows)
        is_own = self.w_row >> (BANK_ROWS - 1).bit_length() == k
        m.d.comb += [
            bank.w_addr.eq(self.w_row),
            bank.w_data.eq(self.w_data),
            bank.w_en.eq(Mux(is_own, self.w_en, 0)),
        ]
        return bank
