"""Files as they come, from the command line to the integers."""

import json
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from torch import nn

from gen.cli.main import main
from gen.convert.conversion import convert
from gen.convert.graphs.reference import _evaluator
from gen.errors import ConversionError
from gen.ir.artifact import load
from tests.onnx_files import mlp, model, node, quant, quantised_cnn, saved

torch.set_num_threads(1)

IMAGES = np.random.default_rng(3).integers(0, 16, (60, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    return tmp_path / "x.npy"


def file_counts(built, images, names):
    """What a file's own operators compute: results by name, and the scores."""
    for name in names:
        built.graph.output.add().name = name
    run = _evaluator(built, "").run
    results = [run(None, {"x": image[None]}) for image in images.astype(np.float64)]
    scores, *others = (np.concatenate(part) for part in zip(*results, strict=True))
    return scores, others


@pytest.mark.parametrize("scales", [{}, {"conv_scale": 0.071}], ids=["channels", "tensor"])
@pytest.mark.parametrize("rounding", ["ROUND", "FLOOR"])
def test_every_count_is_that_of_the_file(tmp_path, images, scales, rounding, caplog):
    nodes, constants = quantised_cnn(scales, rounding=rounding)
    path = saved(tmp_path, model(nodes, (1, 8, 8), constants))
    result = convert(str(path), calibration=images, out=tmp_path / "net.npz", pixel_max=15,
                     input_levels=15)
    assert result["layers"] == {"node_c": "neurons", "node_m": "max pool", "fc": "readout"}
    network = load(result["network"])
    scores, (counts,) = file_counts(model(nodes, (1, 8, 8), constants), IMAGES / 15, ["a"])
    trace = network.run(network.encode(IMAGES))
    assert np.array_equal(trace.counts["node_c"], np.rint(counts / constants["act_scale"]))
    assert (trace.predictions == scores.argmax(1)).all()
    assert "whole weights" not in caplog.text


def test_whole_weights_stay_as_they_are(tmp_path, images):
    nodes, constants = quantised_cnn()
    path = saved(tmp_path, model(nodes, (1, 8, 8), constants))
    network = load(convert(str(path), calibration=images, out=tmp_path / "net.npz", pixel_max=15,
                           input_levels=15)["network"])
    for layer, weights, scale in ((network.layers[0], "conv", "conv_scale"),
                                  (network.layers[2], "fc.weight", "fc_scale")):
        weight = np.float32(constants[weights])
        whole = np.rint(weight / np.float32(constants[scale])).clip(-7, 7)
        ours = layer.synapses[0].weights.reshape(len(whole), -1)
        whole = whole.reshape(len(whole), -1)
        factor = ours[np.arange(len(whole)), np.abs(whole).argmax(1)] / np.abs(whole).max(1)
        factor *= np.sign(whole[np.arange(len(whole)), np.abs(whole).argmax(1)])
        assert np.array_equal(ours, whole * factor[:, None])
        assert (factor == factor.round()).all()
        assert np.abs(factor).max() <= 15


def test_an_input_in_other_counts_is_a_layer(tmp_path, images, caplog):
    nodes, constants = quantised_cnn()
    path = saved(tmp_path, model(nodes, (1, 8, 8), constants))
    caplog.set_level("INFO")
    result = convert(str(path), calibration=images, out=tmp_path / "net.npz", pixel_max=15)
    network = load(result["network"])
    assert list(result["layers"]) == ["node_q", "node_c", "node_m", "fc"]
    _, (first, counts) = file_counts(model(nodes, (1, 8, 8), constants), IMAGES / 15, ["q", "a"])
    trace = network.run(network.encode(IMAGES))
    assert np.array_equal(trace.counts["node_q"], np.rint(first * 15))
    assert np.array_equal(trace.counts["node_c"], np.rint(counts / constants["act_scale"]))
    assert "with --input-levels 15 the input's Quant takes no layer" in caplog.text


def test_an_average_that_is_quantised_is_a_layer(tmp_path, images):
    nodes, constants = quantised_cnn()
    nodes[6] = node("AveragePool", ["a"], "p", kernel_shape=[2, 2], strides=[2, 2])
    nodes.insert(7, quant("p", "act_scale", "four", "m"))
    path = saved(tmp_path, model(nodes, (1, 8, 8), constants))
    network = load(convert(str(path), calibration=images, out=tmp_path / "net.npz", pixel_max=15,
                           input_levels=15)["network"])
    _, (counts,) = file_counts(model(nodes, (1, 8, 8), constants), IMAGES / 15, ["m"])
    ours = network.run(network.encode(IMAGES)).counts["node_m"]
    # A mean of four counts may lie halfway between two, of which ours is the greater one.
    sums = network.run(network.encode(IMAGES)).counts["node_p"]
    assert np.array_equal(ours, (sums + 2) // 4)
    assert (ours == np.rint(counts / constants["act_scale"]))[sums % 4 != 2].all()


def jets(seed=0):
    """Features of five classes like those of jets: standardised, and cut at three deviations."""
    x, y = make_classification(2000, 16, n_informative=10, n_redundant=4, n_classes=5,
                               class_sep=2.0, random_state=seed)
    x = (x - x.mean(0)) / x.std(0)
    return x.clip(-3, 3).astype(np.float32), y


def trained(x, y):
    """hls4ml's network for jets, trained on the first 1500 samples."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
                           nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    inputs, classes = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(30):
        for batch in torch.randperm(1500).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(inputs[batch]), classes[batch]).backward()
            optimiser.step()
    return module.eval()


def exported(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of old, which needs no further package
        torch.onnx.export(module, (torch.zeros(1, 16),), path, dynamo=False,
                          dynamic_axes={"input": {0: "n"}}, input_names=["input"])


@pytest.fixture(scope="module")
def jet_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jets")
    x, y = jets()
    exported(trained(x, y), folder / "jets.onnx")
    np.save(folder / "x.npy", x[1500:])
    return folder, y[1500:]


def test_an_exported_network(jet_files, capsys):
    folder, classes = jet_files
    assert main(["convert", f"{folder}/jets.onnx", "--calibration", f"{folder}/x.npy", "-o",
                 f"{folder}/jets.npz", "--json", "--levels", "63", "--range", "-3", "3"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["layers"]) == ["0", "2", "4", "6"]
    assert result["agreement"] >= 0.98
    network = load(result["network"])
    pixels = np.floor((np.load(folder / "x.npy") + 3) * (255 / 6) + 0.5).astype(int)
    assert (network.predict(pixels).argmax(1) == classes).mean() > 0.8
    assert network.metadata["converted"] == "jets.onnx"


@pytest.mark.slow
def test_an_exported_network_in_verilog(jet_files, capsys):
    folder, _ = jet_files
    convert(f"{folder}/jets.onnx", calibration=f"{folder}/x.npy", out=folder / "jets.npz",
            between=(-3, 3))
    assert main(["verify", f"{folder}/jets.npz", "--images", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mismatches"] == 0


@pytest.mark.slow
def test_whole_weights_in_verilog(tmp_path, images, capsys):
    nodes, constants = quantised_cnn()
    convert(str(saved(tmp_path, model(nodes, (1, 8, 8), constants))), calibration=images,
            out=tmp_path / "net.npz", pixel_max=15, input_levels=15)
    assert main(["verify", f"{tmp_path}/net.npz", "--images", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mismatches"] == 0


def test_weights_are_in_the_file(tmp_path, images):
    nodes, constants = quantised_cnn()
    path = saved(tmp_path, model(nodes, (1, 8, 8), constants))
    with pytest.raises(ConversionError, match="an ONNX file has its own weights; leave out"):
        convert(str(path), weights=tmp_path / "w.safetensors", calibration=images,
                out=tmp_path / "net.npz")


def test_a_module_needs_weights(tmp_path, images):
    (tmp_path / "model.py").write_text("from torch import nn\ndef build(): return nn.Linear(3, 2)")
    with pytest.raises(ConversionError, match=r"model\.py:build: needs the module's weights: "
                                              "--weights"):
        convert(f"{tmp_path}/model.py:build", calibration=images, out=tmp_path / "net.npz")


def test_the_file_is_not_overwritten(tmp_path, images, capsys):
    nodes, constants = mlp()
    path = saved(tmp_path, model(nodes, (16,), constants))
    assert main(["convert", str(path), "--calibration", str(images), "-o", str(path)]) == 1
    assert "is an input of this command" in capsys.readouterr().err


def test_errors_are_one_line(tmp_path, images, capfd):
    path = saved(tmp_path, model([node("Erf", ["x"], "y")], (1, 8, 8)))
    assert main(["convert", str(path), "--calibration", str(images), "-o",
                 str(tmp_path / "net.npz")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "Erf 'node_y': this operator is not supported; a GELU" in line


@pytest.mark.parametrize("last, sizes, axes", [
    ([node("Squeeze", ["z", "to"], "y")], [1], ["N"]),
    ([node("Sigmoid", ["z"], "s"), node("Squeeze", ["s", "to"], "y")], [1], ["N"]),
    ([node("Reshape", ["z", "to"], "y")], [-1], ["N"]),
    ([node("Flatten", ["z"], "y")], [], ["N", "CHW"])])
def test_a_score_without_an_axis(last, sizes, axes, tmp_path):
    rng = np.random.default_rng(0)
    nodes = [node("Gemm", ["x", "a"], "h"), node("Relu", ["h"], "r"),
             node("Gemm", ["r", "b"], "z"), *last]
    constants = {"a": rng.normal(size=(8, 6)), "b": rng.normal(size=(6, 1)), "to": sizes}
    path = saved(tmp_path, model(nodes, (8,), constants))
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (40, 8)))
    told = convert(str(path), calibration=tmp_path / "x.npy", out=tmp_path / "net.npz")
    assert told["scores_error"] < 0.1
    (result,) = load(told["network"]).metadata["meaning"]["results"]
    assert result == {"name": "", "classes": 1, "axes": axes,
                      "function": "sigmoid" if len(last) > 1 else ""}
