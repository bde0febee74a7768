"""The steps of plain ReLUs, from what they give for calibration images."""

import math
from array import array

import torch
from torch import nn

from gen.errors import ConversionError

from .fidelity import beside
from .firing import Firing
from .images import Images
from .lowered import Lowered

__all__ = ["calibrate"]

# Number of values from which a ReLU's step is calibrated.
_KEPT = 100_000

# Ranges tried for a ReLU, relative to the greatest activation.
_RANGES = torch.linspace(0.2, 1.0, 41)

_ONCE = Firing()


def calibrate(module: nn.Module, lowered: Lowered, images: Images,
              levels: int, firing: Firing = _ONCE) -> tuple[Lowered, torch.Tensor]:
    """Compare ``lowered`` with its ``module``, and give every ReLU the step with the least squared
    error on ``images``, or with ``threshold-balance`` that of the greatest activation.

    Parameters
    ----------
    images : ``(N, C, H, W)`` or ``(N, features)`` real numbers in 0..1
    levels : greatest spike count of the ReLUs' neurons
    firing : the method of the neurons

    Returns
    -------
    The calibrated layers, and the module's scores as the read-out has them, ``(N, C)``, or ``(N,
    C, H, W)`` if there are several positions.

    Raises
    ------
    ConversionError
        If the module computes something else than ``lowered``, or a ReLU never fires.
    """
    ranges = {layer.name: _Range(len(images) * math.prod(lowered.places[layer.name].shape))
              for layer in lowered.relus}
    scores = []
    for made, result in beside(module, lowered, images):
        scores.append(result)
        for name, seen in ranges.items():
            seen.add(made[name])
    for name, seen in ranges.items():
        if seen.empty:
            raise ConversionError(f"{name}: its ReLU is 0 for all calibration images, which leaves "
                                  f"its range open; calibrate with images of the kind that the "
                                  f"network is for")
    steps = {name: seen.greatest / levels if firing.balanced else
             seen.best_step(levels, firing.floor) for name, seen in ranges.items()}
    maps = torch.cat(scores)
    return (lowered.calibrated(steps, levels, firing.floor),
            maps.flatten(1) if lowered.readout.shape[1:] == (1, 1) else maps)


class _Range:
    """A sample of a ReLU's values: the greatest, and an even selection of the positive ones.

    Parameters
    ----------
    total : number of values that will be added

    Members
    -------
    greatest : of the values
    """

    def __init__(self, total: int) -> None:
        self.greatest = 0.0
        # One block that grows. Small tensors between large ones would keep these from being freed.
        self._kept = array("d")
        self._every = max(1, total // _KEPT)

    def add(self, values: torch.Tensor) -> None:
        values = values[values > 0]
        if len(values):
            self.greatest = max(self.greatest, float(values.max()))
            self._kept.frombytes(values[::self._every].double().numpy().tobytes())

    @property
    def empty(self) -> bool:
        """Whether no value was positive."""
        return not self._kept

    def best_step(self, levels: int, floor: bool) -> float:
        """The step with the least squared error. There must be a value.

        Parameters
        ----------
        floor : whether values are rounded down
        """
        values = torch.tensor(self._kept, dtype=torch.float64) / self.greatest
        steps = (_RANGES / levels).tolist()
        return self.greatest * min(steps, key=lambda step: float(
            (_quantise(values, step, levels, floor) - values).square().sum()))


def _quantise(z: torch.Tensor, step: float, levels: int, floor: bool) -> torch.Tensor:
    return step * (z / step + (0 if floor else 0.5)).floor().clamp(0, levels)
