"""The array with a monitor around it, so a testbench in Python wakes only when beats move."""

from amaranth import Cat, ClockDomain, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.build.verilog import component_verilog
from hw.config import ArrayConfig
from hw.contents import idle_contents

__all__ = ["Monitor", "monitor_verilog"]


class Monitor(wiring.Component):
    """Watches every stream of the emitted ``array`` (a black box here: its Verilog is the subject).

    In the clock after a beat has moved, ``event`` has toggled. ``seen`` has a bit for each stream
    that moved a beat: the layers in order, the logits last. If layers come to rest there is one
    more stream, of those that were quiet, which moves with the last logits of a sample.
    ``beat_<k>`` holds the beat of stream ``k``. ``taken`` toggles with every input beat that the
    array accepted. ``rows_<k>`` counts the rows that the lanes of core ``k`` have added since the
    reset, and ``events_<k>`` the events that they have taken, over all its replicas.

    Members
    -------
    i_payload, i_valid, o_ready : ``In``, of the array's streams
    timesteps : ``In``, of the run, if the network has several
    taken, event : ``Out(1)``
    seen : ``Out(streams)``
    beat_<k> : ``Out``
    rows_<k>, events_<k> : ``Out(32)``

    A reset takes effect a clock later. All that depends on a pin without a register is computed
    again in each call of the simulator, and nearly all next states depend on the reset.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        self._probed = config.layers[:-1]
        widths = [layer.beat_bits for layer in config.layers]
        widths += [len(config.settling)] if config.settling else []
        self._beats = {f"beat_{k}": width for k, width in enumerate(widths)}
        super().__init__({
            "i_payload": In(config.input_bits),
            "i_valid":   In(1),
            "o_ready":   In(1),
            "timesteps": In(range(config.timesteps + 1)),
            "taken":     Out(1),
            "event":     Out(1),
            "seen":      Out(len(widths)),
            **{name: Out(width) for name, width in self._beats.items()},
            **{f"{what}_{k}": Out(32) for what in ("rows", "events")
               for k in range(len(config.cores))},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.domains.held = ClockDomain()
        m.d.comb += ClockSignal("held").eq(ClockSignal())
        late = Signal(init=1, reset_less=True)
        m.d.sync += late.eq(ResetSignal())
        m.d.comb += ResetSignal("held").eq(late)

        i_ready, o_valid = Signal(), Signal()
        moved = [Signal(name=f"moved_{k}") for k in range(len(self._probed))]
        beats = [Signal(width, name=f"now_{k}") for k, width in enumerate(self._beats.values())]
        ports = {f"o_probe_{layer.port}__{member}": signals[k]
                 for k, layer in enumerate(self._probed)
                 for member, signals in (("valid", moved), ("payload", beats))}
        readout = self._config.readout
        ports |= {f"o_probe_{readout.port}__payload": Signal(readout.beat_bits),
                  f"o_probe_{readout.port}__valid": Signal()}
        for k, core in enumerate(self._config.cores):
            busy, taken = (Signal(core.replicas, name=f"{what}_{k}") for what in ("busy", "taken"))
            ports[f"o_busy_{core.port}"] = busy
            m.submodules[f"probe_{k}"] = Instance(f"probe_{k}", o_taken=taken)
            for counter, happened in ((f"rows_{k}", busy), (f"events_{k}", taken)):
                counter = getattr(self, counter)
                m.d.held += counter.eq(counter + sum(happened))
        seen = [*moved, o_valid & self.o_ready]
        if self._config.settling:
            ports["o_quiet"] = beats[-1]
            seen.append(self._ends(m, seen[-1]))
        if self._config.timesteps > 1:
            ports["i_timesteps"] = self.timesteps
        ports |= idle_contents(self._config)
        m.submodules.array = Instance(
            "array", i_clk=ClockSignal(), i_rst=late,
            i_i__payload=self.i_payload, i_i__valid=self.i_valid, o_i__ready=i_ready,
            o_o__payload=beats[len(self._probed)], o_o__valid=o_valid, i_o__ready=self.o_ready,
            **ports)

        m.d.held += self.seen.eq(Cat(seen))
        with m.If(Cat(seen).any()):
            m.d.held += self.event.eq(~self.event)
        with m.If(self.i_valid & i_ready):
            m.d.held += self.taken.eq(~self.taken)
        for name, valid, beat in zip(self._beats, seen, beats, strict=True):
            with m.If(valid):
                m.d.held += getattr(self, name).eq(beat)
        return m

    def _ends(self, m, answers):
        """Whether logits that move are the last ones of a sample."""
        last = self._config.readout.beats - 1
        left = Signal(range(last + 1), init=last)
        with m.If(answers):
            m.d.held += left.eq(Mux(left == 0, last, left - 1))
        return answers & (left == 0)


# The input of a core's lanes is no port of the array, so the monitor reads it by its hierarchical
# name.
_PROBE = """
module probe_{number}(output [{top}:0] taken);
  assign taken = {{{taken}}};
endmodule
"""


def _probe(number, core):
    paths = [f"monitor.array.{core.port}"]
    if core.replicas > 1:
        paths = [f"{paths[0]}.replica_{k}" for k in reversed(range(core.replicas))]
    taken = (f"{path}.lanes.i__valid & {path}.lanes.i__ready" for path in paths)
    return _PROBE.format(number=number, top=core.replicas - 1, taken=", ".join(taken))


def monitor_verilog(config: ArrayConfig) -> str:
    """Verilog of module ``monitor``, without the ``array`` that it instantiates."""
    return component_verilog(Monitor(config), "monitor") + "".join(
        _probe(number, core) for number, core in enumerate(config.cores))
