"""Quantisers of files that are quantised already: activations whose values are whole steps, and
layers whose weights are (docs/onnx.md).

Unlike :class:`gen.convert.qcfs.Qcfs` they are not trained, and a value that lies halfway between
two steps may be rounded to the even one, as ONNX does.
"""

import torch
from torch import nn

__all__ = ["Uniform", "mark", "unit_of"]

_UNIT = "weight_unit"


class Uniform(nn.Module):
    """``step * clip(round(z / step), least, levels)``.

    Parameters
    ----------
    step : value of a count, positive
    levels : greatest count, at least 1
    symmetric : whether the least count is ``-levels`` and not 0
    floor : whether counts are rounded down
    even : whether halves are rounded to the even count, and not up
    """

    def __init__(self, step: float, levels: int, *, symmetric: bool = False, floor: bool = False,
                 even: bool = True) -> None:
        super().__init__()
        self.step, self.levels = step, levels
        self.symmetric, self.floor, self.even = symmetric, floor, even

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Values for sums ``z``, of any shape."""
        least = -self.levels if self.symmetric else 0
        counts = (z / self.step).clamp(least, self.levels)
        if self.floor:
            counts = counts.floor()
        else:
            counts = counts.round() if self.even else (counts + 0.5).floor()
        return counts * self.step

    def extra_repr(self) -> str:
        """The step, the levels and the rounding, for ``repr``."""
        kind = "floor" if self.floor else "even" if self.even else "half up"
        return (f"step={self.step:.4g}, levels={self.levels}, {kind}"
                f"{', symmetric' if self.symmetric else ''}")


def mark(module: nn.Module, unit: torch.Tensor) -> None:
    """Say that a layer's weights are whole numbers times a ``unit`` ``(O,)``, in float64, for each
    of its output channels."""
    setattr(module, _UNIT, unit)


def unit_of(module: nn.Module) -> torch.Tensor | None:
    """What :func:`mark` said of a layer, or None."""
    return getattr(module, _UNIT, None)
