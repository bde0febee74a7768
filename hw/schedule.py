"""What a layer does with its charge, as a program: the one place where the neuron is defined.

A :class:`Schedule` says in which order spikes charge the membranes, which rows of the parameter
memory are added, and how the neurons fire. The same object gives the semantics in integers, the
operations of :class:`hw.lanes.Lanes`, the clocks they take, and the range of the potentials.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Charge", "Fire", "Operation", "Row", "Schedule", "Step", "settle"]


@dataclass(frozen=True)
class Charge:
    """One plane of each source is replayed.

    Parameters
    ----------
    planes : plane of each source, or ``None`` for one that has none left
    double : whether the potential doubles before
    """

    planes: tuple[int | None, ...]
    double: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the parameter memory: the initial potential, or the threshold, negated and shifted
    left by ``shift``."""

    threshold: bool
    shift: int = 0


@dataclass(frozen=True)
class Fire:
    """The neuron spikes if its potential has reached a threshold, which is then subtracted (soft
    reset).

    Parameters
    ----------
    row : that holds the negated threshold
    value : what the spike adds to the neuron's count
    """

    row: int
    value: int


@dataclass(frozen=True)
class Step:
    """Charges, then rows that are added, then fires."""

    charges: tuple[Charge, ...]
    adds: tuple[int, ...]
    fires: tuple[Fire, ...]

    def finish(self, potential, rows: Sequence):
        """Adds and fires of the step.

        Parameters
        ----------
        potential : integer, or an array of them, with the step's charge
        rows : integer, or array, for each row of the schedule

        Returns
        -------
        The potential that is left, and the count of the spikes.
        """
        count = 0
        for row in self.adds:
            potential = potential + rows[row]
        for fire in self.fires:
            spike = potential + rows[fire.row] >= 0
            potential = potential + spike * rows[fire.row]
            count = count + spike * fire.value
        return potential, count


@dataclass(frozen=True)
class Operation:
    """What the lanes do in a clock after the charges of a step: they add a row.

    Parameters
    ----------
    row : of the schedule
    fire : whether they keep the sum only if it is not negative, and count that as a spike
    first : whether this is the first fire of the program
    final : whether the step ends
    """

    row: int
    fire: bool
    first: bool
    final: bool


@dataclass(frozen=True)
class Schedule:
    """The program of a layer.

    Parameters
    ----------
    steps : in order
    rows : of the parameter memory, for each group of lanes
    levels : greatest count; or ``None`` for a read-out, which never fires
    code : how a receiver replays the counts, see :class:`hw.maps.MapConfig`
    """

    steps: tuple[Step, ...]
    rows: tuple[Row, ...]
    levels: int | None
    code: str = "phase"

    @cached_property
    def charges(self) -> tuple[Charge, ...]:
        """Those of all steps."""
        return tuple(charge for step in self.steps for charge in step.charges)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Those of all steps, beside the events of their charges."""
        operations, fired = [], False
        for step in self.steps:
            rows = [(row, False) for row in step.adds] + [(fire.row, True) for fire in step.fires]
            for k, (row, fire) in enumerate(rows):
                operations.append(Operation(row, fire, fire and not fired, k == len(rows) - 1))
                fired |= fire
        return tuple(operations)

    def parameters(self, initial, threshold) -> list:
        """Values of :attr:`rows`, integers or arrays like the arguments."""
        return [-(threshold << row.shift) if row.threshold else initial for row in self.rows]

    def run(self, charges: Iterable, initial, threshold):
        """What the neurons compute.

        Parameters
        ----------
        charges : of each step, the sum of all its spikes' weights: integers, or arrays of them
        initial, threshold : integers, or arrays that broadcast with the charges

        Returns
        -------
        Counts in ``0..levels``; of a read-out the potentials.
        """
        rows, potential, count = self.parameters(initial, threshold), 0, 0
        for step, charge in zip(self.steps, charges, strict=True):
            potential, spikes = step.finish(potential + charge, rows)
            count = count + spikes
        return potential if self.levels is None else self.clip(count)

    def clip(self, count):
        """``count``, an integer or an array, or ``levels`` if that is less."""
        return count - (count > self.levels) * (count - self.levels)

    def idle_clocks(self, events: Sequence):
        """Clocks without a spike that the charges take: once one had an event, each that has none
        still doubles the potential, but the last one does that on the way.

        Parameters
        ----------
        events : spikes of each of :attr:`charges`, integers or arrays
        """
        begun, clocks = False, 0
        for number in events[:-1]:
            begun = begun | (number > 0)
            clocks = clocks + (begun & (number == 0))
        return clocks

    def potential_range(self, low, high, threshold):
        """Range of the potentials when they are compared, and of the rows they are compared with.

        Parameters
        ----------
        low, high : range of the potentials when all charge has arrived (docs/methods.md, the range
            of a membrane): integers, or an array over channels
        threshold : like these
        """
        thresholds = [threshold << row.shift for row in self.rows if row.threshold]
        if not thresholds:
            return low, high
        # From the least one, or 0, to the greatest threshold below.
        return low - (low > 0) * low - thresholds[0], high


def settle(sources: Sequence, levels: int | None, code: str = "phase") -> Schedule:
    """All the charge of a sample, then the fires: the count is ``clip(floor(v / threshold), 0,
    levels)``, the activation of the quantised network (docs/methods.md).

    In phase code the thresholds are ``threshold * 2**k``, most significant first, and the spikes
    are the bits of the count; in rate code the same threshold comes ``levels`` times.

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    levels, code : see :class:`Schedule`
    """
    rows = [Row(threshold=False)]
    fires = []
    if levels is not None and code == "phase":
        shifts = range(levels.bit_length())[::-1]
        rows += [Row(True, shift) for shift in shifts]
        fires = [Fire(1 + k, 1 << shift) for k, shift in enumerate(shifts)]
    elif levels is not None:
        rows.append(Row(threshold=True))
        fires = [Fire(1, 1)] * levels
    return Schedule((Step(_charges(sources), (0,), tuple(fires)),), tuple(rows), levels, code)


def _charges(sources) -> tuple[Charge, ...]:
    """Planes of the same weight that different sources offer come together: first the bits of
    counts in phase code, then, with their lowest ones, the unit spikes of those in rate code."""
    charges = []
    phases = [source.bits if source.code == "phase" else 0 for source in sources]
    for k in reversed(range(1, max(phases, default=0))):
        charges.append(Charge(tuple(k if k < bits else None for bits in phases), True))
    rest = max((1 if bits else source.planes
                for bits, source in zip(phases, sources, strict=True)), default=0)
    for turn in range(rest):
        planes = tuple(
            (0 if turn == 0 else None) if bits
            else (source.planes - 1 - turn if turn < source.planes else None)
            for bits, source in zip(phases, sources, strict=True))
        charges.append(Charge(planes, turn == 0))
    return tuple(charges)
