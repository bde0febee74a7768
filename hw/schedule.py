"""What a layer does with its charge, as a program: the one place where the neuron is defined.

A :class:`Schedule` says in which order spikes charge the membranes, which rows of the parameter
memory are added, and how the neurons fire. The same object gives the semantics in integers, the
operations of :class:`hw.lanes.Lanes`, the clocks they take, and the range of the potentials.

There are two programs. With :func:`settle` a neuron fires after all the charge of a sample; with
:func:`step` it fires in each of T time-steps, as the dynamics of its method say.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from .dynamics import Dynamics
from .maps import grown
from .neuron import Add, Fire, Restart, Row, State

__all__ = ["Charge", "Operation", "Schedule", "Step", "settle", "step"]


@dataclass(frozen=True)
class Charge:
    """One plane of each source is replayed.

    Parameters
    ----------
    planes : plane of each source, or ``None`` for one that has none left
    double : whether the potential doubles before
    subtract : whether the plane's spikes are negative
    number : time-step of the trains whose spikes these are; ``None`` if the sources are no trains
    """

    planes: tuple[int | None, ...]
    double: bool = False
    subtract: bool = False
    number: int | None = None


@dataclass(frozen=True)
class Step:
    """Charges, then rows that are added, then fires.

    Parameters
    ----------
    number : time-step that it belongs to, counted from 0
    """

    charges: tuple[Charge, ...]
    adds: tuple[Add, ...]
    fires: tuple[Fire, ...]
    number: int = 0


@dataclass(frozen=True)
class Operation:
    """What the lanes do in a clock after the charges of a step: they add a row.

    Parameters
    ----------
    row : of the schedule, or ``None`` for the charge that is held
    fire : the :class:`Fire` that decides whether they keep the sum, or ``None`` if they do
    hold : whether the sum is held, too
    first : whether this is the first fire of the program
    opens : whether this is the first fire of a step whose spikes are added up
    tally : number of spikes that are added; 0 if spikes are bits
    restart : whether this is a :class:`hw.neuron.Restart`
    waits : whether the charge of another step has to arrive after it
    until : greatest number of time-steps with which the program ends here, or ``None`` if it always
        does; 0 if it never does
    closes : whether it is the last fire of a step
    """

    row: int | None
    fire: Fire | None
    hold: bool
    first: bool
    opens: bool
    tally: int
    restart: bool
    waits: bool
    until: int | None
    closes: bool


@dataclass(frozen=True)
class Schedule:
    """The program of a layer.

    Parameters
    ----------
    steps : in order
    rows : of the parameter memory, for each group of lanes
    levels : greatest count (of a train: in a time-step); ``None`` for a read-out, which never fires
    code, timesteps, low : how a receiver replays the counts, see :class:`hw.maps.MapConfig`
    """

    steps: tuple[Step, ...]
    rows: tuple[Row, ...]
    levels: int | None
    code: str = "phase"
    timesteps: int = 1
    low: int = 0

    def encode(self, fired, result=0):
        """A layer's result after a step: counts, or trains that have grown by a time-step, see
        :class:`hw.maps.MapConfig`.

        Parameters
        ----------
        fired : sum of the spikes of the step
        result : after the step before
        """
        if self.code != "train":
            return result + fired
        return grown(result, fired, low=self.low, levels=self.levels)

    @property
    def timed(self) -> bool:
        """Whether the program is shorter if a run has fewer time-steps."""
        return self.steps[-1].number > 0

    def shortened(self, timesteps: int) -> "Schedule":
        """The program of a run with fewer time-steps. The trains are as long as before, and empty
        before the first time-step of the run."""
        if not self.timed:
            return self
        skipped = self.timesteps - timesteps
        places = [(charge, number) for number, step in enumerate(self.steps)
                  for charge in step.charges]
        place = {charge.number: number for charge, number in places}
        charges = [[] for _ in self.steps]
        for charge, number in places:
            charges[number if charge.number is None else
                    place[max(0, charge.number - skipped)]].append(charge)
        return replace(self, steps=tuple(
            replace(step, charges=tuple(own))
            for step, own in zip(self.steps, charges, strict=True) if step.number < timesteps))

    @property
    def tallied(self) -> bool:
        """Whether the spikes of a time-step are added up, as they are not the bits of a number."""
        return self.code == "train" and bool(self.levels & self.levels + 1)

    @property
    def clips(self) -> bool:
        """Whether bits of a count may make up more than the levels."""
        return self.code == "phase" and self.bound is None and bool(self.levels & self.levels + 1)

    @cached_property
    def arrivals(self) -> tuple[int, ...]:
        """Numbers of the steps that charge arrives for."""
        return tuple(k for k, step in enumerate(self.steps) if step.charges)

    @cached_property
    def charges(self) -> tuple[Charge, ...]:
        """Those of all steps."""
        return tuple(charge for step in self.steps for charge in step.charges)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Those of all steps, beside the events of their charges."""
        operations, fired = [], False
        for number, step in enumerate(self.steps):
            todo = [(add.row, None, add.hold, isinstance(add, Restart)) for add in step.adds]
            todo += [(fire.row, fire, False, False) for fire in step.fires]
            behind, opens = self.steps[number + 1:], self.tallied
            for k, (row, fire, hold, restart) in enumerate(todo):
                ends = k == len(todo) - 1
                operations.append(Operation(
                    row, fire, hold, fire is not None and not fired,
                    opens=fire is not None and opens,
                    tally=fire.value if fire is not None and self.tallied else 0,
                    restart=restart, closes=ends and fire is not None,
                    waits=ends and bool(behind) and bool(behind[0].charges),
                    until=(behind[0].number if behind else None) if ends else 0))
                fired |= fire is not None
                opens &= fire is None
        return tuple(operations)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Numbers of those :attr:`charges` that are the last of their step."""
        return frozenset(number - 1 for number in itertools.accumulate(
            len(self.steps[k].charges) for k in self.arrivals))

    @cached_property
    def holds(self) -> bool:
        """Whether charge is held."""
        return any(add.hold for step in self.steps for add in step.adds)

    @cached_property
    def restarts(self) -> bool:
        """Whether potentials begin anew."""
        return any(operation.restart for operation in self.operations)

    @cached_property
    def bound(self) -> int | None:
        """What no tracer exceeds, or ``None`` if there is none."""
        bounds = [fire.bound for step in self.steps for fire in step.fires if fire.value > 0]
        return None if None in bounds else max(bounds, default=None)

    def parameters(self, initial, threshold, bias=0) -> list:
        """Values of :attr:`rows`, integers or arrays like the arguments."""
        return [row.initial * initial + row.bias * bias + row.threshold * threshold
                for row in self.rows]

    def run(self, charges: Iterable, initial, threshold, bias=0) -> tuple[list, State]:
        """What the neurons compute.

        Parameters
        ----------
        charges : of each step, the sum of all its spikes' weights: integers, or arrays of them
        initial, threshold, bias : integers, or arrays that broadcast with the charges

        Returns
        -------
        The sum of the spikes of each step that fires, and the state after the last.
        """
        rows, state, fired = self.parameters(initial, threshold, bias), State(), []
        for step, charge in zip(self.steps, charges, strict=True):
            state.potential = state.potential + charge
            state.add(step.adds, rows)
            if step.fires or self.levels is None:
                fired.append(state.fire(step.fires, rows))
        return fired, state

    def clip(self, count):
        """``count``, an integer or an array, or ``levels`` if that is less."""
        return count - (count > self.levels) * (count - self.levels)

    def idle_clocks(self, events: Sequence):
        """Clocks without a spike that the charges take: once one had an event, each that has none
        still doubles the potential, but the last one of a step does that on the way.

        Parameters
        ----------
        events : spikes of each of :attr:`charges`, integers or arrays
        """
        begun, clocks = False, 0
        for charge, number in enumerate(events):
            begun = begun | (number > 0) | (charge in self.ends)
            if charge not in self.ends:
                clocks = clocks + (begun & (number == 0))
        return clocks

    def potential_range(self, low, high, threshold):
        """Range of the potentials when they are compared, and of the rows they are compared with.

        Parameters
        ----------
        low, high : range of the charge that has arrived when neurons fire, the initial potential
            among it (docs/methods.md, 5): integers, or an array over channels
        threshold : like these
        """
        fires = [fire for step in self.steps for fire in step.fires]
        if not fires:
            return low, high
        least = low - (low > 0) * low
        if any(fire.value < 0 for fire in fires):
            most = max(fire.bound for fire in fires)
            return low - most * threshold, high + (threshold > high) * (threshold - high)
        # From the least one, or 0, to the greatest threshold below.
        return least + threshold * min(self.rows[fire.row].threshold for fire in fires), high


def settle(sources: Sequence, levels: int | None, code: str = "phase") -> Schedule:
    """All the charge of a sample, then the fires: the count is ``clip(floor(v / threshold), 0,
    levels)``, the activation of the quantised network (docs/methods.md, 2).

    In phase code the thresholds are ``threshold * 2**k``, most significant first, and the spikes
    are the bits of the count; in rate code the same threshold comes ``levels`` times.

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    levels, code : see :class:`Schedule`
    """
    rows = [Row(initial=1)]
    fires = []
    if levels is not None and code == "phase":
        shifts = range(levels.bit_length())[::-1]
        rows += [Row(threshold=-1 << shift) for shift in shifts]
        fires = [Fire(1 + k, 1 << shift) for k, shift in enumerate(shifts)]
    elif levels is not None:
        rows.append(Row(threshold=-1))
        fires = [Fire(1, 1)] * levels
    return Schedule((Step(_charges(sources), (Add(0),), tuple(fires)),), tuple(rows), levels, code)


def step(sources: Sequence, levels: int | None, dynamics: Dynamics) -> Schedule:
    """In each time-step the charge of the spikes of that step, then a fire (docs/methods.md, 8).

    Maps that are no trains are the input. Its charge is the same in all wake steps: it arrives
    before the first step, is held, and is added again. Of a read-out, which never fires, all
    charge arrives in one step.

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    levels : greatest count of a neuron, if ``dynamics`` bounds it by that; ``None`` for a read-out
    """
    if dynamics.phases:
        return _one_spike(sources, None if levels is None else dynamics.greatest)
    images = _charges([source for source in sources if source.code != "train"])
    images = [replace(charge, planes=_spread(charge.planes, sources)) for charge in images]
    trains = [_trains(sources, number) for number in range(dynamics.timesteps)]
    if levels is None:
        return _readout(images, trains, dynamics)
    biased = dynamics.probe + dynamics.wakes > 1
    values = dynamics.values
    # The first bias comes with the initial potential, or with the input.
    rows = [Row(initial=1, bias=int(not (images and biased)))]
    rows += [Row(threshold=-value) for value in sorted(set(values))[::-1]]
    bursts = [Fire(rows.index(Row(threshold=-value)), value) for value in values]
    back = [Fire(len(rows), -1, 0)] * dynamics.signed
    rows += [Row(threshold=1)] * dynamics.signed + [Row(bias=1)] * biased
    again = None if images else len(rows) - 1
    steps = []
    if images and biased:
        steps.append(Step(tuple(images), (Add(len(rows) - 1, hold=True),), ()))
        images = []
    for number, awake in enumerate(dynamics.awake):
        charges = trains[number] if number else (*images, *trains[number])
        adds = (Add(0),) if number == 0 else (Add(again),) * (awake and biased)
        if number == dynamics.probe > 0:
            steps.append(Step((), (Restart(0),), ()))
            adds = (Add(None),) if again is None else ()
        most = dynamics.most(levels, number)
        fires = (*[replace(fire, bound=most) for fire in bursts], *back)
        steps.append(Step(charges, adds, fires, 0 if dynamics.probe else number))
    return Schedule(tuple(steps), tuple(rows), dynamics.burst, "train", dynamics.timesteps,
                    -int(dynamics.signed))


def _one_spike(sources, levels):
    """Like :func:`settle`, but a neuron fires at most once: at the first threshold it reaches."""
    whole = settle(sources, levels)
    (only,) = whole.steps
    fires = tuple(replace(fire, bound=1) for fire in only.fires)
    return replace(whole, steps=(replace(only, fires=fires),),
                   rows=(Row(initial=1, bias=1), *whole.rows[1:]))


def _readout(images, trains, dynamics):
    """Of a read-out: the charge of all time-steps, then that of the input and the bias again in
    each further wake step."""
    trains = tuple(charge for charges in trains[dynamics.probe:] for charge in charges)
    wakes = [number for number, awake in enumerate(dynamics.awake) if awake][dynamics.probe:]
    if not images or len(wakes) == 1:
        begin = [Step((*images, *trains), (Add(0),), ())]
        rows, again = (Row(initial=1, bias=1), Row(bias=1)), 1
    else:
        # What is held can be added after a clock.
        hold, initial = Add(1, hold=True), Add(0)
        begin = ([Step(tuple(images), (hold,), ()), Step(trains, (initial,), ())] if trains else
                 [Step(tuple(images), (hold, initial), ())])
        rows, again = (Row(initial=1), Row(bias=1)), None
    whole = dynamics.probe > 0
    more = [Step((), (Add(again),), (), 0 if whole else number) for number in wakes[1:]]
    return Schedule((*begin, *more), rows[:1 + (len(wakes) > 1)], None,
                    timesteps=1 if whole else dynamics.timesteps)


def _trains(sources, number):
    """Planes of one time-step: the spikes that add charge, then those that take it back."""
    charges = []
    for sign in (1, -1):
        units = [source.units(sign) if source.code == "train" else 0 for source in sources]
        charges += [
            Charge(tuple(source.train_plane(number, sign, unit) if unit < some else None
                         for source, some in zip(sources, units, strict=True)),
                   subtract=sign < 0, number=number)
            for unit in range(max(units, default=0))]
    return tuple(charges)


def _spread(planes, sources):
    """Planes of those sources that are no trains, among all of them."""
    planes = iter(planes)
    return tuple(None if source.code == "train" else next(planes) for source in sources)


def _charges(sources) -> tuple[Charge, ...]:
    """Planes of the same weight that different sources offer come together: first the bits of
    counts in phase code, then, with their lowest ones, the unit spikes of those in rate code."""
    charges = []
    phases = [source.bits if source.code == "phase" else 0 for source in sources]
    for k in reversed(range(1, max(phases, default=0))):
        charges.append(Charge(tuple(k if k < bits else None for bits in phases), True))
    rest = max((1 if bits else source.planes
                for bits, source in zip(phases, sources, strict=True)), default=0)
    for unit in range(rest):
        planes = tuple(
            (0 if unit == 0 else None) if bits
            else (source.planes - 1 - unit if unit < source.planes else None)
            for bits, source in zip(phases, sources, strict=True))
        charges.append(Charge(planes, unit == 0))
    return tuple(charges)
