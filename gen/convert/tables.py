"""The operator of each module, function and method of PyTorch, by the name of the method of
:class:`gen.convert.operators.Operators` that applies it."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from .qcfs import ClipQuan, Qcfs
from .recurrent import Recurrent
from .values import Constant

__all__ = ["FUNCTIONS", "HINTS", "METHODS", "SUPPORTED", "layer_of", "operator_of"]

_T = TypeVar("_T")

_LAYERS: dict[type[nn.Module], str] = {
    nn.Conv1d: "_conv", nn.Conv2d: "_conv", nn.ConvTranspose1d: "_conv_transpose",
    nn.ConvTranspose2d: "_conv_transpose", nn.Linear: "_dense", nn.RNN: "_rnn",
    nn.RNNCell: "_cell", Recurrent: "_recurrent", nn.BatchNorm1d: "_batch_norm",
    nn.BatchNorm2d: "_batch_norm", nn.SyncBatchNorm: "_batch_norm", nn.AvgPool1d: "_avg_pool",
    nn.AvgPool2d: "_avg_pool", nn.MaxPool1d: "_max_pool", nn.MaxPool2d: "_max_pool",
    nn.AdaptiveAvgPool1d: "_adaptive_pool", nn.AdaptiveAvgPool2d: "_adaptive_pool",
    nn.AdaptiveMaxPool1d: "_adaptive_max_pool", nn.AdaptiveMaxPool2d: "_adaptive_max_pool",
    nn.ZeroPad1d: "_pad_module", nn.ZeroPad2d: "_pad_module", nn.ConstantPad1d: "_pad_module",
    nn.ConstantPad2d: "_pad_module", Qcfs: "_qcfs", ClipQuan: "_clip_quan",
}
"""Operators of the module, its path and a value."""


def _nothing(module: nn.Module) -> tuple[object, ...]:
    return ()


_VALUES: dict[type[nn.Module], tuple[str, Callable[[Any], tuple[object, ...]]]] = {
    nn.ReLU: ("_relu", _nothing), nn.ReLU6: ("_relu6", _nothing),
    nn.Hardtanh: ("_hardtanh", lambda m: (m.min_val, m.max_val)),
    nn.LeakyReLU: ("_leaky", lambda m: (m.negative_slope,)),
    nn.PReLU: ("_prelu", lambda m: (Constant("weight", m.weight.detach()),)),
    nn.GELU: ("_gelu", lambda m: (m.approximate,)),
    nn.Softplus: ("_softplus", lambda m: (m.beta, m.threshold)),
    nn.Tanh: ("_tanh", _nothing), nn.Sigmoid: ("_sigmoid", _nothing), nn.SiLU: ("_silu", _nothing),
    nn.Hardswish: ("_hardswish", _nothing), nn.Hardsigmoid: ("_hardsigmoid", _nothing),
    nn.Mish: ("_mish", _nothing), nn.Identity: ("_same", _nothing),
    nn.Dropout: ("_same", _nothing), nn.Dropout1d: ("_same", _nothing),
    nn.Dropout2d: ("_same", _nothing), nn.Dropout3d: ("_same", _nothing),
    nn.AlphaDropout: ("_same", _nothing), nn.FeatureAlphaDropout: ("_same", _nothing),
    nn.Flatten: ("_flatten", lambda m: (m.start_dim, m.end_dim)),
    nn.Unflatten: ("_unflatten", lambda m: (m.dim, m.unflattened_size)),
    nn.Upsample: ("_upsample", lambda m: (m.size, m.scale_factor, m.mode)),
    nn.PixelShuffle: ("_pixel_shuffle", lambda m: (m.upscale_factor,)),
    nn.ChannelShuffle: ("_channel_shuffle", lambda m: (m.groups,)),
}
"""Operators of a value and of what the module says."""


def layer_of(module: nn.Module) -> str | None:
    """The operator of a module that takes the module, its path and a value."""
    return _first(_LAYERS, module)


def operator_of(module: nn.Module) -> tuple[str, tuple[object, ...]] | None:
    """The operator of another module, which takes a value, and its further arguments."""
    found = _first(_VALUES, module)
    return None if found is None else (found[0], found[1](module))


def _first(table: Mapping[type[nn.Module], _T], module: nn.Module) -> _T | None:
    return next((entry for kind, entry in table.items() if isinstance(module, kind)), None)


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
HINTS = {
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


_UNSAID = {"_same", "_to", "_getattr", "_len", "_size_of", "_dropout", "_pad_module"}
"""Operators that nobody looks for."""


def _said() -> str:
    """What there are operators for, in words."""
    modules: dict[str, list[str]] = {}
    for kind in sorted(kind.__name__ for kind in (*_LAYERS, *_VALUES)):
        stem = re.sub(r"\dd$", "", kind)
        modules.setdefault(stem, []).append(kind.removeprefix(stem))
    named = [stem + "/".join(filter(None, axes)) for stem, axes in modules.items()]
    theirs = {*_LAYERS.values(), *(name for name, _ in _VALUES.values()), *_UNSAID}
    others = sorted({name.strip("_") for name in (*FUNCTIONS.values(), *METHODS.values())
                     if name not in theirs and not name.startswith("_f_")})
    return (f"supported are {', '.join(named)}, their functions, and the functions "
            f"{', '.join(others)}")


SUPPORTED = _said()
"""What there are operators for."""
