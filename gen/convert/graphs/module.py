"""An ONNX file as a PyTorch module, which is converted like any other."""

import logging
from pathlib import Path

import onnx
from torch import nn

from gen.convert.usercode import first_line
from gen.errors import ConversionError

from .builder import Builder, Constant, Node
from .constants import folded
from .file import QUANT_DOMAINS, array, read, sample_shape
from .layers import LAYERS
from .operators import OPERATORS
from .quant import QUANTISERS
from .reference import require_equal

__all__ = ["SUPPORTED", "from_onnx"]

log = logging.getLogger(__name__)

_READ = {"": OPERATORS | LAYERS | QUANTISERS, "ai.onnx": OPERATORS | LAYERS | QUANTISERS,
         **dict.fromkeys(QUANT_DOMAINS, QUANTISERS)}

_UNFIT = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)
"""What attributes and constants that no exporter writes end in."""

SUPPORTED = tuple(sorted({*OPERATORS, *LAYERS, *QUANTISERS, "Constant"}))
"""The operators that are read."""

_HINTS = {
    **dict.fromkeys(("LSTM", "GRU"), "its gates need products, which accumulate-only lanes don't "
                    "have; use an RNN with ReLUs, as a PyTorch module"),
    "RNN": "convert the PyTorch module that it was exported from",
    "Trunc": "its division drops bits between layers; use average pooling and a Quant",
    **dict.fromkeys(("Erf", "Gelu"), "a GELU is not made of whole steps; train with ReLU"),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"),
                    "it divides by what each sample is; use BatchNormalization"),
    **dict.fromkeys(("If", "Loop", "Scan"), "control flow can't be converted; export without it"),
    "MultiThreshold": "save the network before FINN streamlines it, with its Quant nodes",
    "ArgMax": "leave it out: the host finds the largest score",
    "QLinearConv": "export with QuantizeLinear and DequantizeLinear (QDQ) instead",
}


def from_onnx(path: str | Path, input_levels: int, *, scaled: bool = False) -> nn.Module:
    """The module of an ONNX or QONNX file, in evaluation mode.

    Quant nodes on weights stay whole numbers (:func:`gen.convert.uniform.unit_of`). One on the
    input is left out if each count of a pixel is its count.

    Parameters
    ----------
    input_levels : greatest count of a pixel
    scaled : whether pixels do not stand for 0..1, but for another range, or are standardised

    Raises
    ------
    ConversionError
        If the file can't be read, has an operator that is not supported, or was not understood.
        The message names the operator and its node.
    """
    path = str(path)
    model = read(path)
    name, batch, shape = sample_shape(model, path)
    outputs = [value.name for value in model.graph.output]
    if len(outputs) != 1:
        raise ConversionError(f"{path}: has {len(outputs)} outputs; a network has one: export it "
                              f"with the scores alone")
    _leave_out_last_quant(model, path)
    shape = (batch or 1, *shape)
    builder = Builder(model, path, name, shape, input_levels, scaled)
    for tensor in model.graph.initializer:
        builder.constants[tensor.name] = Constant(array(tensor, path), name=tensor.name)
    for number, proto in enumerate(model.graph.node):
        _read(builder, proto, number)
    module = builder.finish(model.graph.output[0].name)
    require_equal(model, module, name, shape, input_levels, path, scaled)
    return module


def _leave_out_last_quant(model: onnx.ModelProto, path: str) -> None:
    """Let the scores be what they are before they are quantised: a read-out never fires."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    output = model.graph.output[0]
    while (last := made_by.get(output.name)) is not None and last.op_type in QUANTISERS:
        log.warning("warning: %s: %s %r, which rounds the scores, is left out", path, last.op_type,
                    last.name)
        output.name = last.input[0]
        model.graph.node.remove(last)


def _read(b: Builder, proto: onnx.NodeProto, number: int) -> None:
    """Read one operator."""
    b.where = f"{b.path}: {proto.op_type} {proto.name or f'number {number}'!r}"
    node = Node(proto, b.where)
    handler = _READ.get(node.domain, {}).get(node.op)
    constant = all(name in b.constants for name in node.inputs if name)
    if constant and node.op not in QUANTISERS:
        try:
            held = folded(b, node)
        except _UNFIT as error:
            b.refuse(f"can't be computed from the file's constants ({first_line(error)})")
        if held is not None:
            b.constants[node.outputs[0]] = held
            return
    if handler is None:
        where = f" of {node.domain}" if node.domain else ""
        b.refuse(f"this operator{where} is not supported; " + _HINTS.get(
            node.op, f"supported are {', '.join(SUPPORTED)}"))
    try:
        handler(b, node)
    except _UNFIT as error:
        b.refuse(f"its inputs and attributes don't fit each other ({first_line(error)}); export it "
                 f"again")
