"""Time-steps of a network, and what its neurons may do in them."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["MOST_BURST", "MOST_PHASES", "MOST_SHIFT", "MOST_STEPS", "RESETS", "Dynamics", "Lasting",
           "Membrane"]

MOST_STEPS = 64
"""Greatest number of time-steps."""

MOST_BURST = 64
"""Greatest number of spikes in a time-step."""

MOST_PHASES = 15
"""Greatest number of phases of a time-step."""

MOST_SHIFT = 15
"""Greatest shift of a leak."""

RESETS = ("subtract", "zero")
"""What a spike does to the potential: the threshold is subtracted, or it begins anew at 0."""

_LATER = ("burst", "phases", "probe", "membrane", "events")
"""Arguments that came after the first networks with time-steps had been written to files."""


@dataclass(frozen=True)
class Membrane:
    """What a membrane does between the time-steps (docs/methods.md, 17).

    Parameters
    ----------
    leak : shifts ``k``, at most two, one after the other: ``V -= V >> k``; or, of the second one
        alone and if it is negative, ``V += V >> -k``. None: the potential does not leak. A shift
        of 0, which leaves nothing, stands alone
    reset : one of :data:`RESETS`
    strict : whether a spike needs a potential above the threshold, and not one that equals it
    delayed : whether the threshold is subtracted after the leak, and not before it

    Raises
    ------
    ValueError
        If a shift is out of range, if a potential may grow by its leak, or if a reset to 0 is
        delayed, which is the same as one that is not.
    """

    leak: tuple[int, ...] = ()
    reset: str = "subtract"
    strict: bool = False
    delayed: bool = False

    def __post_init__(self):
        if (not isinstance(self.leak, tuple) or len(self.leak) > 2
                or not all(type(k) is int and abs(k) <= MOST_SHIFT for k in self.leak)
                or (0 in self.leak and self.leak != (0,))):
            raise ValueError(f"leak must be at most two shifts of 1 to {MOST_SHIFT}, or 0 alone, "
                             f"not {self.leak!r}")
        if any(k < 0 for k in self.leak[:1]) or (
                len(self.leak) == 2 and -self.leak[1] in range(1, self.leak[0])):
            raise ValueError(f"leak must make potentials less, and {self.leak!r} may not: the "
                             f"second shift must be the greater one if it adds")
        if self.reset not in RESETS:
            raise ValueError(f"reset must be 'subtract' or 'zero', not {self.reset!r}")
        for name in ("strict", "delayed"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.delayed and self.reset == "zero":
            raise ValueError("a reset to zero that is delayed is one that is not; leave it out")

    @classmethod
    def restored(cls, facts: dict[str, Any]) -> "Membrane":
        """That of its arguments, as they are in a file.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are none.
        """
        return cls(**facts | {"leak": tuple(facts["leak"])})

    @property
    def plain(self) -> bool:
        """Whether the threshold is subtracted with the very comparison."""
        return (self.reset, self.strict, self.delayed) == ("subtract", False, False)

    @property
    def decay(self) -> float:
        """What is left of a large potential after a leak, as a factor."""
        left = 1.0
        for k in self.leak:
            left *= 1 - 2.0 ** -k if k >= 0 else 1 + 2.0 ** k
        return left


@dataclass(frozen=True)
class Lasting:
    """Neurons whose time-steps are the rows of their map: a potential lasts from row to row
    (docs/methods.md, 17).

    Parameters
    ----------
    membrane : leak, reset and comparison
    rows : the most rows; potentials that do not leak are bounded by them
    current : leak of a synaptic current, see :class:`Membrane`: charge is added to it, and the
        potential gets all of it in every row. ``None``: charge is added to the potential

    Raises
    ------
    ValueError
        If these are none.
    """

    membrane: Membrane
    rows: int
    current: tuple[int, ...] | None = None

    def __post_init__(self):
        if not isinstance(self.membrane, Membrane):
            raise ValueError(f"membrane must be a Membrane, not {self.membrane!r}")
        if type(self.rows) is not int or self.rows < 1:
            raise ValueError(f"rows must be a positive integer, not {self.rows!r}")
        if self.current is not None:
            Membrane(self.current)

    @classmethod
    def restored(cls, facts: dict[str, Any]) -> "Lasting":
        """That of :attr:`facts`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are none.
        """
        facts = dict(facts) | {"membrane": Membrane.restored(facts["membrane"])}
        if "current" in facts:
            facts["current"] = tuple(facts["current"])
        return cls(**facts)

    @property
    def facts(self) -> dict[str, Any]:
        """As in files and digests: without a current if there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Dynamics:
    """Time-steps of a network whose neurons fire in each of them (docs/methods.md, 8).

    A *cycle* is ``wake`` steps, in which the input and the biases charge the membranes, and then
    ``sleep`` steps, in which spikes alone do. Before the first cycle there may be ``probe`` wake
    steps that don't count. Then all potentials begin anew, and neurons that were left without
    charge, with a potential of 0 or less, are silent.

    Parameters
    ----------
    wake, sleep, cycles : numbers of steps, and of cycles
    signed : whether a neuron with a negative potential takes a spike back, as long as it has spiked
        more often than not
    bound : what the tracer, the sum of a neuron's spikes, may not exceed: ``None``; ``"levels"`` of
        its layer; or ``"elapsed"``, the number of wake steps so far
    burst : the most spikes of a neuron in a step
    phases : of the only step, if there are any: a spike in one of them weighs twice as much as in
        the next one, the last one weighs 1, and a neuron spikes once
    probe : number of steps
    membrane : leak, reset and comparison of a neuron. Layers of a network may differ in it
    events : greatest number of spikes of the input in a step. The input is then a train like
        others; 0: it charges the membranes by the same in all wake steps

    Raises
    ------
    ValueError
        If a number is out of range, if neurons that take spikes back have no bound, if neurons
        with a bound spike more than once in a step or are probed, if there are phases and
        anything else, if neurons that leak or have another reset do more than to spike once in a
        step, or if an input that is a train has steps of sleep or a probe.
    """

    wake: int
    sleep: int = 0
    cycles: int = 1
    signed: bool = False
    bound: str | None = None
    burst: int = 1
    phases: int = 0
    probe: int = 0
    membrane: Membrane = field(default_factory=Membrane)
    events: int = 0

    def __post_init__(self):
        for name, least in (("wake", 1), ("sleep", 0), ("cycles", 1), ("burst", 1),
                            ("phases", 0), ("probe", 0), ("events", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
        if self.timesteps > MOST_STEPS:
            raise ValueError(f"there are {self.timesteps} time-steps; {MOST_STEPS} are the most")
        if self.burst > MOST_BURST:
            raise ValueError(f"there are {self.burst} spikes in a time-step; {MOST_BURST} are the "
                             f"most")
        if type(self.signed) is not bool:
            raise ValueError(f"signed must be true or false, not {self.signed!r}")
        if self.bound not in (None, "levels", "elapsed"):
            raise ValueError(f"bound must be None, 'levels' or 'elapsed', not {self.bound!r}")
        if self.signed and self.bound is None:
            raise ValueError("neurons that take spikes back need a bound")
        if self.burst > 1 and self.bound is not None:
            raise ValueError("neurons with a bound spike once in a time-step")
        if self.probe and self.bound is not None:
            raise ValueError("neurons with a bound are not probed")
        if self.phases > MOST_PHASES:
            raise ValueError(f"there are {self.phases} phases; {MOST_PHASES} are the most")
        if self.phases and (self.timesteps, self.bound, self.burst) != (1, None, 1):
            raise ValueError("phases are those of a single time-step, with one spike")
        self._check_membrane()

    def _check_membrane(self):
        if not isinstance(self.membrane, Membrane):
            raise ValueError(f"membrane must be a Membrane, not {self.membrane!r}")
        others = (self.signed, self.bound, self.burst, self.phases, self.probe)
        if self.membrane != Membrane() and others != (False, None, 1, 0, 0):
            raise ValueError("neurons that leak, or have another reset or comparison, spike once "
                             "in a time-step, without a bound")
        if self.events & self.events + 1:
            raise ValueError(f"events must be one less than a power of two, not {self.events}")
        if self.events and (self.sleep, self.cycles, self.phases, self.probe) != (0, 1, 0, 0):
            raise ValueError("an input that is a train arrives in wake steps alone")

    @classmethod
    def restored(cls, facts: dict[str, Any]) -> "Dynamics":
        """Those of :attr:`facts`.

        Raises
        ------
        ValueError
            If they are none.
        """
        facts = dict(facts)
        if "membrane" in facts:
            facts["membrane"] = Membrane.restored(facts["membrane"])
        return cls(**facts)

    @property
    def facts(self) -> dict[str, Any]:
        """As in files and digests: of the arguments that came later those that are not at their
        defaults."""
        usual = asdict(Dynamics(1))
        return {name: value for name, value in asdict(self).items()
                if name not in _LATER or value != usual[name]}

    @property
    def shared(self) -> "Dynamics":
        """What all layers of a network have in common."""
        return replace(self, membrane=Membrane())

    @property
    def whole(self) -> bool:
        """Whether every run has all the time-steps."""
        return self.probe > 0 or self.events > 0

    @property
    def timesteps(self) -> int:
        """Those of all cycles, and those before."""
        return self.probe + self.cycles * (self.wake + self.sleep)

    @property
    def greatest(self) -> int:
        """Greatest count of a neuron in a time-step."""
        return 1 << self.phases - 1 if self.phases else self.burst

    @property
    def values(self) -> list[int]:
        """Numbers of spikes whose thresholds, one after the other, make a burst: as many spikes as
        the potential has thresholds. None is greater than the sum of those behind it plus 1."""
        values, most = [], self.burst
        while most:
            values.append(-(-most // 2))
            most //= 2
        return values

    @property
    def wakes(self) -> int:
        """Wake steps of all cycles."""
        return self.cycles * self.wake

    @property
    def shortest(self) -> int:
        """Time-steps of the shortest run: with a probe, or with an input that is a train, a run has
        all of them."""
        return self.timesteps if self.whole else 1

    @property
    def charged(self) -> int:
        """The most wake steps whose charge adds up in a potential, for bounds: those of the probe,
        or all those behind it, as potentials begin anew between them."""
        return max(self.probe, self.wakes)

    @property
    def longest(self) -> int:
        """The most steps, awake or asleep, whose spikes add up in a tracer, as :attr:`charged`."""
        return max(self.probe, self.timesteps - self.probe)

    @property
    def once(self) -> bool:
        """Whether all the charge of the input and the biases arrives in the first time-step, and
        levels bound the spikes: then counts are those that neurons have without time-steps."""
        return (self.wake, self.cycles, self.bound) == (1, 1, "levels")

    @property
    def awake(self) -> tuple[bool, ...]:
        """For each time-step, whether the input charges the membranes."""
        cycle = (True,) * self.wake + (False,) * self.sleep
        return (True,) * self.probe + cycle * self.cycles

    def most(self, levels: int, number: int) -> int | None:
        """What the tracer of a neuron may not exceed in a time-step, counted from 0."""
        match self.bound:
            case "levels":
                return levels
            case "elapsed":
                return sum(self.awake[:number + 1])
        return None
