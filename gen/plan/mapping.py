"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from dataclasses import replace

import numpy as np

from hw.config import ArrayConfig, CoreConfig, MapConfig, MemoryImage, PoolConfig, SourceConfig

from ..errors import FitError, unknown
from ..ir.layers import INPUT, Pool, Synapses

__all__ = ["map_config", "map_network", "flat_input", "pack_rows", "membrane_bits"]

# Channels of a flat input (a vector, not a picture) in one word of spikes.
_FLAT_WORD = 16


def pack_rows(values, bits):
    """Rows of signed integers to memory words, the first integer in the lowest bits.

    Parameters
    ----------
    values : ``(rows, lanes)``
    bits : width of an integer; values are taken modulo ``2**bits``
    """
    values = np.asarray(values, dtype=np.int64)
    planes = (values[:, :, None] >> np.arange(bits) & 1).astype(np.uint8)
    packed = np.packbits(planes.reshape(len(values), -1), axis=1, bitorder="little")
    width = values.shape[1] * bits
    return MemoryImage(width, tuple(int.from_bytes(row.tobytes(), "little") for row in packed))


def membrane_bits(layer, levels, code):
    """Bits of a membrane that provably never overflows (docs/methods.md, 5).

    Sums on the way may wrap. Only compared potentials count. Their range is from the greatest
    potential down to the least potential (or 0 if that is less) minus the greatest threshold. That
    threshold is itself a number of this width.
    """
    low, high = layer.schedule(code=code).potential_range(
        *layer.potential_range(levels), layer.threshold)
    low, high = int(low.min()), int(high.max())
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)


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


def _connected(synapses, source, lanes):
    """``(taps, groups)``: whether the word of a tap is connected to any channel of a group of
    lanes."""
    share, per_group = synapses.out_channels // synapses.groups, synapses.weights.shape[1]
    first = np.arange(synapses.out_channels) // share * per_group
    chunk = np.arange(source.map.chunks)[:, None] * source.map.word
    connected = (first < chunk + source.map.word) & (first + per_group > chunk)
    return np.tile(_grouped(connected, lanes).any(axis=2), (source.taps // source.map.chunks, 1))


def _words(synapses, source):
    """``(taps, word, out_channels)`` weights, with 0 between unconnected channels."""
    word, chunks = source.map.word, source.map.chunks
    out, per_group, ky, kx = synapses.weights.shape
    dense = np.zeros((out, chunks * word, ky, kx), dtype=np.int16)
    share = out // synapses.groups
    for g in range(synapses.groups):
        rows, columns = slice(g * share, (g + 1) * share), slice(g * per_group, (g + 1) * per_group)
        dense[rows, columns] = synapses.weights[rows]
    dense = dense.reshape(out, chunks, word, ky, kx).transpose(4, 3, 1, 2, 0)
    return dense.reshape(source.taps, word, out)


def _grouped(values, lanes):
    """Splits the last axis into groups of lanes, padded with zeros: ``(..., groups, lanes)``."""
    groups = -(-values.shape[-1] // lanes)
    pad = [(0, 0)] * (values.ndim - 1) + [(0, groups * lanes - values.shape[-1])]
    return np.pad(values, pad).reshape(*values.shape[:-1], groups, lanes)


def _core(layer, port, sources, lanes, code):
    used = np.concatenate([_connected(s, source, lanes)
                           for s, source in zip(layer.synapses, sources, strict=True)])
    masks = np.packbits(used.T, axis=1, bitorder="little")
    return CoreConfig(
        name=layer.name, port=port, sources=tuple(sources), lanes=lanes, channels=layer.channels,
        weight_bits=max(s.bits for s in layer.synapses),
        membrane_bits=membrane_bits(layer, [source.map.levels for source in sources], code),
        masks=tuple(int.from_bytes(mask.tobytes(), "little") for mask in masks),
        schedule=layer.schedule([source.map for source in sources], code))


def _memories(layer, core):
    """Contents of the two memories of a core, by name."""
    words = [_grouped(_words(s, source), core.lanes)
             for s, source in zip(layer.synapses, core.sources, strict=True)]
    used = [_connected(s, source, core.lanes)
            for s, source in zip(layer.synapses, core.sources, strict=True)]
    rows = [word[connected[:, group], :, group].reshape(-1, core.lanes)
            for group in range(core.groups)
            for word, connected in zip(words, used, strict=True)]
    # Lanes without a channel need a threshold to stay silent.
    threshold = np.maximum(_grouped(layer.threshold, core.lanes), 1)
    potentials = core.schedule.parameters(_grouped(layer.initial, core.lanes), threshold)
    potentials = np.stack(potentials, axis=1).reshape(-1, core.lanes)
    return {f"{core.port}.weights": pack_rows(np.concatenate(rows), core.weight_bits),
            f"{core.port}.parameters": pack_rows(potentials, core.membrane_bits)}


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
            config = _core(layer, port, sources, count, code)
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
            image |= _memories(layer, core)
    return config, image
