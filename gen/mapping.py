"""From a network to a configuration of the gateware and the contents of its memories."""

import re
from dataclasses import replace

import numpy as np

from hw.config import ArrayConfig, CoreConfig, MapConfig, MemoryImage, PoolConfig, SourceConfig

from .errors import FitError
from .network import INPUT, Neurons, Pool, Synapses

__all__ = ["map_network", "flat_input", "pack_rows", "membrane_bits"]

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
    """Bits of a membrane that provably never overflows (CONVERSIONS 1.5).

    Sums on the way may wrap; what counts is the potential when it is compared: from the greatest
    potential down to the least one, or 0, minus the greatest threshold it is compared with, which
    is itself a number of this width.
    """
    low, high = layer.potential_range(levels)
    if isinstance(layer, Neurons):
        top = layer.levels.bit_length() - 1 if code == "phase" else 0
        low = np.minimum(low, 0) - (layer.threshold << top)
    low, high = int(low.min()), int(high.max())
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)


def flat_input(network):
    """The network with its input as a vector, if all that looks at it are linear layers.

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
    return f"l{index}_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_') or 'layer'}"


def _connections(synapses, source):
    """Which output channels each word of each tap is connected to, and the weights.

    Returns ``(taps, word, out_channels)`` weights and ``(taps, out_channels)`` connections.
    """
    word, chunks = source.map.word, source.map.chunks
    out, per_group, ky, kx = synapses.weights.shape
    channels = per_group * synapses.groups
    dense = np.zeros((out, chunks * word, ky, kx), dtype=np.int64)
    connected = np.zeros((out, chunks * word), dtype=bool)
    share = out // synapses.groups
    for g in range(synapses.groups):
        rows, columns = slice(g * share, (g + 1) * share), slice(g * per_group, (g + 1) * per_group)
        dense[rows, columns] = synapses.weights[rows]
        connected[rows, columns] = True
    assert channels <= chunks * word
    dense = dense.reshape(out, chunks, word, ky, kx).transpose(4, 3, 1, 2, 0)
    connected = connected.reshape(out, chunks, word).any(axis=2).T
    return (dense.reshape(source.taps, word, out),
            np.broadcast_to(connected, (kx, ky, chunks, out)).reshape(source.taps, out))


def _grouped(values, lanes):
    """Splits the last axis into groups of lanes, padded with zeros: ``(..., groups, lanes)``."""
    groups = -(-values.shape[-1] // lanes)
    pad = [(0, 0)] * (values.ndim - 1) + [(0, groups * lanes - values.shape[-1])]
    return np.pad(values, pad).reshape(*values.shape[:-1], groups, lanes)


def _core(layer, port, sources, lanes, code):
    levels = [source.map.levels for source in sources]
    bits = membrane_bits(layer, levels, code)
    tables = [_connections(s, source) for s, source in zip(layer.synapses, sources, strict=True)]
    used = np.concatenate([_grouped(connected, lanes).any(axis=2) for _, connected in tables])
    core = CoreConfig(
        name=layer.name, port=port, sources=tuple(sources), lanes=lanes, channels=layer.channels,
        weight_bits=max(s.bits for s in layer.synapses), membrane_bits=bits,
        masks=tuple(sum(1 << int(tap) for tap in np.flatnonzero(used[:, g]))
                    for g in range(used.shape[1])),
        levels=layer.levels if isinstance(layer, Neurons) else None, code=code)

    words = [_grouped(weights, lanes) for weights, _ in tables]
    rows = [word[tap - first, :, group]
            for group in range(core.groups)
            for first, word in zip(np.cumsum([0, *(len(w) for w in words[:-1])]), words,
                                   strict=True)
            for tap in range(first, first + len(word)) if used[tap, group]]
    potentials = [_grouped(layer.initial, lanes)]
    if isinstance(layer, Neurons):
        # Lanes without a channel get a threshold too, so that they stay silent.
        threshold = np.maximum(_grouped(layer.threshold, lanes), 1)
        shifts = reversed(range(core.threshold_rows)) if code == "phase" else [0]
        potentials += [-threshold << shift for shift in shifts]
    return core, {
        f"{port}.weights": pack_rows(np.concatenate(rows), core.weight_bits),
        f"{port}.parameters": pack_rows(np.stack(potentials, axis=1).reshape(-1, lanes), bits),
    }


def _replicas(core, count):
    rows = 1 if core.levels is None else core.out.height
    if not isinstance(count, int) or not 1 <= count <= rows:
        raise FitError(f"{core.name}: replicas must be 1 to {rows} (its output rows), not "
                       f"{count!r}")
    return count


def map_network(network, *, lanes=None, replicas=None, code="phase"):
    """Configuration and memory contents of the array that computes ``network``.

    Parameters
    ----------
    lanes : layer name -> lanes; layers not named get one lane a channel, at most 16
    replicas : layer name -> copies of its core that share the output rows; one if not named
    code : ``"phase"`` or ``"rate"``, how layers replay each other's counts; pixels are always
        replayed as bit planes

    Returns
    -------
    ``(ArrayConfig, {memory name: MemoryImage})``
    """
    lanes, replicas = dict(lanes or {}), dict(replicas or {})
    network = flat_input(network)
    channels, height, width = network.input_shape
    flat = height * width == 1
    image, layers = {}, []
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
            config, memories = _core(layer, port, sources, count, code)
            config = replace(config, replicas=_replicas(config, replicas.pop(layer.name, 1)))
            image |= memories
        index[layer.name] = len(layers)
        layers.append(config)
        maps[layer.name] = config.out
    for what, left in (("lanes", lanes), ("replicas", replicas)):
        if left:
            raise FitError(f"{what} are given for {sorted(left)[0]!r}, which is not a layer with "
                           f"synapses; these are "
                           f"{[c.name for c in layers if isinstance(c, CoreConfig)]}")
    return ArrayConfig(maps[INPUT], tuple(layers)), image
