"""Reading compares each module with ONNX' own reference, so what is read without an error is
right."""

import contextlib
import re

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.graphs.file import QUANT_DOMAINS
from gen.convert.graphs.module import SUPPORTED, from_onnx
from gen.convert.uniform import Uniform, unit_of
from gen.errors import ConversionError
from tests.onnx_files import QONNX, mlp, model, node, quant, quantised_cnn, saved

torch.set_num_threads(1)

RNG = np.random.default_rng(1)
MAP, SEQUENCE, VECTOR = (4, 6, 8), (4, 9), (7,)
CONV, PADDED = RNG.normal(size=(6, 4, 3, 3)), [0, 0, 1, 0, 0, 0, 0, 2]
EACH = RNG.uniform(0.5, 2, (4, 1, 1))
NORM = {"gain": RNG.normal(size=4), "shift": RNG.normal(size=4), "mean": RNG.normal(size=4),
        "var": RNG.uniform(0.5, 1, 4)}


def made(folder, nodes, shape, constants=None, **options):
    path = saved(folder, model(nodes, shape, constants, **options))
    return from_onnx(path, 255)


def layers(module):
    return [type(part) for part in module.children()]


ONE = {
    "convolution": (MAP, node("Conv", ["x", "w", "b"], "y", pads=[1, 1, 1, 1], strides=[2, 1]),
                    {"w": CONV, "b": np.ones(6)}, [nn.Conv2d]),
    "groups": (MAP, node("Conv", ["x", "w"], "y", group=2), {"w": CONV[:, :2]}, [nn.Conv2d]),
    "dilated": (MAP, node("Conv", ["x", "w"], "y", dilations=[2, 2]), {"w": CONV}, [nn.Conv2d]),
    "uneven padding": (MAP, node("Conv", ["x", "w"], "y", pads=[0, 1, 1, 0]), {"w": CONV},
                       [nn.Conv2d]),
    "same padding": (MAP, node("Conv", ["x", "w"], "y", auto_pad="SAME_UPPER", strides=[2, 2]),
                     {"w": CONV}, [nn.Conv2d]),
    "over a sequence": (SEQUENCE, node("Conv", ["x", "w"], "y", pads=[1, 1]), {"w": CONV[..., 0]},
                        [nn.Conv1d]),
    "transposed": (MAP, node("ConvTranspose", ["x", "w"], "y", strides=[2, 2], pads=[1, 1, 1, 1],
                             output_padding=[1, 1]), {"w": CONV[:4]}, [nn.ConvTranspose2d]),
    "gemm": (VECTOR, node("Gemm", ["x", "w", "b"], "y", alpha=0.5, beta=2.0),
             {"w": CONV.reshape(-1)[:21].reshape(7, 3), "b": np.ones(3)}, [nn.Linear]),
    "matmul": (VECTOR, node("MatMul", ["x", "w"], "y"), {"w": np.eye(7)[:, :5]}, [nn.Linear]),
    "matmul over elements": (SEQUENCE, node("MatMul", ["x", "w"], "y"), {"w": np.eye(9)[:, :5]},
                             [nn.Linear]),
    "batch norm": (MAP, node("BatchNormalization", ["x", *NORM], "y", epsilon=0.1), NORM,
                   [nn.BatchNorm2d]),
    "leaky": (MAP, node("LeakyRelu", ["x"], "y", alpha=0.3), {}, [nn.LeakyReLU]),
    "prelu": (MAP, node("PRelu", ["x", "s"], "y"), {"s": EACH}, [nn.PReLU]),
    "relu6": (MAP, node("Clip", ["x", "a", "b"], "y"), {"a": 0.0, "b": 0.6}, [nn.Hardtanh]),
    "clip": (MAP, node("Clip", ["x", "zero"], "y"), {}, [nn.ReLU]),
    "hard sigmoid": (MAP, node("HardSigmoid", ["x"], "y", alpha=1 / 6), {}, [nn.Hardsigmoid]),
    "sigmoid": (MAP, node("Sigmoid", ["x"], "y"), {}, [nn.Sigmoid]),
    "tanh": (MAP, node("Tanh", ["x"], "y"), {}, [nn.Tanh]),
    "softmax": (VECTOR, node("Softmax", ["x"], "y"), {}, [nn.Softmax]),
    "log softmax": (VECTOR, node("LogSoftmax", ["x"], "y", axis=1), {}, [nn.LogSoftmax]),
    "max pool": (MAP, node("MaxPool", ["x"], "y", kernel_shape=[3, 3], strides=[2, 2],
                           pads=[1, 1, 1, 1]), {}, [nn.MaxPool2d]),
    "average pool": (MAP, node("AveragePool", ["x"], "y", kernel_shape=[3, 2], strides=[1, 2],
                               pads=[1, 1, 1, 1]), {}, [nn.AvgPool2d]),
    "average with padding": (MAP, node("AveragePool", ["x"], "y", kernel_shape=[3, 3],
                                       count_include_pad=1, pads=[1, 0, 0, 1]), {}, [nn.AvgPool2d]),
    "over all": (MAP, node("GlobalAveragePool", ["x"], "y"), {}, [nn.AdaptiveAvgPool2d]),
    "over all elements": (SEQUENCE, node("GlobalAveragePool", ["x"], "y"), {},
                          [nn.AdaptiveAvgPool1d]),
    "flatten": (MAP, node("Flatten", ["x"], "y"), {}, [nn.Flatten]),
    "view": (MAP, node("Reshape", ["x", "to"], "y"), {"to": [-1, 192]}, [nn.Flatten]),
    "view of all": (MAP, node("Reshape", ["x", "to"], "y"), {"to": [0, -1]}, [nn.Flatten]),
    "another shape": (MAP, node("Reshape", ["x", "to"], "y"), {"to": [0, 2, 2, -1]}, []),
    "transpose": (MAP, node("Transpose", ["x"], "y", perm=[0, 2, 3, 1]), {}, []),
    "zeros around": (MAP, node("Pad", ["x", "to"], "y"), {"to": PADDED}, []),
    "ones around": (MAP, node("Pad", ["x", "to", "one"], "y"), {"to": PADDED, "one": 1.0}, []),
    "reflected": (MAP, node("Pad", ["x", "to"], "y", mode="reflect"), {"to": PADDED}, []),
    "slice": (MAP, node("Slice", ["x", "from", "to", "axes", "steps"], "y"),
              {"from": [1, 0], "to": [99, 6], "axes": [1, 3], "steps": [1, 2]}, []),
    "mean": (MAP, node("ReduceMean", ["x"], "y", axes=[2, 3], keepdims=0), {}, []),
    "twice as large": (MAP, node("Resize", ["x", "", "scales"], "y", mode="nearest",
                                 coordinate_transformation_mode="asymmetric",
                                 nearest_mode="floor"), {"scales": [1.0, 1.0, 2.0, 3.0]},
                       [nn.Upsample]),
    "minus the mean": (MAP, node("Sub", ["x", "c"], "y"), {"c": EACH}, []),
    "by the deviation": (MAP, node("Div", ["x", "c"], "y"), {"c": EACH}, []),
    "times a number": (MAP, node("Mul", ["c", "x"], "y"), {"c": 3.0}, []),
}


@pytest.mark.parametrize("name", ONE)
def test_one_operator(tmp_path, name):
    shape, one, constants, kinds = ONE[name]
    assert layers(made(tmp_path, [one], shape, constants)) == kinds
    assert one.op_type in SUPPORTED


SEVERAL = {
    "a bias": (VECTOR, [node("MatMul", ["x", "w"], "m"), node("Add", ["m", "b"], "y")],
               {"w": np.eye(7)[:, :5], "b": np.arange(5.0)}, [nn.Linear]),
    "a scaled convolution": (MAP, [node("Conv", ["x", "w"], "c"), node("Mul", ["c", "s"], "y")],
                             {"w": CONV[:4], "s": EACH}, [nn.Conv2d]),
    "a residual": (MAP, [node("Relu", ["x"], "r"), node("Conv", ["r", "w"], "c",
                                                        pads=[1, 1, 1, 1]),
                         node("Add", ["c", "r"], "y")], {"w": CONV[:4]}, [nn.Conv2d]),
    "a bias on a result that is used twice": (
        MAP, [node("Conv", ["x", "w"], "c"), node("Add", ["c", "s"], "a"),
              node("Sum", ["a", "c", "c"], "y")], {"w": CONV[:4], "s": EACH}, [nn.Conv2d]),
    "parts": (MAP, [node("Split", ["x"], ["a", "b"], axis=1), node("Concat", ["b", "a"], "y",
                                                                   axis=1)], {}, []),
    "uneven parts": (MAP, [node("Split", ["x", "sizes"], ["a", "b"], axis=1),
                           node("Concat", ["b", "x", "a"], "y", axis=1)], {"sizes": [1, 3]}, []),
    "a shape that is computed": (
        MAP, [node("Shape", ["x"], "s"), node("Gather", ["s", "first"], "n"),
              node("Unsqueeze", ["n", "axes"], "u"), node("Concat", ["u", "rest"], "to", axis=0),
              node("Reshape", ["x", "to"], "y")],
        {"first": 0, "axes": [0], "rest": [-1]}, [nn.Flatten]),
    "padding that is computed": (
        MAP, [node("ConstantOfShape", ["four"], "zeros"), node("Cast", ["zeros"], "whole", to=7),
              node("Concat", ["whole", "sides"], "to", axis=0), node("Pad", ["x", "to"], "y")],
        {"four": [4], "sides": [0, 0, 2, 1]}, []),
    "axes that come and go": (
        VECTOR, [node("Unsqueeze", ["x", "axes"], "u"), node("Squeeze", ["u", "axes"], "y")],
        {"axes": [2, 3]}, [nn.Flatten]),
    "nothing": (VECTOR, [node("Identity", ["x"], "a"), node("Dropout", ["a"], "d"),
                         node("Cast", ["d"], "c", to=1), node("Relu", ["c"], "y")], {}, []),
    "weights that are turned": (
        VECTOR, [node("Transpose", ["w"], "t", perm=[1, 0]), node("MatMul", ["x", "t"], "y")],
        {"w": np.eye(7)[:5]}, [nn.Linear]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_operators(tmp_path, name):
    shape, nodes, constants, kinds = SEVERAL[name]
    assert layers(made(tmp_path, nodes, shape, constants)) == kinds


@pytest.mark.parametrize("opset", [9, 11, 13, 20])
def test_versions_of_operators(tmp_path, opset):
    old = opset < 11
    nodes = [
        node("Clip", ["x"], "c", min=0.1, max=0.7) if old else node("Clip", ["x", "a", "b"], "c"),
        node("Pad", ["c"], "p", pads=PADDED, value=0.0) if old else
        node("Pad", ["c", "to"], "p"),
        node("Slice", ["p"], "s", starts=[1], ends=[3], axes=[1]) if opset < 10 else
        node("Slice", ["p", "from", "until", "axes"], "s"),
        node("ReduceMean", ["s"], "y", axes=[2, 3], keepdims=0) if opset < 18 else
        node("ReduceMean", ["s", "over"], "y", keepdims=0)]
    constants = {"a": 0.1, "b": 0.7, "to": PADDED, "from": [1], "until": [3], "axes": [1],
                 "over": [2, 3]}
    assert layers(made(tmp_path, nodes, MAP, constants, opset=opset)) == [nn.Hardtanh]


def test_names_are_those_of_the_weights(tmp_path):
    nodes, constants = mlp()
    module = made(tmp_path, nodes, (16,), constants)
    assert [name for name, _ in module.named_children()] == ["0", "1", "2", "3", "4", "5", "6"]


REFUSED = {
    "an unknown one": (VECTOR, node("Erf", ["x"], "y"), {},
                       "Erf 'node_y': this operator is not supported; a GELU"),
    "of another domain": (VECTOR, node("Thing", ["x"], "y", domain=QONNX), {},
                          r"of qonnx\.custom_op\.general is not supported; supported are Add,"),
    "turned weights": (VECTOR, node("MatMul", ["w", "x"], "y"), {"w": np.eye(7)},
                       "its input 'w' must depend on the network's input"),
    "dynamic weights": (SEQUENCE, node("MatMul", ["x", "x"], "y"), {},
                        "its input 'x' must be a constant of the file"),
    "other weights": (MAP, node("Conv", ["x", "w"], "y"), {"w": CONV[:, :3]},
                      r"its weights \(6, 3, 3, 3\) in 1 groups don't fit its input of \(1, 4, 6,"),
    "a large kernel": (SEQUENCE, node("Conv", ["x", "w"], "y"), {"w": np.ones((1, 4, 20))},
                       "does not fit its input of"),
    "other biases": (MAP, node("Conv", ["x", "w", "b"], "y"), {"w": CONV, "b": np.ones(5)},
                     r"and biases \(5,\) don't fit"),
    "volumes": ((4,), node("Conv", ["x", "w"], "y"), {"w": CONV}, "don't fit|needs an input of"),
    "samples that are mixed": (MAP, node("Reshape", ["x", "to"], "y"), {"to": [4, -1]},
                               "must keep the samples, which come first"),
    "other axis": (MAP, node("Flatten", ["x"], "y", axis=2), {}, "axis must be 1"),
    "samples that are cut": (MAP, node("Slice", ["x", "a", "b"], "y"), {"a": [0], "b": [1]},
                             "must keep all samples"),
    "zeros without end": (MAP, node("Pad", ["x", "to"], "y"), {"to": [0] * 6 + [1 << 40, 0]},
                          "its result has the shape .*, more than 268,435,456 numbers"),
    "a stride of 0": (MAP, node("Conv", ["x", "w"], "y", strides=[0, 1]), {"w": CONV},
                      "its inputs and attributes don't fit each other"),
    "a stride of 0, padded": (MAP, node("Conv", ["x", "w"], "y", strides=[0, 1],
                                        auto_pad="SAME_LOWER"), {"w": CONV},
                              "its inputs and attributes don't fit each other"),
    "no number": (MAP, node("Conv", ["x", "w"], "y"), {"w": CONV * np.nan},
                  "its weights must be finite numbers"),
    "no divisor": (VECTOR, node("Div", ["x", "zero"], "y"), {}, "divides by 0"),
    "no whole factor": (MAP, node("Resize", ["x", "", "s"], "y", mode="nearest"),
                        {"s": [1, 1, 1.5, 2.0]}, "must repeat values a whole number of times"),
    "between pixels": (MAP, node("Resize", ["x", "", "s"], "y", mode="linear"),
                       {"s": [1, 1, 2.0, 2.0]}, "must repeat values a whole number of times"),
    "a constant first": (VECTOR, node("Sub", ["zero", "x"], "y"), {},
                         "must have the network's value first"),
    "training": (MAP, node("BatchNormalization", ["x", *NORM], "y", training_mode=1), NORM,
                 "must be in inference mode"),
    "a steep sigmoid": (MAP, node("HardSigmoid", ["x"], "y"), {}, "must have alpha=1/6"),
    "integers": (VECTOR, node("Cast", ["x"], "y", to=7), {}, "must be to real numbers"),
    "numbers that lack": (VECTOR, node("Add", ["x", "b"], "y"), {"b": np.ones(4)},
                          "does not fit its input of"),
    "control flow": (VECTOR, node("LSTM", ["x", "a", "b"], "y"), {"a": CONV, "b": CONV},
                     "its gates need products"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    shape, one, constants, message = REFUSED[name]
    with pytest.raises(ConversionError, match=message) as error:
        made(tmp_path, [one], shape, constants)
    assert re.match(r"\S+net\.onnx: \w+ 'node_\w+': ", str(error.value))
    assert "\n" not in str(error.value)


def test_scores_are_not_quantised(tmp_path, caplog):
    nodes = [node("MatMul", ["x", "w"], "m"), quant("m", "scale", "bits", "y", signed=1)]
    module = made(tmp_path, nodes, VECTOR, {"w": np.eye(7), "scale": 0.1, "bits": 4.0})
    assert layers(module) == [nn.Linear]
    assert "net.onnx: Quant 'node_y', which rounds the scores, is left out" in caplog.text


def test_several_outputs(tmp_path):
    nodes = [node("Relu", ["x"], "y"), node("Sigmoid", ["x"], "z")]
    with pytest.raises(ConversionError, match="has 2 outputs; a network has one"):
        made(tmp_path, nodes, VECTOR, output=["y", "z"])


def test_a_constant_output(tmp_path):
    with pytest.raises(ConversionError, match="output 'y': its input 'y' must depend on the"):
        made(tmp_path, [node("Identity", ["c"], "y"), node("Relu", ["x"], "z")], VECTOR,
             {"c": np.ones(3)})


def test_constants_that_would_be_huge(tmp_path):
    nodes = [node("Mul", ["a", "b"], "c"), node("Add", ["x", "c"], "y")]
    constants = {"a": np.ones((1 << 15, 1)), "b": np.ones((1, 1 << 15))}
    with pytest.raises(ConversionError, match=r"its result has the shape \(32768, 32768\), more"):
        made(tmp_path, nodes, VECTOR, constants)


def test_flipped_bits_are_errors_or_a_module(tmp_path):
    """Whatever is in a file, there is no other error."""
    nodes, constants = quantised_cnn()
    content = saved(tmp_path, model(nodes, (1, 8, 8), constants)).read_bytes()
    few = [k for k in range(len(content)) if content[k:k + 1].isascii()]
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.choice(few)] ^= 1 << rng.integers(7)
        (tmp_path / "bad.onnx").write_bytes(damaged)
        with contextlib.suppress(ConversionError):
            from_onnx(tmp_path / "bad.onnx", 15)
            read += 1
    assert 0 < read < 60


def test_a_misreading_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(_leaky(), "LeakyRelu", _leaky()["Tanh"])
    with pytest.raises(ConversionError, match="was not understood: as it is read, it gives other "
                                              "scores, by up to"):
        made(tmp_path, [node("LeakyRelu", ["x"], "y")], VECTOR)


def _leaky():
    from gen.convert.graphs import module
    return module._READ[""]


def test_samples_of_a_fixed_number(tmp_path):
    nodes = [node("Reshape", ["x", "to"], "y")]
    assert layers(made(tmp_path, nodes, MAP, {"to": [3, 192]}, batch=(3,))) == [nn.Flatten]


def test_whole_weights_have_units(tmp_path):
    nodes = [quant("w", "scale", "bits", "q", signed=1, narrow=1),
             node("Transpose", ["q"], "t", perm=[1, 0]),
             node("MatMul", ["x", "t"], "m"), node("Mul", ["m", "two"], "y")]
    constants = {"w": np.eye(7)[:5], "scale": [[0.25], [0.5], [0.25], [0.125], [1.0]], "bits": 4.0,
                 "two": -2.0}
    (linear,) = made(tmp_path, nodes, VECTOR, constants).children()
    assert unit_of(linear).tolist() == [0.5, 1, 0.5, 0.25, 2]
    whole = linear.weight / unit_of(linear)[:, None]
    assert torch.equal(whole, -torch.diag(torch.tensor([4.0, 2, 4, 7, 1])) @ torch.eye(5, 7))


def test_units_of_the_inputs_channels_are_none(tmp_path):
    nodes = [quant("w", "scale", "bits", "q", signed=1), node("Gemm", ["x", "q"], "y", transB=1)]
    constants = {"w": np.eye(7), "scale": np.linspace(0.1, 1, 7), "bits": 4.0}
    (linear,) = made(tmp_path, nodes, VECTOR, constants).children()
    assert unit_of(linear) is None


@pytest.mark.parametrize("domain", QUANT_DOMAINS)
def test_domains_of_quantisers(tmp_path, domain):
    nodes = [quant("x", "scale", "bits", "q"), node("MatMul", ["q", "w"], "y")]
    nodes[0].domain = domain
    held = model(nodes, VECTOR, {"w": np.eye(7), "scale": 0.3, "bits": 2.0})
    held.opset_import[1].domain = domain
    assert layers(from_onnx(saved(tmp_path, held), 255)) == [Uniform, nn.Linear]


def quantisers(module):
    return [part for part in module.children() if isinstance(part, Uniform)]


@pytest.mark.parametrize("attributes, bits, text", [
    ({"signed": 0}, 4.0, "levels=15, even"),
    ({"signed": 0, "narrow": 1}, 4.0, "levels=14, even"),
    ({"signed": 0, "rounding": "FLOOR"}, 3.0, "levels=7, floor"),
    ({"signed": 0, "rounding": "HALF_UP"}, 3.0, "levels=7, half up"),
    ({"signed": 1, "narrow": 1}, 4.0, "levels=7, even, symmetric"),
])
def test_activations(tmp_path, attributes, bits, text):
    nodes = [node("MatMul", ["x", "w"], "m"), quant("m", "scale", "bits", "q", **attributes),
             node("Identity", ["q"], "y")]
    module = made(tmp_path, nodes, VECTOR, {"w": RNG.normal(size=(7, 5)), "scale": 0.1,
                                            "bits": bits})
    (quantiser,) = quantisers(module)
    assert repr(quantiser) == f"Uniform(step=0.1, {text})"


@pytest.mark.parametrize("attributes, zero, text", [
    ({"signed": 1}, 0.0, "levels=7, even"),
    ({"signed": 0}, 3.0, "levels=12, even"),
    ({"signed": 0, "rounding": "DOWN"}, 0.0, "levels=15, floor"),
])
def test_activations_after_a_relu_are_not_negative(tmp_path, attributes, zero, text):
    nodes = [node("MatMul", ["x", "w"], "m"), node("Relu", ["m"], "r"),
             quant("r", "scale", "bits", "q", zero="z", **attributes),
             node("Identity", ["q"], "y")]
    module = made(tmp_path, nodes, VECTOR, {"w": RNG.normal(size=(7, 5)), "scale": 0.1,
                                            "bits": 4.0, "z": zero})
    assert [repr(part) for part in quantisers(module)] == [f"Uniform(step=0.1, {text})"]
    assert nn.ReLU not in layers(module)


@pytest.mark.parametrize("attributes, change, message", [
    ({"signed": 1}, {}, "its counts are -8 to 7; they must begin with 0, or with the opposite"),
    ({"signed": 0}, {"zero": 3.0}, "its counts are -3 to 12"),
    ({"rounding": "CEIL"}, {}, "rounding_mode 'CEIL' is not that of a neuron"),
    ({"rounding": "ODD"}, {}, "rounding_mode 'ODD' is not known"),
    ({}, {"bits": 33.0}, "must have 1 to 32 bits, not 33"),
    ({}, {"bits": 2.5}, "must have 1 to 32 bits, not 2.5"),
    ({}, {"bits": 20.0}, "must begin with 0.*and end with 1 to 65535"),
    ({"signed": 1}, {"bits": 1.0}, "an activation of two values"),
    ({"signed": 1, "narrow": 1, "rounding": "FLOOR"}, {}, "must be rounded to the nearest"),
    ({}, {"scale": -0.1}, "its scales must be positive numbers"),
    ({}, {"scale": np.nan}, "its scales must be positive numbers"),
    ({}, {"scale": np.ones(5)}, r"must have one scale and one zero point, not \(5,\) and \(\)"),
])
def test_activations_that_are_no_counts(tmp_path, attributes, change, message):
    constants = {"w": RNG.normal(size=(7, 5)), "scale": 0.1, "bits": 4.0} | change
    nodes = [node("MatMul", ["x", "w"], "m"), quant("m", "scale", "bits", "q", **attributes),
             node("Identity", ["q"], "y")]
    with pytest.raises(ConversionError, match=f"Quant 'node_q': .*{message}"):
        made(tmp_path, nodes, VECTOR, constants)


@pytest.mark.parametrize("scale, bits, levels, gone", [
    (1 / 255, 8.0, 255, True), (1 / 256, 8.0, 16, False), (1 / 64, 8.0, 16, True),
    (0.003921, 8.0, 255, True), (0.0039, 8.0, 255, False), (0.0035, 8.0, 255, False),
    (1 / 15, 4.0, 15, True)])
def test_the_inputs_quantiser(tmp_path, scale, bits, levels, gone):
    nodes = [quant("x", "scale", "bits", "q"), node("MatMul", ["q", "w"], "y")]
    path = saved(tmp_path, model(nodes, VECTOR, {"w": np.eye(7), "scale": scale, "bits": bits}))
    assert (not quantisers(from_onnx(path, levels))) is gone


def test_linear_quantisation(tmp_path):
    nodes = [node("DequantizeLinear", ["w", "ws"], "wd", axis=0),
             node("MatMul", ["x", "wt"], "m"), node("Relu", ["m"], "r"),
             node("QuantizeLinear", ["r", "s", "z"], "q"),
             node("DequantizeLinear", ["q", "s", "z"], "d"), node("Flatten", ["d"], "y")]
    nodes.insert(1, node("Transpose", ["wd"], "wt", perm=[1, 0]))
    constants = {"w": RNG.integers(-127, 128, (5, 7)).astype(np.int8), "s": 0.1,
                 "ws": RNG.uniform(0.001, 0.01, 5), "z": np.uint8(0)}
    module = made(tmp_path, nodes, VECTOR, constants)
    linear, quantiser = module.children()
    whole = linear.weight.detach().double() / unit_of(linear)[:, None]
    assert np.allclose(whole.numpy(), constants["w"], atol=1e-4)
    assert repr(quantiser) == "Uniform(step=0.1, levels=255, even)"


def test_bipolar_weights(tmp_path):
    nodes = [node("BipolarQuant", ["w", "s"], "q", domain=QONNX),
             node("Gemm", ["x", "q"], "y", transB=1)]
    w = RNG.normal(size=(5, 7))
    (linear,) = made(tmp_path, nodes, VECTOR, {"w": w, "s": 0.5}).children()
    assert np.array_equal(linear.weight.detach().numpy(), np.where(w >= 0, 0.5, -0.5))
    assert unit_of(linear).tolist() == [0.5] * 5
