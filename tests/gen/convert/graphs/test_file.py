import contextlib
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gen.convert.graphs.file import is_onnx, opset, read, sample_shape
from gen.errors import ConversionError
from tests.onnx_files import mlp, model, node, saved


def small():
    return model(*mlp((3, 4, 2))[:1], (3,), mlp((3, 4, 2))[1])


def test_a_file_is_read(tmp_path):
    held = read(saved(tmp_path, small()))
    assert opset(held) == 17
    assert sample_shape(held, "f") == ("x", None, (3,))


@pytest.mark.parametrize("name, onnx_file", [("a.onnx", True), ("A.ONNX", True), ("a.py:b", False),
                                             ("a.onnx:build", False)])
def test_names(name, onnx_file):
    assert is_onnx(name) is onnx_file


@pytest.mark.parametrize("content, message", [
    (b"", "is not an ONNX file, or has no operators"),
    (b"\xff" * 100, "is not an ONNX file, or damaged"),
    (b"PK\x03\x04 not one", "is not an ONNX file, or damaged"),
])
def test_other_files(tmp_path, content, message):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        read(path)


def test_no_file(tmp_path):
    with pytest.raises(ConversionError, match=r"absent\.onnx: can't be read \(No such file"):
        read(tmp_path / "absent.onnx")


def test_a_folder(tmp_path):
    with pytest.raises(ConversionError, match=r"can't be read \(Is a directory"):
        read(tmp_path)


def test_a_truncated_file(tmp_path):
    content = saved(tmp_path, small()).read_bytes()
    for end in range(1, len(content), 37):
        (tmp_path / "cut.onnx").write_bytes(content[:end])
        with pytest.raises(ConversionError):
            read(tmp_path / "cut.onnx")


def test_flipped_bits_are_errors_or_a_model(tmp_path):
    content = saved(tmp_path, small()).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        (tmp_path / "bad.onnx").write_bytes(damaged)
        # An error of another kind would end the test.
        with contextlib.suppress(ConversionError):
            assert read(tmp_path / "bad.onnx").graph.node


@pytest.mark.parametrize("version", [8, 99])
def test_versions(tmp_path, version):
    nodes, constants = mlp((3, 4, 2))
    path = saved(tmp_path, model(nodes, (3,), constants, opset=version))
    with pytest.raises(ConversionError, match=f"opset {version}; known are 9 to"):
        read(path)


def test_tensors_in_other_files(tmp_path):
    nodes, constants = mlp((64, 64, 2))
    onnx.save(model(nodes, (64,), constants), tmp_path / "net.onnx", save_as_external_data=True,
              location="other.bin", size_threshold=0)
    (tmp_path / "other.bin").unlink()
    with pytest.raises(ConversionError, match=r"tensor '\S+' lies in another file"):
        read(tmp_path / "net.onnx")


def test_sparse_tensors(tmp_path):
    held = small()
    held.graph.sparse_initializer.add().dims.append(3)
    with pytest.raises(ConversionError, match="has sparse tensors"):
        read(saved(tmp_path, held))


@pytest.mark.parametrize("dims", [(1 << 20, 1 << 20), (1 << 62, 1 << 62, 4), (-3, 2)])
def test_tensors_that_would_be_huge(tmp_path, dims):
    held = small()
    held.graph.initializer[0].dims[:] = dims
    with pytest.raises(ConversionError, match=re.escape(f"has the shape {dims}; 268,435,456")):
        read(saved(tmp_path, held))


def test_what_the_checker_finds(tmp_path):
    held = model([node("Gemm", ["x", "absent"], "y")], (3,))
    with pytest.raises(ConversionError, match="is not a valid ONNX file"):
        read(saved(tmp_path, held))


@pytest.mark.parametrize("batch, shape, message", [
    (("n",), ("c", 8, 8), r"has the shape \(n, c, 8, 8\); only the number of samples may be open"),
    (("n",), (1, 8, "w"), "only the number of samples may be open"),
    ((), (3,), "one to three axes must follow"),
    (("n",), (1, 2, 3, 4), "one to three axes must follow"),
    (("n",), (1 << 20, 1 << 20), "more than 268,435,456 numbers"),
])
def test_shapes_of_the_input(batch, shape, message):
    nodes = [node("Relu", ["x"], "y")]
    with pytest.raises(ConversionError, match=f"^f: input 'x': .*{message}"):
        sample_shape(model(nodes, shape, batch=batch), "f")


def test_a_fixed_number_of_samples():
    held = model([node("Relu", ["x"], "y")], (3,), batch=(2,))
    assert sample_shape(held, "f") == ("x", 2, (3,))


def test_kinds_of_input():
    held = model([node("Relu", ["x"], "y")], (3,), dtype=TensorProto.INT8)
    with pytest.raises(ConversionError, match="holds INT8; export the network with an input of"):
        sample_shape(held, "f")


def test_inputs():
    held = model([node("Add", ["x", "z"], "y")], (3,))
    held.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 3]))
    with pytest.raises(ConversionError, match="has 2 inputs \\('x', 'z'\\); a network has one"):
        sample_shape(held, "f")
