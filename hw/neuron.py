"""The neuron: what it may do in a clock, and its state.

A row of the parameter memory is added to the potential, or the neuron fires. Programs of these are
in :mod:`hw.programs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Add", "Aside", "Current", "Fire", "Keep", "Leak", "Reset", "Restart", "Row", "State"]


@dataclass(frozen=True)
class Row:
    """A row of the parameter memory: multiples of a channel's initial potential, of its bias, of
    its threshold and of 1, added up."""

    initial: int = 0
    bias: int = 0
    threshold: int = 0
    unit: int = 0


@dataclass(frozen=True)
class Add:
    """A row is added.

    Parameters
    ----------
    row : its number, or ``None`` for the charge that is held
    hold : whether the sum is kept, to be added in the steps to come
    """

    row: int | None
    hold: bool = False


@dataclass(frozen=True)
class Aside(Add):
    """The sum is held, and the potential begins anew at 0."""


@dataclass(frozen=True)
class Current(Add):
    """What is held is the synaptic current, which is beside other charge."""


@dataclass(frozen=True)
class Keep:
    """The potential is held as it is.

    Parameters
    ----------
    current : whether it is the synaptic current
    aside : whether the potential then begins anew at 0
    """

    current: bool = False
    aside: bool = False


@dataclass(frozen=True)
class Restart(Add):
    """The potential becomes the row. If it was not above 0, the neuron never spikes again."""


@dataclass(frozen=True)
class Leak:
    """The potential becomes less, rounded towards minus infinity on the way.

    Parameters
    ----------
    shift : ``V -= V >> shift``; if it is negative, ``V += V >> -shift``
    """

    shift: int


@dataclass(frozen=True)
class Reset:
    """Only if the neuron has spiked in the last fire: a row is added, or the potential begins anew
    at 0.

    Parameters
    ----------
    spent : number of the row, or ``None`` for 0
    """

    spent: int | None


@dataclass(frozen=True)
class Fire:
    """The neuron may spike; what it is compared with is then subtracted (soft reset), unless a
    :class:`Reset` follows.

    A positive spike needs a potential that has reached the threshold, a negative one a potential
    below zero. The *tracer* is the sum of the spikes of all fires before.

    Parameters
    ----------
    row : that holds what the spike adds to the potential: the negated threshold, or the threshold
    value : what the spike adds to the count; less than zero for a negative spike
    bound : a positive spike needs a tracer below it, a negative one a tracer above it; ``None`` if
        the tracer does not matter
    moves : whether it is subtracted
    """

    row: int
    value: int
    bound: int | None = None
    moves: bool = True


@dataclass
class State:
    """A membrane between two steps: integers, or arrays of them.

    Parameters
    ----------
    potential, held, tracer : membrane potential; charge that is held; sum of the spikes
    current : synaptic current that is held
    mask : whether the neuron may spike
    spiked : whether it has, in the last fire
    """

    potential: Any = 0
    held: Any = 0
    tracer: Any = 0
    mask: Any = True
    spiked: Any = False
    current: Any = 0

    def add(self, adds: Sequence[Add | Keep | Leak | Reset], rows: Sequence) -> None:
        """Adds of a step whose charge has arrived.

        Parameters
        ----------
        rows : a value for each row of the schedule
        """
        for add in adds:
            if isinstance(add, Keep):
                self._hold(add.current)
                self.potential = 0 if add.aside else self.potential
                continue
            if isinstance(add, Leak):
                moved = self.potential >> abs(add.shift)
                self.potential = self.potential + (-moved if add.shift >= 0 else moved)
                continue
            if isinstance(add, Reset):
                moved = -self.potential if add.spent is None else rows[add.spent]
                self.potential = self.potential + self.spiked * moved
                continue
            if isinstance(add, Restart):
                self.mask, self.potential = self.potential > 0, 0
            current = isinstance(add, Current)
            held = self.current if current else self.held
            self.potential = self.potential + (held if add.row is None else rows[add.row])
            if add.hold:
                self._hold(current)
            if isinstance(add, Aside):
                self.potential = 0

    def following(self) -> "State":
        """The state in which the next row of outputs begins: what is held is left."""
        return State(held=self.held, current=self.current)

    def _hold(self, current):
        if current:
            self.current = self.potential
        else:
            self.held = self.potential

    def fire(self, fires: Sequence[Fire], rows: Sequence):
        """Fires of a step, after its adds; the sum of the spikes."""
        fired = 0
        for fire in fires:
            moved = self.potential + rows[fire.row]
            spike = self.mask & (moved >= 0 if fire.value > 0 else self.potential < 0)
            if fire.bound is not None:
                spike = spike & (self.tracer < fire.bound if fire.value > 0
                                 else self.tracer > fire.bound)
            self.potential = self.potential + fire.moves * spike * rows[fire.row]
            self.spiked = spike
            self.tracer = self.tracer + spike * fire.value
            fired = fired + spike * fire.value
        return fired
