"""ONNX files for tests, as torch.onnx and Brevitas write them."""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"


def node(op, inputs, output, *, domain="", name=None, **attributes):
    """An operator; its inputs are names, and ``output`` is one or several."""
    outputs = output if isinstance(output, list) else [output]
    return helper.make_node(op, inputs, outputs, name or f"node_{outputs[0]}", domain=domain,
                            **attributes)


def quant(x, scale, bits, output, *, signed=0, narrow=0, zero="zero", rounding="ROUND"):
    """A Quant of QONNX; ``scale``, ``bits`` and ``zero`` are names."""
    return node("Quant", [x, scale, zero, bits], output, domain=QONNX, signed=signed,
                narrow=narrow, rounding_mode=rounding)


def model(nodes, shape, constants=None, *, output="y", opset=17, batch=("n",), dtype=None):
    """A model with the input ``x`` of samples of a shape.

    Parameters
    ----------
    constants : name -> array-like; real numbers become float32
    batch : the first dimension
    """
    constants = {"zero": 0.0} | (constants or {})
    used = {name for one in nodes for name in one.input}
    initializers = [numpy_helper.from_array(_plain(value), name)
                    for name, value in constants.items() if name in used]
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", dtype or TensorProto.FLOAT,
                                                       [*batch, *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "any"])
         for name in ([output] if isinstance(output, str) else output)], initializers)
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)])


def _plain(value):
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def saved(folder, built, name="net.onnx"):
    """The path of a saved model."""
    path = folder / name
    onnx.save(built, path)
    return path


def mlp(widths=(16, 64, 32, 32, 5), seed=0):
    """Nodes and constants of a network with ReLUs, as torch.onnx exports an ``nn.Sequential``."""
    rng = np.random.default_rng(seed)
    nodes, constants, x = [], {}, "x"
    for k, (fan, width) in enumerate(itertools.pairwise(widths)):
        constants[f"{2 * k}.weight"] = rng.normal(0, (2 / fan) ** 0.5, (width, fan))
        constants[f"{2 * k}.bias"] = rng.normal(0, 0.1, width)
        last = k == len(widths) - 2
        nodes.append(node("Gemm", [x, f"{2 * k}.weight", f"{2 * k}.bias"], "y" if last else f"g{k}",
                          name=f"/{2 * k}/Gemm", transB=1))
        if not last:
            nodes.append(node("Relu", [f"g{k}"], f"r{k}", name=f"/{2 * k + 1}/Relu"))
            x = f"r{k}"
    return nodes, constants


def quantised_cnn(scales=None, seed=0, *, rounding="ROUND"):
    """A network with Quant nodes, as Brevitas exports a small CNN on images ``(1, 8, 8)``: a
    convolution with a scale for each channel and a batch norm, a max pooling, and a linear layer.

    Parameters
    ----------
    scales : of weights, and of activations, by the constants' names
    """
    rng = np.random.default_rng(seed)
    constants = {
        "in_scale": 1 / 15, "conv_scale": rng.uniform(0.03, 0.09, (6, 1, 1, 1)), "act_scale": 0.31,
        "fc_scale": 0.0713, "four": 4.0, "eight": 8.0,
        "conv": rng.normal(0, 0.25, (6, 1, 3, 3)), "fc.weight": rng.normal(0, 0.2, (10, 54)),
        "fc.bias": rng.normal(0, 0.2, 10), "gain": rng.uniform(-1, 2, 6),
        "shift": rng.normal(0, 0.3, 6), "mean": rng.normal(0, 0.3, 6),
        "variance": rng.uniform(0.2, 1, 6), **(scales or {})}
    nodes = [
        quant("x", "in_scale", "four", "q"),
        quant("conv", "conv_scale", "four", "w", signed=1, narrow=1),
        node("Conv", ["q", "w"], "c", kernel_shape=[3, 3]),
        node("BatchNormalization", ["c", "gain", "shift", "mean", "variance"], "b"),
        node("Relu", ["b"], "r"),
        quant("r", "act_scale", "four", "a", rounding=rounding),
        node("MaxPool", ["a"], "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["m"], "f"),
        quant("fc.weight", "fc_scale", "four", "v", signed=1, narrow=1),
        node("Gemm", ["f", "v", "fc.bias"], "y", transB=1),
    ]
    return nodes, constants
