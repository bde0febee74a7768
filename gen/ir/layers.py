"""The layers of a network in integers: what they compute, and what they say about themselves.

Nobody outside asks a layer for its kind. Who has to treat kinds differently has a table of them:
:mod:`gen.plan.kinds` for gateware, :mod:`gen.ir.reference` for PyTorch's operators.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from gen.errors import NetworkError
from hw.config import MapConfig
from hw.schedule import Schedule, settle

from .exact import EXACT, check_levels, frozen, require_length, require_pair
from .synapses import Synapses, Window, out_size, sliding_windows

__all__ = ["INPUT", "TYPES", "Layer", "Neurons", "Pool", "Readout"]

INPUT = "input"
"""Name by which layers refer to the network's input."""

# A layer's name is often the path of a module within modules.
_LONGEST = 128


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
    synapses: tuple[Synapses, ...]

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
        schedule = self.schedule()
        (fired,), state = schedule.run([self.charge(inputs)], self.initial[:, None, None],
                                       self.threshold[:, None, None])
        return state.potential if schedule.levels is None else schedule.clip(fired)

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
        return (shape[0], *out_size(shape[1:], self.kernel, self.stride, self.padding, self.name))

    def out_levels(self, levels):
        (top,) = levels
        return top * self.kernel[0] * self.kernel[1] if self.kind == "sum" else top

    def run(self, inputs):
        windows = sliding_windows(inputs[0], self.kernel, self.stride, self.padding)
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
