"""Grids of weights: the thresholds with which rounding loses least (docs/methods.md, 3)."""

from typing import TypeAlias

import torch

__all__ = ["Rows", "best_grid", "limits", "thresholds"]

Rows: TypeAlias = list[tuple[torch.Tensor, tuple[int, int]]]
"""Rows of weights, ``(O, fan-in)``, and the least and the greatest that a weight may be."""

# Limit of the greatest threshold without clipping, for channels whose weights are almost zero.
_MAX_THETA = 1 << 24

# Thresholds tried per channel, relative to the greatest at which no weight is clipped.
_CANDIDATES = torch.linspace(0.5, 2.0, 31, dtype=torch.float64)


def limits(bits: int, symmetric: bool = False) -> tuple[int, int]:
    """Least and greatest weight of so many bits, or, if ``symmetric``, of those whose negative has
    so many bits, too."""
    greatest = (1 << bits - 1) - 1
    return -greatest - (not symmetric), greatest


def best_grid(rows: Rows) -> torch.Tensor:
    """Factor of each row that gives the least squared error when the row is rounded and clipped.

    Parameters
    ----------
    rows : rows of weights, ``(O, fan-in)``, and their :func:`limits`
    """
    greatest = torch.stack([_room(weight, between) for weight, between in rows]).amin(dim=0)
    best, least = greatest.clone(), torch.full_like(greatest, float("inf"))
    for candidate in _CANDIDATES:
        gain = greatest * candidate
        error = _error(rows, gain)
        best = torch.where(error < least, gain, best)
        least = torch.minimum(error, least)
    return best


def thresholds(rows: Rows) -> torch.Tensor:
    """Like :func:`best_grid`, but whole numbers. A channel of tiny weights is limited by its
    layer."""
    greatest = torch.stack([_room(weight, between) for weight, between in rows]).amin(dim=0)
    greatest = greatest.clamp(1, float((greatest.median() * 4).clamp(4, _MAX_THETA)))
    best, least = torch.ones_like(greatest), torch.full_like(greatest, float("inf"))
    for candidate in _CANDIDATES:
        theta = (greatest * candidate).round().clamp_min(1)
        error = _error(rows, theta)
        best = torch.where(error < least, theta, best)
        least = torch.minimum(error, least)
    return best


def _room(weight: torch.Tensor, between: tuple[int, int]) -> torch.Tensor:
    """Greatest factor of each row at which no weight is clipped."""
    return between[1] / weight.abs().amax(dim=1).clamp_min(1e-300)


def _error(rows: Rows, gain: torch.Tensor) -> torch.Tensor:
    total = torch.zeros_like(gain)
    for weight, between in rows:
        grid = (weight * gain[:, None] + 0.5).floor().clamp(*between)
        total += (grid / gain[:, None] - weight).square().sum(dim=1)
    return total
