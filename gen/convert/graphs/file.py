"""ONNX files, read and checked before anything is made of them (docs/onnx.md).

Reading runs no code, and opens no other file than the one that is named.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from gen.convert.usercode import first_line
from gen.errors import ConversionError
from gen.ir.artifact import MAX_WEIGHTS
from gen.system import files

__all__ = ["QUANT_DOMAINS", "array", "is_onnx", "opset", "read", "sample_shape"]

QUANT_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Domains of QONNX' operators, the present one and those of older exporters."""

_OPSETS = range(9, onnx.defs.onnx_opset_version() + 1)

_MAX_BYTES = (1 << 31) - 1
"""The most that protobuf reads."""

_KINDS = "fiub"
"""Kinds of numbers that NumPy has."""


def is_onnx(target: str | Path) -> bool:
    """Whether a name is that of an ONNX file."""
    return Path(target).suffix.lower() == ".onnx"


def read(path: str | Path) -> onnx.ModelProto:
    """The model of an ONNX file.

    Raises
    ------
    ConversionError
        If the file can't be read, is not valid, has parts in other files, is larger than a network
        may be, or is of a version of ONNX that is not known.
    """
    try:
        with files.open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MAX_BYTES:
                raise ConversionError(f"{path}: is larger than 2 GiB, which no device holds")
            model = onnx.load_model_from_string(file.read())
    except OSError as error:
        raise ConversionError(f"{path}: can't be read ({error.strerror or error})") from error
    except DecodeError as error:
        raise ConversionError(f"{path}: is not an ONNX file, or damaged; export it again"
                              ) from error
    _require_complete(model, path)
    _require_opset(model, path)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ConversionError(f"{path}: is not a valid ONNX file: {first_line(error)}; export it "
                              f"again") from error
    return model


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX' own operators in a model, or 0 if it does not say."""
    return next((entry.version for entry in model.opset_import
                 if entry.domain in ("", "ai.onnx")), 0)


def _require_opset(model: onnx.ModelProto, path: str | Path) -> None:
    version = opset(model)
    if version not in _OPSETS:
        raise ConversionError(f"{path}: has the operators of ONNX opset {version}; known are "
                              f"{_OPSETS.start} to {_OPSETS.stop - 1}: export it with "
                              f"opset_version=17")


def _require_complete(model: onnx.ModelProto, path: str | Path) -> None:
    """Refuse a model without a graph, and tensors that lie elsewhere or are too large."""
    if not model.graph.node:
        raise ConversionError(f"{path}: is not an ONNX file, or has no operators; export it again")
    if model.graph.sparse_initializer:
        raise ConversionError(f"{path}: has sparse tensors; save them as dense ones")
    total = 0
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ConversionError(f"{path}: tensor {tensor.name!r} lies in another file; save all "
                                  f"in one: onnx.save(onnx.load(FILE), FILE)")
        total += math.prod(tensor.dims) if min(tensor.dims, default=0) >= 0 else MAX_WEIGHTS + 1
        if total > MAX_WEIGHTS:
            raise ConversionError(f"{path}: tensor {tensor.name!r}: has the shape "
                                  f"{tuple(tensor.dims)}; {MAX_WEIGHTS:,} numbers are the most "
                                  f"that a file may have")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def array(tensor: onnx.TensorProto, where: str) -> np.ndarray:
    """The numbers of a tensor.

    Raises
    ------
    ConversionError
        If they are none that NumPy has, or fewer or more than its shape says; it begins with
        ``where``.
    """
    try:
        numbers = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise ConversionError(f"{where}: tensor {tensor.name!r} is damaged "
                              f"({first_line(error)}); export it again") from error
    if numbers.dtype.kind not in _KINDS:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        raise ConversionError(f"{where}: tensor {tensor.name!r} holds {kind}; export it in float32")
    return numbers


def sample_shape(model: onnx.ModelProto, path: str | Path
                 ) -> tuple[str, int | None, tuple[int, ...]]:
    """The input's name, how many samples it takes (None: any number), and the shape of one.

    Raises
    ------
    ConversionError
        If there are several inputs, or one of another kind.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in constants]
    if len(given) != 1:
        names = ", ".join(repr(value.name) for value in given[:5])
        raise ConversionError(f"{path}: has {len(given)} inputs ({names}); a network has one")
    (value,) = given
    tensor = value.type.tensor_type
    where = f"{path}: input {value.name!r}"
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ConversionError(f"{where}: holds {kind}; export the network with an input of float32")
    sizes = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
             for dim in tensor.shape.dim]
    if not 2 <= len(sizes) <= 4 or None in sizes[1:]:
        text = ", ".join(dim.dim_param or str(size or "?") for dim, size in zip(
            tensor.shape.dim, sizes, strict=True))
        raise ConversionError(f"{where}: has the shape ({text}); only the number of samples may "
                              f"be open, and one to three axes must follow: export it with a fixed "
                              f"shape")
    batch, *shape = sizes
    if math.prod(size or 1 for size in sizes) > MAX_WEIGHTS:
        raise ConversionError(f"{where}: has the shape {tuple(sizes)}, more than {MAX_WEIGHTS:,} "
                              f"numbers")
    return value.name, batch, tuple(size or 1 for size in shape)
