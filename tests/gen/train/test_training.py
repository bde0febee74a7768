from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.qcfs import Qcfs
from gen.data import datasets
from gen.data.sequences import permuted
from gen.errors import ConversionError, DataError
from gen.ir import shipped
from gen.ir.artifact import load
from gen.train.models import resnet
from gen.train.optimisers import _groups
from gen.train.recipes import RECIPES
from gen.train.training import _augment, _device, _encode, train


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """On the processor, where a seed gives the same bits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for key, recipe in RECIPES.items():
        monkeypatch.setitem(RECIPES, key, replace(recipe, threads=1))


def test_a_short_training(tmp_path):
    before = torch.get_num_threads()
    result = train("digits", "mlp", out=tmp_path / "a.npz", name="a", epochs=4, bits="4,readout=6",
                   levels=7, input_levels=3, progress=False)
    assert result["accuracy_quantised"] == result["accuracy_integer"] > 0.7
    assert result["accuracy_float"] > 0.7
    network = load(result["network"])
    digits = datasets.load("digits")
    predictions = network.predict(digits.test_images).argmax(axis=1)
    assert (predictions == digits.test_labels).mean() == result["accuracy_integer"]
    assert network.metadata["command"] == (
        "python -m gen train --dataset digits --model mlp --name a --seed 0 --epochs 4 "
        "--bits 4,readout=6 --levels 7 --input-levels 3 -o a.npz")
    assert [layer.synapses[0].bits for layer in network.layers] == [4, 6]
    assert network.levels == {"input": 3, "fc1": 7}
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_seed_is_reproducible(tmp_path):
    digests = [train("digits", "cnn", out=tmp_path / "a.npz", epochs=1, seed=seed,
                     progress=False)["digest"] for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow  # PyTorch compiles with g++
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_fast_steps_learn_as_well(tmp_path, monkeypatch):
    recipe = replace(RECIPES["digits", "mlp"], epochs=6, tuning=3)
    accuracies = []
    for fast in (False, True):
        monkeypatch.setitem(RECIPES, ("digits", "mlp"), replace(recipe, fast=fast))
        result = train("digits", "mlp", out=tmp_path / "a.npz", progress=False)
        assert result["accuracy_quantised"] == result["accuracy_integer"]
        accuracies.append(result["accuracy_integer"])
    assert min(accuracies) > 0.7
    assert max(accuracies) - min(accuracies) < 0.1


def test_stages_of_a_cnn(tmp_path, monkeypatch):
    model = {"channels": ((4, 6), (8,)), "hidden": (), "pool": "max"}
    recipe = replace(RECIPES["digits", "cnn"], epochs=1, tuning=1, model=model)
    monkeypatch.setitem(RECIPES, ("digits", "cnn"), recipe)
    network = load(train("digits", "cnn", out=tmp_path / "a.npz", progress=False)["network"])
    assert [layer.name for layer in network.layers] == [
        "conv1", "conv2", "pool1", "conv3", "pool2", "readout"]
    assert [layer.kind for layer in network.layers if not layer.synapses] == ["max", "max"]
    assert network.layers[-1].synapses[0].weights.shape == (10, 8, 2, 2)


@pytest.mark.parametrize("model, options", [
    ("rnn", {}), ("indrnn", {}), ("crnn", {"front": ((6, 3, 2),)})])
def test_recurrent_models(model, options, tmp_path, monkeypatch):
    recipe = replace(RECIPES["digits-rows", "rnn"], epochs=10, tuning=3,
                     model={"hidden": (8, 9), **options})
    monkeypatch.setitem(RECIPES, ("digits-rows", model), recipe)
    result = train("digits-rows", model, out=tmp_path / "a.npz", progress=False)
    assert result["accuracy_quantised"] == result["accuracy_integer"] > 0.3
    network = load(result["network"])
    names = [layer.name for layer in network.layers]
    assert names == [*(["conv1"] if options else []), "rnn1", "rnn2", "readout"]
    first, second = (layer for layer in network.layers if layer.name.startswith("rnn"))
    for layer, channels in ((first, 8), (second, 9)):
        _, own = layer.synapses
        assert own.source == layer.name
        assert own.weights.shape == (channels, 1 if model == "indrnn" else channels, 1, 1)
    assert network.shapes["rnn2"] == (9, 4 if options else 8, 1)


def test_a_gradient_is_clipped(tmp_path, monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def clipped(parameters, most):
        norms.append((float(clip(parameters, most)), most))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipped)
    recipe = replace(RECIPES["digits", "mlp"], epochs=1, tuning=0, clip=0.25)
    monkeypatch.setitem(RECIPES, ("digits", "mlp"), recipe)
    train("digits", "mlp", out=tmp_path / "a.npz", progress=False)
    assert len(norms) == 22
    assert {most for _, most in norms} == {0.25}


def test_residual_blocks(tmp_path, monkeypatch):
    model = {"channels": ((4, 4), (6,), (8,))}
    recipe = replace(RECIPES["digits", "cnn"], epochs=1, tuning=1, model=model)
    monkeypatch.setitem(RECIPES, ("digits", "resnet"), recipe)
    result = train("digits", "resnet", out=tmp_path / "a.npz", progress=False)
    assert result["accuracy_quantised"] == result["accuracy_integer"]
    network = load(result["network"])
    assert [layer.name for layer in network.layers] == [
        "conv", "block1_1.conv1", "block1_1.conv2", "block1_2.conv1", "block1_2.conv2",
        "block2_1.conv1", "block2_1.conv2", "block3_1.conv1", "block3_1.conv2", "pool", "readout"]
    assert [network.shapes[f"block{k}.conv2"] for k in ("1_1", "1_2", "2_1", "3_1")] == [
        (4, 8, 8), (4, 8, 8), (6, 4, 4), (8, 2, 2)]
    assert network.shapes["pool"] == (8, 1, 1)
    same, first, second = (network.layers[k].synapses[1] for k in (2, 6, 8))
    assert (same.source, same.groups, same.weights.shape) == ("conv", 4, (4, 1, 1, 1))
    assert (first.source, first.stride, first.weights.shape) == (
        "block1_2.conv2", (2, 2), (6, 4, 1, 1))
    assert second.source == "block2_1.conv2"


def test_maps_of_odd_size():
    model = resnet((1, 7, 5), 3, channels=((2,), (2,), (2,)), activation=nn.ReLU)
    assert model(torch.zeros(2, 1, 7, 5)).shape == (2, 3)


def test_a_variant_of_an_architecture(tmp_path, monkeypatch):
    recipe = replace(RECIPES["digits", "mlp"], epochs=1, tuning=1, model={"hidden": (7,)})
    monkeypatch.setitem(RECIPES, ("digits", "mlp-7"), recipe)
    network = load(train("digits", "mlp-7", out=tmp_path / "a.npz", progress=False)["network"])
    assert network.name == "digits-mlp-7"
    assert network.layers[0].channels == 7
    assert "--model mlp-7 --name digits-mlp-7" in network.metadata["command"]


@pytest.mark.parametrize("images, tuning", [(64, 1), (150, 1), (640, 10), (64, 11)])
def test_few_steps(images, tuning, tmp_path, monkeypatch):
    few(images, monkeypatch)
    recipe = replace(RECIPES["digits", "mlp"], epochs=1, tuning=tuning, batch=64)
    monkeypatch.setitem(RECIPES, ("digits", "mlp"), recipe)
    result = train("digits", "mlp", out=tmp_path / "a.npz", progress=False)
    assert result["accuracy_quantised"] == result["accuracy_integer"]


def test_too_few_images(tmp_path, monkeypatch):
    few(63, monkeypatch)
    monkeypatch.setitem(RECIPES, ("digits", "mlp"), replace(RECIPES["digits", "mlp"], batch=64))
    with pytest.raises(DataError, match=r"^digits has 63 training images; a step of its recipe "
                                        "takes 64$"):
        train("digits", "mlp", out=tmp_path / "a.npz", progress=False)


def few(images, monkeypatch):
    """Training images of digits."""
    digits = datasets.load("digits")
    monkeypatch.setattr(datasets, "load", lambda *_: replace(
        digits, train_images=digits.train_images[:images],
        train_labels=digits.train_labels[:images]))


def test_unknown_recipe():
    with pytest.raises(DataError, match=r"^there is no recipe for data set and model "
                                        "'digits rnn'; did you mean 'digits cnn'. known are "):
        train("digits", "rnn")


def test_unknown_layer_is_refused_before_training(tmp_path):
    with pytest.raises(ConversionError, match=r"^bits: there is no layer 'fc9'; did you mean "
                                              "'fc1'. known are fc1"):
        train("digits", "mlp", out=tmp_path / "a.npz", bits="fc9=4", progress=False)


def test_every_recipe_has_a_command_line_name():
    assert {dataset for dataset, _ in RECIPES} == set(datasets.DATASETS)


def test_shifts_and_flips():
    generator = torch.Generator().manual_seed(0)
    recipe = replace(RECIPES["fashion-mnist", "cnn"], shift=2)
    x = torch.zeros(200, 1, 9, 9)
    x[:, :, 4, 3] = 7
    moved = _augment(x, recipe, generator)
    assert moved.shape == x.shape
    assert (moved.sum(dim=(1, 2, 3)) == 7).all()
    positions = moved.flatten(1).argmax(dim=1)
    assert set((positions // 9).tolist()) == {2, 3, 4, 5, 6}
    assert set((positions % 9).tolist()) == {1, 2, 3, 4, 5, 6, 7}


def test_sequences_shift_as_images():
    recipe = replace(RECIPES["mnist-permuted", "crnn"], shift=2)
    reading = permuted(9, 9)
    x = torch.zeros(20, 1, 9, 9)
    x[:, :, 4, 3] = 7
    moved = _augment(reading.read(x), recipe, torch.Generator().manual_seed(0), reading)
    assert moved.shape == (20, 1, 81, 1)
    assert torch.equal(reading.images(moved),
                       _augment(x, recipe, torch.Generator().manual_seed(0)))


def test_a_square_is_cut_out():
    generator = torch.Generator().manual_seed(0)
    recipe = replace(RECIPES["mnist", "mlp"], shift=0, cutout=4)
    cut = _augment(torch.ones(500, 2, 9, 7), recipe, generator) == 0
    assert (cut[:, 0] == cut[:, 1]).all()
    rows, columns = cut[:, 0].any(2).sum(1), cut[:, 0].any(1).sum(1)
    assert (cut[:, 0].sum(dim=(1, 2)) == rows * columns).all()
    assert set(rows.tolist()) == set(columns.tolist()) == {2, 3, 4}
    assert cut[:, 0].any(dim=0).all()


def test_only_the_weights_decay():
    model = resnet((1, 8, 8), 3, channels=((2,), (4,)), activation=partial(Qcfs, 3))
    model.conv.weight.requires_grad = False
    weights, others = _groups(model, 0.1)
    assert (weights["weight_decay"], others["weight_decay"]) == (0.1, 0)
    assert len(weights["params"]) == 6
    trained = {p for p in model.parameters() if p.requires_grad}
    assert {*weights["params"], *others["params"]} == trained


@pytest.mark.parametrize("change", [{"decay": 1.0}, {"smoothing": 0.1}, {"cutout": 2}],
                         ids=lambda change: next(iter(change)))
def test_settings_change_the_result(change, tmp_path, monkeypatch):
    recipe = replace(RECIPES["digits", "mlp"], epochs=1, tuning=1)
    digests = []
    for settings in ({}, change):
        monkeypatch.setitem(RECIPES, ("digits", "mlp"), replace(recipe, **settings))
        digests.append(train("digits", "mlp", out=tmp_path / "a.npz", progress=False)["digest"])
    assert digests[0] != digests[1]


def test_a_gpu_is_used_where_there_is_one(monkeypatch):
    assert _device().type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _device().type == "cuda"


def test_pixels_are_encoded_as_the_network_does():
    network = shipped.find("digits")
    images = np.arange(17, dtype=np.uint8).repeat(64).reshape(17, 1, 8, 8)
    assert np.array_equal(_encode(images, 16, network.input_levels).numpy(), network.encode(images))
