"""Leaks by shifts: which come closest to a decay (docs/methods.md, 17)."""

from itertools import product

import numpy as np

from gen.errors import ConversionError
from hw.dynamics import Membrane

__all__ = ["common", "shifts", "spoken"]

_GREATEST = 10
"""Greatest shift that is taken. Potentials below ``2**shift`` do not leak."""

_CLOSE = 0.002
"""A single shift is close enough if the decay differs by less."""


def _candidates():
    singles = [(), *((k,) for k in range(_GREATEST + 1))]
    pairs = [(first, second) for first, second in product(
        range(1, _GREATEST + 1), range(-_GREATEST, _GREATEST + 1))
        if second >= first or -second > first]
    return singles, singles + pairs


def shifts(decay: float) -> tuple[int, ...]:
    """``leak`` of a :class:`hw.dynamics.Membrane` that comes closest to ``V <- decay V``: a single
    shift if that is close enough, else two.

    Raises
    ------
    ConversionError
        If the decay is not in 0..1.
    """
    if not 0 <= decay <= 1:
        raise ConversionError(f"the decay must lie in 0..1, not {decay:.6g}")

    def distance(leak):
        return abs(Membrane(leak).decay - decay), sum(map(abs, leak))

    singles, all_ = _candidates()
    best = min(singles, key=distance)
    return best if distance(best)[0] <= _CLOSE else min(all_, key=distance)


def spoken(leak: tuple[int, ...]) -> str:
    """A leak, for people to read."""
    return ", ".join(f"V {'-' if k >= 0 else '+'}= V >> {abs(k)}" for k in leak) or "no leak"


def common(decay: np.ndarray, name: str) -> float:
    """The one decay of a layer.

    Raises
    ------
    ConversionError
        If its neurons differ.
    """
    least, most = float(decay.min()), float(decay.max())
    if most - least > 1e-6:
        raise ConversionError(f"{name}: its neurons decay to {least:.4g} to {most:.4g} in a "
                              f"time-step, and all of a layer must decay alike")
    return least
