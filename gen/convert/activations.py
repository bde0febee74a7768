"""Activations and arithmetic of one value (docs/methods.md, 18)."""

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from . import curves
from .modules import LayerOperators
from .terms import Form
from .values import Charge, Map

__all__ = ["ActivationOperators"]

_LINES: dict[Form, int] = {Form.MAP: 3, Form.CHANNELS: 2}
"""The axis of the channels, from the last on; else they are the last."""

_BOUNDED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "tanh": (torch.tanh, 2.7), "sigmoid": (torch.sigmoid, 5.0)}
"""Bounded functions, and from where on they are taken to be constant."""

_BENT: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "silu": (F.silu, 6.0), "gelu": (F.gelu, 3.0), "hardswish": (F.hardswish, 3.0),
    "softplus": (F.softplus, 5.0), "mish": (F.mish, 6.0)}
"""Functions that become a ReLU, and from where on they are taken to be one."""


class ActivationOperators(LayerOperators):
    """Operators that work value by value."""

    # Activations.

    def _hardtanh(self, x: object, min_val: float = -1.0, max_val: float = 1.0,
                  inplace: bool = False) -> Map:
        return self._clipped(x, min_val, max_val)

    def _relu6(self, x: object, inplace: bool = False) -> Map:
        return self._relu(x, cap=6.0)

    def _clamp(self, x: object, *bounds: object, **named: object) -> Map:
        """``clamp(x, min, max)``."""
        low, high = (*bounds, None, None)[:2]
        return self._clipped(x, named.get("min", low), named.get("max", high))

    def _clamp_min(self, x: object, min: object) -> Map:  # noqa: A002 (the name of the argument)
        return self._clipped(x, min, None)

    def _clipped(self, x: object, low: object, high: object) -> Map:
        if not isinstance(low, int | float) or not (high is None or isinstance(high, int | float)):
            self.refuse("must have a lower bound that is a number; the upper one is a number, or "
                        "left out")
        cap = math.inf if high is None else float(high) - low
        if not cap > 0 or math.isinf(low):
            self.refuse(f"must be clipped between two numbers, of which the second is greater, not "
                        f"{low} and {high}")
        if low == 0:
            return self._relu(x, cap=cap)
        return self._curved(x, curves.clipped(self._channels(x), float(low), low + cap))

    def _hardsigmoid(self, x: object, inplace: bool = False) -> Map:
        return self._curved(x, curves.straight(self._channels(x), 1 / 6, 0.5, 1.0, 0.0))

    def _leaky(self, x: object, negative_slope: float = 0.01, inplace: bool = False) -> Map:
        slopes = torch.full((self._channels(x),), float(negative_slope))
        return self._curved(x, curves.leaky(slopes))

    def _prelu(self, x: object, weight: object) -> Map:
        slopes = self._known(weight).detach().flatten()
        if len(slopes) not in (1, self._channels(x)):
            self.refuse(f"has {len(slopes)} slopes for {self._channels(x)} channels")
        return self._curved(x, curves.leaky(slopes.expand(self._channels(x))))

    def _tanh(self, x: object) -> Map:
        return self._curved(x, curves.saturating(self._channels(x), *_BOUNDED["tanh"]))

    def _sigmoid(self, x: object) -> Map:
        return self._curved(x, curves.saturating(self._channels(x), *_BOUNDED["sigmoid"]))

    def _silu(self, x: object, inplace: bool = False) -> Map:
        return self._curved(x, curves.bent(self._channels(x), *_BENT["silu"]))

    def _gelu(self, x: object, approximate: str = "none") -> Map:
        return self._curved(x, curves.bent(
            self._channels(x), lambda z: F.gelu(z, approximate=approximate), _BENT["gelu"][1]))

    def _hardswish(self, x: object, inplace: bool = False) -> Map:
        return self._curved(x, curves.bent(self._channels(x), *_BENT["hardswish"]))

    def _mish(self, x: object, inplace: bool = False) -> Map:
        return self._curved(x, curves.bent(self._channels(x), *_BENT["mish"]))

    def _softplus(self, x: object, beta: float = 1.0, threshold: float = 20.0) -> Map:
        if beta != 1:
            self.refuse(f"beta must be 1, not {beta}")
        return self._curved(x, curves.bent(self._channels(x), *_BENT["softplus"]))

    def _channels(self, x: object) -> int:
        return self._tensor(x).shape[0]

    # Arithmetic.

    def _add(self, x: object, other: object, *, alpha: object = 1) -> Map | Charge:
        if isinstance(x, Map | Charge) and isinstance(other, Map | Charge):
            if not isinstance(alpha, int | float):
                self.refuse("alpha must be a number")
            return self._sum(x, other if alpha == 1 else self._times(other, alpha))
        if alpha != 1:
            self.refuse("alpha must be 1 where a constant is added")
        x, constant = (x, other) if isinstance(x, Map | Charge) else (other, x)
        return self._plus(x, constant)

    def _sum(self, x: Map | Charge, other: Map | Charge) -> Charge:
        """A residual addition."""
        a, b = self._charged(x), self._charged(other)
        if (a.shape, a.form, a.phases) != (b.shape, b.form, b.phases):
            self.refuse(f"both sides must have one shape, not {a.shape} and {b.shape}"
                        f"{', and one enlargement' if a.phases != b.phases else ''}")
        return Charge(a.terms + b.terms, a.bias + b.bias, a.shape, a.form, a.phases)

    def _sub(self, x: object, other: object, *, alpha: object = 1) -> Map | Charge:
        if alpha != 1:
            self.refuse("alpha must be 1")
        minus = self._times(other, -1) if isinstance(other, Map | Charge) else self._number(
            other) * -1
        return self._add(x, minus)

    def _neg(self, x: object) -> Map | Charge:
        return self._times(x, -1)

    def _mul(self, x: object, other: object) -> Map | Charge:
        if isinstance(x, Map | Charge) and isinstance(other, Map | Charge):
            self.refuse("the product of two values needs a multiplier, which the lanes don't have; "
                        "leave the gate or the attention out, or train a network without it")
        x, constant = (x, other) if isinstance(x, Map | Charge) else (other, x)
        return self._times(x, constant)

    def _div(self, x: object, other: object, *, rounding_mode: object = None) -> Map | Charge:
        if rounding_mode is not None or not isinstance(x, Map | Charge):
            self.refuse("a value can be divided by a constant alone, without rounding")
        return self._times(x, 1 / self._number(other))

    def _times(self, x: object, constant: object) -> Map | Charge:
        x = self._tensor(x)
        gain = self._over_channels(x, constant)
        return x.scaled(gain, torch.zeros(x.shape[0]))

    def _plus(self, x: object, constant: object) -> Map | Charge:
        x = self._tensor(x)
        shift = self._over_channels(x, constant)
        return x.scaled(torch.ones(x.shape[0]), shift)

    def _zeros_like(self, x: object) -> Map | Charge:
        return self._times(x, 0.0)

    def _number(self, x: object) -> torch.Tensor:
        if isinstance(x, int | float):
            return torch.tensor(float(x))
        return self._known(x).detach().float()

    def _over_channels(self, x: Map | Charge, constant: object) -> torch.Tensor:
        """A constant as one for each channel, ``(C,)``."""
        value = self._number(constant)
        if not value.isfinite().all():
            self.refuse("the constant must be a finite number")
        if value.numel() == 1:
            return value.reshape(1).expand(x.shape[0])
        axis = _LINES.get(x.form, 1)
        sizes = [1] * 4 + list(value.shape)
        channels = sizes.pop(-axis)
        if channels != x.shape[0] or max(sizes) > 1 or (
                x.form in (Form.VECTOR, Form.FLATTENED) and x.shape[1:] != (1, 1)):
            self.refuse(f"the constant must be one number, or one for each channel, not a tensor "
                        f"of {tuple(value.shape)} for {x.shape}")
        return value.flatten()

    # What does nothing.

    def _same(self, x: object, *args: object, **kwargs: object) -> object:
        return x

    def _to(self, x: object, *targets: object, **named: object) -> object:
        kinds = [value for value in (*targets, *named.values()) if isinstance(value, torch.dtype)]
        if not all(kind.is_floating_point for kind in kinds):
            self.refuse(f"values can't become whole numbers, {kinds[0]}")
        return x

    def _dropout(self, x: object, p: float = 0.5, training: bool = True,
                 inplace: bool = False) -> object:
        if training:
            self.refuse("drops values in inference, too; give it training=self.training, or leave "
                        "it out")
        return x
