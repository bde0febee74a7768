"""What a layer of a network says about itself, whatever its kind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from gen.errors import NetworkError
from hw.dynamics import Dynamics, Lasting

from .exact import require_length
from .synapses import Synapses, Window

__all__ = ["INPUT", "Layer", "check_name"]

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
        """Names of the maps that the layer looks at. Its own is one of them if the layer is
        recurrent."""

    @property
    def synapses(self) -> tuple[Synapses, ...]:
        """Those that charge membranes; a pooling has none."""

    @property
    def dynamics(self) -> Dynamics | None:
        """The time-steps in each of which the neurons fire, or ``None``."""

    @property
    def lasting(self) -> Lasting | None:
        """What potentials do from row to row, if rows are time-steps, or ``None``."""

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """Shape ``(C, H, W)`` of the result for sources of ``shapes``; a recurrent layer's own map
        is not among them."""

    def out_levels(self, levels: Sequence[int]) -> int | None:
        """Greatest count for sources with ``levels``, without that of a recurrent layer's own map,
        or None if potentials come out."""

    def out_span(self, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Least and greatest count in a time-step for sources with ``spans``. Without time-steps it
        means nothing."""

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse a layer whose sums may leave the exact range."""

    def membrane_bits(self, levels: Sequence[int], code: str = "phase") -> int | None:
        """Bits of a membrane that never overflows for sources with ``levels``, if the layer's own
        counts are replayed in ``code``; None if it has no membranes."""

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """What comes of each source's counts.

        Parameters
        ----------
        inputs : ``(N, C, H, W)`` counts, or ``(T, N, C, H, W)`` trains; a recurrent layer's own
            are not among them

        Returns
        -------
        Counts or potentials in the same shape.
        """

    def timed(self, dynamics: Dynamics, times: int, half: bool) -> "Layer":
        """The layer with time-steps, see :meth:`gen.ir.charged.Charged.timed`."""

    def without_half(self, halfway: bool, half: bool) -> "Layer":
        """The layer whose neurons begin without half a threshold, so that they round down.

        Parameters
        ----------
        halfway : whether thresholds become those in the middle between ``2**(k-1)`` and ``2**k``
            spikes, rounded up (docs/methods.md, 10)
        half : whether the initial potential holds half a threshold now
        """

    def with_synapses(self, synapses: tuple[Synapses, ...]) -> "Layer":
        """The layer with other synapses in the place of its own."""

    def with_stride(self, stride: tuple[int, int]) -> "Layer":
        """A pooling with another stride; other layers as they are."""

    def settled(self, times: int) -> "Layer":
        """The layer without time-steps, for counts of the input that are ``times`` as high."""

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


def check_name(name: str) -> None:
    """Refuse what can't be a layer's name."""
    if not isinstance(name, str) or not name or name == INPUT:
        raise NetworkError(f"a layer's name must be a non-empty string other than {INPUT!r}, "
                           f"not {name!r}")
    require_length(name, "a layer's name", _LONGEST)
