"""Neurons whose potential lasts from row to row of a map, in integers (docs/methods.md, 17).

The rows are the time-steps of a sequence. So spikes of a layer may come back to it a time-step
later, which they can't where the time-steps of a neuron run one after the other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hw.dynamics import Lasting
from hw.neuron import Leak, State

from .exact import EXACT

if TYPE_CHECKING:
    from .neurons import Neurons

__all__ = ["bounds", "spikes"]

_TOO_LARGE = 2 * EXACT


def spikes(layer: "Neurons", inputs: Sequence[np.ndarray]) -> np.ndarray:
    """``(N, C, H, W)`` spikes, 0 or 1, of neurons in each row.

    Parameters
    ----------
    inputs : ``(N, C, H, W)`` counts of the other layers
    """
    charge, schedule = layer.charge(inputs), layer.schedule()
    initial, threshold = (values[:, None, None] for values in (layer.initial, layer.threshold))
    made, state = np.zeros(charge.shape, dtype=np.int64), None
    for row in range(charge.shape[2]):
        own = (synapses.row_charge(made, row) for synapses in layer.recurrent)
        (fired,), state = schedule.run([sum(own, charge[:, :, [row]]), 0], initial, threshold,
                                       before=state)
        made[:, :, [row]] = fired
    return made


def bounds(layer: "Neurons", lasting: Lasting, levels: Sequence[int]
           ) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest potential of each channel when it is compared, ``(C,)``.

    Parameters
    ----------
    levels : greatest count of each source
    """
    low = high = layer.initial
    for synapses, top in zip(layer.synapses, levels, strict=True):
        least, most = synapses.charge_range(top)
        low, high = low + least, high + most
    low, high = low.clip(max=0), high.clip(min=0)
    if lasting.current is not None:
        # A potential gets the whole current, and so has the greater bounds.
        low, high = _lasting(low, high, lasting.current, lasting.rows)
    least, most = _lasting(low, high, lasting.membrane.leak, lasting.rows)
    if lasting.membrane.delayed:
        # A spike leaves more than the negated threshold, whatever has leaked.
        least = np.minimum(least, low - layer.threshold)
    return least, most


def _lasting(low: np.ndarray, high: np.ndarray, leak: tuple[int, ...], rows: int
             ) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of what gets between ``low`` and ``high`` in each row, and leaks."""
    return (-np.array([_largest(leak, rows, int(charge), -1) for charge in -low]),
            np.array([_largest(leak, rows, int(charge), 1) for charge in high]))


def _largest(leak: tuple[int, ...], rows: int, charge: int, sign: int) -> int:
    """A bound of the magnitude of a value of one sign that gets at most ``charge`` in each row.
    If there is a leak it holds for any number of rows.

    A leak is monotone, so a bound ``M`` holds if ``leak(M) + charge <= M``.
    """
    if not leak or charge == 0:
        return min(rows * charge, _TOO_LARGE)
    most = charge
    while most < _TOO_LARGE and abs(_leaked(sign * most, leak)) + charge > most:
        most *= 2
    return min(most, _TOO_LARGE)


def _leaked(potential: int, leak: tuple[int, ...]) -> int:
    state = State(potential=potential)
    state.add([Leak(shift) for shift in leak], ())
    return int(state.potential)
