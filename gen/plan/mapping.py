"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NotRequired, TypedDict

import numpy as np

from gen.errors import FitError, unknown
from gen.ir.blocks import block
from gen.ir.interleaved import interleave
from gen.ir.layers import INPUT, Layer
from gen.ir.network import Network
from hw.config import ArrayConfig, MemoryImage
from hw.layers import CoreConfig, PoolConfig
from hw.maps import SLICE_STEPS, MapConfig, SourceConfig

from .kinds import kind
from .rings import rows_of, with_rings

__all__ = ["Options", "flat_input", "map_config", "map_network", "options"]

# Channels of a flat input (a vector, not a picture) in one word of spikes.
_FLAT_WORD = 16


def flat_input(network: Network) -> Network:
    """The network with its input as a vector, if only linear layers look at the input.

    Otherwise a linear layer would look at a picture through a window as large as the picture, with
    one pixel in a word.
    """
    if network.input_shape[1:] == (1, 1):
        return network
    layers: list[Layer] = []
    for layer in network.layers:
        flattened = layer.flattened(INPUT, network.input_shape)
        if flattened is None:
            return network
        layers.append(flattened)
    pixels = int(np.prod(network.input_shape))
    return replace(network, input_shape=(pixels, 1, 1), layers=tuple(layers), samples=None)


def _sampled(network, stream, interleaved):
    """The network of a sample."""
    network = interleave(network, interleaved)
    return flat_input(network) if stream is None else block(network, stream)


def _port(index, name):
    """The name of a layer in Verilog and in the names of its memories. It is an identifier,
    whatever the layer is called."""
    return f"l{index}_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')[:40] or 'layer'}"


def map_config(network: Network, *, lanes: Mapping[str, int] | None = None,
               replicas: Mapping[str, int] | None = None, code: str = "phase",
               slice_steps: int = SLICE_STEPS,
               rows: Mapping[str, Sequence[int]] | None = None,
               stream: int | None = None, interleaved: int = 1,
               differential: Mapping[str, Sequence[str]] | None = None) -> ArrayConfig:
    """The configuration of the array that computes ``network``, without the contents of its
    memories.

    Parameters
    ----------
    lanes : layer name -> lanes; layers not named get one lane a channel, at most 16
    replicas : layer name -> copies of its core that share the output rows; one if not named
    code : how layers replay each other's counts, ``"phase"`` or ``"rate"``; pixels are always
        replayed as bit planes
    slice_steps : time-steps of a slice of the trains between layers, at most (see
        :class:`hw.maps.MapConfig`)
    rows : layer name -> rows of its spike memories, see :func:`gen.plan.rings.with_rings`
    stream : rows of the input of which a sample has so many, as a block of a sequence that goes on
        (:mod:`gen.ir.blocks`); by default a sample is a whole input
    interleaved : sequences that a sample holds side by side (:mod:`gen.ir.interleaved`)
    differential : layer name -> those of its sources, by name, that it gets changes of and not
        counts (docs/methods.md, 15)

    Raises
    ------
    FitError
        If a layer can't have the lanes, replicas, rows or changes that are given for it.
    NetworkError
        If the network can't take a sequence in such blocks, or several side by side.
    """
    lanes, replicas = dict(lanes or {}), dict(replicas or {})
    differential = dict(differential or {})
    network = _sampled(network, stream, interleaved)
    channels, height, width = network.input_shape
    flat = height * width == 1 and stream is None
    layers: list[CoreConfig | PoolConfig] = []
    index = {INPUT: -1}
    maps = {INPUT: MapConfig(channels, height, width, network.input_levels,
                             min(channels, _FLAT_WORD) if flat else min(channels, 32),
                             most_steps=slice_steps)}
    for layer in network.layers:
        if layer.name in layer.sources:  # its words and code are decided with its lanes
            index[layer.name] = len(layers)
            maps[layer.name] = MapConfig(*network.shapes[layer.name], network.levels[layer.name], 1)
        sources = _sources(layer, maps, index, stream is not None,
                           differential.pop(layer.name, ()))
        levels = [network.levels[name] for name in layer.sources]
        config = kind(layer).configure(layer, _port(len(layers), layer.name), sources, levels,
                                       lanes, replicas, code)
        index[layer.name] = len(layers)
        layers.append(config)
        maps[layer.name] = config.out
    config = ArrayConfig(maps[INPUT], tuple(layers), interleaved)
    for what, left in (("lanes", lanes), ("replicas", replicas), ("differential", differential)):
        if left:
            cores = [core.name for core in config.cores]
            raise FitError(f"{what}: {unknown('layer with synapses', sorted(left)[0], cores)}")
    return with_rings(config, rows)


def _sources(layer: Layer, maps: Mapping[str, MapConfig], index: Mapping[str, int], blocks: bool,
             changes: Sequence[str]) -> tuple[SourceConfig, ...]:
    """The sources of a layer.

    Parameters
    ----------
    maps, index : by the name of a source
    blocks : whether samples are blocks of sequences
    changes : names of the sources that are received as changes
    """
    sources = tuple(SourceConfig(maps[window.source], index[window.source], window.kernel,
                                 window.stride, window.padding, below=window.below,
                                 continues=blocks and (window.padding[0] > 0
                                                       or window.source in changes))
                    for window in layer.windows)
    return _changing(layer, sources, changes) if changes else sources


def _changing(layer: Layer, sources: Sequence[SourceConfig], names: Sequence[str]
              ) -> tuple[SourceConfig, ...]:
    for name in names:
        if name not in layer.sources:
            raise FitError(f"differential: {layer.name}: "
                           f"{unknown('source', name, list(layer.sources))}")
    if not layer.synapses:
        raise FitError(f"differential: {layer.name} has no membranes that could keep charge")
    if layer.dynamics is not None:
        raise FitError(f"differential: {layer.name} fires in time-steps, and gets no counts")
    for name, source in zip(layer.sources, sources, strict=True):
        if name in names and source.map.height == 1 and not source.continues:
            raise FitError(f"differential: {layer.name} gets a single row of {name}, which has no "
                           f"row before to differ from")
        if name in names and not source.follows:
            raise FitError(f"differential: {layer.name} can't get {name} as changes: its windows "
                           f"begin with more than a stride of elements, or end below the map; a "
                           f"layer that sees no later element than its own can")
    return tuple(replace(source, map=replace(source.map, code="change"), rows=None)
                 if name in names else source
                 for name, source in zip(layer.sources, sources, strict=True))


class Options(TypedDict):
    """What :func:`map_config` makes a configuration of, beside the network. Only samples that are
    blocks have ``stream``, only those of several sequences ``interleaved``, and only layers that
    get changes are in ``differential``."""

    lanes: dict[str, int]
    replicas: dict[str, int]
    code: str
    slice_steps: int
    rows: dict[str, list[int]]
    stream: NotRequired[int]
    interleaved: NotRequired[int]
    differential: NotRequired[dict[str, list[str]]]


def options(config: ArrayConfig) -> Options:
    """The options that give a configuration."""
    given: Options = {
        "lanes": {core.name: core.lanes for core in config.cores},
        "replicas": {core.name: core.replicas for core in config.cores},
        "code": config.readout.schedule.code, "slice_steps": config.input.most_steps,
        "rows": {layer.name: [rows_of(source) for source in layer.sources]
                 for layer in config.layers}}
    if config.continues:
        given["stream"] = config.input.height
    if config.interleaved > 1:
        given["interleaved"] = config.interleaved
    names = {-1: INPUT, **{index: layer.name for index, layer in enumerate(config.layers)}}
    changes = {layer.name: list(dict.fromkeys(
        names.get(source.layer, str(source.layer)) for source in layer.sources if source.changes))
        for layer in config.layers}
    if any(changes.values()):
        given["differential"] = {name: found for name, found in changes.items() if found}
    return given


def map_network(network: Network, *, lanes: Mapping[str, int] | None = None,
                replicas: Mapping[str, int] | None = None, code: str = "phase",
                slice_steps: int = SLICE_STEPS,
                rows: Mapping[str, Sequence[int]] | None = None, stream: int | None = None,
                interleaved: int = 1, differential: Mapping[str, Sequence[str]] | None = None
                ) -> tuple[ArrayConfig, dict[str, MemoryImage]]:
    """The configuration of the array that computes ``network``, and the contents of its memories by
    name. The parameters are those of :func:`map_config`."""
    config = map_config(network, lanes=lanes, replicas=replicas, code=code,
                        slice_steps=slice_steps, rows=rows, stream=stream, interleaved=interleaved,
                        differential=differential)
    network = _sampled(network, stream, interleaved)
    image: dict[str, MemoryImage] = {}
    for layer, shape in zip(network.layers, config.layers, strict=True):
        image |= kind(layer).memories(layer, shape)
    return config, image
