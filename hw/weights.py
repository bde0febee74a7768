"""The memory of the weights, beside the lanes that add its rows."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

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

    Members
    -------
    row : ``In``: number of the row
    weights : ``Out(lanes * weight_bits)``: the row asked for two clocks before
    """

    def __init__(self, core, rows):
        self._core = core
        self._rows = rows
        super().__init__({
            "row": In(range(max(2, core.weight_rows))),
            "weights": Out(core.lanes * core.weight_bits),
        })

    def elaborate(self, platform):
        m = Module()
        arrived = []
        for k, depth in enumerate(self._core.weight_banks):
            m.submodules[f"bank_{k}"] = bank = memory.Memory(
                shape=len(self.weights), depth=max(2, depth),
                init=self._rows[k * BANK_ROWS:][:depth])
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
