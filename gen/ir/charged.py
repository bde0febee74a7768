"""What layers with membranes share: they are charged by spikes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from gen.errors import NetworkError
from hw.dynamics import Dynamics
from hw.maps import MapConfig
from hw.programs import settle, step
from hw.schedule import Schedule

from . import stepping
from .exact import EXACT, frozen
from .layer import INPUT, check_name
from .synapses import Synapses

__all__ = ["Charged"]


@dataclass(frozen=True, eq=False)
class Charged:
    """What layers with membranes share.

    Parameters
    ----------
    name : unique
    synapses : one bundle, or several that charge the same membranes (residual addition). Neurons
        whose own layer is a source are recurrent: rows of the map are the elements of a sequence,
        in which what they receive of themselves comes from earlier rows (docs/methods.md, 15)
    initial : ``(C,)`` membrane potential before the first charge
    dynamics : time-steps, in each of which the neurons fire; ``None`` if they fire after all the
        charge of a sample
    bias : ``(C,)`` charge in every wake step; without time-steps the bias is part of ``initial``
    """

    type: ClassVar[str]

    name: str
    synapses: tuple[Synapses, ...]
    initial: np.ndarray
    threshold: np.ndarray
    levels: int | None
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), kw_only=True)
    dynamics: Dynamics | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.synapses, tuple) or not self.synapses:
            raise NetworkError(f"{self.name}: synapses must be a non-empty tuple")
        object.__setattr__(self, "initial", frozen(self.initial, f"{self.name}: initial"))
        for synapses in self.synapses:
            if synapses.out_channels != self.channels or self.initial.shape != (self.channels,):
                raise NetworkError(f"{self.name}: synapses and initial potentials must agree on "
                                   f"the number of channels")
        self._check_recurrence()
        self._check_bias()

    def _check_recurrence(self):
        for synapses in self.recurrent:
            if synapses.stride != (1, 1) or synapses.padding[0] < synapses.kernel[0]:
                raise NetworkError(f"{self.name}: its own spikes must reach it one element later "
                                   f"at the earliest: by a stride of 1, and by at least as many "
                                   f"rows of padding above as the kernel has")
        if not self.forward:
            raise NetworkError(f"{self.name}: nothing but its own spikes charges it")
        if self.dynamics is not None:
            self._refuse_steps()

    def _refuse_steps(self):
        if self.recurrent:
            raise NetworkError(f"{self.name}: a recurrent layer can't have time-steps; use the "
                               f"schedule settle")

    def _check_bias(self):
        bias = frozen(self.bias, f"{self.name}: bias")
        if self.dynamics is None and bias.any():
            raise NetworkError(f"{self.name}: without time-steps the bias is part of the initial "
                               f"potential")
        if bias.size == 0:
            bias = np.zeros(self.channels, dtype=np.int64)
        if bias.shape != (self.channels,):
            raise NetworkError(f"{self.name}: bias must be {self.channels} integers")
        object.__setattr__(self, "bias", bias)

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

    @property
    def forward(self) -> tuple[Synapses, ...]:
        """Synapses from other layers."""
        return tuple(synapses for synapses in self.synapses if synapses.source != self.name)

    @property
    def recurrent(self) -> tuple[Synapses, ...]:
        """Synapses from the layer itself: what its rows, the elements of a sequence, add to later
        ones."""
        return tuple(synapses for synapses in self.synapses if synapses.source == self.name)

    def out_shape(self, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """The shape in which all synapses agree.

        Raises
        ------
        NetworkError
            If they do not agree.
        """
        results = {synapses.out_shape(shape) for synapses, shape in zip(
            self.forward, shapes, strict=True)}
        results |= {synapses.out_shape(shape) for shape in tuple(results)
                    for synapses in self.recurrent}
        if len(results) != 1:
            raise NetworkError(f"{self.name}: the synapses give different shapes: "
                               f"{sorted(results)}")
        return results.pop()

    def out_span(self, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Least and greatest number of spikes of a neuron in a time-step; without time-steps
        ``(0, 1)``, whatever the levels."""
        if self.dynamics is None:
            return 0, 1
        return -int(self.dynamics.signed), self.dynamics.greatest

    def charge(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """All the charge of other layers, ``(N, O, OY, OX)``, in 64 bits."""
        first, *others = (synapses.charge(counts)
                          for synapses, counts in zip(self.forward, inputs, strict=True))
        return sum(others, first)

    def schedule(self, sources: Sequence[MapConfig] = (), code: str = "phase") -> Schedule:
        """What the neurons do with their charge; counts do not depend on the arguments.

        Parameters
        ----------
        sources : the maps that charge them
        code : how their own counts are replayed
        """
        if self.dynamics is not None:
            return step(sources, self.levels, self.dynamics)
        return settle(sources, self.levels, code)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """What the schedule makes of the charge; if the layer is recurrent, row by row."""
        charge = self.charge(inputs)
        if not self.recurrent:
            return self._settled(charge)
        counts = np.zeros(charge.shape, dtype=np.int64)
        for row in range(charge.shape[2]):
            own = (synapses.row_charge(counts, row) for synapses in self.recurrent)
            counts[:, :, [row]] = self._settled(sum(own, charge[:, :, [row]]))
        return counts

    def _settled(self, charge):
        schedule = self.schedule()
        (fired,), state = schedule.run([charge], self.initial[:, None, None],
                                       self.threshold[:, None, None])
        return state.potential if schedule.levels is None else schedule.clip(fired)

    def check_sums(self, levels: Sequence[int]) -> None:
        """Refuse a layer whose potentials may need more than 53 bits."""
        awake = 1 if self.dynamics is None else self.dynamics.charged
        delayed = self.dynamics is not None and self.dynamics.membrane.delayed
        bound = int(self.threshold.max()) * delayed
        bound += sum(max(int(values.max()), -int(values.min())) * times
                    for values, times in ((self.initial, 1), (self.bias, awake)))
        bound += sum(s.charge_bound(awake * top if image else top) for s, image, top in zip(
            self.synapses, self._images, levels, strict=True))
        if bound >= EXACT:
            raise NetworkError(f"{self.name}: potentials need more than 53 bits")

    def potential_range(self, levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest potential of each channel, ``(C,)`` (docs/methods.md, 5); with
        time-steps see :func:`gen.ir.stepping.charge_range`."""
        if self.dynamics is not None:
            return stepping.charge_range(self, self.dynamics, self._images, levels)
        ranges = [s.charge_range(top) for s, top in zip(self.synapses, levels, strict=True)]
        return (self.initial + sum(low for low, _ in ranges),
                self.initial + sum(high for _, high in ranges))

    def membrane_bits(self, levels: Sequence[int], code: str = "phase") -> int:
        """Bits of a membrane that provably never overflows (docs/methods.md, 5).

        Sums on the way may wrap, because only potentials that are compared count. The greatest of
        these is the greatest potential. The least is the least potential, or 0 if that is less,
        minus the greatest threshold. The threshold itself fits the same width.

        Parameters
        ----------
        levels : greatest count of each source
        code : how the layer's own counts are replayed
        """
        least, greatest = self.potential_range(levels)
        low, high = self.schedule(code=code).potential_range(least, greatest, self.threshold)
        low, high = int(low.min()), int(high.max())
        return 1 + max((-low - 1).bit_length() if low < 0 else 0,
                       high.bit_length() if high > 0 else 0)

    @property
    def _images(self):
        """For each source, whether it charges the membranes by the same in all wake steps."""
        train = self.dynamics is not None and self.dynamics.events > 0
        return [source == INPUT and not train for source in self.sources]

    def timed(self, dynamics: Dynamics, times: int, half: bool) -> Self:
        """The layer with time-steps (docs/methods.md, 8).

        A wake step brings all the charge of the input, but only a share of that of the spikes. So a
        layer that the input charges has a threshold that is ``times`` as high. A layer that spikes
        charge has a share of the bias in each step, and the rest in its initial potential.

        Parameters
        ----------
        times : number of wake steps that bring as much charge as a sample does without time-steps;
            the network may have more of them, or fewer
        half : whether neurons begin with half a threshold; otherwise all that their initial
            potential holds arrives as a bias does

        Raises
        ------
        NetworkError
            If it is charged by both the input and spikes, and there are several wake steps.
        """
        self._refuse_steps()
        if dynamics.once:
            return replace(self, dynamics=dynamics)
        images = {source == INPUT for source in self.sources}
        if len(images) > 1 and times > 1:
            raise NetworkError(f"{self.name}: charged by both the input and spikes, which several "
                               f"wake steps don't allow; use st-bif, or group in one time-step")
        raised = self._raised(times) if True in images else self
        start = half * raised._half()
        bias = self.initial - half * self._half()
        if True in images:
            return replace(raised, initial=start, bias=bias, dynamics=dynamics)
        return replace(self, initial=start + bias % times, bias=bias // times, dynamics=dynamics)

    def with_synapses(self, synapses: tuple[Synapses, ...]) -> Self:
        """The layer with other synapses in the place of its own."""
        return replace(self, synapses=synapses)

    def with_stride(self, stride: tuple[int, int]) -> Self:
        """The same: its synapses have strides."""
        return self

    def settled(self, times: int) -> Self:
        """The layer without time-steps, with the bias of ``times`` wake steps."""
        return replace(self, initial=self.initial + times * self.bias, bias=0 * self.bias,
                       dynamics=None)

    def without_half(self, halfway: bool, half: bool) -> Self:
        """The same: there is no threshold."""
        return self

    def _half(self):
        """The initial potential with which a neuron without bias rounds half up."""
        raise NotImplementedError

    def _raised(self, times):
        """The layer with thresholds ``times`` as high."""
        raise NotImplementedError

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
            yield [s.stride, s.padding, s.groups, s.bits, *([] if s.below is None else [s.below])]
            yield s.weights
        yield self.initial
        if self.dynamics is not None:
            yield self.dynamics.facts
            yield self.bias

    def described(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Arrays ``initial`` and, for bundle number S of synapses, ``S.weights``."""
        facts: dict[str, Any] = {"type": self.type, "name": self.name, "synapses": [
            {"source": s.source, "stride": s.stride, "bits": s.bits, "padding": s.padding,
             "groups": s.groups, **({} if s.below is None else {"below": s.below})}
            for s in self.synapses]}
        arrays = {"initial": self.initial, **{
            f"{k}.weights": s.weights for k, s in enumerate(self.synapses)}}
        if self.dynamics is not None:
            facts["dynamics"] = self.dynamics.facts
            arrays["bias"] = self.bias
        return facts, arrays

    @classmethod
    def restored(cls, facts: Mapping[str, Any], array: Callable[[str], np.ndarray]) -> Self:
        """The layer, with the arguments of its kind from :meth:`_own`."""
        synapses = tuple(
            Synapses(s["source"], array(f"{k}.weights"), tuple(s["stride"]), tuple(s["padding"]),
                     s["groups"], s["bits"], s.get("below"))
            for k, s in enumerate(facts["synapses"]))
        stepped: dict[str, Any] = {}
        if "dynamics" in facts:
            try:
                stepped = {"dynamics": Dynamics.restored(facts["dynamics"]), "bias": array("bias")}
            except (KeyError, TypeError, ValueError) as error:
                raise NetworkError(f"{facts['name']}: {error}") from error
        return cls(facts["name"], synapses, array("initial"), **cls._own(facts, array), **stepped)

    @classmethod
    def _own(cls, facts, array):
        """Arguments that only this kind has."""
        return {}
