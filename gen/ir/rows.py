"""Neurons whose potential lasts from row to row of a map, in integers (docs/methods.md, 17).

The rows are the time-steps of a sequence. So spikes of a layer may come back to it a time-step
later, which they can't where the time-steps of a neuron run one after the other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hw.dynamics import Lasting, Membrane

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
    made, held = np.zeros(charge.shape, dtype=np.int64), np.zeros((), dtype=np.int64)
    for row in range(charge.shape[2]):
        own = (synapses.row_charge(made, row) for synapses in layer.recurrent)
        (fired,), state = schedule.run([sum(own, charge[:, :, [row]]), 0], initial, threshold,
                                       held=held)
        made[:, :, [row]], held = fired, state.held
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
    down = np.array([_largest(lasting, int(charge), -1) for charge in -low])
    up = np.array([_largest(lasting, int(charge), 1) for charge in high])
    if lasting.membrane.delayed:
        # A spike leaves more than the negated threshold, whatever has leaked.
        down = np.maximum(down, layer.threshold - low)
    return -down, up


def _largest(lasting: Lasting, charge: int, sign: int) -> int:
    """A bound of the magnitude of a potential of one sign that gets at most ``charge`` in each row.
    If there is a leak it holds for any number of rows.

    A leak is monotone, so a bound ``M`` holds if ``leak(M) + charge <= M``.
    """
    if not lasting.membrane.leak or charge == 0:
        return min(lasting.rows * charge, _TOO_LARGE)
    most = charge
    while most < _TOO_LARGE and abs(_leaked(sign * most, lasting.membrane)) + charge > most:
        most *= 2
    return min(most, _TOO_LARGE)


def _leaked(potential: int, membrane: Membrane) -> int:
    for shift in membrane.leak:
        moved = potential >> abs(shift)
        potential += -moved if shift >= 0 else moved
    return potential
