"""Operators whose inputs are all constants, such as the transposition of weights, or what a
``view`` needs to know about a shape."""

import math
from collections.abc import Callable

import numpy as np

from gen.ir.artifact import MAX_WEIGHTS

from .builder import Builder, Constant, Node

__all__ = ["folded"]

_MOVES: dict[str, Callable[[np.ndarray, "Node", Builder], np.ndarray]] = {}
_ARITHMETIC: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def folded(b: Builder, node: Node) -> Constant | None:
    """The result of an operator on constants, or None if there is no such operator."""
    given = [b.constants[name] for name in node.inputs if name]
    if node.op == "Constant":
        return _constant(b, node)
    if node.op in _ARITHMETIC and len(given) == 2:
        return _computed(b, node, given[0].numbers, given[1].numbers)
    if node.op == "Concat":
        axis = int(node.get("axis", 0))
        return Constant(np.concatenate([part.numbers for part in given], axis))
    if node.op not in _MOVES or not given:
        return None
    move, (x, *_) = _MOVES[node.op], given
    unit = None if x.unit is None else move(x.unit, node, b)
    return Constant(move(x.numbers, node, b), unit, x.name)


def _constant(b: Builder, node: Node) -> Constant:
    for name in "value", "value_float", "value_int", "value_floats", "value_ints":
        value = node.get(name)
        if value is not None:
            return Constant(np.asarray(value))
    b.refuse("must be a tensor of numbers")


def _computed(b: Builder, node: Node, x: np.ndarray, y: np.ndarray) -> Constant:
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        b.refuse(f"its inputs have the shapes {x.shape} and {y.shape}, which don't fit")
    if math.prod(shape) > MAX_WEIGHTS:
        b.refuse(f"its result has the shape {shape}, more than {MAX_WEIGHTS:,} numbers")
    if node.op == "Div" and not y.all():
        b.refuse("divides by 0")
    if node.op == "Div" and x.dtype.kind in "iu":
        return Constant((x // y).astype(x.dtype))
    return Constant(_ARITHMETIC[node.op](x, y))


def _cast(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    kind = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}.get(
        node.get("to"))
    return x if kind is None else x.astype(kind)


def _transpose(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    return np.transpose(x, node.get("perm"))


def _reshape(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    sizes = b.constant(node.input(1)).numbers.reshape(-1).tolist()
    return x.reshape([size or x.shape[k] for k, size in enumerate(sizes)])


def _squeeze(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    axes = b.numbers(node, 1, "axes")
    return np.squeeze(x, None if axes is None else tuple(axes))


def _unsqueeze(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    return np.expand_dims(x, tuple(b.numbers(node, 1, "axes", [0])))


def _gather(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    return np.take(x, b.constant(node.input(1)).numbers.astype(np.int64), int(node.get("axis", 0)))


def _slice(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    starts, stops = (b.numbers(node, k, name) for k, name in ((1, "starts"), (2, "ends")))
    axes = b.numbers(node, 3, "axes") or range(len(starts))
    steps = b.numbers(node, 4, "steps") or [1] * len(starts)
    chosen = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        chosen[axis] = slice(start, stop, step)
    return x[tuple(chosen)]


def _filled(x: np.ndarray, node: Node, b: Builder) -> np.ndarray:
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).reshape(-1)[:1]
    if math.prod(x.tolist()) > MAX_WEIGHTS or min(x, default=0) < 0:
        b.refuse(f"its result has the shape {x.tolist()}; {MAX_WEIGHTS:,} numbers are the most")
    return np.full(x.tolist(), value[0])


_MOVES |= {
    "Cast": _cast, "ConstantOfShape": _filled,
    "Transpose": _transpose, "Reshape": _reshape, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Gather": _gather, "Slice": _slice, "Identity": lambda x, *_: x,
}
