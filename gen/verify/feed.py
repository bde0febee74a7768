"""The array with a register in front, for the C++ harness."""

from amaranth import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.build.verilog import component_verilog
from hw.config import ArrayConfig
from hw.contents import idle_contents

__all__ = ["Feed", "feed_verilog"]


class Feed(wiring.Component):
    """Feeds the emitted ``array`` (a black box here) from registers, and always takes its logits.

    So no input of the array is an input of the model. Verilator would evaluate all logic behind an
    input once more at either clock edge, and through back-pressure and reset that is most of it.

    Members
    -------
    i_payload, i_valid : ``In``, an input beat; it moves when ``i_ready``
    timesteps : ``In``, of the run, if the network has several
    i_ready : ``Out(1)``
    entered : ``Out(1)``, the array takes the beat that the register holds
    o_payload, o_valid : ``Out``, of the array's logits
    busy : ``Out``, which cores' lanes add a row, a bit for each of a core's replicas
    moved : ``Out``, which layers' outputs move, a bit for each layer
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        super().__init__({
            "i_payload": In(config.input_bits),
            "i_valid":   In(1),
            "timesteps": In(range(config.timesteps + 1)),
            "i_ready":   Out(1),
            "entered":   Out(1),
            "o_payload": Out(config.readout.beat_bits),
            "o_valid":   Out(1),
            "busy":      Out(sum(core.replicas for core in config.cores)),
            "moved":     Out(len(config.layers)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())

        payload, valid, ready = Signal.like(self.i_payload), Signal(), Signal()
        ports, first = {}, 0
        for core in self._config.cores:
            ports[f"o_busy_{core.port}"] = self.busy[first:first + core.replicas]
            first += core.replicas
        for k, layer in enumerate(self._config.layers):
            ports[f"o_probe_{layer.port}__payload"] = Signal(layer.beat_bits)
            ports[f"o_probe_{layer.port}__valid"] = self.moved[k]
        if self._config.settling:
            ports["o_quiet"] = Signal(len(self._config.settling))
        if self._config.timesteps > 1:
            timesteps = Signal.like(self.timesteps, reset_less=True)
            m.d.sync += timesteps.eq(self.timesteps)
            ports["i_timesteps"] = timesteps
        ports |= idle_contents(self._config)
        m.submodules.array = Instance(
            "array", i_clk=ClockSignal(), i_rst=reset, i_i__payload=payload,
            i_i__valid=valid, o_i__ready=ready, o_o__payload=self.o_payload,
            o_o__valid=self.o_valid, i_o__ready=1, **ports)

        m.d.comb += [
            self.i_ready.eq(~valid | ready),
            self.entered.eq(valid & ready),
        ]
        with m.If(self.i_ready):
            m.d.sync += payload.eq(self.i_payload)
            m.d.sync += valid.eq(self.i_valid)
        return m


def feed_verilog(config: ArrayConfig) -> str:
    """Verilog of module ``feed``, without the ``array`` that it instantiates."""
    return component_verilog(Feed(config), "feed")
