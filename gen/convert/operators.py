"""What each operator of PyTorch makes of the descriptions in :mod:`gen.convert.lowered`.

Convolutions turn a map into a charge, batch norm scales a charge, an addition concatenates charges
(a map that is added becomes the charge of a diagonal 1x1 convolution), and an activation turns a
charge into the map of a new layer.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn
from torch.fx.node import Target
from torch.nn import functional as F

from .elements import SIGNED, ElementOperators, State
from .foreign import Activation
from .lowered import Charge, Form, Map
from .qcfs import ClipQuan, Qcfs
from .recurrent import Recurrent
from .uniform import Uniform, unit_of

__all__ = ["SUPPORTED", "Operators"]

SUPPORTED = ("supported are Conv1d/2d (zero padding, dilation 1), Linear, BatchNorm1d/2d, "
             "AvgPool1d/2d, MaxPool1d/2d, AdaptiveAvgPool1d/2d(1), Flatten, Dropout, Identity, "
             "residual additions, Qcfs, ClipQuan, ReLU, Hardtanh(0, cap), RNN, "
             "RNNCell (for each element) and Recurrent")

_SIZES, _BATCH = object(), object()
"""The values of ``x.shape`` and ``x.shape[0]`` inside the interpreter."""

_T = TypeVar("_T")


class Operators(ElementOperators):
    """Applies operators one by one, and collects the layers.

    Parameters
    ----------
    activation : QCFS-like class of another library, treated as a :class:`~gen.convert.qcfs.Qcfs`
    """

    def __init__(self, activation: Activation | None) -> None:
        super().__init__()
        self._activation = activation

    def function(self, target: Target, args: Sequence[object],
                 kwargs: Mapping[str, object]) -> object:
        """Apply a function of PyTorch or Python.

        Raises
        ------
        ConversionError
            If it, or the way it is called, has no counterpart.
        """
        name = getattr(target, "__name__", str(target))
        return self._call(_FUNCTIONS.get(target), name, args, kwargs)

    def method(self, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """Apply a method of a tensor; ``args`` begins with the tensor.

        Raises
        ------
        ConversionError
            If it, or the way it is called, has no counterpart.
        """
        return self._call(_METHODS.get(name), name, args, kwargs)

    def _call(self, method: str | None, name: str, args: Sequence[object],
              kwargs: Mapping[str, object]) -> object:
        if method is None:
            self.refuse(_HINTS.get(name, SUPPORTED))
        try:
            return getattr(self, method)(*args, **kwargs)
        except TypeError:
            self.refuse(f"these arguments are not supported; {SUPPORTED}")

    # Modules.

    def module(self, module: nn.Module, path: str, x: object) -> object:
        """Apply a module that the traced one has at ``path``.

        Raises
        ------
        ConversionError
            If its class or its settings have no counterpart, or ``x`` is not what it needs.
        """
        if self._activation is not None and self._activation.matches(module):
            return self._fire(x, path, *self._activation.read(module, path))
        match module:
            case Qcfs():
                step = float(module.step.detach())
                if not 0 < step < float("inf"):
                    self.refuse(f"the step must be positive, not {step!r}")
                return self._fire(x, path, step, module.levels, symmetric=module.symmetric)
            case ClipQuan():
                return self._fire(x, path, 1 / module.levels, module.levels, floor=True)
            case Uniform():
                return self._fire(self._charged(x) if isinstance(x, Map) else x, path, module.step,
                                  module.levels, floor=module.floor, symmetric=module.symmetric)
            case Recurrent():
                return self._recurrent(module, path, x)
            case nn.ReLU():
                return self._relu(x)
            case nn.Hardtanh():
                return self._hardtanh(x, module.min_val, module.max_val)
            case nn.Conv1d():
                return self._conv(module, path, x, Form.CHANNELS)
            case nn.Conv2d():
                return self._conv(module, path, x, Form.MAP)
            case nn.RNN():
                return self._rnn(module, path, x)
            case nn.Linear():
                return self._linear(module, path, x)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return self._batch_norm(module, x)
            case nn.AvgPool1d() | nn.AvgPool2d():
                return self._avg_pool(module, path, x)
            case nn.MaxPool1d() | nn.MaxPool2d():
                return self._max_pool(module, path, x)
            case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
                return self._global_pool(module, path, x)
            case nn.Flatten():
                return self._flatten(x, module.start_dim, module.end_dim)
            case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
                return x
        self.refuse(f"this type of module is not supported; "
                    f"{_HINTS.get(type(module).__name__, SUPPORTED)}")

    def _hardtanh(self, x: object, low: float, high: float) -> Map:
        if low != 0 or not 0 < high < math.inf:
            self.refuse(f"must be clipped at 0 and a positive number, not at {low} and {high}; "
                        f"for values with a sign train with Qcfs(levels, symmetric=True)")
        return self._relu(x, cap=float(high))

    def _conv(self, module: nn.Conv1d | nn.Conv2d, path: str, value: object, form: Form) -> Charge:
        x = self._counts(value, form)
        if module.padding_mode != "zeros":
            self.refuse(f"padding_mode must be 'zeros', not {module.padding_mode!r}")
        if set(module.dilation) != {1}:
            self.refuse(f"dilation must be 1, not {module.dilation!r}")
        if module.in_channels != x.shape[0]:
            self.refuse(f"expects {module.in_channels} channels, but its input has {x.shape[0]}")
        kernel, stride, padding = self._pairs(x, module.kernel_size, module.stride,
                                              self._padding(module))
        shape = (module.out_channels, *self._size(x, kernel, stride, padding))
        if any(p >= k for p, k in zip(padding, kernel, strict=True)):
            self.refuse(f"padding {padding} must be smaller than the kernel {kernel}")
        weight = module.weight.detach().clone().reshape(*module.weight.shape[:2], *kernel)
        term = x.term(path, weight, stride=stride, padding=padding, groups=module.groups,
                      unit=unit_of(module))
        return Charge((term,), _bias(module), shape, form)

    def _padding(self, module: nn.Conv1d | nn.Conv2d) -> tuple[int, ...]:
        if not isinstance(module.padding, str):
            return tuple(module.padding)
        if module.padding == "same":
            if any(k % 2 == 0 for k in module.kernel_size):
                self.refuse("padding='same' needs an odd kernel: an even one pads the map unevenly")
            return tuple(k // 2 for k in module.kernel_size)
        return (0,) * len(module.kernel_size)

    def _pairs(self, x: Map, kernel: tuple[int, ...], stride: tuple[int, ...],
               padding: tuple[int, ...]
               ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """The numbers of a window, which must be two each, or one each over elements."""
        match kernel, stride, padding:
            case (k,), (s,), (p,) if x.form is Form.CHANNELS and min(k, s) >= 1:
                return (k, 1), (s, 1), (p, 0)
            case (ky, kx), (sy, sx), (py, px) if min(ky, kx, sy, sx) >= 1:
                return (ky, kx), (sy, sx), (py, px)
        self.refuse(f"kernel {kernel} and stride {stride} must be two positive numbers each")

    def _linear(self, module: nn.Linear, path: str, value: object) -> Charge:
        x = self._counts(value, Form.VECTOR, Form.FLATTENED, Form.ELEMENTS, Form.LEADING)
        channels, rows, width = x.shape
        each = x.form in (Form.ELEMENTS, Form.LEADING)
        features = channels if each else channels * rows * width
        if module.in_features != features:
            self.refuse(f"expects {module.in_features} features, but its input has {features}")
        weight = module.weight.detach().clone()
        weight = weight[:, :, None, None] if each else x.form.as_map(weight, x.shape)
        return Charge((x.term(path, weight, unit=unit_of(module)),), _bias(module),
                      (module.out_features, rows if each else 1, 1),
                      x.form if each else Form.VECTOR)

    def _batch_norm(self, module: nn.BatchNorm1d | nn.BatchNorm2d, x: object) -> Charge:
        if not isinstance(x, Charge):
            self.refuse("must follow a Conv2d, a Linear or a residual addition, to be folded into "
                        "it")
        if x.form in (Form.ELEMENTS, Form.LEADING):
            self.refuse("would see the elements as channels: x.transpose(1, 2)")
        mean, variance = module.running_mean, module.running_var
        if mean is None or variance is None:
            self.refuse("needs running statistics: build it with track_running_stats=True")
        if module.num_features != x.shape[0] or (
                x.form is Form.VECTOR and x.shape[1:] != (1, 1)):
            self.refuse(f"expects {module.num_features} channels, but its input has {x.shape[0]}")
        if not (variance + module.eps > 0).all():
            self.refuse("must have a positive running_var")
        gain = (variance + module.eps).rsqrt()
        gain = gain if module.weight is None else gain * module.weight
        shift = -mean * gain
        return x.scaled(gain, shift if module.bias is None else shift + module.bias)

    def _avg_pool(self, module: nn.AvgPool1d | nn.AvgPool2d, path: str, x: object) -> Map:
        kernel, stride, padding = self._window(module, x)
        if padding != (0, 0) and not module.count_include_pad:
            self.refuse("count_include_pad must be True when there is padding: the divisor would "
                        "differ between positions")
        divisor = getattr(module, "divisor_override", None) or kernel[0] * kernel[1]
        if divisor < 1:
            self.refuse(f"divisor_override must be at least 1, not {divisor}")
        return self._pool("sum", path, x, kernel, stride, padding, 1 / divisor)

    def _max_pool(self, module: nn.MaxPool1d | nn.MaxPool2d, path: str, x: object) -> Map:
        kernel, stride, padding = self._window(module, x)
        if _pair(module.dilation) != (1, 1):
            self.refuse(f"dilation must be 1, not {module.dilation!r}")
        if module.return_indices:
            self.refuse("return_indices must be False")
        return self._pool("max", path, x, kernel, stride, padding, 1.0)

    def _window(self, module: nn.AvgPool1d | nn.AvgPool2d | nn.MaxPool1d | nn.MaxPool2d,
                value: object
                ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel, stride and padding of a pooling."""
        over = isinstance(module, nn.AvgPool1d | nn.MaxPool1d)
        x = self._counts(value, Form.CHANNELS if over else Form.MAP)
        each = _single if over else _pair
        kernel, stride, padding = self._pairs(
            x, each(module.kernel_size), each(module.stride or module.kernel_size),
            each(module.padding))
        if module.ceil_mode:
            self.refuse("ceil_mode must be False: pad the map instead")
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            self.refuse(f"padding {padding} must be at most half the kernel {kernel}")
        return kernel, stride, padding

    def _global_pool(self, module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d, path: str,
                     value: object) -> Map:
        if set(_pair(module.output_size)) != {1}:
            self.refuse(f"output_size must be 1, not {module.output_size!r}; use AvgPool2d")
        over = isinstance(module, nn.AdaptiveAvgPool1d)
        x = self._counts(value, Form.CHANNELS if over else Form.MAP)
        kernel = x.shape[1:]
        return self._pool("sum", path, x, kernel, kernel, (0, 0), 1 / (kernel[0] * kernel[1]))

    # Functions and methods, with torch's own parameters.

    def _size_of(self, x: object, dim: int | None = None) -> object:
        return _SIZES if dim is None else self._getitem(_SIZES, dim)

    def _getattr(self, x: object, name: str) -> object:
        if name != "shape":
            self.refuse(f"attribute {name!r} is not supported; {SUPPORTED}")
        return _SIZES

    def _getitem(self, x: object, index: object) -> object:
        if isinstance(x, Map):
            return self._select(x, index)
        if isinstance(x, tuple) and index in (0, 1):
            return x[index]
        if isinstance(x, State) and index in (0, -1):
            return x.last
        if x is not _SIZES or index != 0:
            self.refuse("slicing is not supported; only x.shape[0], for a view or a reshape, and "
                        "x[:, :, k:] of a sequence")
        return _BATCH

    def _flatten(self, value: object, start_dim: int = 0, end_dim: int = -1) -> Map | Charge:
        x = self._tensor(value)
        axes = x.form.axes
        if (start_dim, end_dim) not in {(1, -1), (1, axes - 1)}:
            self.refuse(f"must keep the batch and flatten the rest (start_dim=1), not "
                        f"start_dim={start_dim}, end_dim={end_dim}")
        return self._flattened(x)

    def _view(self, value: object, *sizes: object) -> Map | Charge:
        x = self._tensor(value)
        if len(sizes) == 1 and isinstance(sizes[0], Iterable):
            sizes = tuple(sizes[0])
        features = x.shape[0] * x.shape[1] * x.shape[2]
        if len(sizes) != 2 or sizes not in {(_BATCH, -1), (_BATCH, features), (-1, features)}:
            self.refuse("must keep the batch and flatten the rest: x.flatten(1)")
        return self._flattened(x)

    def _mean(self, value: object, dim: int | Sequence[int], keepdim: bool = False) -> Map:
        x = self._counts(value, Form.MAP, Form.CHANNELS, Form.ELEMENTS, Form.LEADING)
        axes = {Form.MAP: [2, 3], Form.CHANNELS: [2], Form.ELEMENTS: [1], Form.LEADING: [0]}[x.form]
        given = list(dim) if isinstance(dim, Sequence) else [dim]
        if sorted(d % x.form.axes for d in given) != axes:
            self.refuse(f"must be over the map's {'two axes' if len(axes) == 2 else 'elements'} "
                        f"({', '.join(map(str, axes))}), not {dim!r}")
        pool = nn.AdaptiveAvgPool2d(1) if x.form is Form.MAP else nn.AdaptiveAvgPool1d(1)
        form = x.form if x.form is Form.MAP else Form.CHANNELS
        pooled = self._global_pool(pool, self.node, replace(x, form=form))
        return replace(pooled, form=x.form if keepdim else Form.VECTOR)

    def _add(self, x: object, other: object, *, alpha: object = 1) -> Charge:
        if alpha != 1 or not isinstance(x, Map | Charge) or not isinstance(other, Map | Charge):
            self.refuse("only two layers' results can be added (a residual connection); put "
                        "constants into a bias")
        a, b = self._charged(x), self._charged(other)
        if (a.shape, a.form) != (b.shape, b.form):
            self.refuse(f"both sides must have one shape, not {a.shape} and {b.shape}")
        return replace(a, terms=a.terms + b.terms, bias=a.bias + b.bias)

    def _same(self, x: object, *args: object, **kwargs: object) -> object:
        return x

    def _dropout(self, x: object, p: float = 0.5, training: bool = True,
                 inplace: bool = False) -> object:
        if training:
            self.refuse("drops values in inference, too; give it training=self.training, or leave "
                        "it out")
        return x

    def _f_max_pool(self, x: object, kernel_size: int | tuple[int, ...],
                    stride: int | tuple[int, ...] | None = None,
                    padding: int | tuple[int, ...] = 0, dilation: int | tuple[int, ...] = 1,
                    ceil_mode: bool = False, return_indices: bool = False) -> Map:
        module = nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        return self._max_pool(module, self.node, x)

    def _f_avg_pool(self, x: object, *args: Any, **kwargs: Any) -> Map:
        return self._avg_pool(nn.AvgPool2d(*args, **kwargs), self.node, x)

    def _f_global_pool(self, x: object, output_size: int | tuple[int, int]) -> Map:
        return self._global_pool(nn.AdaptiveAvgPool2d(output_size), self.node, x)

def _bias(module: nn.Conv1d | nn.Conv2d | nn.Linear) -> torch.Tensor:
    if module.bias is None:
        return torch.zeros(len(module.weight))
    return module.bias.detach().clone()


def _pair(value: _T | Iterable[_T]) -> tuple[_T, ...]:
    """One number for both axes, or a number for each."""
    return tuple(value) if isinstance(value, Iterable) else (value, value)


def _single(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """A number for the one axis."""
    return value if isinstance(value, tuple) else (value,)


_FUNCTIONS: dict[Target, str] = {
    F.relu: "_relu", torch.relu: "_relu", torch.relu_: "_relu", F.relu_: "_relu",
    torch.transpose: "_transpose", torch.permute: "_permute",
    torch.flatten: "_flatten", torch.reshape: "_view", torch.mean: "_mean",
    operator.add: "_add", operator.iadd: "_add", torch.add: "_add",
    getattr: "_getattr", operator.getitem: "_getitem",
    F.pad: "_pad", F.dropout: "_dropout", F.dropout1d: "_dropout", F.dropout2d: "_dropout",
    F.max_pool2d: "_f_max_pool", torch.max_pool2d: "_f_max_pool",
    F.avg_pool2d: "_f_avg_pool", F.adaptive_avg_pool2d: "_f_global_pool",
}

_METHODS = {
    "relu": "_relu", "relu_": "_relu", "flatten": "_flatten", "view": "_view", "reshape": "_view",
    "transpose": "_transpose", "permute": "_permute", "mean": "_mean", "add": "_add",
    "add_": "_add", "size": "_size_of", "contiguous": "_same",
}

_SCORES = "leave it out: the largest score is the same without it"
_NORMALISE = ("a network takes pixels/pixel_max in 0..1; put the scaling into the first layer's "
              "weights")
_HINTS = {
    **dict.fromkeys(("Softmax", "LogSoftmax", "softmax", "log_softmax"), _SCORES),
    "Sigmoid": _SCORES + " (as the last layer), else use Qcfs",
    **dict.fromkeys(("sub", "truediv", "mul"), _NORMALISE),
    **dict.fromkeys(("Tanh", "tanh"), SIGNED)}
