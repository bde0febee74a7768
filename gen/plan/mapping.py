"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from dataclasses import replace

import numpy as np

from hw.config import ArrayConfig, CoreConfig, MapConfig, PoolConfig, SourceConfig

from ..errors import FitError, unknown
from ..ir.layers import INPUT, Pool, Synapses
from .weights import core_config, core_memories

__all__ = ["map_config", "map_network", "flat_input"]

# Channels of a flat input (a vector, not a picture) in one word of spikes.
_FLAT_WORD = 16


def flat_input(network):
    """The network with its input as a vector, if only linear layers look at it.

    A linear layer on a picture would otherwise look at it through a window as large as the
    picture, a pixel a word.
    """
    users = [(layer, k) for layer in network.layers
             for k, source in enumerate(layer.sources) if source == INPUT]
    if network.input_shape[1:] == (1, 1) or any(
            isinstance(layer, Pool)
            or layer.synapses[k].weights.shape[1:] != network.input_shape
            or any(layer.synapses[k].padding) for layer, k in users):
        return network

    def flatten(synapses):
        if synapses.source != INPUT:
            return synapses
        weights = synapses.weights.reshape(synapses.out_channels, -1, 1, 1)
        return Synapses(source=INPUT, weights=weights, bits=synapses.bits)

    layers = []
    for layer in network.layers:
        if not isinstance(layer, Pool):
            synapses = tuple(flatten(s) for s in layer.synapses)
            layer = replace(layer, synapses=synapses)
        layers.append(layer)
    pixels = int(np.prod(network.input_shape))
    return replace(network, input_shape=(pixels, 1, 1), layers=tuple(layers), samples=None)


def _port(index, name):
    """Name of a layer in Verilog and in the names of its memories, an identifier for any layer."""
    return f"l{index}_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')[:40] or 'layer'}"


def _replicas(core, count):
    rows = 1 if core.out is None else core.out.height
    if not isinstance(count, int) or not 1 <= count <= rows:
        raise FitError(f"{core.name}: replicas must be 1 to {rows} (its output rows), not "
                       f"{count!r}")
    return count


def map_config(network, *, lanes=None, replicas=None, code="phase"):
    """Configuration of the array that computes ``network``: its shapes, without the contents of
    its memories.

    Parameters
    ----------
    lanes : layer name -> lanes; layers not named get one lane a channel, at most 16
    replicas : layer name -> copies of its core that share the output rows; one if not named
    code : ``"phase"`` or ``"rate"``, how layers replay each other's counts; pixels are always
        replayed as bit planes

    Raises
    ------
    FitError
        If lanes or replicas are not possible, or given for a layer that has none.
    """
    lanes, replicas = dict(lanes or {}), dict(replicas or {})
    network = flat_input(network)
    channels, height, width = network.input_shape
    flat = height * width == 1
    layers = []
    index = {INPUT: -1}
    maps = {INPUT: MapConfig(channels, height, width, network.input_levels,
                             min(channels, _FLAT_WORD) if flat else min(channels, 32))}
    for layer in network.layers:
        port = _port(len(layers), layer.name)
        if isinstance(layer, Pool):
            source = SourceConfig(maps[layer.source], index[layer.source], layer.kernel,
                                  layer.stride, layer.padding)
            config = PoolConfig(layer.name, port, source, layer.kind)
        else:
            sources = [SourceConfig(maps[s.source], index[s.source], tuple(s.kernel), s.stride,
                                    s.padding) for s in layer.synapses]
            count = lanes.pop(layer.name, min(layer.channels, 16))
            if not isinstance(count, int) or not 1 <= count <= layer.channels:
                raise FitError(f"{layer.name}: lanes must be 1 to {layer.channels} (its channels), "
                               f"not {count!r}")
            config = core_config(layer, port, sources, count, code)
            config = replace(config, replicas=_replicas(config, replicas.pop(layer.name, 1)))
        index[layer.name] = len(layers)
        layers.append(config)
        maps[layer.name] = config.out
    for what, left in (("lanes", lanes), ("replicas", replicas)):
        if left:
            cores = [layer.name for layer in layers if isinstance(layer, CoreConfig)]
            raise FitError(f"{what}: {unknown('layer with synapses', sorted(left)[0], cores)}")
    return ArrayConfig(maps[INPUT], tuple(layers))


def map_network(network, *, lanes=None, replicas=None, code="phase"):
    """Configuration and memory contents of the array that computes ``network``.

    The arguments are those of :func:`map_config`.

    Returns
    -------
    ``(ArrayConfig, {memory name: MemoryImage})``
    """
    network = flat_input(network)
    config = map_config(network, lanes=lanes, replicas=replicas, code=code)
    image = {}
    for layer, core in zip(network.layers, config.layers, strict=True):
        if isinstance(core, CoreConfig):
            image |= core_memories(layer, core)
    return config, image
