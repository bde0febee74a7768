"""Beats: spike counts and logits as they travel, packed and unpacked in numpy.

A map ``(C, H, W)`` travels in raster order, the channels of a position in chunks of ``word``; a
beat holds one chunk, lowest channel in the lowest bits, and absent channels are 0. Long trains
travel in slices: a beat then holds a slice of a chunk. Trains of more than 62 bits are Python's
integers. A position of the read-out travels as ``groups`` beats of ``lanes`` signed logits. Here a
beat is a row of 32-bit words, least significant first. The C++ harness maps these into memory; in
Python they become one integer.
"""

import numpy as np

from gen.ir.logits import logit_shape
from hw.config import ArrayConfig
from hw.layers import CoreConfig
from hw.maps import MapConfig

__all__ = [
    "fields",
    "locate",
    "pack",
    "pack_input",
    "pack_logits",
    "to_ints",
    "unpack",
    "unpack_logits",
]


def _dtype(bits: int) -> type:
    """The type of numbers of so many bits that are not negative."""
    return np.int64 if bits < 64 else object


def _pack_fields(values, bits):
    """``(..., n)`` integers -> ``(..., words)`` uint32, field ``k`` in bits ``k*bits`` up."""
    planes = (values[..., None] >> np.arange(bits) & 1).astype(np.uint8)
    planes = planes.reshape(*values.shape[:-1], -1)
    padding = [(0, 0)] * (planes.ndim - 1) + [(0, -planes.shape[-1] % 32)]
    packed = np.packbits(np.pad(planes, padding), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4")


def _unpack_fields(words, count, bits):
    """Inverse of :func:`_pack_fields`, unsigned."""
    words = np.ascontiguousarray(words, dtype="<u4")
    planes = np.unpackbits(words.view(np.uint8), axis=-1, count=count * bits, bitorder="little")
    planes = planes.reshape(*words.shape[:-1], count, bits)
    return (planes.astype(_dtype(bits)) << np.arange(bits)).sum(axis=-1)


def pack(counts: np.ndarray, layout: MapConfig) -> np.ndarray:
    """``(N, C, H, W)`` counts -> ``(N, beats, words)`` uint32."""
    n = len(counts)
    counts = np.asarray(counts, dtype=_dtype(layout.bits))
    bits = layout.one_slice.bits
    rows = np.stack([part.astype(_dtype(bits)) for part in layout.cut(counts)], axis=-1)
    absent = layout.chunks * layout.word - layout.channels
    rows = np.pad(rows.transpose(0, 2, 3, 1, 4), ((0, 0), (0, 0), (0, 0), (0, absent), (0, 0)))
    rows = rows.reshape(-1, layout.word, layout.slices).transpose(0, 2, 1)
    return _pack_fields(rows.reshape(n, layout.beats, layout.word), bits)


def pack_input(counts: np.ndarray, config: ArrayConfig, *, begins: bool = False) -> np.ndarray:
    """Like :func:`pack`, for the input counts of an array, which may take them as a vector.

    Parameters
    ----------
    begins : whether a beat has one bit more, which is set in the first one: a sequence begins
    """
    layout = config.input
    words = pack(counts.reshape(-1, layout.channels, layout.height, layout.width), layout)
    if begins:
        word, bit = divmod(layout.beat_bits, 32)
        words = np.pad(words, ((0, 0), (0, 0), (0, -(-(layout.beat_bits + 1) // 32)
                                                - words.shape[2])))
        words[:, 0, word] |= np.uint32(1 << bit)
    return words


def unpack(words: np.ndarray, layout: MapConfig) -> np.ndarray:
    """Inverse of :func:`pack`."""
    bits = layout.one_slice.bits
    cut = _unpack_fields(words, layout.word, bits).astype(_dtype(layout.bits))
    cut = cut.reshape(-1, layout.slices, layout.word)
    rows = sum(cut[:, k] << bits * (layout.slices - 1 - k) for k in range(layout.slices))
    rows = rows.reshape(len(words), layout.height, layout.width, -1)[..., :layout.channels]
    return rows.transpose(0, 3, 1, 2)


def pack_logits(logits: np.ndarray, readout: CoreConfig) -> np.ndarray:
    """``(N, *logit_shape)`` logits (see :class:`gen.ir.network.Network`) -> ``(N, beats, words)``
    uint32."""
    absent = readout.groups * readout.lanes - readout.channels
    rows = np.asarray(logits, dtype=np.int64).reshape(len(logits), readout.channels, -1)
    rows = np.pad(rows.transpose(0, 2, 1), ((0, 0), (0, 0), (0, absent)))
    rows = rows.reshape(len(rows), readout.beats, readout.lanes)
    return _pack_fields(rows, readout.membrane_bits)


def unpack_logits(words: np.ndarray, readout: CoreConfig) -> np.ndarray:
    """Inverse of :func:`pack_logits`; absent lanes are ignored."""
    bits = readout.membrane_bits
    rows = _unpack_fields(words, readout.lanes, bits)
    rows = rows.reshape(len(words), -1, readout.groups * readout.lanes)[..., :readout.channels]
    shape = logit_shape(readout.channels, readout.sources[0].positions)
    rows = rows.transpose(0, 2, 1).reshape(len(words), *shape)
    return rows - (rows >> bits - 1 << bits)


def to_ints(words: np.ndarray) -> list[int]:
    """``(n, words)`` uint32 -> ``n`` Python integers, one a beat."""
    return [int.from_bytes(row.tobytes(), "little") for row in words.astype("<u4")]


def fields(beat: int, count: int, bits: int) -> list[int]:
    """The ``count`` unsigned fields of a beat given as one integer."""
    return [beat >> k * bits & (1 << bits) - 1 for k in range(count)]


def locate(layout: MapConfig, beat: int, lane: int) -> tuple[int, int, int]:
    """``(channel, y, x)`` of a lane of a sample's ``beat``-th beat."""
    position, chunk = divmod(beat // layout.slices, layout.chunks)
    return (chunk * layout.word + lane, *divmod(position, layout.width))
