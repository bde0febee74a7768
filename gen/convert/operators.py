"""What each operator of PyTorch makes of the descriptions in :mod:`gen.convert.lowered`.

Convolutions turn a map into a charge, batch norm scales a charge, an addition concatenates charges
(a map that is added becomes the charge of a diagonal 1x1 convolution), and an activation turns a
charge into the map of a new layer.
"""

import inspect
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.fx.node import Target
from torch.nn import functional as F

from .activations import ActivationOperators, activation
from .channelwise import Evened
from .elements import State
from .foreign import Activation
from .qcfs import ClipQuan, Qcfs
from .recurrent import Recurrent
from .shapes import BATCH, Blocks
from .uniform import Uniform
from .usercode import first_line
from .values import Charge, Constant, Map

__all__ = ["FUNCTIONS", "METHODS", "SUPPORTED", "Operators"]

SUPPORTED = ("supported are Conv1d/2d and ConvTranspose1d/2d with zero padding, Linear, "
             "BatchNorm1d/2d, AvgPool, MaxPool, AdaptiveAvgPool, Flatten, Dropout, Upsample "
             "(nearest), PixelShuffle, ZeroPad, cat, chunk, slices, additions, constant factors, "
             "RNN, RNNCell (for each element), Recurrent, and the activations Qcfs, ClipQuan, "
             "ReLU, ReLU6, Hardtanh, LeakyReLU, PReLU, Hardsigmoid, Hardswish, Tanh, Sigmoid, "
             "SiLU, GELU, Mish and Softplus")


class Operators(ActivationOperators):
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
        if _known((args, kwargs)):
            return self._computed(target, args, kwargs)
        return self._call(FUNCTIONS.get(target), name, args, kwargs)

    def method(self, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """Apply a method of a tensor; ``args`` begins with the tensor.

        Raises
        ------
        ConversionError
            If it, or the way it is called, has no counterpart.
        """
        if _known((args, kwargs)):
            return self._computed(operator.methodcaller(name, *_values(args[1:]),
                                                        **_values(kwargs)), args[:1], {})
        return self._call(METHODS.get(name), name, args, kwargs)

    def _computed(self, target: Any, args: Sequence[object], kwargs: Mapping[str, object]
                  ) -> object:
        """The result of a function of numbers and constants alone, such as the weights that a
        module computes."""
        try:
            result = target(*_values(args), **_values(kwargs))
        except Exception as error:  # of any function that a module may call
            self.refuse(f"can't be computed ({type(error).__name__}: {first_line(error)})")
        return Constant(self.where, result) if isinstance(result, torch.Tensor) else result

    def _call(self, method: str | None, name: str, args: Sequence[object],
              kwargs: Mapping[str, object]) -> object:
        if method is None:
            self.refuse(_HINTS.get(name, SUPPORTED))
        apply = getattr(self, method)
        try:
            inspect.signature(apply).bind(*args, **kwargs)
        except TypeError as error:
            self.refuse(f"these arguments are not supported: {error}")
        return apply(*args, **kwargs)

    def module(self, module: nn.Module, path: str, x: object) -> object:
        """Apply a module that the traced one has at ``path``.

        Raises
        ------
        ConversionError
            If its class or its settings have no counterpart, or ``x`` is not what it needs.
        """
        if self._activation is not None and self._activation.matches(module):
            (step,), levels = self._activation.read(module, path)
            return self._fire(x, path, float(step), levels, floor=self._activation.floor)
        if found := activation(module):
            method, given = found
            return getattr(self, method)(x, *given)
        return self._layer(module, path, x)

    def _layer(self, module: nn.Module, path: str, x: object) -> object:
        match module:
            case Qcfs():
                step = float(module.step.detach())
                if not 0 < step < float("inf"):
                    self.refuse(f"the step must be positive, not {step!r}")
                return self._fire(x, path, step, module.levels, symmetric=module.symmetric)
            case ClipQuan():
                return self._fire(x, path, 1 / module.levels, module.levels, floor=True)
            case Evened():
                return self._fire(x, path, module.step, module.levels, floor=module.floor)
            case Uniform():
                return self._fire(x, path, module.step, module.levels, floor=module.floor,
                                  symmetric=module.symmetric)
            case Recurrent():
                return self._recurrent(module, path, x)
            case nn.Conv1d() | nn.Conv2d():
                return self._conv(module, path, x)
            case nn.ConvTranspose1d() | nn.ConvTranspose2d():
                return self._conv_transpose(module, path, x)
            case nn.RNN():
                return self._rnn(module, path, x)
            case nn.Linear():
                return self._dense(module, path, x)
            case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.SyncBatchNorm():
                return self._batch_norm(module, x)
            case nn.AvgPool1d() | nn.AvgPool2d():
                return self._avg_pool(module, path, x)
            case nn.MaxPool1d() | nn.MaxPool2d():
                return self._max_pool(module, path, x)
            case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
                return self._adaptive_pool(module, path, x)
            case nn.AdaptiveMaxPool1d() | nn.AdaptiveMaxPool2d():
                return self._adaptive_max_pool(module, path, x)
        return self._arranged(module, x)

    def _arranged(self, module: nn.Module, x: object) -> object:
        """Modules that compute nothing."""
        match module:
            case nn.Flatten():
                return self._flatten(x, module.start_dim, module.end_dim)
            case nn.Unflatten():
                return self._unflatten(x, module.dim, module.unflattened_size)
            case nn.Upsample():
                return self._upsample(x, module.size, module.scale_factor, module.mode)
            case nn.PixelShuffle():
                return self._pixel_shuffle(x, module.upscale_factor)
            case nn.ChannelShuffle():
                return self._channel_shuffle(x, module.groups)
            case nn.ConstantPad1d() | nn.ConstantPad2d():
                return self._pad_module(module, x)
            case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d() | nn.Dropout3d():
                return x
            case nn.AlphaDropout() | nn.FeatureAlphaDropout():
                return x
        self.refuse(f"this type of module is not supported; "
                    f"{_HINTS.get(type(module).__name__, SUPPORTED)}")

    def _getattr(self, x: object, name: str) -> object:
        if name == "T" or name != "shape":
            self.refuse(f"attribute {name!r} is not supported; {SUPPORTED}")
        return self._sizes(x)


def _known(given: object) -> bool:
    """Whether nothing in arguments depends on the input."""
    if isinstance(given, tuple | list):
        return all(map(_known, given))
    if isinstance(given, Mapping):
        return all(map(_known, given.values()))
    return given is not BATCH and not isinstance(given, Map | Charge | Blocks | State)


def _values(given: Any) -> Any:
    """Arguments with tensors in the place of constants."""
    if isinstance(given, Constant):
        return given.value
    if isinstance(given, tuple | list):
        return type(given)(map(_values, given))
    if isinstance(given, Mapping):
        return {key: _values(value) for key, value in given.items()}
    return given

FUNCTIONS: dict[Any, str] = {
    F.relu: "_relu", torch.relu: "_relu", torch.relu_: "_relu", F.relu_: "_relu",
    F.relu6: "_relu6", F.hardtanh: "_hardtanh", F.hardtanh_: "_hardtanh", torch.clamp: "_clamp",
    torch.clip: "_clamp", torch.clamp_min: "_clamp_min",
    F.leaky_relu: "_leaky", F.prelu: "_prelu", torch.prelu: "_prelu", torch.tanh: "_tanh",
    F.tanh: "_tanh", torch.sigmoid: "_sigmoid", F.sigmoid: "_sigmoid", F.silu: "_silu",
    F.gelu: "_gelu", F.hardswish: "_hardswish", F.hardsigmoid: "_hardsigmoid", F.mish: "_mish",
    F.softplus: "_softplus",
    torch.transpose: "_transpose", torch.permute: "_permute", torch.squeeze: "_squeeze",
    torch.flatten: "_flatten", torch.reshape: "_view", torch.unflatten: "_unflatten",
    torch.mean: "_mean", torch.cat: "_cat", torch.concat: "_cat", torch.concatenate: "_cat",
    torch.chunk: "_chunk", torch.split: "_split", torch.narrow: "_narrow",
    operator.add: "_add", operator.iadd: "_add", torch.add: "_add", operator.sub: "_sub",
    operator.isub: "_sub", torch.sub: "_sub", operator.mul: "_mul", operator.imul: "_mul",
    torch.mul: "_mul", operator.truediv: "_div", operator.itruediv: "_div", torch.div: "_div",
    operator.neg: "_neg", torch.neg: "_neg", torch.zeros_like: "_zeros_like",
    getattr: "_getattr", operator.getitem: "_getitem", len: "_len",
    F.pad: "_pad", F.dropout: "_dropout", F.dropout1d: "_dropout", F.dropout2d: "_dropout",
    F.dropout3d: "_dropout", F.alpha_dropout: "_dropout",
    F.max_pool2d: "_f_max_pool", torch.max_pool2d: "_f_max_pool", F.max_pool1d: "_f_max_pool",
    torch.max_pool1d: "_f_max_pool", F.avg_pool2d: "_f_avg_pool", F.avg_pool1d: "_f_avg_pool",
    F.adaptive_avg_pool2d: "_f_adaptive_pool", F.adaptive_avg_pool1d: "_f_adaptive_pool",
    F.adaptive_max_pool2d: "_f_adaptive_max_pool", F.adaptive_max_pool1d: "_f_adaptive_max_pool",
    F.conv2d: "_f_conv", F.conv1d: "_f_conv", F.linear: "_f_linear",
    F.batch_norm: "_f_batch_norm", F.interpolate: "_upsample", F.pixel_shuffle: "_pixel_shuffle",
    F.channel_shuffle: "_channel_shuffle",
}

METHODS = {
    "relu": "_relu", "relu_": "_relu", "clamp": "_clamp", "clamp_": "_clamp", "clip": "_clamp",
    "clip_": "_clamp", "clamp_min": "_clamp_min", "clamp_min_": "_clamp_min", "tanh": "_tanh",
    "sigmoid": "_sigmoid",
    "flatten": "_flatten", "view": "_view", "reshape": "_view", "unflatten": "_unflatten",
    "transpose": "_transpose", "permute": "_permute", "squeeze": "_squeeze", "mean": "_mean",
    "add": "_add", "add_": "_add", "sub": "_sub", "sub_": "_sub", "mul": "_mul", "mul_": "_mul",
    "div": "_div", "div_": "_div", "neg": "_neg", "chunk": "_chunk", "split": "_split",
    "narrow": "_narrow", "size": "_size_of", "contiguous": "_same", "float": "_same",
    "double": "_same", "clone": "_same", "detach": "_same", "cpu": "_same", "type_as": "_same",
    "to": "_to",
}

_SCORES = "leave it out: the largest score is the same without it; at the end it is allowed"
_GATED = "its gates need products, which the lanes don't have; use nn.RNN(nonlinearity='relu')"
_NORMS = ("its statistics are those of each sample, and need products; train with BatchNorm, whose "
          "statistics are constants")
_QUANTISER = ("if it is part of a quantiser, name its class as the activation (--activation), or "
              "use Qcfs")
_HINTS = {
    **dict.fromkeys(("Softmax", "LogSoftmax", "softmax", "log_softmax"), _SCORES),
    **dict.fromkeys(("LSTM", "GRU", "LSTMCell", "GRUCell"), _GATED),
    **dict.fromkeys(("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "layer_norm",
                     "group_norm", "instance_norm", "RMSNorm", "rms_norm"), _NORMS),
    **dict.fromkeys(("ReflectionPad1d", "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d",
                     "CircularPad1d", "CircularPad2d"),
                    "neurons beyond the edge send nothing; train with zero padding"),
    **dict.fromkeys(("floor", "round"), _QUANTISER),
    **dict.fromkeys(("matmul", "bmm", "scaled_dot_product_attention", "MultiheadAttention"),
                    "the product of two values needs a multiplier, which the lanes don't have"),
    **dict.fromkeys(("ELU", "SELU", "CELU", "elu", "selu", "celu"),
                    "use ReLU, LeakyReLU, SiLU or GELU, and train a little further")}
