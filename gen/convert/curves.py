"""Activations other than ReLU, as ReLUs of the same sum (docs/methods.md, 18).

::

    f(z) = offset + sum_k gain_k * clip(slope_k * z + shift_k, 0, cap)

Each ReLU is a neuron of its own that sees the sum, and the next layer's weights absorb the gains.
What is piecewise linear is exact. Another function is a chain of ramps between knots, which lie
closer where it bends more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Curve", "Function", "bent", "clipped", "leaky", "rectified", "saturating", "straight"]

_RAMPS = 6
"""Ramps of a bounded function, or of what an unbounded one adds to a ReLU."""

_GRID, _AROUND = 4001, 1.5
"""Sums at which a function is looked at, and how far, relative to where it bends."""

_EXACT = 1e5
"""Weight of the sums where there is to be no error."""


@dataclass(frozen=True)
class Curve:
    """ReLUs that stand together for an activation, or for a part of one.

    Members
    -------
    slope, shift, gain : ``(C, K)`` of the K ReLUs of each channel
    cap : greatest value of each
    """

    slope: torch.Tensor
    shift: torch.Tensor
    gain: torch.Tensor
    cap: float = math.inf

    @property
    def number(self) -> int:
        """ReLUs for each channel."""
        return self.slope.shape[1]

    def over(self, phases: tuple[int, int]) -> "Curve":
        """The same for a map that is spread, see :func:`gen.convert.values.spread_over`."""
        n = phases[0] * phases[1]
        slope, shift, gain = (values.repeat_interleave(n, 0)
                              for values in (self.slope, self.shift, self.gain))
        return Curve(slope, shift, gain, self.cap)

    def sums(self, z: torch.Tensor) -> torch.Tensor:
        """The ReLUs' sums ``(N, C * K, H, W)`` for those of the activation, ``(N, C, H, W)``."""
        wide = z[:, :, None] * self.slope[:, :, None, None] + self.shift[:, :, None, None]
        return wide.flatten(1, 2)


@dataclass(frozen=True)
class Function:
    """An activation as curves.

    Members
    -------
    curves : whose values are added up
    offset : what is added to them
    exact : None if the curves are the activation, else what they stand for
    """

    curves: tuple[Curve, ...]
    offset: float = 0.0
    exact: Callable[[torch.Tensor], torch.Tensor] | None = None


def rectified(channels: int, cap: float = math.inf) -> Function:
    """A ReLU, up to ``cap``."""
    return Function((_curve(channels, [1.0], [0.0], [1.0], cap),))


def clipped(channels: int, low: float, high: float) -> Function:
    """``clip(z, low, high)``."""
    return Function((_curve(channels, [1.0], [-low], [1.0], high - low),), low)


def straight(channels: int, slope: float, shift: float, gain: float, offset: float) -> Function:
    """``gain * clip(slope * z + shift, 0, 1) + offset``."""
    return Function((_curve(channels, [slope], [shift], [gain], 1.0),), offset)


def leaky(slopes: torch.Tensor) -> Function:
    """``z`` if it is positive, else ``slopes * z``, with ``(C,)`` slopes: ReLUs of ``z`` and of
    ``-z``."""
    ones = torch.ones_like(slopes)
    return Function((Curve(torch.stack((ones, -ones), 1), torch.zeros(len(slopes), 2),
                           torch.stack((ones, -slopes), 1)),))


def saturating(channels: int, function: Callable[[torch.Tensor], torch.Tensor], reach: float
               ) -> Function:
    """A bounded function, which is constant outside ``-reach..reach``."""
    curve, offset = _ramps(channels, function, _knots(function, -reach, reach, _RAMPS))
    return Function((curve,), offset, function)


def bent(channels: int, function: Callable[[torch.Tensor], torch.Tensor], reach: float) -> Function:
    """A function that is that of a ReLU outside ``-reach..reach``."""
    def dip(z: torch.Tensor) -> torch.Tensor:
        return function(z) - z.relu()
    sides = _knots(dip, -reach, 0, _RAMPS // 2), _knots(dip, 0, reach, _RAMPS // 2)
    curve, offset = _ramps(channels, dip, torch.cat((sides[0], sides[1][1:])))
    return Function((*rectified(channels).curves, curve), offset, function)


def _curve(channels: int, slopes: list[float], shifts: list[float], gains: list[float], cap: float
           ) -> Curve:
    """The same ReLUs for all channels."""
    slope, shift, gain = (torch.tensor(values).expand(channels, len(values))
                          for values in (slopes, shifts, gains))
    return Curve(slope, shift, gain, cap)


def _ramps(channels: int, function: Callable[[torch.Tensor], torch.Tensor], knots: torch.Tensor
           ) -> tuple[Curve, float]:
    """Ramps of height 1 from knot to knot, and what is added: with the least squared error, and
    without any at 0 and far away, where most sums lie."""
    slope = 1 / knots.diff()
    shift = -knots[:-1] * slope
    z = torch.linspace(float(knots[0]), float(knots[-1]), _GRID, dtype=torch.float64) * _AROUND
    made = torch.cat((torch.ones(_GRID, 1), (z[:, None] * slope + shift).clamp(0, 1)), dim=1)
    weight = torch.ones(_GRID, 1, dtype=torch.float64)
    weight[[0, _GRID // 2, -1]] = _EXACT
    offset, *gains = torch.linalg.lstsq(
        made * weight, function(z)[:, None] * weight).solution[:, 0].tolist()
    return _curve(channels, slope.tolist(), shift.tolist(), gains, 1.0), offset


def _knots(function: Callable[[torch.Tensor], torch.Tensor], low: float, high: float, ramps: int
           ) -> torch.Tensor:
    """Knots between which straight lines miss a function by about the same everywhere: their
    density is the root of how much it bends."""
    z = torch.linspace(low, high, _GRID, dtype=torch.float64)[1:-1]
    step = (high - low) / (_GRID - 1)
    bend = (function(z + step) - 2 * function(z) + function(z - step)).abs().sqrt()
    share = bend.cumsum(0) / bend.sum()
    inner = [float(z[int((share < k / ramps).sum())]) for k in range(1, ramps)]
    return torch.tensor([low, *inner, high], dtype=torch.float64)
