"""Synapses, and the windows through which layers look at their sources."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np

from gen.errors import NetworkError

from .exact import frozen, require_padding, require_pair, require_positive

__all__ = ["Edges", "Synapses", "Window", "edges", "out_size", "padded", "sliding_windows"]

# Values of windows that are copied at a time: 32 MB.
_VALUES = 1 << 22

Edges: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Rows of zeros above and below a map, and columns of them at its left and its right. Of a negative
number of rows, so many at the edge of the map are not looked at."""


class Window(Protocol):
    """How a layer looks at one of its sources: through a window that slides over the map."""

    @property
    def source(self) -> str:
        """Name of an earlier layer, or :data:`gen.ir.layers.INPUT`."""

    @property
    def kernel(self) -> tuple[int, int]:
        """``(y, x)`` size of the window."""

    @property
    def stride(self) -> tuple[int, int]:
        """``(y, x)`` from one window to the next."""

    @property
    def padding(self) -> tuple[int, int]:
        """``(y, x)`` zeros above the map, and on each of its sides."""

    @property
    def below(self) -> int | None:
        """Rows of zeros below the map; ``None``: as many as above."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses between a source map and a layer, as a convolution.

    A linear layer is a convolution whose kernel is the whole source map. An identity (residual)
    connection is a 1x1 convolution with ``groups`` equal to the channels.

    Parameters
    ----------
    source : name of an earlier layer, or :data:`gen.ir.layers.INPUT`
    weights : ``(out_channels, in_channels / groups, KY, KX)`` integers of ``bits`` bits, signed
    stride, padding : ``(y, x)``. Rows of zeros above the map; if negative, rows at its beginning
        that no window looks at. Columns of zeros on each side
    groups : as in ``torch.nn.Conv2d``
    bits : width of a weight, 2 to 16
    below : rows of zeros below the map, or, if negative, rows at its end that no window looks at;
        by default as many as above
    """

    source: str
    weights: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    bits: int = 8
    below: int | None = None

    def __post_init__(self) -> None:
        where = f"synapses from {self.source!r}"
        object.__setattr__(self, "weights", frozen(self.weights, f"{where}: weights"))
        if self.weights.ndim != 4 or not self.weights.size:
            raise NetworkError(f"{where}: weights must have four axes, not {self.weights.shape}")
        require_pair(self.stride, f"{where}: stride", 1)
        require_padding(self.padding, self.below, where)
        require_positive(self.groups, f"{where}: groups")
        if type(self.bits) is not int or not 2 <= self.bits <= 16:
            raise NetworkError(f"{where}: bits must be 2 to 16, not {self.bits!r}")
        if self.weights.shape[0] % self.groups:
            raise NetworkError(f"{where}: {self.weights.shape[0]} output channels can't be split "
                               f"into {self.groups} groups")
        padding = self.padding if self.below is None else self.padding[1:]
        if not all(p < k for p, k in zip(padding[::-1], self.kernel[::-1], strict=False)):
            raise NetworkError(f"{where}: padding {self.padding} must be smaller than the kernel "
                               f"{self.kernel}")
        low, high = -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        if self.weights.min() < low or self.weights.max() > high:
            raise NetworkError(f"{where}: weights must lie in {low}..{high} ({self.bits} bits), "
                               f"not {self.weights.min()}..{self.weights.max()}")

    @property
    def kernel(self) -> tuple[int, int]:
        """``(KY, KX)`` of the weights."""
        ky, kx = self.weights.shape[2:]
        return ky, kx

    @property
    def edges(self) -> Edges:
        """``((above, below), (left, right))``, rows and columns of zeros around the map."""
        return edges(self)

    @property
    def out_channels(self) -> int:
        """Channels of the layer that the synapses charge."""
        return self.weights.shape[0]

    def out_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Shape ``(C, H, W)`` of the result for a source of ``shape``.

        Raises
        ------
        NetworkError
            If the source has other channels than the weights, or is smaller than the kernel.
        """
        channels = self.weights.shape[1] * self.groups
        if shape[0] != channels:
            raise NetworkError(f"synapses from {self.source!r}: the source has {shape[0]} "
                               f"channels, the weights expect {channels}")
        return (self.out_channels, *out_size(shape[1:], self.kernel, self.stride, self.edges,
                                             f"synapses from {self.source!r}"))

    def charge(self, counts: np.ndarray) -> np.ndarray:
        """``(N, C, H, W)`` counts -> ``(N, O, OY, OX)`` charge, exact."""
        windows = sliding_windows(counts.astype(np.float64), self.kernel, self.stride, self.edges)
        windows = windows.transpose(0, 2, 3, 1, 4, 5)
        weights = self.weights.reshape(self.groups, self.out_channels // self.groups, -1)
        columns = weights.astype(np.float64).transpose(0, 2, 1)
        charge = np.empty((*windows.shape[:3], self.out_channels), dtype=np.int64)
        for part in _parts(windows.shape):
            charge[part] = self._charged(windows[part], columns)
        return charge.transpose(0, 3, 1, 2)

    def _charged(self, windows, columns):
        """The charge of ``(n, oy, ox, C, KY, KX)`` counts, ``(n, oy, ox, O)``. The windows overlap,
        so what is copied of them here takes more memory than the map."""
        place = windows.shape[:3]
        rows = windows.reshape(math.prod(place), self.groups, -1).transpose(1, 0, 2)
        return np.matmul(rows, columns).transpose(1, 0, 2).reshape(*place, self.out_channels)

    def row_charge(self, counts: np.ndarray, row: int) -> np.ndarray:
        """The charge of one output row, ``(N, O, 1, OX)``; see :meth:`charge`."""
        top = row * self.stride[0] - self.padding[0]
        bottom, height = top + self.kernel[0], counts.shape[2]
        seen = counts[:, :, max(0, top):max(0, bottom)]
        around = (max(0, -top) - max(0, -bottom), max(0, bottom - height))
        own = replace(self, padding=(around[0], self.padding[1]), below=around[1])
        return own.charge(seen)

    def charge_range(self, levels: int) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest charge of each output channel, ``(O,)``, for counts in
        ``0..levels``."""
        low, high = self._sums
        return levels * low, levels * high

    @cached_property
    def _sums(self):
        """Sums of the negative and of the positive weights of each output channel."""
        flat = self.weights.reshape(self.out_channels, -1)
        return np.minimum(flat, 0).sum(axis=1), np.maximum(flat, 0).sum(axis=1)

    def flattened(self, shape: tuple[int, int, int]) -> "Synapses | None":
        """The same synapses for a source that is given as a vector instead of in ``shape``, or None
        if they look at a part of the map."""
        if self.weights.shape[1:] != shape or any(map(any, self.edges)):
            return None
        weights = self.weights.reshape(self.out_channels, -1, 1, 1)
        return Synapses(self.source, weights, bits=self.bits)

    def charge_bound(self, levels: int) -> int:
        """Bound on the magnitude of every partial sum of charges, for counts in ``0..levels``."""
        return levels * int(np.abs(self.weights).sum(axis=(1, 2, 3)).max())


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Samples and rows of windows ``(N, OY, ...)`` in parts of at most :data:`_VALUES` values, or
    of a row."""
    samples, height, *row = shape
    values = math.prod(row)
    rows = min(height, max(1, _VALUES // values))
    number = max(1, _VALUES // (values * height))
    for sample in range(0, samples, number):
        for top in range(0, height, rows):
            yield slice(sample, sample + number), slice(top, top + rows)


def edges(window: Window) -> Edges:
    """``((above, below), (left, right))``, rows and columns of zeros around the map that a window
    looks at."""
    above, beside = window.padding
    return (above, above if window.below is None else window.below), (beside, beside)


def out_size(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
             edges: Edges, name: str) -> tuple[int, int]:
    """Number of windows over a map of ``size``; all pairs are ``(y, x)``.

    Parameters
    ----------
    edges : see :func:`edges`
    name : of the layer, for the message

    Raises
    ------
    NetworkError
        If the kernel is larger than the map and its padding, or the padding than both.
    """
    if max(edges[0]) > size[0] + kernel[0]:
        raise NetworkError(f"{name}: {max(edges[0])} rows of padding are more than a map of {size} "
                           f"and a kernel of {kernel} have")
    y, x = ((s + sum(edge) - k) // st + 1 for s, k, st, edge in zip(
        size, kernel, stride, edges, strict=True))
    if y < 1 or x < 1:
        raise NetworkError(f"{name}: a kernel of {kernel} does not fit a map of {size}")
    return y, x


def sliding_windows(counts: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int],
                    edges: Edges) -> np.ndarray:
    """``(..., H, W)`` -> ``(..., OY, OX, KY, KX)``, zero padded; see :func:`edges`."""
    counts = padded(counts, edges)
    view = np.lib.stride_tricks.sliding_window_view(counts, kernel, axis=(-2, -1))
    return view[..., ::stride[0], ::stride[1], :, :]


def padded(counts: np.ndarray, edges: Edges) -> np.ndarray:
    """``(..., H, W)`` counts with the rows and columns of zeros around them, or without those that
    are left out."""
    whole = [(0, 0)] * (counts.ndim - 2)
    counts = np.pad(counts, [*whole, *((max(0, a), max(0, b)) for a, b in edges)])
    rows, columns = (slice(max(0, -a), size - max(0, -b)) for (a, b), size in zip(
        edges, counts.shape[-2:], strict=True))
    return counts[..., rows, columns]
