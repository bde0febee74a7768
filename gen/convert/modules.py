"""Convolutions, linear layers, batch norms, poolings and enlargements, as modules and as
functions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from .elements import ElementOperators
from .kernels import spread
from .terms import Form
from .uniform import unit_of
from .values import Charge, Constant, Map

__all__ = ["LayerOperators"]

_T = TypeVar("_T")

_Conv = nn.Conv1d | nn.Conv2d

_OVER_TIME = (nn.AvgPool1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d, nn.Conv1d, nn.ConvTranspose1d)

_IN_TIME = {Form.MAP: [2, 3], Form.CHANNELS: [2], Form.ELEMENTS: [1], Form.LEADING: [0]}
"""The axes of rows and columns."""


class LayerOperators(ElementOperators):
    """Operators with weights, and poolings."""

    # Convolutions.

    def _conv(self, module: _Conv, path: str, value: object) -> Charge:
        x = self._of_form(value, _form(module))
        if module.padding_mode != "zeros":
            self.refuse(f"padding_mode must be 'zeros', not {module.padding_mode!r}: neurons "
                        f"beyond the edge send nothing")
        return self._f_conv(x, module.weight.detach().clone(), module.bias, module.stride,
                            module.padding, module.dilation, module.groups, path=path,
                            unit=unit_of(module))

    def _f_conv(self, value: object, weight: object, bias: object = None, stride: Any = 1,
                padding: Any = 0, dilation: Any = 1, groups: int = 1, *, path: str | None = None,
                unit: torch.Tensor | None = None) -> Charge:
        x, weight = self._tensor(value), self._known(weight)
        if weight.shape[1] * groups != x.shape[0]:
            self.refuse(f"expects {weight.shape[1] * groups} channels, but its input has "
                        f"{x.shape[0]}")
        over = weight.dim() - 2
        taps, spacing = weight.shape[2:], self._each(dilation, over)
        edges = [((k - 1) * d // 2, (k - 1) * d - (k - 1) * d // 2)
                 for k, d in zip(taps, spacing, strict=True)]
        if padding == "valid":
            edges = [(0, 0)] * over
        elif padding != "same":
            edges = [(p, p) for p in self._each(padding, over)]
        stride = self._each(stride, over)
        self._require_positive(*taps, *stride, *spacing)
        return self._convolved(
            x, path or self.node, _square(weight), self._bias(bias, len(weight)),
            stride=_both(stride, 1), edges=_both(edges, (0, 0)), groups=groups,
            dilation=_both(spacing, 1), unit=unit)

    def _conv_transpose(self, module: nn.ConvTranspose1d | nn.ConvTranspose2d, path: str,
                        value: object) -> Charge:
        x = self._of_form(value, Form.CHANNELS if isinstance(module, nn.ConvTranspose1d) else
                          Form.MAP)
        if module.padding_mode != "zeros":
            self.refuse("padding_mode must be 'zeros'")
        if module.in_channels != x.shape[0]:
            self.refuse(f"expects {module.in_channels} channels, but its input has {x.shape[0]}")
        weight = _square(module.weight.detach()).unflatten(0, (module.groups, -1)).transpose(1, 2)
        return self._transposed(
            x, path, spread(weight.flatten(0, 1), _both(module.dilation, 1)),
            self._bias(module.bias, module.out_channels), stride=_both(module.stride, 1),
            padding=_both(self._each(module.padding, module.weight.dim() - 2), 0),
            extra=_both(module.output_padding, 0), groups=module.groups)

    def _each(self, value: Any, axes: int) -> tuple[Any, ...]:
        """A number for each axis, which may be given as one for all."""
        given = tuple(value) if isinstance(value, Iterable) else (value,)
        if len(given) not in (1, axes):
            self.refuse(f"must have a number for each of {axes} axes, or one for all, not {value}")
        return given * axes if len(given) == 1 else given

    def _require_positive(self, *numbers: int) -> None:
        if min(numbers) < 1:
            self.refuse("kernel, stride and dilation must be positive")

    def _bias(self, bias: object, channels: int) -> torch.Tensor:
        return torch.zeros(channels) if bias is None else self._known(bias).detach().clone()

    def _known(self, x: object) -> torch.Tensor:
        """A tensor that does not depend on the input."""
        x = x.value if isinstance(x, Constant) else x
        if not isinstance(x, torch.Tensor):
            self.refuse("weights must not depend on the input: products of two values need "
                        "multipliers, which the lanes don't have")
        return x

    def _dense(self, module: nn.Linear, path: str, value: object) -> Charge:
        return self._f_linear(value, module.weight.detach().clone(), module.bias, path=path,
                              unit=unit_of(module))

    def _f_linear(self, value: object, weight: object, bias: object = None, *,
                  path: str | None = None, unit: torch.Tensor | None = None) -> Charge:
        x = self._of_form(value, Form.VECTOR, Form.FLATTENED, Form.ELEMENTS, Form.LEADING)
        weight = self._known(weight)
        return self._linear(x, path or self.node, weight, self._bias(bias, len(weight)), unit)

    # Batch norms.

    def _batch_norm(self, module: Any, path: str, x: object) -> Map | Charge:
        return self._f_batch_norm(x, module.running_mean, module.running_var, module.weight,
                                  module.bias, eps=module.eps)

    def _f_batch_norm(self, value: object, running_mean: object, running_var: object,
                      weight: object = None, bias: object = None, training: bool = False,
                      momentum: float = 0.1, eps: float = 1e-5) -> Map | Charge:
        x = self._tensor(value)
        if x.form in (Form.ELEMENTS, Form.LEADING):
            self.refuse("would see the elements as channels: x.transpose(1, 2)")
        if running_mean is None or running_var is None or training:
            self.refuse("needs running statistics: build it with track_running_stats=True")
        mean, variance = self._known(running_mean), self._known(running_var)
        if len(mean) != x.shape[0] or (x.form is Form.VECTOR and x.shape[1:] != (1, 1)):
            self.refuse(f"expects {len(mean)} channels, but its input has {x.shape[0]}"
                        f"{' and is flattened' if x.form is Form.VECTOR else ''}")
        if not (variance + eps > 0).all():
            self.refuse("must have a positive running_var")
        gain = (variance + eps).rsqrt()
        gain = gain if weight is None else gain * self._known(weight)
        shift = -mean * gain
        return x.scaled(gain, shift if bias is None else shift + self._known(bias))

    # Poolings.

    def _avg_pool(self, module: nn.AvgPool1d | nn.AvgPool2d, path: str, value: object
                  ) -> Map | Charge:
        x = self._of_form(value, _form(module))
        kernel, stride, padding = self._window(module, x)
        if padding != (0, 0) and not module.count_include_pad:
            self.refuse("count_include_pad must be True when there is padding: the divisor would "
                        "differ between positions, but their weights are the same")
        divisor = getattr(module, "divisor_override", None) or kernel[0] * kernel[1]
        if divisor < 1:
            self.refuse(f"divisor_override must be at least 1, not {divisor}")
        return self._pool("sum", path, x, kernel, stride, padding, 1 / divisor)

    def _max_pool(self, module: nn.MaxPool1d | nn.MaxPool2d, path: str, value: object
                  ) -> Map | Charge:
        x = self._of_form(value, _form(module))
        kernel, stride, padding = self._window(module, x)
        if set(self._each(module.dilation, 2)) != {1}:
            self.refuse(f"dilation must be 1, not {module.dilation!r}")
        if module.return_indices:
            self.refuse("return_indices must be False")
        return self._pool("max", path, x, kernel, stride, padding, 1.0)

    def _window(self, module: nn.AvgPool1d | nn.AvgPool2d | nn.MaxPool1d | nn.MaxPool2d,
                x: Map | Charge
                ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel, stride and padding of a pooling."""
        over = x.form.axes - 2
        kernel, stride, padding = (self._each(given, over) for given in (
            module.kernel_size, module.stride or module.kernel_size, module.padding))
        self._require_positive(*kernel, *stride)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            self.refuse(f"padding {padding} must be at most half the kernel {kernel}")
        rest = ((n + 2 * p - k) % s for n, k, s, p in zip(
            x.shape[1:], kernel, stride, padding, strict=False))
        if module.ceil_mode and any(rest):
            self.refuse("ceil_mode must be False where the windows don't fill the map: pad the map "
                        "instead")
        return _both(kernel, 1), _both(stride, 1), _both(padding, 0)

    def _adaptive_pool(self, module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d, path: str,
                       value: object) -> Map | Charge:
        x = self._of_form(value, _form(module))
        given = _both(self._each(module.output_size, x.form.axes - 2), 1)
        sizes = [n if out is None else out for n, out in zip(x.shape[1:], given, strict=True)]
        pairs = list(zip(x.shape[1:], sizes, strict=True))
        if min(sizes) > 0 and not any(out % n for n, out in pairs):
            scale = sizes[0] // x.shape[1], sizes[1] // x.shape[2]
            return x if scale == (1, 1) else self._upsampled(x, scale)
        if any(out < 1 or n % out for n, out in pairs):
            self.refuse(f"output_size must divide the map's {x.shape[1:]}, or be a multiple of it, "
                        f"not {tuple(sizes)}: windows of different sizes have different divisors")
        kernel = x.shape[1] // sizes[0], x.shape[2] // sizes[1]
        return self._pool("sum", path, x, kernel, kernel, (0, 0), 1 / (kernel[0] * kernel[1]))

    def _adaptive_max_pool(self, module: nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d, path: str,
                           value: object) -> Map | Charge:
        x = self._tensor(value)
        if set(self._each(module.output_size, x.form.axes - 2)) != {1}:
            self.refuse("output_size must be 1; use MaxPool2d")
        if module.return_indices:
            self.refuse("return_indices must be False")
        return self._pool("max", path, x, x.shape[1:], x.shape[1:], (0, 0), 1.0)

    def _mean(self, value: object, dim: int | Sequence[int] | None = None, keepdim: bool = False
              ) -> Map | Charge:
        x = self._of_form(value, *_IN_TIME)
        axes = _IN_TIME[x.form]
        given = [] if dim is None else list(dim) if isinstance(dim, Sequence) else [dim]
        if sorted(d % x.form.axes for d in given) != axes:
            self.refuse(f"must be over the map's {'two axes' if len(axes) == 2 else 'elements'} "
                        f"({', '.join(map(str, axes))}), not {dim!r}")
        kernel = x.shape[1:]
        # Whatever the axes are, only channels are left.
        left = x if x.form is Form.MAP else replace(x, form=Form.CHANNELS)
        pooled = self._pool("sum", self.node, left, kernel, kernel, (0, 0),
                            1 / (kernel[0] * kernel[1]))
        return replace(pooled, form=x.form if keepdim else Form.VECTOR)

    def _f_max_pool(self, x: object, kernel_size: Any, stride: Any = None, padding: Any = 0,
                    dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
                    ) -> Map | Charge:
        kind = nn.MaxPool1d if self._tensor(x).form is Form.CHANNELS else nn.MaxPool2d
        module = kind(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        return self._max_pool(module, self.node, x)

    def _f_avg_pool(self, x: object, *args: Any, **kwargs: Any) -> Map | Charge:
        kind = nn.AvgPool1d if self._tensor(x).form is Form.CHANNELS else nn.AvgPool2d
        return self._avg_pool(kind(*args, **kwargs), self.node, x)

    def _f_adaptive_pool(self, x: object, output_size: Any) -> Map | Charge:
        kind = nn.AdaptiveAvgPool1d if self._tensor(x).form is Form.CHANNELS else (
            nn.AdaptiveAvgPool2d)
        return self._adaptive_pool(kind(output_size), self.node, x)

    def _f_adaptive_max_pool(self, x: object, output_size: Any, return_indices: bool = False
                             ) -> Map | Charge:
        kind = nn.AdaptiveMaxPool1d if self._tensor(x).form is Form.CHANNELS else (
            nn.AdaptiveMaxPool2d)
        return self._adaptive_max_pool(kind(output_size, return_indices), self.node, x)

    # Enlargements.

    def _upsample(self, x: object, size: Any = None, scale_factor: Any = None,
                  mode: str = "nearest", align_corners: bool | None = None,
                  recompute_scale_factor: bool | None = None, antialias: bool = False) -> Map:
        x = self._of_form(x, Form.MAP, Form.CHANNELS)
        if mode not in ("nearest", "nearest-exact"):
            self.refuse(f"mode must be 'nearest', not {mode!r}")
        over = x.form.axes - 2
        if size is None:
            scale = _both(self._each(scale_factor, over), 1)
        else:
            scale = tuple(out / n for out, n in zip(_both(self._each(size, over), 1), x.shape[1:],
                                                    strict=True))
        if any(s != int(s) or s < 1 for s in scale):
            self.refuse(f"must enlarge by whole numbers, not {scale}")
        return self._upsampled(x, (int(scale[0]), int(scale[1])))

    def _pad_module(self, module: Any, path: str, x: object) -> Map:
        return self._pad(x, list(module.padding), value=getattr(module, "value", 0))


def _form(module: nn.Module) -> Form:
    """The form of the input of a module over one or two axes."""
    return Form.CHANNELS if isinstance(module, _OVER_TIME) else Form.MAP


def _both(value: Sequence[_T], single: _T) -> tuple[_T, _T]:
    """Two numbers; over elements the second is that of their only column."""
    first, second = (*value, single)[:2]
    return first, second


def _square(weight: torch.Tensor) -> torch.Tensor:
    """A kernel over elements as one over rows and columns."""
    return weight if weight.dim() == 4 else weight.unsqueeze(-1)
