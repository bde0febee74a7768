"""The layers of a network in integers: what they compute, and what they say about themselves.

Nobody outside asks a layer for its kind. Who has to treat kinds differently has a table of them:
:mod:`gen.plan.kinds` for gateware, :mod:`gen.ir.reference` for PyTorch's operators.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np

from hw.config import MapConfig
from hw.schedule import Schedule, settle

from ..errors import NetworkError
from .exact import EXACT, check_levels, frozen, require_length, require_pair, require_positive

__all__ = ["INPUT", "TYPES", "Layer", "Synapses", "Window", "Neurons", "Pool", "Readout"]

INPUT = "input"
"""Name by which layers refer to the network's input."""

# A layer's name is often the path of a module within modules.
_LONGEST = 128


class Window(Protocol):
    """How a layer looks at one of its sources: through a window that slides over the map.

    Members
    -------
    source : name of an earlier layer, or :data:`INPUT`
    kernel, stride, padding : ``(y, x)``
    """

    source: str
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def kernel(self) -> tuple[int, int]: ...


class Layer(Protocol):
    """A layer of a :class:`gen.ir.network.Network`.

    Members
    -------
    type : name of the kind in files
    label : what the layer is, for people to read
    name : unique in the network
    windows, sources : one for each map that the layer looks at, and their names
    synapses : those that charge membranes; none of a pooling
    """

    type: ClassVar[str]
    name: str
    synapses: tuple["Synapses", ...]

    @property
    def label(self) -> str: ...

    @property
    def windows(self) -> tuple[Window, ...]: ...

    @property
    def sources(self) -> tuple[str, ...]: ...

    def out_shape(self, shapes: Sequence[tuple]) -> tuple[int, int, int]:
        """Shape ``(C, H, W)`` of the result for sources of ``shapes``."""

    def out_levels(self, levels: Sequence[int]) -> int | None:
        """Greatest count for sources with ``levels``, or None if potentials come out."""

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse a layer whose sums may leave the exact range."""

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """``(N, C, H, W)`` counts of each source -> counts, or potentials."""

    def flattened(self, source: str, shape: tuple[int, int, int]) -> "Layer | None":
        """The same layer for a source that is given as a vector instead of in ``shape``, or None if
        it looks at a part of the map."""

    def meaning(self) -> Iterator:
        """All that has a meaning for :meth:`run`, as arrays and JSON-serialisable facts."""

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """The layer as JSON-serialisable facts and named arrays, for :meth:`restored`."""

    @classmethod
    def restored(cls, facts: Mapping, array: Callable[[str], np.ndarray]) -> "Layer":
        """The layer that was :meth:`described`."""


def _layer_name(name):
    if not isinstance(name, str) or not name or name == INPUT:
        raise NetworkError(f"a layer's name must be a non-empty string other than {INPUT!r}, "
                           f"not {name!r}")
    require_length(name, "a layer's name", _LONGEST)


def _out_size(size, kernel, stride, padding, name):
    y, x = ((s + 2 * p - k) // st + 1 for s, k, st, p in zip(
        size, kernel, stride, padding, strict=True))
    if y < 1 or x < 1:
        raise NetworkError(f"{name}: a kernel of {kernel} does not fit a map of {size}")
    return y, x


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
        object.__setattr__(self, "weights", frozen(self.weights, f"{where}: weights"))
        if self.weights.ndim != 4 or not self.weights.size:
            raise NetworkError(f"{where}: weights must have four axes, not {self.weights.shape}")
        require_pair(self.stride, f"{where}: stride", 1)
        require_pair(self.padding, f"{where}: padding", 0)
        require_positive(self.groups, f"{where}: groups")
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
        return tuple(self.weights.shape[2:])

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

    def flattened(self, shape):
        """The same synapses for a source that is given as a vector instead of in ``shape``, or None
        if they look at a part of the map."""
        if self.weights.shape[1:] != shape or any(self.padding):
            return None
        weights = self.weights.reshape(self.out_channels, -1, 1, 1)
        return Synapses(self.source, weights, bits=self.bits)

    def charge_bound(self, levels):
        """What no sum of charges exceeds in magnitude, whichever they are."""
        return levels * int(np.abs(self.weights).sum(axis=(1, 2, 3)).max())


class _Charged:
    """What layers with membranes share: synapses and an initial potential."""

    def _check(self):
        _layer_name(self.name)
        if not isinstance(self.synapses, tuple) or not self.synapses:
            raise NetworkError(f"{self.name}: synapses must be a non-empty tuple")
        object.__setattr__(self, "initial", frozen(self.initial, f"{self.name}: initial"))
        for synapses in self.synapses:
            if synapses.out_channels != self.channels or self.initial.shape != (self.channels,):
                raise NetworkError(f"{self.name}: synapses and initial potentials must agree on "
                                   f"the number of channels")

    @property
    def label(self):
        return self.type

    @property
    def channels(self):
        return self.synapses[0].out_channels

    @property
    def windows(self):
        return self.synapses

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
        if bound >= EXACT:
            raise NetworkError(f"{self.name}: potentials need more than 53 bits")

    def potential_range(self, levels):
        """Least and greatest potential of each channel (docs/methods.md, 5)."""
        ranges = [s.charge_range(top) for s, top in zip(self.synapses, levels, strict=True)]
        return (self.initial + sum(low for low, _ in ranges),
                self.initial + sum(high for _, high in ranges))

    def flattened(self, source, shape):
        if source not in self.sources:
            return self
        synapses = tuple(s.flattened(shape) if s.source == source else s for s in self.synapses)
        return None if None in synapses else replace(self, synapses=synapses)

    def meaning(self):
        yield [type(self).__name__, self.name, self.sources]
        for s in self.synapses:
            yield [s.stride, s.padding, s.groups, s.bits]
            yield s.weights
        yield self.initial

    def described(self):
        facts = {"type": self.type, "name": self.name, "synapses": [
            {"source": s.source, "stride": s.stride, "bits": s.bits, "padding": s.padding,
             "groups": s.groups} for s in self.synapses]}
        return facts, {"initial": self.initial, **{
            f"{k}.weights": s.weights for k, s in enumerate(self.synapses)}}

    @classmethod
    def restored(cls, facts, array):
        synapses = tuple(
            Synapses(s["source"], array(f"{k}.weights"), tuple(s["stride"]), tuple(s["padding"]),
                     s["groups"], s["bits"]) for k, s in enumerate(facts["synapses"]))
        return cls(facts["name"], synapses, array("initial"), **cls._own(facts, array))

    @classmethod
    def _own(cls, facts, array):
        """Arguments that only this kind has."""
        return {}


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

    type: ClassVar[str] = "neurons"

    name: str
    synapses: tuple[Synapses, ...]
    initial: np.ndarray
    threshold: np.ndarray
    levels: int

    def __post_init__(self):
        self._check()
        object.__setattr__(self, "threshold", frozen(self.threshold, f"{self.name}: threshold"))
        if self.threshold.shape != (self.channels,) or self.threshold.min() < 1:
            raise NetworkError(f"{self.name}: threshold must be {self.channels} positive integers")
        check_levels(self.levels, f"{self.name}: levels")
        if int(self.threshold.max()) * self.levels >= EXACT:
            raise NetworkError(f"{self.name}: threshold times levels needs more than 53 bits")

    def out_levels(self, levels):
        return self.levels

    def meaning(self):
        yield from super().meaning()
        yield self.threshold
        yield self.levels

    def described(self):
        facts, arrays = super().described()
        return {**facts, "levels": self.levels}, {**arrays, "threshold": self.threshold}

    @classmethod
    def _own(cls, facts, array):
        return {"threshold": array("threshold"), "levels": facts["levels"]}


@dataclass(frozen=True, eq=False)
class Readout(_Charged):
    """The classifier: membranes that never fire; their potentials are the logits."""

    type: ClassVar[str] = "readout"

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

    def out_levels(self, levels):
        return None


@dataclass(frozen=True, eq=False)
class Pool:
    """Sum (average) or maximum of the spike counts in a window.

    The division of an average pooling is part of the next layer's weights (docs/methods.md, 4).
    """

    type: ClassVar[str] = "pool"
    synapses: ClassVar[tuple] = ()

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
        require_pair(self.kernel, f"{self.name}: kernel", 1)
        require_pair(self.stride, f"{self.name}: stride", 1)
        require_pair(self.padding, f"{self.name}: padding", 0)
        if not all(2 * p <= k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise NetworkError(f"{self.name}: padding {self.padding} must be at most half the "
                               f"kernel {self.kernel}")

    @property
    def label(self):
        return f"{self.kind} pool"

    @property
    def windows(self):
        return (self,)

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

    def check_sums(self, levels):
        """Nothing: what a window may sum to, a map may count to."""

    def flattened(self, source, shape):
        return None if self.source == source else self

    def meaning(self):
        yield [type(self).__name__, self.name, self.sources]
        yield [self.kind, self.kernel, self.stride, self.padding]

    def described(self):
        return {"type": self.type, "name": self.name, "source": self.source, "kind": self.kind,
                "kernel": self.kernel, "stride": self.stride, "padding": self.padding}, {}

    @classmethod
    def restored(cls, facts, array):
        return cls(facts["name"], facts["source"], facts["kind"], tuple(facts["kernel"]),
                   tuple(facts["stride"]), tuple(facts["padding"]))


TYPES: dict[str, type[Layer]] = {kind.type: kind for kind in (Neurons, Pool, Readout)}
"""The kinds of layers by their names in files."""
