"""Checks that a module computes what its file says, by ONNX' own reference implementation.

Both run in float64 on random samples. Then they differ by rounding alone, and a value next to the
border between two counts is not taken for two things.
"""

import copy

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import nn

from gen.convert.usercode import first_line
from gen.errors import ConversionError

from .file import QUANT_DOMAINS
from .quant import Range, rounded

__all__ = ["require_equal"]

_PROBES, _SEED = 2, 0

_RELATIVE = 1e-5
"""Difference, relative to the greatest score, that float32 in the module's parameters explains."""


def require_equal(model: onnx.ModelProto, module: nn.Module, name: str, shape: tuple[int, ...],
                  input_levels: int, path: str, scaled: bool) -> None:
    """Compare a module with its file on random samples of whole input counts.

    Parameters
    ----------
    name, shape : of the graph's input, with the axis of the samples
    input_levels : greatest count of a pixel
    scaled : whether samples may be negative

    Raises
    ------
    ConversionError
        If they differ by more than rounding, or the reference can't run the file.
    """
    rng = np.random.default_rng(_SEED)
    evaluator = _evaluator(model, path)
    module = copy.deepcopy(module).double()
    for probe in range(_PROBES):
        x = rng.integers(0, input_levels + 1, shape) // (probe + 1) / input_levels
        x = 2 * x - 1 if scaled else x
        try:
            with np.errstate(all="ignore"):
                (theirs, *_) = evaluator.run(None, {name: x})
        except Exception as error:
            raise ConversionError(f"{path}: ONNX' own reference can't run it "
                                  f"({first_line(error)}); export it again") from error
        with torch.no_grad():
            ours = module(torch.from_numpy(x)).numpy()
        theirs = np.asarray(theirs)
        reach = max(1e-30, float(np.abs(theirs).max()))
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max() <= _RELATIVE * reach:
            what = (f"the shape {ours.shape}, not {theirs.shape}" if ours.shape != theirs.shape else
                    f"other scores, by up to {np.abs(ours - theirs).max():.3g} of {reach:.3g}")
            raise ConversionError(f"{path}: was not understood: as it is read, it gives {what} of "
                                  f"ONNX' own reference; please report it")


def _evaluator(model: onnx.ModelProto, path: str) -> ReferenceEvaluator:
    try:
        return ReferenceEvaluator(_in_double(model), new_ops=_OWN)
    except Exception as error:
        raise ConversionError(f"{path}: ONNX' own reference can't run it ({first_line(error)}); "
                              f"export it again") from error


def _in_double(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its numbers in float64."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in model.graph.initializer:
        tensor.CopyFrom(_widened(tensor))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attribute.t.CopyFrom(_widened(attribute.t))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == 1:
                attribute.i = onnx.TensorProto.DOUBLE
    return model


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)


def _quant(x: np.ndarray, scale: np.ndarray, zero: np.ndarray, bits: np.ndarray, signed: int,
           narrow: int, rounding_mode: str) -> np.ndarray:
    if signed and bits == 1:
        return _bipolar(x, scale)
    of = Range.of_bits(float(np.asarray(bits).reshape(())), bool(signed), bool(narrow),
                       rounding_mode.upper())
    return np.asarray(rounded(x, scale, zero, of) * scale)


def _bipolar(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(x >= 0, 1.0, -1.0) * scale)


def _made(domain: str) -> list[type[OpRun]]:
    """QONNX' operators in a domain."""
    class Quant(OpRun):
        op_domain = domain

        def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
            return (_quant(x, scale, zero, bits, signed, narrow, rounding_mode),)

    class IntQuant(Quant):
        op_domain = domain

    class BipolarQuant(OpRun):
        op_domain = domain

        def _run(self, x, scale):
            return (_bipolar(x, scale),)

    return [Quant, IntQuant, BipolarQuant]


class QuantizeLinear(OpRun):
    """That of all versions of ONNX; its reference has only the latest ones."""

    op_domain = ""

    def _run(self, x, scale, zero=None, axis=1, **_):
        zero = np.zeros((), np.uint8) if zero is None else zero
        bounds, (scale, offset) = np.iinfo(zero.dtype), _along(axis, x.ndim, scale, zero)
        return ((np.rint(x / scale) + offset).clip(bounds.min, bounds.max).astype(zero.dtype),)


class DequantizeLinear(OpRun):
    """That of all versions of ONNX; its reference has only the latest ones."""

    op_domain = ""

    def _run(self, x, scale, zero=None, axis=1, **_):
        zero = np.zeros((), x.dtype) if zero is None else zero
        scale, offset = _along(axis, x.ndim, scale, zero)
        return ((x.astype(np.float64) - offset) * scale,)


def _along(axis: int, rank: int, *parameters: np.ndarray) -> list[np.ndarray]:
    """Parameters of a channel each, or of all, as they are broadcast."""
    shape = [-1 if k == axis % rank else 1 for k in range(rank)]
    return [p.reshape(()) if p.size == 1 else p.astype(np.float64).reshape(shape)
            for p in parameters]


_OWN: list[type[OpRun]] = [QuantizeLinear, DequantizeLinear]
_OWN += [made for domain in QUANT_DOMAINS for made in _made(domain)]
