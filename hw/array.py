"""The array: all layers of a network, one core each, in a pipeline of samples."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .contents import ContentsBus, share
from .core import Core
from .layers import CoreConfig, PoolConfig
from .past import Begun, tell
from .pool import Pool
from .quiet import Quiet
from .replicas import Replicas
from .run import timesteps_member
from .stream import Fork

__all__ = ["Array"]


def _core(core, image, most, number):
    memories = [image[f"{core.port}.{name}"].rows for name in ("weights", "parameters")]
    if core.replicas > 1:
        return Replicas(core, *memories, most=most, number=number)
    return Core(core, *memories, most=most, place=None if number is None else (number, 0))


def _pool(pool, image, most, number):
    return Pool(pool, most=most)


_COMPONENTS = {CoreConfig: _core, PoolConfig: _pool}
"""By the kind of a layer. A component has inputs ``i``, an output ``o``, ``status``: names of
signals that the array shows, ``timesteps`` if its layer has several, and ``begun`` if it
``continues``."""


class Array(wiring.Component):
    """A core for each layer; layer l works on a sample while layer l + 1 works on the previous one.

    Every connection is a stream with back-pressure: a layer that is not read stalls the layers
    before it, and nothing is lost. Reset forgets all samples on their way.

    Parameters
    ----------
    config : :class:`hw.config.ArrayConfig`
    image : contents of ``{port}.weights`` and ``{port}.parameters`` of each core, as
        :class:`hw.config.MemoryImage`

    Members
    -------
    i : ``In(stream)``: beats of the input map; if samples are blocks of sequences, the highest bit
        of a sample's first beat says whether it begins one
    o : ``Out(stream)``: potentials of the read-out, ``groups`` payloads a position
    probe_{port} : ``payload`` and ``valid`` of each layer's output, valid when it moves; these
        names survive synthesis, so that a netlist can be observed
    busy_{port} : which replicas of a core are adding a row
    quiet : ``Out``, with the last beat of a sample's logits: a bit for each layer of
        ``config.settling``, whether none of its neurons spiked in the last time-step; right as long
        as there are no more than ``config.in_flight`` samples. Only if there are such layers
    timesteps : ``In``, of the run, 1 to ``config.timesteps``; it may change while there is no
        sample. Only if the network has several
    contents : ``In(ContentsBus)``; only if the array is ``reloadable``
    """

    def __init__(self, config, image):
        self._config = config
        numbers = {core: number for number, core in enumerate(config.cores)}
        self._layers = [_COMPONENTS[type(layer)](
            layer, image, config.in_flight, numbers.get(layer) if config.reloadable else None)
            for layer in config.layers]
        ports = {"contents": In(ContentsBus)} if config.reloadable else {}
        for layer, component in zip(config.layers, self._layers, strict=True):
            ports[f"probe_{layer.port}"] = Out(wiring.Signature({
                "payload": Out(component.o.p.shape()), "valid": Out(1)}))
            for name in component.status:
                ports[f"{name}_{layer.port}"] = Out(getattr(component, name).shape())
        ports |= timesteps_member(config.timesteps)
        if config.settling:
            ports["quiet"] = Out(len(config.settling))
        super().__init__({
            "i": In(stream.Signature(config.input_bits)),
            "o": Out(stream.Signature(config.readout.beat_bits)),
            **ports,
        })

    def elaborate(self, platform):
        m = Module()
        layers = list(zip(self._config.layers, self._layers, strict=True))
        for layer, component in layers:
            m.submodules[layer.port] = component

        entering = self._enter(m) if self._config.continues else flipped(self.i)
        for index, producer in [(-1, entering), *((k, c.o) for k, (_, c)
                                                  in enumerate(layers[:-1]))]:
            consumers = self._config.consumers(index)
            fork = Fork(producer.p.shape(), len(consumers))
            m.submodules[f"fork_{index + 1}"] = fork
            connect(m, producer, fork.i)
            for o, (consumer, source) in zip(fork.o, consumers, strict=True):
                connect(m, o, self._layers[consumer].i[source])
        connect(m, self._layers[-1].o, flipped(self.o))

        for layer, component in layers:
            probe = getattr(self, f"probe_{layer.port}")
            m.d.comb += probe.payload.eq(component.o.payload)
            m.d.comb += probe.valid.eq(component.o.valid & component.o.ready)
            for signal in (probe.payload, probe.valid):
                Value.cast(signal).attrs["keep"] = 1
            for name in component.status:
                m.d.comb += getattr(self, f"{name}_{layer.port}").eq(getattr(component, name))
            if layer.timesteps > 1:
                m.d.comb += component.timesteps.eq(self.timesteps)
        if self._config.settling:
            self._watch(m)
        if self._config.reloadable:
            self._open(m)
        return m

    def _open(self, m):
        """Let a host at the memories of all cores."""
        share(m, self.contents, [component.contents for layer, component in zip(
            self._config.layers, self._layers, strict=True) if layer in self._config.cores],
            late=True)

    def _watch(self, m):
        """Whether neurons are quiet, by the probes."""
        done = self._ends(m)
        for k, core in enumerate(self._config.settling):
            m.submodules[f"quiet_{core.port}"] = quiet = Quiet(core.out, self._config.in_flight)
            probe = getattr(self, f"probe_{core.port}")
            m.d.comb += [
                quiet.beat.eq(probe.payload),
                quiet.moves.eq(probe.valid),
                quiet.done.eq(done),
                self.quiet[k].eq(quiet.quiet),
            ]

    def _ends(self, m):
        """Whether a sample's last logits leave."""
        beats, done = self._config.readout.beats, Signal()
        left = Signal(range(beats), init=beats - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.comb += done.eq(left == 0)
            m.d.sync += left.eq(Mux(done, beats - 1, left - 1))
        return done

    def _enter(self, m):
        """The stream of input beats without the bit that says whether a sample begins a sequence.
        Samples wait while as many are under way as there may be."""
        layout, most = self._config.input, self._config.in_flight
        entering = stream.Signature(layout.beat_bits).create(path=("entering",))
        m.submodules.begun = begun = Begun(most)
        left = Signal(range(layout.beats), init=layout.beats - 1)
        first, may, moves = Signal(init=1), Signal(), Signal()
        m.d.comb += [
            may.eq(begun.room | ~first),
            entering.payload.eq(self.i.payload),
            entering.valid.eq(self.i.valid & may),
            self.i.ready.eq(entering.ready & may),
            moves.eq(self.i.valid & self.i.ready),
            begun.begins.eq(moves & first),
            begun.fresh.eq(self.i.payload[-1]),
            begun.ends.eq(self._ends(m)),
        ]
        with m.If(moves):
            m.d.sync += left.eq(Mux(left == 0, layout.beats - 1, left - 1))
            m.d.sync += first.eq(left == 0)
        tell(m, begun.o, [component for layer, component in zip(
            self._config.layers, self._layers, strict=True) if layer.continues])
        return entering
