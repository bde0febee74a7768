"""The layers with membranes: neurons, which fire, and the read-out, which does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from gen.errors import NetworkError
from hw.dynamics import Lasting
from hw.maps import MapConfig
from hw.programs import lasting
from hw.schedule import Schedule

from . import rows, stepping
from .charged import Charged
from .exact import EXACT, check_levels, frozen

__all__ = ["Neurons", "Readout"]


@dataclass(frozen=True, eq=False)
class Neurons(Charged):
    """A layer of integrate-and-fire neurons with soft reset.

    Parameters
    ----------
    name : unique
    synapses : one bundle, or several that charge the same membranes (residual addition)
    initial : ``(C,)`` membrane potential before the first charge: the bias, plus ``threshold >> 1``
        if counts are rounded half up and not down
    threshold : ``(C,)`` positive
    levels : greatest spike count of a neuron
    dynamics : time-steps, in each of which the neurons fire; ``None`` if they fire after all the
        charge of a sample
    bias : ``(C,)`` charge in every wake step
    lasting : if time-steps are the rows of the map; the initial potential is then charge in each of
        them. ``None`` if potentials begin anew in every row
    """

    type: ClassVar[str] = "neurons"

    levels: int
    lasting: Lasting | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", frozen(self.threshold, f"{self.name}: threshold"))
        if self.threshold.shape != (self.channels,) or self.threshold.min() < 1:
            raise NetworkError(f"{self.name}: threshold must be {self.channels} positive integers")
        check_levels(self.levels, f"{self.name}: levels")
        most = max(self.levels, 1 if self.dynamics is None else self.dynamics.greatest)
        if int(self.threshold.max()) * most >= EXACT:
            raise NetworkError(f"{self.name}: {most} times the threshold needs more than 53 bits")

        if self.lasting is not None and self.levels != 1:
            raise NetworkError(f"{self.name}: neurons whose time-steps are the rows of their map "
                               f"spike once in each, not {self.levels} times")

    def _refuse_steps(self):
        super()._refuse_steps()
        if self.lasting is not None:
            raise NetworkError(f"{self.name}: its time-steps are the rows of its map, and it can't "
                               f"have others")

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """See :meth:`gen.ir.charged.Charged.out_shape`."""
        shape = super().out_shape(shapes)
        if self.lasting is not None and shape[1] > self.lasting.rows:
            raise NetworkError(f"{self.name}: has {shape[1]} rows, and potentials that last for "
                               f"{self.lasting.rows}")
        return shape

    def schedule(self, sources: Sequence[MapConfig] = (), code: str = "phase") -> Schedule:
        """See :meth:`gen.ir.charged.Charged.schedule`."""
        if self.lasting is None:
            return super().schedule(sources, code)
        return lasting(sources, self.lasting, code)

    def potential_range(self, levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`gen.ir.charged.Charged.potential_range`."""
        if self.lasting is None:
            return super().potential_range(levels)
        return rows.bounds(self, self.lasting, levels)

    def check_sums(self, levels: Sequence[int]) -> None:
        """See :meth:`gen.ir.charged.Charged.check_sums`."""
        super().check_sums(levels)
        low, high = self.potential_range(levels)
        if max(high.max(), (self.threshold - low).max()) >= EXACT:
            raise NetworkError(f"{self.name}: potentials need more than 53 bits")

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Counts; with time-steps trains."""
        if self.lasting is not None:
            return rows.spikes(self, inputs)
        if self.dynamics is not None:
            return stepping.trains(self, self.dynamics, inputs)
        return super().run(inputs)

    def without_half(self, halfway: bool, half: bool) -> Self:
        """See :meth:`gen.ir.layer.Layer.without_half`."""
        threshold = -(-3 * self.threshold // 4) if halfway else self.threshold
        return replace(self, initial=self.initial - half * self._half(),
                       threshold=threshold)

    def _half(self):
        return self.threshold >> 1

    def _raised(self, times):
        return replace(self, threshold=self.threshold * times)

    def out_levels(self, levels: Sequence[int]) -> int:
        """Its own, whatever the sources'; with time-steps what the tracer may reach."""
        if self.dynamics is None:
            return self.levels
        steps = self.dynamics.longest
        most = self.dynamics.most(self.levels, steps - 1)
        return steps * self.dynamics.greatest if most is None else min(most, steps)

    def meaning(self) -> Iterator[object]:
        """Thresholds and levels, too."""
        yield from super().meaning()
        yield self.threshold
        yield self.levels
        if self.lasting is not None:
            yield self.lasting.facts

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """An array ``threshold``, too."""
        facts, arrays = super().described()
        if self.lasting is not None:
            facts["lasting"] = self.lasting.facts
        return {**facts, "levels": self.levels}, {**arrays, "threshold": self.threshold}

    @classmethod
    def _own(cls, facts, array):
        own = {"threshold": array("threshold"), "levels": facts["levels"]}
        if "lasting" not in facts:
            return own
        try:
            return own | {"lasting": Lasting.restored(facts["lasting"])}
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"{facts['name']}: {error}") from error


@dataclass(frozen=True, eq=False)
class Readout(Charged):
    """The classifier: membranes that never fire; their potentials are the logits.

    Parameters
    ----------
    name, synapses, initial, dynamics, bias : as of :class:`Neurons`

    Members
    -------
    threshold : ``(C,)`` ones, with which no potential is compared
    levels : ``None``, because nothing is counted
    """

    type: ClassVar[str] = "readout"
    lasting: ClassVar[None] = None

    threshold: np.ndarray = field(init=False)
    levels: None = field(init=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recurrent:
            raise NetworkError(f"{self.name}: a read-out sends no spikes, and can't be recurrent")
        object.__setattr__(self, "threshold", np.ones(self.channels, dtype=np.int64))

    def _half(self):
        return 0 * self.initial

    def _raised(self, times):
        return self

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Potentials; with time-steps those after each."""
        if self.dynamics is not None:
            return stepping.logits(self, self.dynamics, inputs)
        return super().run(inputs)

    def out_levels(self, levels: Sequence[int]) -> None:
        """None: potentials come out."""
