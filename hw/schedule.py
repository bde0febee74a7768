"""What a layer does with its charge, as a program: the one place where the neuron is defined.

A :class:`Schedule` says in which order spikes charge the membranes, which rows of the parameter
memory are added, and how the neurons fire. The same object gives the semantics in integers, the
operations of :class:`hw.lanes.Lanes`, the clocks they take, and the range of the potentials.

The programs are in :mod:`hw.programs`.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from .maps import grown
from .neuron import Add, Aside, Current, Fire, Keep, Leak, Reset, Restart, Row, State

__all__ = ["Charge", "Operation", "Schedule", "Step"]


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
    adds: tuple[Add | Aside | Keep | Leak | Reset | Restart, ...]
    fires: tuple[Fire, ...]
    number: int = 0


@dataclass(frozen=True)
class Operation:
    """What the lanes do in a clock after the charges of a step: they add a row.

    Parameters
    ----------
    row : of the schedule, or ``None``
    held : whether the charge that is held is added
    fire : the :class:`Fire` that decides whether they keep the sum, or ``None`` if they do
    hold : whether the sum is held, too
    first : whether this is the first fire of the program
    opens : whether this is the first fire of a step whose spikes are added up
    tally : number of spikes that are added; 0 if spikes are bits
    restart : whether this is a :class:`hw.neuron.Restart`
    aside : whether this is a :class:`hw.neuron.Aside`
    waits : whether the charge of another step has to arrive after it
    until : greatest number of time-steps with which the program ends here, or ``None`` if it always
        does; 0 if it never does
    closes : whether it is the last fire of a step
    leak : shift of a :class:`hw.neuron.Leak`, or ``None``
    reset : whether this is a :class:`hw.neuron.Reset`; without a row the potential becomes 0
    current : whether what is held is the synaptic current
    """

    row: int | None
    held: bool
    fire: Fire | None
    hold: bool
    first: bool
    opens: bool
    tally: int
    restart: bool
    aside: bool
    waits: bool
    until: int | None
    closes: bool
    leak: int | None = None
    reset: bool = False
    current: bool = False

    @property
    def adds(self) -> bool:
        """Whether anything is added."""
        return self.row is not None or self.held or self.leak is not None


_NOTHING = Operation(None, False, None, False, False, False, 0, False, False, False, 0, False)
"""Nothing is added."""


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
            todo = self._todo(number)
            behind, opens = self.steps[number + 1:], self.tallied
            later = bool(behind) and behind[0].number > step.number
            for k, operation in enumerate(todo):
                ends, fire = k == len(todo) - 1, operation.fire
                operations.append(replace(
                    operation, first=fire is not None and not fired,
                    opens=fire is not None and opens,
                    tally=fire.value if fire is not None and self.tallied else 0,
                    closes=ends and fire is not None,
                    waits=ends and bool(behind) and bool(behind[0].charges),
                    until=(behind[0].number * later if behind else None) if ends else 0))
                fired |= fire is not None
                opens &= fire is None
        return tuple(operations)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Operations of each step."""
        return tuple(len(self._todo(number)) for number in range(len(self.steps)))

    def _todo(self, number):
        """The operations of a step, without their places in the program.

        A potential is shifted a clock before what is left of it is known, so a clock without an
        addition comes before a leak; a fire that moves nothing is one.
        """
        step, todo = self.steps[number], []
        before = self.steps[number - 1].fires[-1:] if number and not step.charges else ()
        still = any(not fire.moves for fire in before)
        for add in step.adds:
            if isinstance(add, Leak):
                todo += [] if still else [_NOTHING]
                todo.append(replace(_NOTHING, leak=add.shift))
            elif isinstance(add, Keep):
                # What a leak leaves is held with it.
                leaking = todo.pop() if todo and todo[-1].leak is not None else _NOTHING
                todo.append(replace(leaking, hold=True, current=add.current, aside=add.aside))
            elif isinstance(add, Reset):
                todo.append(replace(_NOTHING, row=add.spent, reset=True))
            else:
                todo.append(replace(_NOTHING, row=add.row, held=add.row is None, hold=add.hold,
                                    restart=isinstance(add, Restart), aside=isinstance(add, Aside),
                                    current=isinstance(add, Current)))
            still = False
        return todo + [replace(_NOTHING, row=fire.row, fire=fire) for fire in step.fires]

    @cached_property
    def ends(self) -> frozenset[int]:
        """Numbers of those :attr:`charges` that are the last of their step."""
        return frozenset(number - 1 for number in itertools.accumulate(
            len(self.steps[k].charges) for k in self.arrivals))

    @cached_property
    def holds(self) -> bool:
        """Whether charge is held."""
        return any(operation.hold for operation in self.operations)

    @cached_property
    def keeps(self) -> bool:
        """Whether what was held for one row of outputs is added in the next."""
        return any(operation.hold and operation.held for operation in self.operations)

    @cached_property
    def currents(self) -> bool:
        """Whether synaptic currents are held, too."""
        return any(operation.current for operation in self.operations)

    @cached_property
    def puts_aside(self) -> bool:
        """Whether charge is held, and not in the potential any more."""
        return any(operation.aside for operation in self.operations)

    @cached_property
    def restarts(self) -> bool:
        """Whether potentials begin anew."""
        return any(operation.restart for operation in self.operations)

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """The shifts of leaks, each of them once."""
        return tuple(sorted({operation.leak for operation in self.operations} - {None}))

    @cached_property
    def resets(self) -> bool:
        """Whether a spike resets the potential by an operation of its own."""
        return any(operation.reset for operation in self.operations)

    @cached_property
    def blanks(self) -> bool:
        """Whether a reset makes the potential 0."""
        return any(operation.reset and operation.row is None for operation in self.operations)

    @property
    def additions(self) -> int:
        """Operations that add something."""
        return sum(operation.adds for operation in self.operations)

    @cached_property
    def bound(self) -> int | None:
        """What no tracer exceeds, or ``None`` if there is none."""
        bounds = [fire.bound for step in self.steps for fire in step.fires if fire.value > 0]
        return None if None in bounds else max(bounds, default=None)

    def parameters(self, initial, threshold, bias=0) -> list:
        """Values of :attr:`rows`, integers or arrays like the arguments."""
        return [row.initial * initial + row.bias * bias + row.threshold * threshold + row.unit
                for row in self.rows]

    def run(self, charges: Iterable, initial, threshold, bias=0, before: State | None = None
            ) -> tuple[list, State]:
        """What the neurons compute.

        Parameters
        ----------
        charges : of each step, the sum of all its spikes' weights: integers, or arrays of them
        initial, threshold, bias : integers, or arrays that broadcast with the charges
        before : state after the row before, of which what is held is left

        Returns
        -------
        The sum of the spikes of each step that fires, and the state after the last.
        """
        state = State() if before is None else before.following()
        rows, fired = self.parameters(initial, threshold, bias), []
        for step, charge in zip(self.steps, charges, strict=True):
            state.potential = state.potential + charge
            state.add(step.adds, rows)
            if step.fires or self.levels is None:
                fired.append(state.fire(step.fires, rows))
        return fired, state

    def clip(self, count):
        """``count``, an integer or an array, or ``levels`` if that is less."""
        return count - (count > self.levels) * (count - self.levels)

    def idle_clocks(self, events: Sequence, skips: bool = False):
        """Clocks without a spike that the charges take: once one had an event, each that has none
        still doubles the potential, but the last one of a step does that on the way.

        Parameters
        ----------
        events : spikes of each of :attr:`charges`, integers or arrays
        skips : see :attr:`hw.layers.CoreConfig.skips`
        """
        begun, clocks = False, 0
        for number, (charge, spikes) in enumerate(zip(self.charges, events, strict=True)):
            ends = number in self.ends
            begun = begun | (spikes > 0) | ends
            if not ends and (charge.double or not skips):
                clocks = clocks + (begun & (spikes == 0))
            begun = begun & (not (ends and skips))
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
        rows = [self.rows[fire.row] for fire in fires]
        return (least + threshold * min(row.threshold for row in rows)
                + min(row.unit for row in rows)), high
