"""Quantisers: QONNX' Quant and BipolarQuant, and ONNX' QuantizeLinear and DequantizeLinear."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from gen.convert.uniform import Uniform

from .builder import Builder, Constant, Node, Value

__all__ = ["QUANTISERS", "Range", "rounded"]

log = logging.getLogger(__name__)

_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ROUND": np.round, "HALF_EVEN": np.round, "CEIL": np.ceil, "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)), "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5)}
"""The roundings of QONNX, by their names in the files."""

_KINDS = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
"""Kinds of integers of QuantizeLinear, and the least and the greatest."""


@dataclass(frozen=True)
class Range:
    """The integers of a quantiser.

    Members
    -------
    least, most : of the integers
    rounding : one of QONNX' names
    """

    least: int
    most: int
    rounding: str = "ROUND"

    @classmethod
    def of_bits(cls, bits: float, signed: bool, narrow: bool, rounding: str) -> "Range":
        """That of a QONNX Quant."""
        if signed:
            most = 2 ** (int(bits) - 1) - 1
            return cls(-most - (not narrow), most, rounding)
        return cls(0, 2 ** int(bits) - 1 - narrow, rounding)


def rounded(x: np.ndarray, scale: np.ndarray, zero: np.ndarray, of: Range) -> np.ndarray:
    """The integers of a quantiser, less its zero point, as QONNX has it."""
    with np.errstate(all="ignore"):
        counts = (x / scale + zero).clip(of.least, of.most)
    return _ROUNDINGS[of.rounding](counts) - zero


def _quant(b: Builder, node: Node) -> None:
    bits = b.number(node.input(3))
    if bits != int(bits) or not 1 <= bits <= 32:
        b.refuse(f"must have 1 to 32 bits, not {bits:g}")
    rounding = str(node.get("rounding_mode", "ROUND")).upper()
    if rounding not in _ROUNDINGS:
        b.refuse(f"rounding_mode {rounding!r} is not known")
    signed = bool(node.get("signed", 1))
    if signed and bits == 1:
        return _bipolar(b, node)
    of = Range.of_bits(bits, signed, bool(node.get("narrow", 0)), rounding)
    _quantised(b, node, of, *(b.constant(node.input(k)).numbers for k in (1, 2)))


def _quantised(b: Builder, node: Node, of: Range, scale: np.ndarray, zero: np.ndarray) -> None:
    if not (np.isfinite(scale).all() and (scale > 0).all() and (zero == zero.round()).all()):
        b.refuse("its scales must be positive numbers, and its zero points whole ones")
    if node.input(0) in b.constants:
        held = b.constant(node.input(0))
        counts = rounded(held.numbers, scale, zero, of)
        b.constants[node.outputs[0]] = Constant(
            counts * scale, np.broadcast_to(scale, counts.shape), held.name)
        return
    if scale.size != 1 or zero.size != 1:
        b.refuse(f"an activation must have one scale and one zero point, not {scale.shape} and "
                 f"{zero.shape}")
    x = b.pending(node.input(0))
    _applied(b, node, x, _uniform(b, x, of, float(scale.reshape(())), int(zero.reshape(()))))


def _uniform(b: Builder, x: Value, of: Range, step: float, zero: int) -> Uniform:
    """The quantiser of an activation."""
    least, most, rounding = of.least - zero, of.most - zero, of.rounding
    if x.positive and least <= 0:
        least, rounding = 0, {"UP": "CEIL", "DOWN": "FLOOR"}.get(rounding, rounding)
    if rounding not in ("ROUND", "HALF_EVEN", "HALF_UP", "FLOOR"):
        b.refuse(f"rounding_mode {rounding!r} is not that of a neuron, which rounds to the nearest "
                 f"count or down; use ROUND or FLOOR")
    if most < 1 or most > 65535 or least not in (0, -most):
        b.refuse(f"its counts are {least} to {most}; they must begin with 0, or with the opposite "
                 f"of the last (narrow=1), and end with 1 to 65535")
    if least and rounding == "FLOOR":
        b.refuse("counts with a sign must be rounded to the nearest (ROUND)")
    return Uniform(step, most, symmetric=least < 0, floor=rounding == "FLOOR",
                   even=rounding in ("ROUND", "HALF_EVEN"))


def _applied(b: Builder, node: Node, x: Value, quantiser: Uniform) -> None:
    if _has_passed(x, quantiser):
        return b.same(node, x)
    if x.node is b.input.node and x.gain == 1 and not (quantiser.floor or b.scaled):
        if fits := _fitting(quantiser, b.input_levels):
            return b.same(node, Value(x.node, x.shape, positive=True, grid=quantiser, gain=fits))
        _advise(b, quantiser)
    x = b.value(node.input(0))
    if isinstance(x.module, nn.ReLU) and b.once(node.input(0)):
        x = b.without(x)
    b.call(node, quantiser, x, positive=not quantiser.symmetric, grid=quantiser)


def _has_passed(x: Value, quantiser: Uniform) -> bool:
    """Whether values are such as the quantiser leaves as they are."""
    before = x.grid
    return before is not None and before.step == quantiser.step and (
        before.levels <= quantiser.levels) and (x.positive or quantiser.symmetric)


def _fitting(quantiser: Uniform, input_levels: int) -> float | None:
    """The gain that makes the input what the quantiser makes of it, if each count of a pixel is its
    count, or the same multiple of it."""
    counts = np.arange(input_levels + 1)
    own = (counts / input_levels / quantiser.step).clip(0, quantiser.levels).round()
    whole = own[1] > 0 and (own == own[1] * counts).all()
    return float(quantiser.step * own[1] * input_levels) if whole else None


def _advise(b: Builder, quantiser: Uniform) -> None:
    """Say what would save the layer that quantises the input."""
    levels = next((n for n in range(min(quantiser.levels, 255), 0, -1) if _fitting(quantiser, n)
                   and n > quantiser.levels // 2), None)
    if levels:
        log.info("%s: is a layer of its own; with --input-levels %d the input's Quant takes no "
                 "layer", b.where, levels)


def _bipolar(b: Builder, node: Node) -> None:
    if node.input(0) not in b.constants:
        b.refuse("an activation of two values, one of them negative, is no spike count; use a "
                 "Quant with 2 bits and narrow=1, or one without a sign")
    held, scale = b.constant(node.input(0)), b.constant(node.input(1)).numbers
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        b.refuse("its scales must be positive numbers")
    signs = np.where(held.numbers >= 0, 1, -1).astype(np.float32)
    b.constants[node.outputs[0]] = Constant(
        signs * scale, np.broadcast_to(scale, signs.shape), held.name)


def _linear_parameters(b: Builder, node: Node, rank: int) -> tuple[np.ndarray, Any]:
    """The scale, as it is broadcast, and the zero point or None."""
    scale = b.constant(node.input(1)).numbers
    zero = b.constant(node.input(2)).numbers if node.input(2) else None
    if node.get("block_size", 0):
        b.refuse("blocks are not supported; quantise by tensor or by channel")
    if scale.size == 1:
        return scale.reshape(()), None if zero is None else zero.reshape(())
    axis = int(node.get("axis", 1)) % max(rank, 1)
    shape = [-1 if k == axis else 1 for k in range(rank)]
    return scale.reshape(shape), None if zero is None else zero.reshape(shape)


def _quantize_linear(b: Builder, node: Node) -> None:
    """Only what DequantizeLinear takes back is read, with it."""
    rank = len(b.values[node.input(0)].shape) if node.input(0) in b.values else (
        b.constant(node.input(0)).numbers.ndim)
    scale, zero = _linear_parameters(b, node, rank)
    kind = "uint8" if zero is None else zero.dtype.name
    if kind not in _KINDS:
        b.refuse(f"must be to {', '.join(_KINDS)}, not {kind}")
    _quantised(b, node, Range(*_KINDS[kind]), scale, np.zeros(()) if zero is None else
               zero.astype(np.float64))


def _dequantize_linear(b: Builder, node: Node) -> None:
    name = node.input(0)
    if name in b.values:
        grid = b.values[name].grid
        scale, _ = _linear_parameters(b, node, len(b.values[name].shape))
        if grid is None or float(scale.reshape(-1)[0]) != grid.step or scale.size != 1:
            b.refuse("must take back the QuantizeLinear before it, with the same scale")
        return b.same(node, b.values[name])
    held = b.constant(name)
    scale, zero = _linear_parameters(b, node, held.numbers.ndim)
    if held.unit is not None:
        b.constants[node.outputs[0]] = held
        return None
    counts = held.numbers.astype(np.float64) - (0 if zero is None else zero.astype(np.float64))
    numbers = (counts * scale).astype(np.float32)
    b.constants[node.outputs[0]] = Constant(
        numbers, np.broadcast_to(scale, numbers.shape), held.name)


QUANTISERS: dict[str, Callable[[Builder, Node], None]] = {
    "Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar,
    "QuantizeLinear": _quantize_linear, "DequantizeLinear": _dequantize_linear,
}
"""Operator -> what it does with the builder."""
