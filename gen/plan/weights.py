"""Memory contents of a core, and the widths and masks that follow from its weights."""

import numpy as np

from hw.config import MemoryImage

__all__ = ["connections", "membrane_bits", "memories", "pack_rows"]


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


def connections(layer, sources, lanes):
    """For each group of lanes, which taps of all sources are connected to it; see
    :class:`hw.config.CoreConfig`."""
    used = np.concatenate([_connected(s, source, lanes)
                           for s, source in zip(layer.synapses, sources, strict=True)])
    masks = np.packbits(used.T, axis=1, bitorder="little")
    return tuple(int.from_bytes(mask.tobytes(), "little") for mask in masks)


def memories(layer, core):
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
