"""The array: all layers of a network, one core each, in a pipeline of samples."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .config import CoreConfig
from .core import Core
from .pool import Pool
from .replicas import Replicas
from .stream import Fork

__all__ = ["Array"]


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
    i : ``In(stream)``: beats of the input map
    o : ``Out(stream)``: potentials of the read-out, ``groups`` payloads a sample
    probe_{port} : ``payload`` and ``valid`` of each layer's output, valid when it moves; these
        names survive synthesis, so that a netlist can be observed
    busy_{port} : which replicas of a core are adding a row
    """

    def __init__(self, config, image):
        self._config = config
        self._layers = [self._component(layer, image) for layer in config.layers]
        ports = {}
        for layer, component in zip(config.layers, self._layers, strict=True):
            ports[f"probe_{layer.port}"] = Out(wiring.Signature({
                "payload": Out(component.o.p.shape()), "valid": Out(1)}))
            if isinstance(layer, CoreConfig):
                ports[f"busy_{layer.port}"] = Out(component.busy.shape())
        super().__init__({
            "i": In(stream.Signature(config.input.beat_bits)),
            "o": Out(stream.Signature(config.readout.logit_bits)),
            **ports,
        })

    @staticmethod
    def _component(layer, image):
        if not isinstance(layer, CoreConfig):
            return Pool(layer)
        kind = Core if layer.replicas == 1 else Replicas
        return kind(layer, image[f"{layer.port}.weights"].rows,
                    image[f"{layer.port}.parameters"].rows)

    def elaborate(self, platform):
        m = Module()
        layers = list(zip(self._config.layers, self._layers, strict=True))
        for layer, component in layers:
            m.submodules[layer.port] = component

        for index, producer in [(-1, flipped(self.i)), *((k, c.o) for k, (_, c)
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
            if isinstance(layer, CoreConfig):
                m.d.comb += getattr(self, f"busy_{layer.port}").eq(component.busy)
        return m
