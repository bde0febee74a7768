"""The layers of a network in integers: what they compute, and what they say about themselves.

No other module asks a layer for its kind. A module that has to treat kinds differently has a table
of them: :mod:`gen.plan.kinds` for gateware, :mod:`gen.ir.reference` for PyTorch's operators.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from gen.errors import NetworkError
from hw.maps import MapConfig
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
    """

    type: ClassVar[str]

    @property
    def name(self) -> str:
        """Unique in the network."""

    @property
    def label(self) -> str:
        """What the layer is, for people to read."""

    @property
    def windows(self) -> Sequence[Window]:
        """One for each map that the layer looks at."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the maps that the layer looks at."""

    @property
    def synapses(self) -> tuple[Synapses, ...]:
        """Those that charge membranes; a pooling has none."""

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
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

    def meaning(self) -> Iterator[object]:
        """All that has a meaning for :meth:`run`, as arrays and JSON-serialisable facts."""

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """The layer as JSON-serialisable facts and named arrays, for :meth:`restored`."""

    @classmethod
    def restored(cls, facts: Mapping[str, Any], array: Callable[[str], np.ndarray]) -> Self:
        """The layer that was :meth:`described`.

        Parameters
        ----------
        facts : as described
        array : gives an array by its name
        """


def _layer_name(name):
    if not isinstance(name, str) or not name or name == INPUT:
        raise NetworkError(f"a layer's name must be a non-empty string other than {INPUT!r}, "
                           f"not {name!r}")
    require_length(name, "a layer's name", _LONGEST)


@dataclass(frozen=True, eq=False)
class _Charged:
    """What layers with membranes share."""

    type: ClassVar[str]

    name: str
    synapses: tuple[Synapses, ...]
    initial: np.ndarray
    threshold: np.ndarray
    levels: int | None

    def __post_init__(self) -> None:
        _layer_name(self.name)
        if not isinstance(self.synapses, tuple) or not self.synapses:
            raise NetworkError(f"{self.name}: synapses must be a non-empty tuple")
        object.__setattr__(self, "initial", frozen(self.initial, f"{self.name}: initial"))
        for synapses in self.synapses:
            if synapses.out_channels != self.channels or self.initial.shape != (self.channels,):
                raise NetworkError(f"{self.name}: synapses and initial potentials must agree on "
                                   f"the number of channels")

    @property
    def label(self) -> str:
        """The kind."""
        return self.type

    @property
    def channels(self) -> int:
        """Number of neurons at each position."""
        return self.synapses[0].out_channels

    @property
    def windows(self) -> tuple[Synapses, ...]:
        """The synapses."""
        return self.synapses

    @property
    def sources(self) -> tuple[str, ...]:
        """One for each bundle of synapses."""
        return tuple(synapses.source for synapses in self.synapses)

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """The shape in which all synapses agree.

        Raises
        ------
        NetworkError
            If they do not agree.
        """
        results = {synapses.out_shape(shape) for synapses, shape in zip(
            self.synapses, shapes, strict=True)}
        if len(results) != 1:
            raise NetworkError(f"{self.name}: the synapses give different shapes: "
                               f"{sorted(results)}")
        return results.pop()

    def charge(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """All the charge of the inputs, ``(N, O, OY, OX)``, in 64 bits."""
        first, *others = (synapses.charge(counts)
                          for synapses, counts in zip(self.synapses, inputs, strict=True))
        return sum(others, first)

    def schedule(self, sources: Sequence[MapConfig] = (), code: str = "phase") -> Schedule:
        """What the neurons do with their charge; counts do not depend on the arguments.

        Parameters
        ----------
        sources : the maps that charge them
        code : how their own counts are replayed
        """
        return settle(sources, self.levels, code)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """What the schedule makes of the charge."""
        schedule = self.schedule()
        (fired,), state = schedule.run([self.charge(inputs)], self.initial[:, None, None],
                                       self.threshold[:, None, None])
        return state.potential if schedule.levels is None else schedule.clip(fired)

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse a layer whose potentials may need more than 53 bits."""
        bound = max(int(self.initial.max()), -int(self.initial.min()))
        bound += sum(s.charge_bound(top) for s, top in zip(self.synapses, levels, strict=True))
        if bound >= EXACT:
            raise NetworkError(f"{self.name}: potentials need more than 53 bits")

    def potential_range(self, levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest potential of each channel, ``(C,)`` (docs/methods.md, 5)."""
        ranges = [s.charge_range(top) for s, top in zip(self.synapses, levels, strict=True)]
        return (self.initial + sum(low for low, _ in ranges),
                self.initial + sum(high for _, high in ranges))

    def flattened(self, source: str, shape: tuple[int, int, int]) -> Self | None:
        """The layer with its synapses flattened, see :meth:`Synapses.flattened`."""
        if source not in self.sources:
            return self
        synapses = []
        for s in self.synapses:
            flat = s.flattened(shape) if s.source == source else s
            if flat is None:
                return None
            synapses.append(flat)
        return replace(self, synapses=tuple(synapses))

    def meaning(self) -> Iterator[object]:
        """The kind, the synapses and the initial potential."""
        yield [type(self).__name__, self.name, self.sources]
        for s in self.synapses:
            yield [s.stride, s.padding, s.groups, s.bits]
            yield s.weights
        yield self.initial

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Arrays ``initial`` and, for bundle number S of synapses, ``S.weights``."""
        facts = {"type": self.type, "name": self.name, "synapses": [
            {"source": s.source, "stride": s.stride, "bits": s.bits, "padding": s.padding,
             "groups": s.groups} for s in self.synapses]}
        return facts, {"initial": self.initial, **{
            f"{k}.weights": s.weights for k, s in enumerate(self.synapses)}}

    @classmethod
    def restored(cls, facts: Mapping[str, Any], array: Callable[[str], np.ndarray]) -> Self:
        """The layer, with the arguments of its kind from :meth:`_own`."""
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

    levels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", frozen(self.threshold, f"{self.name}: threshold"))
        if self.threshold.shape != (self.channels,) or self.threshold.min() < 1:
            raise NetworkError(f"{self.name}: threshold must be {self.channels} positive integers")
        check_levels(self.levels, f"{self.name}: levels")
        if int(self.threshold.max()) * self.levels >= EXACT:
            raise NetworkError(f"{self.name}: threshold times levels needs more than 53 bits")

    def out_levels(self, levels: Sequence[int]) -> int:
        """Its own, whatever the sources'."""
        return self.levels

    def meaning(self) -> Iterator[object]:
        """Thresholds and levels, too."""
        yield from super().meaning()
        yield self.threshold
        yield self.levels

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """An array ``threshold``, too."""
        facts, arrays = super().described()
        return {**facts, "levels": self.levels}, {**arrays, "threshold": self.threshold}

    @classmethod
    def _own(cls, facts, array):
        return {"threshold": array("threshold"), "levels": facts["levels"]}


@dataclass(frozen=True, eq=False)
class Readout(_Charged):
    """The classifier: membranes that never fire; their potentials are the logits.

    Parameters
    ----------
    name, synapses, initial : as of :class:`Neurons`

    Members
    -------
    threshold : ``(C,)`` ones, with which no potential is compared
    levels : ``None``, because nothing is counted
    """

    type: ClassVar[str] = "readout"

    threshold: np.ndarray = field(init=False)
    levels: None = field(init=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", np.ones(self.channels, dtype=np.int64))

    def out_levels(self, levels: Sequence[int]) -> None:
        """None: potentials come out."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Sum (average) or maximum of the spike counts in a window.

    The division of an average pooling is part of the next layer's weights (docs/methods.md, 4).

    Parameters
    ----------
    name : unique
    source : name of an earlier layer, or :data:`INPUT`
    kind : ``"sum"`` or ``"max"``
    kernel, stride, padding : ``(y, x)``; the padding is at most half the kernel
    """

    type: ClassVar[str] = "pool"
    synapses: ClassVar[tuple[Synapses, ...]] = ()

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
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
    def label(self) -> str:
        """``"sum pool"`` or ``"max pool"``."""
        return f"{self.kind} pool"

    @property
    def windows(self) -> tuple[Self]:
        """The layer itself is its window."""
        return (self,)

    @property
    def sources(self) -> tuple[str]:
        """The only one."""
        return (self.source,)

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """As many channels as the source's, and a position for each window."""
        (shape,) = shapes
        return (shape[0], *out_size(shape[1:], self.kernel, self.stride, self.padding, self.name))

    def out_levels(self, levels: Sequence[int]) -> int:
        """Those of the source; a sum may count so many for each value in the window."""
        (top,) = levels
        return top * self.kernel[0] * self.kernel[1] if self.kind == "sum" else top

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Sums or maxima over the last two axes of the windows."""
        windows = sliding_windows(inputs[0], self.kernel, self.stride, self.padding)
        return windows.sum(axis=(4, 5)) if self.kind == "sum" else windows.max(axis=(4, 5))

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse nothing: the network bounds the counts of a map, and so the sums."""

    def flattened(self, source: str, shape: tuple[int, int, int]) -> Self | None:
        """None for its own source: a window is a part of the map."""
        return None if self.source == source else self

    def meaning(self) -> Iterator[object]:
        """The kind and the window."""
        yield [type(self).__name__, self.name, self.sources]
        yield [self.kind, self.kernel, self.stride, self.padding]

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Facts alone: a pooling has no arrays."""
        return {"type": self.type, "name": self.name, "source": self.source, "kind": self.kind,
                "kernel": self.kernel, "stride": self.stride, "padding": self.padding}, {}

    @classmethod
    def restored(cls, facts: Mapping[str, Any], array: Callable[[str], np.ndarray]) -> Self:
        """The layer, from facts alone."""
        return cls(facts["name"], facts["source"], facts["kind"], tuple(facts["kernel"]),
                   tuple(facts["stride"]), tuple(facts["padding"]))


TYPES: dict[str, type[Layer]] = {kind.type: kind for kind in (Neurons, Pool, Readout)}
"""The kinds of layers by their names in files."""
