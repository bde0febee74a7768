"""Operators without weights: activations, sums, and what only moves values."""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .builder import Builder, Constant, Node, Value
from .layers import absorbed

__all__ = ["OPERATORS"]

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv}

_SWAPPED = "must have the network's value first, and the constant second"


def _module(make: Callable[[Builder, Node], nn.Module], positive: bool = False
            ) -> Callable[[Builder, Node], None]:
    """An operator that is a module."""
    def applied(b: Builder, node: Node) -> None:
        b.call(node, make(b, node), b.value(node.input(0)), positive=positive)
    return applied


def _relu(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    if x.positive:
        return b.same(node, x)
    b.call(node, nn.ReLU(), b.value(node.input(0)), positive=True)


def _clip(b: Builder, node: Node) -> None:
    low, high = (b.number(node.input(k)) if node.input(k) else node.get(name, otherwise)
                 for k, name, otherwise in ((1, "min", -math.inf), (2, "max", math.inf)))
    x = b.value(node.input(0))
    if low == 0 and high >= np.finfo(np.float32).max:
        return b.call(node, nn.ReLU(), x, positive=True)
    if not low < high:
        b.refuse(f"must clip at two different numbers, not at {low:g} and {high:g}")
    b.call(node, nn.Hardtanh(low, high), x, positive=low >= 0)


def _hard_sigmoid(b: Builder, node: Node) -> nn.Module:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        b.refuse(f"must have alpha=1/6 and beta=1/2, as PyTorch's Hardsigmoid, not {alpha:g} and "
                 f"{beta:g}")
    return nn.Hardsigmoid()


def _prelu(b: Builder, node: Node) -> nn.Module:
    slope = b.constant(node.input(1)).numbers
    module = nn.PReLU(slope.size)
    if slope.size not in (1, b.value(node.input(0)).shape[1]):
        b.refuse(f"must have one slope for each channel, or one for all, not {slope.shape}")
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.array(slope.reshape(-1), np.float32)))
    return module


def _arithmetic(b: Builder, node: Node) -> None:
    first, second = node.input(0), node.input(1)
    if first in b.constants and node.op in ("Add", "Mul"):
        first, second = second, first
    if first in b.constants:
        b.refuse(_SWAPPED)
    if second not in b.constants:
        both = b.value(first), b.value(second)
        positive = node.op != "Sub" and all(x.positive for x in both)
        return b.function(node, _ARITHMETIC[node.op], *both, positive=positive)
    x, numbers = b.value(first), b.constant(second).numbers
    if node.op == "Div" and not numbers.all():
        b.refuse("divides by 0")
    gain = node.op in ("Mul", "Div")
    with np.errstate(all="ignore"):
        change = {"Sub": np.negative, "Div": np.reciprocal}.get(node.op, np.asarray)(
            numbers.astype(np.float64))
    if b.once(first) and absorbed(b, node, x, change, gain=gain):
        return None
    positive = x.positive and bool((change >= 0).all())
    b.function(node, _ARITHMETIC[node.op], x, numbers, positive=positive)


def _sum(b: Builder, node: Node) -> None:
    if len(node.inputs) == 1:
        return b.same(node, b.value(node.input(0)))
    x = b.value(node.input(0))
    for name in node.inputs[1:]:
        b.function(node, operator.add, x, b.value(name))
        x = b.values[node.outputs[0]]


def _same(b: Builder, node: Node) -> None:
    b.same(node, b.pending(node.input(0)))


def _cast(b: Builder, node: Node) -> None:
    if node.get("to") not in (1, 10, 11):
        b.refuse("must be to real numbers; quantise with Quant, or QuantizeLinear and "
                 "DequantizeLinear")
    _same(b, node)


def _flatten(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    if node.get("axis", 1) not in (1, 1 - len(x.shape)):
        b.refuse("axis must be 1: keep the samples, and flatten the rest")
    _flat(b, node, x)


def _flat(b: Builder, node: Node, x: Value) -> None:
    if len(x.shape) == 2:
        return b.same(node, x)
    b.call(node, nn.Flatten(), x, **x.passed)


def _reshape(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    sizes = b.numbers(node, 1, "shape", [])
    if sizes and not node.get("allowzero", 0):
        sizes = [size or (x.shape[k] if k < len(x.shape) else 0) for k, size in enumerate(sizes)]
    rest = math.prod(x.shape[1:])
    if len(sizes) == 2 and (sizes[0] in (-1, x.shape[0]) and sizes[1] in (-1, rest)):
        return _flat(b, node, x)
    if sizes[1:] == list(x.shape[1:]):
        return b.same(node, x)
    if not sizes or sizes[0] not in (-1, x.shape[0]):
        b.refuse(f"must keep the samples, which come first, not make {sizes} of {x.shape}")
    known = math.prod(size for size in sizes[1:] if size != -1)
    sizes = [rest // known if size == -1 and known > 0 else size for size in sizes[1:]]
    b.function(node, "reshape", x, (-1, *sizes), positive=x.positive, gain=x.gain)


def _transpose(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    order = tuple(node.get("perm", range(len(x.shape) - 1, -1, -1)))
    if order == tuple(range(len(x.shape))):
        return b.same(node, x)
    b.function(node, torch.permute, x, order, **x.passed)


def _squeezed(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    axes = sorted(axis % len(x.shape) for axis in b.numbers(node, 1, "axes", [
        axis for axis, size in enumerate(x.shape) if axis and size == 1]))
    if 0 in axes or any(axis >= len(x.shape) or x.shape[axis] != 1 for axis in axes):
        b.refuse(f"can't leave out the axes {axes} of {x.shape}")
    kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
    _moved(b, node, x, kept)


def _unsqueezed(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    axes = b.numbers(node, 1, "axes", [])
    rank = len(x.shape) + len(axes)
    sizes, rest = [], iter(x.shape)
    places = {axis % rank for axis in axes}
    for axis in range(rank):
        sizes.append(1 if axis in places else next(rest))
    _moved(b, node, x, sizes)


def _moved(b: Builder, node: Node, x: Value, sizes: list[int]) -> None:
    if len(sizes) == 2:
        return _flat(b, node, x)
    b.function(node, "reshape", x, (-1, *sizes[1:]), positive=x.positive, gain=x.gain)


def _concat(b: Builder, node: Node) -> None:
    values = [b.value(name) for name in node.inputs]
    axis = int(node.get("axis", 1)) % len(values[0].shape)
    if axis == 0 or any(value.shape[:axis] + value.shape[axis + 1:] != values[0].shape[:axis] +
                        values[0].shape[axis + 1:] for value in values):
        b.refuse(f"can't join {', '.join(str(value.shape) for value in values)} along axis {axis}")
    b.joined(node, values, axis, positive=all(value.positive for value in values))


def _pad(b: Builder, node: Node) -> None:
    x = b.value(node.input(0))
    pads = b.numbers(node, 1, "pads", [])
    value = b.number(node.input(2)) if node.input(2) else node.get("value", 0.0)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(
        node.get("mode", "constant"))
    rank = len(x.shape)
    if mode is None or node.input(3) or len(pads) != 2 * rank or any(pads[:2] + pads[rank:][:2]):
        b.refuse(f"must pad the last axes alone, with a constant, reflected or the edge, not by "
                 f"{pads}")
    sides = [int(side) for axis in reversed(range(2, rank)) for side in (
        pads[axis], pads[rank + axis])]
    if mode == "constant":
        b.function(node, _padded if value else F.pad, x, sides, *([value] if value else []),
                   positive=x.positive and value >= 0)
    else:
        b.function(node, F.pad, x, sides, mode, positive=x.positive)


def _padded(x: torch.Tensor, sides: list[int], value: float) -> torch.Tensor:
    return F.pad(x, sides, "constant", value)


def _slice(b: Builder, node: Node) -> None:
    x = b.value(node.input(0))
    starts, stops = (b.numbers(node, k, name) for k, name in ((1, "starts"), (2, "ends")))
    axes = b.numbers(node, 3, "axes") or list(range(len(starts)))
    steps = b.numbers(node, 4, "steps") or [1] * len(starts)
    chosen = [slice(None)] * len(x.shape)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        if axis % len(x.shape) == 0 or step < 1:
            b.refuse("must keep all samples, and go forward")
        low, high, step = slice(start, stop, step).indices(x.shape[axis])
        chosen[axis] = slice(low, None if high == x.shape[axis] else high,
                             None if step == 1 else step)
    b.function(node, operator.getitem, x, tuple(chosen), positive=x.positive)


def _split(b: Builder, node: Node) -> None:
    x = b.value(node.input(0))
    axis = int(node.get("axis", 0)) % len(x.shape)
    parts = len(node.outputs)
    even = -(-x.shape[axis] // parts)
    sizes = b.numbers(node, 1, "split") or [min(even, x.shape[axis] - k * even)
                                            for k in range(parts)]
    if axis == 0 or sum(sizes) != x.shape[axis] or len(sizes) != parts or min(sizes) < 1:
        b.refuse(f"can't split axis {axis} of {x.shape} into {sizes}")
    first = 0
    for k, size in enumerate(sizes):
        end = first + size
        chosen = [slice(None)] * axis + [slice(first, None if end == x.shape[axis] else end)]
        b.function(node, operator.getitem, x, tuple(chosen), output=k, positive=x.positive)
        first = end


def _reduce_mean(b: Builder, node: Node) -> None:
    x = b.pending(node.input(0))
    axes = b.numbers(node, 1, "axes", list(range(1, len(x.shape))))
    axes = sorted(axis % len(x.shape) for axis in axes)
    if not axes or 0 in axes:
        b.refuse("must keep the samples, and take the mean over other axes")
    b.function(node, torch.mean, x, axes, bool(node.get("keepdims", 1)), positive=x.positive,
               gain=x.gain)


def _resize(b: Builder, node: Node) -> None:
    x = b.value(node.input(0))
    scales = b.numbers(node, 1 if node.op == "Upsample" else 2, "scales", [])
    if name := node.input(3):
        scales = [size / own for size, own in zip(b.constant(name).numbers.tolist(), x.shape,
                                                  strict=True)]
    whole = [round(scale) for scale in scales]
    if (node.get("mode", "nearest") != "nearest" or whole[:2] != [1, 1] or min(whole) < 1
            or len(whole) != len(x.shape) or len(x.shape) < 3
            or any(abs(a - s) > 1e-6 for a, s in zip(whole, scales, strict=True))):
        b.refuse(f"must repeat values a whole number of times (mode='nearest'), not scale by "
                 f"{[round(scale, 4) for scale in scales]}")
    factors = [float(scale) for scale in whole[2:]]
    b.call(node, nn.Upsample(scale_factor=tuple(factors), mode="nearest"), x, positive=x.positive)


def _shape(b: Builder, node: Node) -> None:
    """The samples' number stays open: -1."""
    shape = b.pending(node.input(0)).shape
    chosen = slice(node.get("start", 0), node.get("end"))
    b.constants[node.outputs[0]] = Constant(np.array((-1, *shape[1:]), np.int64)[chosen])


OPERATORS: dict[str, Callable[[Builder, Node], None]] = {
    "Relu": _relu, "Clip": _clip, "HardSigmoid": _module(_hard_sigmoid, True),
    "LeakyRelu": _module(lambda b, node: nn.LeakyReLU(node.get("alpha", 0.01))),
    "PRelu": _module(_prelu), "Sigmoid": _module(lambda b, node: nn.Sigmoid(), True),
    "Tanh": _module(lambda b, node: nn.Tanh()),
    "Softmax": _module(lambda b, node: nn.Softmax(int(node.get("axis", -1))), True),
    "LogSoftmax": _module(lambda b, node: nn.LogSoftmax(int(node.get("axis", -1)))),
    "Add": _arithmetic, "Sub": _arithmetic, "Mul": _arithmetic, "Div": _arithmetic, "Sum": _sum,
    "Identity": _same, "Dropout": _same, "Cast": _cast, "Flatten": _flatten, "Reshape": _reshape,
    "Transpose": _transpose, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed, "Concat": _concat,
    "Pad": _pad, "Slice": _slice, "Split": _split, "ReduceMean": _reduce_mean, "Resize": _resize,
    "Upsample": _resize, "Shape": _shape,
}
"""Operator -> what it does with the builder."""
