"""The layers with membranes: neurons, which fire, and the read-out, which does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from gen.errors import NetworkError

from . import stepping
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
    """

    type: ClassVar[str] = "neurons"

    levels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", frozen(self.threshold, f"{self.name}: threshold"))
        if self.threshold.shape != (self.channels,) or self.threshold.min() < 1:
            raise NetworkError(f"{self.name}: threshold must be {self.channels} positive integers")
        check_levels(self.levels, f"{self.name}: levels")
        most = max(self.levels, 1 if self.dynamics is None else self.dynamics.greatest)
        if int(self.threshold.max()) * most >= EXACT:
            raise NetworkError(f"{self.name}: {most} times the threshold needs more than 53 bits")

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Counts; with time-steps trains."""
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

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """An array ``threshold``, too."""
        facts, arrays = super().described()
        return {**facts, "levels": self.levels}, {**arrays, "threshold": self.threshold}

    @classmethod
    def _own(cls, facts, array):
        return {"threshold": array("threshold"), "levels": facts["levels"]}


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
