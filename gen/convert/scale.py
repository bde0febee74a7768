"""What a module is given for the counts of its input."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gen.errors import ConversionError
from gen.ir.layers import INPUT

from .terms import Form
from .values import Map, Part

__all__ = ["UNIT", "InputScale"]


@dataclass(frozen=True)
class InputScale:
    """The values of the least and of the greatest count, for each channel or for all.

    ``value = low + (high - low) * count / input_levels``
    """

    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)

    @classmethod
    def given(cls, between: Sequence[float] | None, mean: Sequence[float] | None,
              std: Sequence[float] | None) -> "InputScale":
        """The scale of values ``between`` two numbers, or of values of 0..1 that are standardised:
        ``(value - mean) / std``, with a number for each channel or one for all.

        Raises
        ------
        ConversionError
            If the numbers contradict each other.
        """
        low, high = (0.0, 1.0) if between is None else between
        if not np.isfinite([low, high]).all() or not low < high:
            raise ConversionError(f"range: must be two numbers, of which the second is greater, "
                                  f"not {low:g} and {high:g}")
        means, stds = tuple(mean or (0.0,)), tuple(std or (1.0,))
        if not np.isfinite([*means, *stds]).all() or min(stds) <= 0:
            raise ConversionError("mean and std: must be finite numbers, and those of std positive")
        if len(means) != len(stds) and 1 not in (len(means), len(stds)):
            raise ConversionError(f"mean and std: {len(means)} means, but {len(stds)} deviations")
        n = max(len(means), len(stds))
        pairs = list(zip(means * (n // len(means)), stds * (n // len(stds)), strict=True))
        return cls(tuple((low - m) / s for m, s in pairs), tuple((high - m) / s for m, s in pairs))

    def map(self, shape: tuple[int, int, int], form: Form) -> Map:
        """The input of a network of a shape.

        Raises
        ------
        ConversionError
            If there are numbers for other channels.
        """
        if len(self.low) not in (1, shape[0]):
            raise ConversionError(f"mean and std: are for {len(self.low)} channels, but the input "
                                  f"has {shape[0]}")
        low, high = (torch.tensor(values).expand(shape[0]) for values in (self.low, self.high))
        return Map((Part.all_of(INPUT, shape),), shape, form).scaled(high - low, low)


UNIT = InputScale()
"""Values of 0..1."""
