"""Pooling of spike counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from gen.errors import NetworkError
from hw.dynamics import Dynamics

from .exact import require_pair
from .layer import check_name
from .stepping import largest
from .synapses import Synapses, edges, out_size, sliding_windows

__all__ = ["Pool"]


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
    dynamics: ClassVar[None] = None
    lasting: ClassVar[None] = None
    below: ClassVar[None] = None

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        check_name(self.name)
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
        return (shape[0], *out_size(shape[1:], self.kernel, self.stride, edges(self), self.name))

    def out_levels(self, levels: Sequence[int]) -> int:
        """Those of the source; a sum may count so many for each value in the window."""
        (top,) = levels
        return top * self.kernel[0] * self.kernel[1] if self.kind == "sum" else top

    def out_span(self, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """That of the source; a sum may count so much for each value in the window."""
        ((low, high),) = spans
        most = self.kernel[0] * self.kernel[1] if self.kind == "sum" else 1
        return low * most, high * most

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Sums or maxima over the last two axes of the windows; of trains the sums of each
        time-step, or the changes of the maxima."""
        (values,) = inputs
        windows = sliding_windows(values.reshape(-1, *values.shape[-3:]), self.kernel, self.stride,
                                  edges(self))
        windows = windows.reshape(*values.shape[:-3], *windows.shape[1:])
        if self.kind == "sum":
            return windows.sum(axis=(-2, -1))
        return largest(windows) if values.ndim == 5 else windows.max(axis=(-2, -1))

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse nothing: the network bounds the counts of a map, and so the sums."""

    def membrane_bits(self, levels: Sequence[int], code: str = "phase") -> None:
        """None: nothing is added to what was there."""

    def timed(self, dynamics: Dynamics, times: int, half: bool) -> Self:
        """The same: a pooling follows its source."""
        return self

    def with_synapses(self, synapses: tuple[Synapses, ...]) -> Self:
        """The same: a pooling has none."""
        return self

    def with_stride(self, stride: tuple[int, int]) -> Self:
        """The pooling with another stride."""
        return replace(self, stride=stride)

    def settled(self, times: int) -> Self:
        """The same: a pooling follows its source."""
        return self

    def without_half(self, halfway: bool, half: bool) -> Self:
        """The same: a pooling does not round."""
        return self

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
