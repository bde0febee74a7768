"""Operators with weights, and poolings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.uniform import mark, unit_of

from .builder import Builder, Constant, Node, Value

__all__ = ["LAYERS", "absorbed"]

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d}
_TRANSPOSED = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d}
_MAX_POOLS = {3: nn.MaxPool1d, 4: nn.MaxPool2d}
_AVG_POOLS = {3: nn.AvgPool1d, 4: nn.AvgPool2d}
_GLOBAL_POOLS = {3: nn.AdaptiveAvgPool1d, 4: nn.AdaptiveAvgPool2d}
_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def _of_rank(b: Builder, kinds: dict[int, Any], x: Value) -> Any:
    if len(x.shape) not in kinds:
        b.refuse(f"needs an input of {' or '.join(str(rank) for rank in kinds)} axes, with that of "
                 f"the samples, not of the shape {x.shape}")
    return kinds[len(x.shape)]


def _filled(module: nn.Module, **tensors: np.ndarray | None) -> Any:
    """The module with numbers of the file as its parameters."""
    with torch.no_grad():
        for name, numbers in tensors.items():
            if numbers is not None:
                getattr(module, name).copy_(torch.from_numpy(np.array(numbers, np.float32)))
    return module


def _weighted(b: Builder, node: Node, module: Any, x: Value, weight: Constant,
              bias: np.ndarray | None, channels_first: bool = True) -> None:
    """Finish a layer: with weights as the module has them, and their unit if they are whole."""
    if tuple(module.weight.shape) != weight.numbers.shape or (
            bias is not None and bias.size != module.bias.numel()):
        b.refuse(f"its weights {weight.numbers.shape} and biases "
                 f"{None if bias is None else bias.shape} don't fit its input of {x.shape}")
    numbers = weight.numbers if x.gain == 1 else weight.numbers.astype(np.float64) * x.gain
    _filled(module, weight=numbers, bias=None if bias is None else bias.reshape(-1))
    if weight.unit is not None and channels_first:
        units = weight.unit.reshape(len(weight.unit), -1).astype(np.float64)
        if (units == units[:, :1]).all():
            mark(module, torch.from_numpy(units[:, 0] * x.gain))
    b.call(node, module, x)


def _bias(b: Builder, node: Node, position: int) -> np.ndarray | None:
    name = node.input(position)
    return b.constant(name).numbers if name else None


def _window(b: Builder, node: Node, x: Value, kernel: Sequence[int]
            ) -> tuple[list[int], list[int], list[int], list[int]]:
    """Strides, dilations, and the padding before and after each axis."""
    axes = len(kernel)
    strides = list(node.get("strides", [1] * axes))
    dilations = list(node.get("dilations", [1] * axes))
    pads = list(node.get("pads", [0] * 2 * axes))
    before, after = pads[:axes], pads[axes:]
    match node.get("auto_pad", "NOTSET"):
        case "NOTSET" | "VALID":
            pass
        case "SAME_UPPER" | "SAME_LOWER" as side:
            totals = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in zip(
                x.shape[2:], kernel, strides, dilations, strict=True)]
            less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
            before, after = (less, more) if side == "SAME_UPPER" else (more, less)
        case other:
            b.refuse(f"auto_pad {other!r} is not known; give pads")
    if any(len(numbers) != axes for numbers in (strides, dilations, before, after)):
        b.refuse(f"strides, dilations and pads must fit a kernel of {tuple(kernel)}")
    return strides, dilations, before, after


def _padded(b: Builder, node: Node, x: Value, before: Sequence[int], after: Sequence[int],
            ) -> tuple[Value, list[int]]:
    """The value with zeros around it, if the sides differ, and the padding that is left."""
    if list(before) == list(after):
        return x, list(before)
    sides = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    b.function(node, F.pad, x, sides, positive=x.positive)
    return b.values[node.outputs[0]], [0] * len(before)


def _conv(b: Builder, node: Node) -> None:
    x, weight = b.pending(node.input(0)), b.constant(node.input(1))
    kind = _of_rank(b, _CONVOLUTIONS, x)
    shape, kernel = weight.numbers.shape, weight.numbers.shape[2:]
    if len(shape) != len(x.shape):
        b.refuse(f"its weights {shape} don't fit its input of {x.shape}")
    strides, dilations, before, after = _window(b, node, x, kernel)
    gain = x.gain
    x, padding = _padded(b, node, x, before, after)
    bias, groups = _bias(b, node, 2), int(node.get("group", 1))
    if groups < 1 or shape[0] % groups or x.shape[1] != shape[1] * groups:
        b.refuse(f"its weights {shape} in {groups} groups don't fit its input of {x.shape}")
    module = kind(x.shape[1], shape[0], kernel, strides, padding, dilations, groups,
                  bias is not None)
    _weighted(b, node, module, _gained(x, gain), weight, bias)


def _gained(x: Value, gain: float) -> Value:
    return Value(x.node, x.shape, gain=gain)


def _conv_transpose(b: Builder, node: Node) -> None:
    x, weight = b.value(node.input(0)), b.constant(node.input(1))
    kind = _of_rank(b, _TRANSPOSED, x)
    shape, groups = weight.numbers.shape, int(node.get("group", 1))
    kernel = shape[2:]
    strides, dilations, before, after = _window(b, node, x, kernel)
    extra = list(node.get("output_padding", [0] * len(kernel)))
    if before != after or node.get("auto_pad", "NOTSET") != "NOTSET" or node.get("output_shape"):
        b.refuse("must have the same pads on both sides; export it with pads and output_padding")
    if groups < 1 or x.shape[1] != shape[0]:
        b.refuse(f"its weights {shape} in {groups} groups don't fit its input of {x.shape}")
    bias = _bias(b, node, 2)
    module = kind(shape[0], shape[1] * groups, kernel, strides, before, extra, groups,
                  bias is not None, dilations)
    # Its output channels come second, so a unit for each of them does not fit `mark`.
    _weighted(b, node, module, x, weight, bias, channels_first=False)


def _gemm(b: Builder, node: Node) -> None:
    x, weight = b.pending(node.input(0)), b.constant(node.input(1))
    if node.get("transA", 0):
        b.refuse("transA must be 0: its input has the samples first")
    if not node.get("transB", 0):
        weight = _turned(b, weight)
    alpha, beta = np.float32(node.get("alpha", 1.0)), np.float32(node.get("beta", 1.0))
    if alpha != 1:
        unit = None if weight.unit is None else weight.unit * abs(alpha)
        weight = replace(weight, numbers=weight.numbers * alpha, unit=unit)
    bias = _bias(b, node, 2)
    if bias is not None:
        bias = beta * np.broadcast_to(bias.reshape(-1), (len(weight.numbers),)) if bias.size in (
            1, len(weight.numbers)) else b.refuse(f"its biases {bias.shape} must be one for each "
                                                  f"output")
    _linear(b, node, x, weight, bias)


def _matmul(b: Builder, node: Node) -> None:
    _linear(b, node, b.pending(node.input(0)), _turned(b, b.constant(node.input(1))), None)


def _turned(b: Builder, weight: Constant) -> Constant:
    if weight.numbers.ndim != 2:
        b.refuse(f"its weights must have two axes, not the shape {weight.numbers.shape}")
    return replace(weight, numbers=weight.numbers.T,
                   unit=None if weight.unit is None else weight.unit.T)


def _linear(b: Builder, node: Node, x: Value, weight: Constant, bias: np.ndarray | None) -> None:
    if weight.numbers.ndim != 2 or x.shape[-1] != weight.numbers.shape[1]:
        b.refuse(f"its weights {weight.numbers.shape} don't fit its input of {x.shape}")
    module = nn.Linear(weight.numbers.shape[1], weight.numbers.shape[0], bias is not None)
    _weighted(b, node, module, x, weight, bias)


def absorbed(b: Builder, node: Node, x: Value, numbers: np.ndarray, *, gain: bool) -> bool:
    """Make a constant part of the layer before it, if there is one that nothing else uses.

    Parameters
    ----------
    x : the layer's result
    numbers : one for each channel, or one for all
    gain : whether they are factors, and not summands

    Returns
    -------
    Whether it could be.
    """
    module = x.module
    if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
        return False
    axis = len(x.shape) - 1 if isinstance(module, nn.Linear) else 1
    if numbers.size != 1 and (numbers.ndim > len(x.shape) or
                              numbers.ndim < len(x.shape) - axis or
                              numbers.size != numbers.shape[axis - len(x.shape)] or
                              numbers.size != x.shape[axis]):
        return False
    each = torch.from_numpy(np.array(numbers, np.float64)).reshape(-1).expand(len(module.weight))
    if module.bias is None:
        module.bias = nn.Parameter(torch.zeros(len(module.weight)))
    with torch.no_grad():
        if not gain:
            module.bias.copy_(module.bias.double() + each)
        else:
            module.bias.copy_(module.bias.double() * each)
            module.weight.copy_(module.weight.double() * each.reshape(
                -1, *[1] * (module.weight.dim() - 1)))
            if (unit := unit_of(module)) is not None:
                mark(module, unit * torch.where(each == 0, 1.0, each.abs()))
    b.same(node, x)
    return True


def _batch_norm(b: Builder, node: Node) -> None:
    x = b.value(node.input(0))
    kind = _of_rank(b, _NORMS, x)
    if node.get("training_mode", 0) or node.get("spatial", 1) != 1:
        b.refuse("must be in inference mode; export the network in evaluation mode")
    gain, shift, mean, variance = (b.constant(node.input(k)).numbers for k in range(1, 5))
    if any(numbers.shape != (x.shape[1],) for numbers in (gain, shift, mean, variance)):
        b.refuse(f"its parameters must be {x.shape[1]} numbers each, as its input has channels")
    module = kind(x.shape[1], eps=float(node.get("epsilon", 1e-5)))
    _filled(module, weight=gain, bias=shift, running_mean=mean, running_var=variance)
    b.call(node, module, x)


def _max_pool(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    kernel = node.get("kernel_shape", [1] * (len(x.shape) - 2))
    strides, dilations, before, after = _window(b, node, x, kernel)
    if before != after:
        b.refuse(f"must have the same padding on both sides, not {before} and {after}; pad before "
                 f"the pooling")
    if len([name for name in node.outputs if name]) > 1:
        b.refuse("must have one result, not the indices")
    kind = _of_rank(b, _MAX_POOLS, x)
    module = kind(kernel, strides, before, dilations, ceil_mode=bool(node.get("ceil_mode", 0)))
    b.call(node, module, x, **x.passed)


def _avg_pool(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    kernel = node.get("kernel_shape", [1] * (len(x.shape) - 2))
    strides, dilations, before, after = _window(b, node, x, kernel)
    with_pad, gain, positive = bool(node.get("count_include_pad", 0)), x.gain, x.positive
    if set(dilations) != {1} or (before != after and not with_pad):
        b.refuse("must have dilations of 1, and either the same padding on both sides or "
                 "count_include_pad")
    kind = _of_rank(b, _AVG_POOLS, x)
    x, padding = _padded(b, node, x, before, after)
    module = kind(kernel, strides, padding, bool(node.get("ceil_mode", 0)),
                  with_pad or not any(padding))
    b.call(node, module, x, positive=positive, gain=gain)


def _global_pool(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    b.call(node, _of_rank(b, _GLOBAL_POOLS, x)(1), x, positive=x.positive, gain=x.gain)


LAYERS = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul,
    "BatchNormalization": _batch_norm, "MaxPool": _max_pool, "AveragePool": _avg_pool,
    "GlobalAveragePool": _global_pool,
}
"""Operator -> what it does with the builder."""
