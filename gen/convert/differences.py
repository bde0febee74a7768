"""How far values may be apart, and how that is told."""

import torch

from .lowered import Fire

__all__ = ["CANCELLED", "RELATIVE", "Ranges", "differing", "extent", "on_grid", "percent"]

# Allowed differences of float32: relative to the range of a channel's values and, if its terms
# cancel, relative to their greatest possible sum.
RELATIVE, CANCELLED = 1e-3, 1e-6

# Steps by which a quantised value may miss its grid: a constant, and a share for each level.
_OFF_GRID, _OFF_LEVEL = 1e-3, 1e-6


class Ranges:
    """The range of values of each channel of each layer so far."""

    def __init__(self) -> None:
        self._ranges: dict[str, torch.Tensor] = {}

    def widened(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """``(1, C, ...)`` ranges, including those of the values ``(N, C, ...)``."""
        over = [axis for axis in range(values.dim()) if axis != 1]
        now = values.amax(dim=over, keepdim=True) - values.amin(dim=over, keepdim=True)
        self._ranges[name] = torch.maximum(now, self._ranges.get(name, now))
        return self._ranges[name]


def differing(own: torch.Tensor, ours: torch.Tensor,
              tolerance: torch.Tensor | float) -> torch.Tensor:
    """Where two results differ. NaN differs from everything."""
    return ~((own - ours).abs() <= tolerance)


def on_grid(z: torch.Tensor, a: torch.Tensor, layer: Fire) -> torch.Tensor:
    """Where ``a`` is a whole number of steps within the levels, and the nearest one to ``z``, or
    the next one below if the layer rounds down."""
    z, n = z.double() / layer.step - layer.floor / 2, a.double() / layer.step
    whole, slack = n.round(), _OFF_GRID + _OFF_LEVEL * layer.levels
    least = -layer.levels if layer.symmetric else 0
    return (((n - whole).abs() <= slack) & (whole >= least) & (whole <= layer.levels)
            & ((z >= whole - 0.5 - slack) | (whole == least))
            & ((z <= whole + 0.5 + slack) | (whole == layer.levels)))


def extent(different: torch.Tensor, own: torch.Tensor, ours: torch.Tensor,
           what: str = "scores") -> str:
    """How many values differ, and by how much."""
    difference = (own - ours).abs().max()
    return (f"{percent(different)} of the {what} differ, by up to {difference:.3g} where they "
            f"reach {ours.abs().max():.3g}")


def percent(different: torch.Tensor) -> str:
    """The share of values that differ."""
    share = different.double().mean()
    return f"{share:.0%}" if share > 0.01 else f"{share:.2g}"
