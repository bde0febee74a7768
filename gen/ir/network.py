"""The integer network: the semantics that gateware, netlist and host are compared with.

A :class:`Network` holds integers only. A neuron receives all the charge of a sample before it fires
(schedule ``settle``), so by charge conservation (docs/methods.md, 2) its spike count is::

    n = clip(floor((v0 + sum_i W_i n_i) / theta), 0, levels)

with ``v0 = bias + (theta >> 1)``, which makes the division round half up.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from types import MappingProxyType

import numpy as np

from hw.config import MapConfig
from hw.schedule import Schedule, settle

from ..errors import NetworkError

__all__ = ["INPUT", "Synapses", "Neurons", "Pool", "Readout", "Network", "Trace", "check_levels",
           "check_pixels", "encode", "require_name"]

INPUT = "input"
"""Name by which layers refer to the network's input."""

# Why no number leaves 64 bits, nor the 53 that float64 holds exactly. A Network is refused unless
#
#   (a)  pixel_max (2 input_levels + 1) < 2^53
#   (b)  the counts of every map are at most 2^24, and a map has at most 2^28 of them
#   (c)  in every layer with synapses  max |initial| + sum over its bundles of
#        levels max_o sum_i |W_oi|  < 2^53
#   (d)  in every layer of neurons  threshold levels < 2^53
#
# Then, with all of it computed in int64, or in float64 by BLAS and by torch:
#
# * encoding computes 2 pixel input_levels + pixel_max, which is at most the left side of (a);
# * a sum of the counts of a map, whether in a pooling's window or over the whole map, is at most
#   2^52 by (b), and stays below 2^63 over 2^11 samples;
# * a charge is a sum of terms W n with 0 <= n <= levels. Every partial sum of them, in any order,
#   of one bundle or of all, with the initial potential or without, is at most the left side of (c)
#   in magnitude: so are charges, potentials and logits;
# * a threshold that phase code shifts by at most floor(log2 levels) is at most threshold levels; a
#   potential less that is above -2^54, so that a membrane has at most 55 bits;
# * the sides themselves are computed in Python's integers, from sums of |W| <= 2^15 that would need
#   2^48 weights to leave 63 bits.
_EXACT = 1 << 53
_MAX_LEVELS = 1 << 24
_MAX_VALUES = 1 << 28

# Names go into tables and Verilog, a network's into file names too. A layer's is often the path of
# a module within modules.
_LONGEST_NETWORK, _LONGEST_LAYER = 64, 128


def _frozen(array, name):
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{name} must be integers, not {array.dtype}")
    if array.dtype == np.uint64 and array.max(initial=0) >> np.uint64(63):
        raise NetworkError(f"{name} must be integers of 64 bits, signed, not {array.max()}")
    array = np.array(array, dtype=np.int64, order="C")
    array.setflags(write=False)
    return array


def _layer_name(name):
    if not isinstance(name, str) or not name or name == INPUT:
        raise NetworkError(f"a layer's name must be a non-empty string other than {INPUT!r}, "
                           f"not {name!r}")
    _bounded(name, "a layer's name", _LONGEST_LAYER)


def _bounded(name, what, most):
    if len(name) > most:
        raise NetworkError(f"{what} must have at most {most} characters, not {len(name):,}: "
                           f"{name[:20]!r}...")


def _pair(value, name, least):
    if (not isinstance(value, tuple) or len(value) != 2
            or not all(type(v) is int and v >= least for v in value)):
        raise NetworkError(f"{name} must be a pair of integers of at least {least}, not {value!r}")


def _positive(value, name):
    if type(value) is not int or value < 1:
        raise NetworkError(f"{name} must be a positive integer, not {value!r}")


def check_levels(levels, name):
    """Refuse a greatest count that is no integer in 1..2^24."""
    _positive(levels, name)
    if levels > _MAX_LEVELS:
        raise NetworkError(f"{name} must be at most {_MAX_LEVELS}, not {levels}")


def check_pixels(input_levels, pixel_max):
    """Refuse a greatest count and a greatest pixel for which :func:`encode` is not exact."""
    check_levels(input_levels, "input_levels")
    _positive(pixel_max, "pixel_max")
    if pixel_max * (2 * input_levels + 1) >= _EXACT:
        raise NetworkError(f"pixel_max must be less than {-(-_EXACT // (2 * input_levels + 1))} "
                           f"with {input_levels} input levels, not {pixel_max}")


def encode(pixels, *, input_levels, pixel_max):
    """Raw pixels to counts: ``round(pixel * input_levels / pixel_max)``, half up.

    Parameters
    ----------
    pixels : integers in ``0..pixel_max``, of any shape
    input_levels, pixel_max : positive, see :func:`check_pixels`

    Raises
    ------
    NetworkError
        If the pixels, the levels or the greatest pixel are out of range.
    """
    check_pixels(input_levels, pixel_max)
    pixels = np.asarray(pixels)
    if pixels.dtype.kind not in "iu":
        raise NetworkError(f"images must be integers in 0..{pixel_max}, not {pixels.dtype}")
    if pixels.size and (pixels.min() < 0 or pixels.max() > pixel_max):
        raise NetworkError(f"pixels must lie in 0..{pixel_max}, not {pixels.min()}.."
                           f"{pixels.max()}")
    return (2 * input_levels * pixels.astype(np.int64) + pixel_max) // (2 * pixel_max)


def _out_size(size, kernel, stride, padding, name):
    y, x = ((s + 2 * p - k) // st + 1 for s, k, st, p in zip(
        size, kernel, stride, padding, strict=True))
    if y < 1 or x < 1:
        raise NetworkError(f"{name}: a kernel of {kernel} does not fit a map of {size}")
    return y, x


def _check_values(name, shape):
    if prod(shape) > _MAX_VALUES:
        raise NetworkError(f"{name}: a map must have at most {_MAX_VALUES} values, not {shape}")


def require_name(name: str) -> str:
    """A network's name as it is, if it can be one.

    Raises
    ------
    NetworkError
        If it is anything but letters, digits, ``-`` and ``_``, or has more than 64 characters.
    """
    if (not isinstance(name, str) or not name
            or not name.replace("-", "").replace("_", "").isalnum()):
        raise NetworkError(f"a network's name must be letters, digits, '-' and '_', not {name!r}")
    _bounded(name, "a network's name", _LONGEST_NETWORK)
    return name


def _windows(counts, kernel, stride, padding):
    """``(N, C, H, W)`` -> ``(N, C, OY, OX, KY, KX)``, zero padded."""
    py, px = padding
    counts = np.pad(counts, ((0, 0), (0, 0), (py, py), (px, px)))
    view = np.lib.stride_tricks.sliding_window_view(counts, kernel, axis=(2, 3))
    return view[:, :, ::stride[0], ::stride[1]]


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses between a source map and a layer, as a convolution.

    A linear layer is a convolution whose kernel is the whole source map. An identity (residual)
    connection is a 1x1 convolution with ``groups`` equal to the channels.

    Parameters
    ----------
    source : name of an earlier layer, or :data:`INPUT`
    weights : ``(out_channels, in_channels / groups, KY, KX)`` integers of ``bits`` bits, signed
    stride, padding : ``(y, x)``
    groups : as in ``torch.nn.Conv2d``
    bits : width of a weight, 2 to 16
    """

    source: str
    weights: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    bits: int = 8

    def __post_init__(self):
        where = f"synapses from {self.source!r}"
        object.__setattr__(self, "weights", _frozen(self.weights, f"{where}: weights"))
        if self.weights.ndim != 4 or not self.weights.size:
            raise NetworkError(f"{where}: weights must have four axes, not {self.weights.shape}")
        _pair(self.stride, f"{where}: stride", 1)
        _pair(self.padding, f"{where}: padding", 0)
        _positive(self.groups, f"{where}: groups")
        if type(self.bits) is not int or not 2 <= self.bits <= 16:
            raise NetworkError(f"{where}: bits must be 2 to 16, not {self.bits!r}")
        if self.weights.shape[0] % self.groups:
            raise NetworkError(f"{where}: {self.weights.shape[0]} output channels can't be split "
                               f"into {self.groups} groups")
        if not all(p < k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise NetworkError(f"{where}: padding {self.padding} must be smaller than the kernel "
                               f"{self.kernel}")
        low, high = -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        if self.weights.min() < low or self.weights.max() > high:
            raise NetworkError(f"{where}: weights must lie in {low}..{high} ({self.bits} bits), "
                               f"not {self.weights.min()}..{self.weights.max()}")

    @property
    def kernel(self):
        return self.weights.shape[2:]

    @property
    def out_channels(self):
        return self.weights.shape[0]

    def out_shape(self, shape):
        """Shape ``(C, H, W)`` of the result for a source of ``shape``."""
        channels = self.weights.shape[1] * self.groups
        if shape[0] != channels:
            raise NetworkError(f"synapses from {self.source!r}: the source has {shape[0]} "
                               f"channels, the weights expect {channels}")
        return (self.out_channels, *_out_size(shape[1:], self.kernel, self.stride, self.padding,
                                              f"synapses from {self.source!r}"))

    def charge(self, counts):
        """``(N, C, H, W)`` counts -> ``(N, O, OY, OX)`` charge, exact."""
        windows = _windows(counts, self.kernel, self.stride, self.padding)
        n, c, oy, ox, ky, kx = windows.shape
        windows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
            n * oy * ox, self.groups, (c // self.groups) * ky * kx).astype(np.float64)
        weights = self.weights.reshape(self.groups, self.out_channels // self.groups, -1)
        weights = weights.astype(np.float64)
        charge = np.matmul(windows.transpose(1, 0, 2), weights.transpose(0, 2, 1))
        charge = charge.transpose(1, 0, 2).reshape(n, oy, ox, self.out_channels)
        return charge.transpose(0, 3, 1, 2).astype(np.int64)

    def charge_range(self, levels):
        """Least and greatest charge of each output channel, for counts in ``0..levels``."""
        low, high = self._sums
        return levels * low, levels * high

    @cached_property
    def _sums(self):
        """Sums of the negative and of the positive weights of each output channel."""
        flat = self.weights.reshape(self.out_channels, -1)
        return np.minimum(flat, 0).sum(axis=1), np.maximum(flat, 0).sum(axis=1)

    def charge_bound(self, levels):
        """What no sum of charges exceeds in magnitude, whichever they are."""
        return levels * int(np.abs(self.weights).sum(axis=(1, 2, 3)).max())


class _Charged:
    """What layers with membranes share: synapses and an initial potential."""

    def _check(self):
        _layer_name(self.name)
        if not isinstance(self.synapses, tuple) or not self.synapses:
            raise NetworkError(f"{self.name}: synapses must be a non-empty tuple")
        object.__setattr__(self, "initial", _frozen(self.initial, f"{self.name}: initial"))
        for synapses in self.synapses:
            if synapses.out_channels != self.channels or self.initial.shape != (self.channels,):
                raise NetworkError(f"{self.name}: synapses and initial potentials must agree on "
                                   f"the number of channels")

    @property
    def channels(self):
        return self.synapses[0].out_channels

    @property
    def sources(self):
        return tuple(synapses.source for synapses in self.synapses)

    def out_shape(self, shapes):
        results = {synapses.out_shape(shape) for synapses, shape in zip(
            self.synapses, shapes, strict=True)}
        if len(results) != 1:
            raise NetworkError(f"{self.name}: the synapses give different shapes: "
                               f"{sorted(results)}")
        return results.pop()

    def charge(self, inputs):
        """All the charge of the inputs, ``(N, O, OY, OX)``."""
        return sum(synapses.charge(counts)
                   for synapses, counts in zip(self.synapses, inputs, strict=True))

    def schedule(self, sources: Sequence[MapConfig] = (), code: str = "phase") -> Schedule:
        """What the neurons do with their charge; counts do not depend on the arguments.

        Parameters
        ----------
        sources : the maps that charge them
        code : how their own counts are replayed
        """
        return settle(sources, self.levels, code)

    def run(self, inputs):
        return self.schedule().run([self.charge(inputs)], self.initial[:, None, None],
                                   self.threshold[:, None, None])

    def check_sums(self, levels):
        """Refuse a layer whose sums may leave the exact range."""
        bound = max(int(self.initial.max()), -int(self.initial.min()))
        bound += sum(s.charge_bound(top) for s, top in zip(self.synapses, levels, strict=True))
        if bound >= _EXACT:
            raise NetworkError(f"{self.name}: potentials need more than 53 bits")

    def potential_range(self, levels):
        """Least and greatest potential of each channel (docs/methods.md, 5)."""
        ranges = [s.charge_range(top) for s, top in zip(self.synapses, levels, strict=True)]
        return (self.initial + sum(low for low, _ in ranges),
                self.initial + sum(high for _, high in ranges))


@dataclass(frozen=True, eq=False)
class Neurons(_Charged):
    """A layer of integrate-and-fire neurons with soft reset.

    Parameters
    ----------
    name : unique
    synapses : one bundle, or several that charge the same membranes (residual addition)
    initial : ``(C,)`` membrane potential before the first charge: bias plus ``threshold >> 1``
    threshold : ``(C,)`` positive
    levels : greatest spike count of a neuron
    """

    name: str
    synapses: tuple[Synapses, ...]
    initial: np.ndarray
    threshold: np.ndarray
    levels: int

    def __post_init__(self):
        self._check()
        object.__setattr__(self, "threshold", _frozen(self.threshold, f"{self.name}: threshold"))
        if self.threshold.shape != (self.channels,) or self.threshold.min() < 1:
            raise NetworkError(f"{self.name}: threshold must be {self.channels} positive integers")
        check_levels(self.levels, f"{self.name}: levels")
        if int(self.threshold.max()) * self.levels >= _EXACT:
            raise NetworkError(f"{self.name}: threshold times levels needs more than 53 bits")

    def out_levels(self, levels):
        return self.levels


@dataclass(frozen=True, eq=False)
class Readout(_Charged):
    """The classifier: membranes that never fire; their potentials are the logits."""

    name: str
    synapses: tuple[Synapses, ...]
    initial: np.ndarray

    def __post_init__(self):
        self._check()

    @property
    def levels(self):
        """``None``: nothing is counted."""

    @property
    def threshold(self):
        """One for each channel that its potential is never compared with."""
        return np.ones(self.channels, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Pool:
    """Sum (average) or maximum of the spike counts in a window.

    The division of an average pooling is part of the next layer's weights (docs/methods.md, 4).
    """

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self):
        _layer_name(self.name)
        if self.kind not in ("sum", "max"):
            raise NetworkError(f"{self.name}: kind must be 'sum' or 'max', not {self.kind!r}")
        _pair(self.kernel, f"{self.name}: kernel", 1)
        _pair(self.stride, f"{self.name}: stride", 1)
        _pair(self.padding, f"{self.name}: padding", 0)
        if not all(2 * p <= k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise NetworkError(f"{self.name}: padding {self.padding} must be at most half the "
                               f"kernel {self.kernel}")

    @property
    def sources(self):
        return (self.source,)

    def out_shape(self, shapes):
        (shape,) = shapes
        return (shape[0], *_out_size(shape[1:], self.kernel, self.stride, self.padding, self.name))

    def out_levels(self, levels):
        (top,) = levels
        return top * self.kernel[0] * self.kernel[1] if self.kind == "sum" else top

    def run(self, inputs):
        windows = _windows(inputs[0], self.kernel, self.stride, self.padding)
        return windows.sum(axis=(4, 5)) if self.kind == "sum" else windows.max(axis=(4, 5))


@dataclass(frozen=True, eq=False)
class Trace:
    """Result of :meth:`Network.run`.

    Members
    -------
    counts : layer name -> ``(N, C, H, W)`` spike counts, of every layer but the read-out
    logits : ``(N, classes)`` integers
    """

    counts: dict[str, np.ndarray]
    logits: np.ndarray

    @property
    def predictions(self):
        """``(N,)`` classes; the lowest index wins a tie."""
        return self.logits.argmax(axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network in integers.

    Parameters
    ----------
    name : short, used in file names
    input_shape : ``(C, H, W)``
    input_levels : greatest input count; an input is a count like any other
    pixel_max : greatest raw value of a pixel (see :meth:`encode`)
    layers : :class:`Neurons`, :class:`Pool`, and last one :class:`Readout`; sources come first
    metadata : JSON-serialisable facts (data set, accuracy, how it was made); no meaning for `run`
    samples : a few raw images ``(N, C, H, W)`` that travel with the network, so that it can be
        mapped to a board and verified on real data without the data set; no meaning for `run`

    Raises
    ------
    NetworkError
        If the parts contradict each other, or a number might leave the exact range of 53 bits.
    """

    name: str
    input_shape: tuple[int, int, int]
    input_levels: int
    pixel_max: int
    layers: tuple
    metadata: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))
    samples: np.ndarray | None = None
    shapes: MappingProxyType = field(init=False)
    levels: MappingProxyType = field(init=False)

    def __post_init__(self):
        require_name(self.name)
        if (not isinstance(self.input_shape, tuple) or len(self.input_shape) != 3
                or not all(type(v) is int and v >= 1 for v in self.input_shape)):
            raise NetworkError(f"input_shape must be three positive integers, "
                               f"not {self.input_shape!r}")
        check_pixels(self.input_levels, self.pixel_max)
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        shapes, levels = {INPUT: self.input_shape}, {INPUT: self.input_levels}
        _check_values(INPUT, self.input_shape)
        for layer in self.layers:
            if layer.name in shapes:
                raise NetworkError(f"two layers are named {layer.name!r}")
            for source in layer.sources:
                if source not in levels:
                    raise NetworkError(f"{layer.name}: source {source!r} is not an earlier layer")
            shapes[layer.name] = layer.out_shape([shapes[s] for s in layer.sources])
            _check_values(layer.name, shapes[layer.name])
            tops = [levels[s] for s in layer.sources]
            if not isinstance(layer, Pool):
                layer.check_sums(tops)
            if not isinstance(layer, Readout):
                levels[layer.name] = layer.out_levels(tops)
                check_levels(levels[layer.name], f"{layer.name}: levels")
        object.__setattr__(self, "shapes", MappingProxyType(shapes))
        object.__setattr__(self, "levels", MappingProxyType(levels))
        readouts = [layer for layer in self.layers if isinstance(layer, Readout)]
        if len(readouts) != 1 or self.layers[-1] is not readouts[0]:
            raise NetworkError("a network must end with its one read-out layer")
        if shapes[readouts[0].name][1:] != (1, 1):
            raise NetworkError(f"{readouts[0].name}: the read-out must be a single position, not "
                               f"{shapes[readouts[0].name][1:]}")
        if self.samples is not None:
            object.__setattr__(self, "samples", self.shaped(_frozen(self.samples, "samples")))
            self.encode(self.samples)
        used = {source for layer in self.layers for source in layer.sources}
        for name in levels:
            if name not in used:
                raise NetworkError(f"nothing uses the spikes of {name!r}")

    @property
    def readout(self):
        return self.layers[-1]

    @property
    def classes(self):
        return self.readout.channels

    @property
    def weight_count(self):
        return sum(s.weights.size for layer in self.layers if not isinstance(layer, Pool)
                   for s in layer.synapses)

    @cached_property
    def digest(self):
        """SHA-256 of all that has a meaning for :meth:`run`, as 64 hexadecimal digits."""
        sha = hashlib.sha256()

        def add(value):
            if isinstance(value, np.ndarray):
                sha.update(json.dumps(value.shape).encode() + value.astype("<i8").tobytes())
            else:
                sha.update(json.dumps(value).encode() + b"\0")

        add([self.input_shape, self.input_levels, self.pixel_max])
        for layer in self.layers:
            add([type(layer).__name__, layer.name, layer.sources])
            if isinstance(layer, Pool):
                add([layer.kind, layer.kernel, layer.stride, layer.padding])
                continue
            for s in layer.synapses:
                add([s.stride, s.padding, s.groups, s.bits])
                add(s.weights)
            add(layer.initial)
            if isinstance(layer, Neurons):
                add(layer.threshold)
                add(layer.levels)
        return sha.hexdigest()

    def shaped(self, images):
        """Images as ``(N, C, H, W)``, however they are given.

        Parameters
        ----------
        images : ``(N, C, H, W)``; or ``(N, H, W)`` for one channel; or ``(N, features)`` for an
            input of ``features`` channels and one position

        Raises
        ------
        NetworkError
            If the shape is none of these.
        """
        given = images = np.asarray(images)
        channels, *position = self.input_shape
        if images.ndim == 3 and channels == 1:
            images = images[:, None]
        elif images.ndim == 2 and position == [1, 1]:
            images = images[:, :, None, None]
        if images.ndim != 4 or images.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            vectors = f"(N, {channels}) or " if position == [1, 1] else ""
            raise NetworkError(f"images must have the shape {vectors}(N, {shape}), not "
                               f"{given.shape}")
        return images

    def encode(self, images):
        """Raw images to input counts ``(N, C, H, W)``: :func:`encode` of what :meth:`shaped` makes
        of them.

        Raises
        ------
        NetworkError
            If the shape, the type or the range differs.
        """
        return encode(self.shaped(images), input_levels=self.input_levels,
                      pixel_max=self.pixel_max)

    def run(self, counts):
        """Spike counts of every layer and the logits, exactly.

        Parameters
        ----------
        counts : ``(N, C, H, W)`` input counts in ``0..input_levels`` (see :meth:`encode`)
        """
        counts = _frozen(counts, "input counts")
        if counts.shape[1:] != self.input_shape:
            raise NetworkError(f"input counts must have the shape (N, *{self.input_shape}), "
                               f"not {counts.shape}")
        if counts.size and (counts.min() < 0 or counts.max() > self.input_levels):
            raise NetworkError(f"input counts must lie in 0..{self.input_levels}")
        values = {INPUT: counts}
        for layer in self.layers:
            values[layer.name] = layer.run([values[s] for s in layer.sources])
        logits = values.pop(self.readout.name).reshape(len(counts), self.classes)
        return Trace(counts=values, logits=logits)

    def predict(self, images, *, batch=500, progress=iter):
        """Logits ``(N, classes)`` of raw images, in batches, so that memory stays small."""
        logits = [np.empty((0, self.classes), dtype=np.int64)]
        for start in progress(range(0, len(images), batch)):
            logits.append(self.run(self.encode(images[start:start + batch])).logits)
        return np.concatenate(logits)
