"""The quantised activations (docs/methods.md, 1): ReLUs whose values are whole steps.

::

    n = clip(floor(z / s + 1/2), 0, levels)        a = s * n

A neuron that receives all its charge before it fires emits exactly ``n`` spikes (section 2).
:class:`ClipQuan` rounds down instead. A symmetric :class:`Qcfs` is clipped at ``-levels``, and two
neurons make its count (section 16).
"""

import torch
from torch import nn

__all__ = ["ClipQuan", "Qcfs", "floor_ste", "round_ste"]

# Keeps a step positive while it is trained.
_LEAST = 1e-6


def floor_ste(x: torch.Tensor) -> torch.Tensor:
    """``floor(x)`` whose derivative is taken to be 1 (straight through)."""
    return x + (x.floor() - x).detach()


def round_ste(x: torch.Tensor) -> torch.Tensor:
    """``floor(x + 1/2)``, half up as the neuron rounds; its derivative is taken to be 1."""
    return floor_ste(x + 0.5)


class Qcfs(nn.Module):
    """Quantisation-clip-floor-shift activation with a learnable step.

    The derivative is that of autograd with a straight-through floor. For ``z`` it is 1 if
    ``-s/2 <= z < (levels + 1/2) s`` and 0 elsewhere. For the step it is ``n - z/s`` in this range,
    ``levels`` above it, and 0 below it. If it is symmetric, the range begins at ``-(levels + 1/2)
    s``, and below it the derivative for the step is ``-levels``.

    Parameters
    ----------
    levels : greatest spike count, at least 1; ``2^B - 1`` uses B phase planes fully
    step : first value of the step; by default ``2 / levels``, which suits batch-normalised inputs
    symmetric : whether counts are in ``-levels..levels`` and not in ``0..levels``: a quantised
        tanh, which is straight
    """

    def __init__(self, levels: int, step: float | None = None, *, symmetric: bool = False) -> None:
        super().__init__()
        _check_levels(levels)
        step = 2 / levels if step is None else step
        if not 0 < step < float("inf"):
            raise ValueError(f"step must be positive, not {step!r}")
        self.levels, self.symmetric = levels, symmetric
        self.step = nn.Parameter(torch.tensor(float(step)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Values ``step * n`` for sums ``z``, of any shape."""
        step = self.step.clamp_min(_LEAST)
        least = -self.levels if self.symmetric else 0
        return step * floor_ste(z / step + 0.5).clamp(least, self.levels)

    def extra_repr(self) -> str:
        """The levels and the step, for ``repr``."""
        return (f"levels={self.levels}, step={float(self.step.detach()):.4g}"
                f"{', symmetric=True' if self.symmetric else ''}")


class ClipQuan(nn.Module):
    """The quantiser of Li et al.: values of 0 to 1, rounded down to whole steps of ``1 / levels``.

    The derivative is that of autograd with a straight-through floor, whose own gradient is clipped
    to -1..1. It is 0 outside 0..1.

    Parameters
    ----------
    levels : greatest spike count, at least 1
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        _check_levels(levels)
        self.levels = levels

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Values ``n / levels`` for sums ``z``, of any shape."""
        scaled = z.clamp(0, 1) * self.levels
        if scaled.requires_grad:
            scaled.register_hook(lambda gradient: gradient.clamp(-1, 1))
        return floor_ste(scaled) / self.levels

    def extra_repr(self) -> str:
        """The levels, for ``repr``."""
        return f"levels={self.levels}"


def _check_levels(levels: int) -> None:
    if type(levels) is not int or levels < 1:
        raise ValueError(f"levels must be a positive integer, not {levels!r}")
