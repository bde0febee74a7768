"""Memory contents of a core, and the widths and masks that follow from its weights."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gen.ir.layers import Neurons, Readout
from hw.config import MemoryImage
from hw.layers import CoreConfig
from hw.maps import SourceConfig

__all__ = ["DENSE", "charging", "connections", "live_rows", "memories", "pack_rows"]

DENSE = 1 / 2
"""The share of rows with weights other than zero from which on all rows are added."""


def pack_rows(values: np.ndarray, bits: int) -> MemoryImage:
    """Rows of signed integers as memory words, the first integer in the lowest bits.

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


def charging(layer: Neurons | Readout, sources: Sequence[SourceConfig], lanes: int
             ) -> tuple[SourceConfig, ...]:
    """The sources of a layer with the way in which each charges the lanes.

    A source has masked rows where that is possible. The weights of an identity that is added to
    other sources are in the parameter memory, because they are wide, but only one for each channel.
    """
    identities = [synapses.weights.shape[1:] == (1, 1, 1) for synapses in layer.synapses]
    return tuple(replace(source, lanes=_seen(synapses, source, lanes),
                         fixed=identity and not all(identities))
                 for synapses, source, identity in zip(layer.synapses, sources, identities,
                                                       strict=True))


def _seen(synapses, source, lanes):
    """For each lane the channel of a word that charges it, or None if the source has no masked
    rows. It has them if every output channel has one input channel, if that is in the same place of
    a word for all groups of lanes, and if a word has several channels."""
    if synapses.weights.shape[1] > 1 or source.map.word == 1:
        return None
    share = synapses.out_channels // synapses.groups
    channels = [{channel // share % source.map.word
                 for channel in range(lane, synapses.out_channels, lanes)}
                for lane in range(lanes)]
    return tuple(next(iter(each)) for each in channels) if max(map(len, channels)) == 1 else None


def connections(layer: Neurons | Readout, sources: Sequence[SourceConfig], lanes: int
                ) -> tuple[int, ...]:
    """The masks of a :class:`hw.layers.CoreConfig`: for each group of lanes, which taps of all
    sources are connected to it."""
    used = np.concatenate([_connected(s, source, lanes)
                           for s, source in zip(layer.synapses, sources, strict=True)])
    masks = np.packbits(used.T, axis=1, bitorder="little")
    return tuple(int.from_bytes(mask.tobytes(), "little") for mask in masks)


def live_rows(layer: Neurons | Readout, sources: Sequence[SourceConfig], lanes: int,
              dense: float = DENSE) -> tuple[tuple[int, ...], ...] | None:
    """``live`` of a :class:`hw.layers.CoreConfig`, or ``None`` if too few rows would be skipped.
    Masked rows are not.

    Parameters
    ----------
    dense : the share of rows with weights other than zero from which on none are skipped
    """
    rows, adding, packed = 0, 0, []
    for synapses, source in zip(layer.synapses, sources, strict=True):
        connected = _connected(synapses, source, lanes).T[:, :, None]
        if source.lanes is None:
            adds = _grouped(_words(synapses, source) != 0, lanes).any(axis=3)
            live = connected & adds.transpose(2, 0, 1)
            rows += source.map.word * int(np.count_nonzero(connected))
            adding += int(np.count_nonzero(live))
        else:
            live = connected.repeat(lanes, axis=2)
        packed.append(np.packbits(live, axis=2, bitorder="little"))
    if adding >= dense * rows:
        return None
    return tuple(tuple(int.from_bytes(tap.tobytes(), "little") for taps in group for tap in taps)
                 for group in zip(*packed, strict=True))


def memories(layer: Neurons | Readout, core: CoreConfig) -> dict[str, MemoryImage]:
    """Contents of the two memories of a core, by name."""
    words = [_grouped(_words(s, source), core.lanes)
             for s, source in zip(layer.synapses, core.sources, strict=True)]
    used = [_connected(s, source, core.lanes)
            for s, source in zip(layer.synapses, core.sources, strict=True)]
    rows = {fixed: np.concatenate([np.zeros((0, core.lanes), np.int64)] + [
        word[connected[:, group], :, group].reshape(-1, core.lanes)
        for group in range(core.groups)
        for source, word, connected in zip(core.sources, words, used, strict=True)
        if source.fixed == fixed]) for fixed in (False, True)}
    # Lanes without a channel need a threshold to stay silent.
    threshold = np.maximum(_grouped(layer.threshold, core.lanes), 1)
    potentials = core.schedule.parameters(_grouped(layer.initial, core.lanes), threshold,
                                          _grouped(layer.bias, core.lanes))
    parameters = np.concatenate([np.stack(potentials, axis=1).reshape(-1, core.lanes), rows[True]])
    return {f"{core.port}.weights": pack_rows(rows[False], core.weight_bits),
            f"{core.port}.parameters": pack_rows(parameters, core.membrane_bits)}


def _connected(synapses, source, lanes):
    """``(taps, groups)``: whether the word of a tap is connected to any channel of a group of
    lanes."""
    share, per_group = synapses.out_channels // synapses.groups, synapses.weights.shape[1]
    first = np.arange(synapses.out_channels) // share * per_group
    chunk = np.arange(source.map.chunks)[:, None] * source.map.word
    connected = (first < chunk + source.map.word) & (first + per_group > chunk)
    return np.tile(_grouped(connected, lanes).any(axis=2), (source.taps // source.map.chunks, 1))


def _words(synapses, source):
    """``(taps, rows, out_channels)`` weights, with 0 between unconnected channels."""
    word, chunks = source.map.word, source.map.chunks
    out, per_group, ky, kx = synapses.weights.shape
    dense = np.zeros((out, chunks * word, ky, kx), dtype=np.int16)
    share = out // synapses.groups
    for g in range(synapses.groups):
        own, columns = slice(g * share, (g + 1) * share), slice(g * per_group, (g + 1) * per_group)
        dense[own, columns] = synapses.weights[own]
    dense = dense.reshape(out, chunks, word, ky, kx).transpose(4, 3, 1, 2, 0)
    rows = dense.reshape(source.taps, word, out)
    # Each output channel has one weight in a word.
    return rows if source.lanes is None else rows.sum(axis=1, keepdims=True)


def _grouped(values, lanes):
    """Splits the last axis into groups of lanes, padded with zeros: ``(..., groups, lanes)``."""
    groups = -(-values.shape[-1] // lanes)
    pad = [(0, 0)] * (values.ndim - 1) + [(0, groups * lanes - values.shape[-1])]
    return np.pad(values, pad).reshape(*values.shape[:-1], groups, lanes)
