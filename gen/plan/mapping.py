"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NotRequired, TypedDict

import numpy as np

from gen.errors import FitError, unknown
from gen.ir.blocks import block
from gen.ir.interleaved import interleave
from gen.ir.layers import INPUT, Layer
from gen.ir.network import Network
from hw.config import ArrayConfig, MemoryImage
from hw.contents import shapes
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
               differential: Mapping[str, Sequence[str]] | None = None,
               membranes: Mapping[str, int] | None = None, selftests: int = 0) -> ArrayConfig:
    """The configuration of the array that computes ``network``, without the contents of its
    memories.

    Parameters
    ----------
    lanes : layer name -> lanes; layers not named get one lane a channel, at most 16
    replicas : layer name -> copies of its core that share the output rows; one if not named
    code : how layers replay each other's counts, ``"phase"`` or ``"rate"``; pixels are always
        replayed as bit planes
    slice_steps : time-steps of a slice of the trains between layers, at most (see
        :class:`hw.maps.MapConfig`). A train of events that the host sends is whole, and then all
        are
    rows : layer name -> rows of its spike memories, see :func:`gen.plan.rings.with_rings`
    stream : rows of the input of which a sample has so many, as a block of a sequence that goes on
        (:mod:`gen.ir.blocks`); by default a sample is a whole input
    interleaved : sequences that a sample holds side by side (:mod:`gen.ir.interleaved`)
    differential : layer name -> those of its sources, by name, that it gets changes of and not
        counts (docs/methods.md, 15)
    membranes : if a host is to be able to load weights, initial potentials and thresholds of
        another network of the same shape: layer name -> bits of its membranes. Layers not named
        have one bit more than they need
    selftests : samples that the device tests itself with (:mod:`gen.build.selftest`)

    Raises
    ------
    FitError
        If a layer can't have the lanes, replicas, rows, changes or bits that are given for it.
    NetworkError
        If the network can't take a sequence in such blocks, or several side by side.
    """
    given = _Given(dict(lanes or {}), dict(replicas or {}), dict(differential or {}),
                   None if membranes is None else dict(membranes))
    network = _sampled(network, stream, interleaved)
    channels, height, width = network.input_shape
    flat = height * width == 1 and stream is None
    fmap = MapConfig(channels, height, width, network.spans[INPUT][1],
                     min(channels, _FLAT_WORD) if flat else min(channels, 32),
                     **_train(network, slice_steps))
    layers = _layers(network, fmap, given, code, stream is not None)
    config = ArrayConfig(fmap, layers, interleaved, membranes is not None, selftests)
    if config.reloadable:
        _require_reachable(config)
    for what, left in asdict(given).items():
        if left:
            cores = [core.name for core in config.cores]
            raise FitError(f"{what}: {unknown('layer with synapses', sorted(left)[0], cores)}")
    return with_rings(config, rows)


def _train(network, slice_steps):
    """What the map of an input has if it is a train, and the longest slices."""
    if network.dynamics is None or not network.dynamics.events:
        return {"most_steps": slice_steps}
    steps = network.timesteps
    return {"code": "train", "timesteps": steps, "most_steps": max(steps, slice_steps)}


@dataclass(frozen=True)
class _Given:
    """What is given for layers and has not been used yet, by their names."""

    lanes: dict[str, int]
    replicas: dict[str, int]
    differential: dict[str, Sequence[str]]
    membranes: dict[str, int] | None


def _layers(network: Network, fmap: MapConfig, given: _Given, code: str, blocks: bool
            ) -> tuple[CoreConfig | PoolConfig, ...]:
    """The configurations of the layers.

    Parameters
    ----------
    fmap : the input map
    blocks : whether samples are blocks of sequences
    """
    layers: list[CoreConfig | PoolConfig] = []
    maps, index = {INPUT: fmap}, {INPUT: -1}
    for layer in network.layers:
        if layer.name in layer.sources:  # its words and code are decided with its lanes
            index[layer.name] = len(layers)
            maps[layer.name] = MapConfig(*network.shapes[layer.name], network.levels[layer.name], 1)
        sources = _sources(layer, maps, index, blocks, given.differential.pop(layer.name, ()))
        levels = [network.levels[name] for name in layer.sources]
        config = kind(layer).configure(layer, _port(len(layers), layer.name), sources, levels,
                                       given.lanes, given.replicas, code)
        if given.membranes is not None and layer.synapses:
            config = _loadable(config, given.membranes.pop(layer.name, None))
        index[layer.name] = len(layers)
        layers.append(config)
        maps[layer.name] = config.out
    return tuple(layers)


def _require_reachable(config: ArrayConfig) -> None:
    """Refuse memories that the bus to them has no numbers for (:mod:`hw.contents`)."""
    for shape in shapes(config):
        if shape.columns > 256 or shape.copies > 256 or shape.depth > 1 << 24:
            raise FitError(f"{shape.name} has {shape.depth} rows of {shape.width} bits in "
                           f"{shape.copies} copies, which can't be loaded: fewer lanes (--lanes) "
                           f"or no --reloadable would help")
    if len(shapes(config)) > 254:
        raise FitError(f"{len(shapes(config))} memories can't be loaded, 254 at the most; leave "
                       f"--reloadable out")


def _loadable(core, bits):
    """A core whose shape does not depend on the values of weights and thresholds, but for the width
    of the membranes."""
    if bits is not None and bits < core.membrane_bits:
        raise FitError(f"{core.name}: needs membranes of {core.membrane_bits} bits, and the device "
                       f"has {bits}: build it anew for this network (python -m gen build)")
    return replace(core, live=None,
                   membrane_bits=core.membrane_bits + 1 if bits is None else bits)


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
    if layer.dynamics is not None or layer.lasting is not None:
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
    blocks have ``stream``, only those of several sequences ``interleaved``, only layers that get
    changes are in ``differential``, only arrays whose memories are loaded have ``membranes``, and
    only devices that test themselves ``selftests``."""

    lanes: dict[str, int]
    replicas: dict[str, int]
    code: str
    slice_steps: int
    rows: dict[str, list[int]]
    stream: NotRequired[int]
    interleaved: NotRequired[int]
    differential: NotRequired[dict[str, list[str]]]
    membranes: NotRequired[dict[str, int]]
    selftests: NotRequired[int]


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
    if config.reloadable:
        given["membranes"] = {core.name: core.membrane_bits for core in config.cores}
    if config.selftests:
        given["selftests"] = config.selftests
    return given


def map_network(network: Network, *, lanes: Mapping[str, int] | None = None,
                replicas: Mapping[str, int] | None = None, code: str = "phase",
                slice_steps: int = SLICE_STEPS,
                rows: Mapping[str, Sequence[int]] | None = None, stream: int | None = None,
                interleaved: int = 1, differential: Mapping[str, Sequence[str]] | None = None,
                membranes: Mapping[str, int] | None = None, selftests: int = 0
                ) -> tuple[ArrayConfig, dict[str, MemoryImage]]:
    """The configuration of the array that computes ``network``, and the contents of its memories by
    name. The parameters are those of :func:`map_config`."""
    config = map_config(network, lanes=lanes, replicas=replicas, code=code,
                        slice_steps=slice_steps, rows=rows, stream=stream, interleaved=interleaved,
                        differential=differential, membranes=membranes,
                        selftests=selftests)
    network = _sampled(network, stream, interleaved)
    image: dict[str, MemoryImage] = {}
    for layer, shape in zip(network.layers, config.layers, strict=True):
        image |= kind(layer).memories(layer, shape)
    return config, image
