"""Optimisers, and how their learning rates change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from gen.convert.qcfs import Qcfs

__all__ = ["Phase"]

# Steps of the shortest schedule. Fewer steps use the beginning of it.
_SHORTEST = 11

_MOMENTUM = 0.9


@dataclass(frozen=True)
class Phase:
    """Passes over the data.

    Parameters
    ----------
    name : for people
    epochs : passes
    rate : greatest learning rate
    decay : weight decay
    rates : the rate's share, from the share of the phase that is done and the epochs. With it, the
        optimiser is SGD and all parameters decay; without it AdamW, and weights decay
    """

    name: str
    epochs: int
    rate: float
    decay: float = 0.0
    rates: Callable[[float, int], float] | None = None

    def optimiser(self, model: nn.Module, steps: int) -> tuple[Optimizer, LRScheduler]:
        """For a model that is trained in so many steps."""
        if self.rates is None:
            optimiser = torch.optim.AdamW(_groups(model, self.decay), self.rate)
            return optimiser, OneCycleLR(optimiser, self.rate, pct_start=0.1,
                                         total_steps=max(steps, _SHORTEST))
        rates, epochs = self.rates, self.epochs
        sgd = torch.optim.SGD(_ranged(model, self.rate, self.decay), momentum=_MOMENTUM)
        return sgd, LambdaLR(sgd, lambda step: rates(step / max(1, steps), epochs))


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameters that decay, the weights of convolutions and linear layers, and the others."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}]


def _ranged(model: nn.Module, rate: float, decay: float) -> list[dict[str, Any]]:
    """All parameters. A step moves as if its range, which is ``levels`` times the step, were the
    parameter: a rate that is ``levels**2`` times less, and a decay as many times more."""
    steps = [module for module in model.modules() if isinstance(module, Qcfs)]
    apart = {module.step for module in steps}
    groups: list[dict[str, Any]] = [{"params": [p for p in model.parameters() if p not in apart],
                                     "lr": rate, "weight_decay": decay}]
    return groups + [{"params": [module.step], "lr": rate / module.levels**2,
                      "weight_decay": decay * module.levels**2} for module in steps]
