"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from dataclasses import replace

import numpy as np

from gen.errors import FitError, unknown
from gen.ir.layers import INPUT
from hw.config import ArrayConfig
from hw.maps import MapConfig, SourceConfig

from .kinds import kind
from .rings import with_rings

__all__ = ["flat_input", "map_config", "map_network", "shares"]

# Channels of a flat input (a vector, not a picture) in one word of spikes.
_FLAT_WORD = 16


def flat_input(network):
    """The network with its input as a vector, if only linear layers look at it.

    A linear layer on a picture would otherwise look at it through a window as large as the
    picture, a pixel a word.
    """
    if network.input_shape[1:] == (1, 1):
        return network
    layers = [layer.flattened(INPUT, network.input_shape) for layer in network.layers]
    if None in layers:
        return network
    pixels = int(np.prod(network.input_shape))
    return replace(network, input_shape=(pixels, 1, 1), layers=tuple(layers), samples=None)


def _port(index, name):
    """Name of a layer in Verilog and in the names of its memories, an identifier for any layer."""
    return f"l{index}_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')[:40] or 'layer'}"


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
        sources = tuple(SourceConfig(maps[window.source], index[window.source], window.kernel,
                                     window.stride, window.padding) for window in layer.windows)
        config = kind(layer).configure(layer, _port(len(layers), layer.name), sources, lanes,
                                       replicas, code)
        index[layer.name] = len(layers)
        layers.append(config)
        maps[layer.name] = config.out
    config = ArrayConfig(maps[INPUT], tuple(layers))
    for what, left in (("lanes", lanes), ("replicas", replicas)):
        if left:
            cores = [core.name for core in config.cores]
            raise FitError(f"{what}: {unknown('layer with synapses', sorted(left)[0], cores)}")
    return with_rings(config)


def shares(config):
    """The lanes and replicas of a configuration, as :func:`map_config` takes them."""
    return {"lanes": {core.name: core.lanes for core in config.cores},
            "replicas": {core.name: core.replicas for core in config.cores}}


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
    for layer, shape in zip(network.layers, config.layers, strict=True):
        image |= kind(layer).memories(layer, shape)
    return config, image
