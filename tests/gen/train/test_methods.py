"""Training as the authors of the methods do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.qcfs import ClipQuan, Qcfs
from gen.data import datasets
from gen.errors import ConversionError, DataError
from gen.ir.artifact import load
from gen.train import training
from gen.train.optimisers import Phase
from gen.train.recipes import METHODS, RECIPES
from gen.train.training import train


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("method, options, timesteps, least", [
    ("qcfs", {"timesteps": 6}, 6, 0.8),
    ("threshold-balance", {"timesteps": 8}, 8, 0.2),
    ("casc", {"until_quiet": True}, None, 0.8),
])
def test_each_method(method, options, timesteps, least, tmp_path):
    result = train("digits", "mlp", out=tmp_path / "a.npz", method=method, epochs=8,
                   progress=False, **options)
    network = load(result["network"])
    assert network.dynamics.timesteps == result["timesteps"]
    assert timesteps in (None, result["timesteps"])
    assert (network.metadata["method"], network.metadata["schedule"]) == (method, "step")
    assert network.name == f"digits-mlp-{method}"
    assert network.metadata["command"].endswith(f" -o digits-mlp-{method}.npz")
    assert result["epochs"] == [8, 0]
    digits = datasets.load("digits")
    right = network.predict(digits.test_images).argmax(axis=1) == digits.test_labels
    assert right.mean() == result["accuracy_integer"] == network.metadata["accuracy"] > least
    words = network.metadata["command"].split()
    assert words[words.index("--method") + 1] == method
    assert ("--until-quiet" in words) == ("until_quiet" in options)
    assert "True" not in words
    quantised = network.quantised(network.encode(digits.test_images))
    right = quantised.predictions == digits.test_labels
    assert right.mean() == result["accuracy_quantised"]


def test_a_seed_is_reproducible_and_settles(tmp_path):
    results = [train("digits", "cnn", out=tmp_path / "a.npz", method="casc", schedule="settle",
                     epochs=1, seed=seed, progress=False) for seed in (1, 1, 2)]
    digests = [result["digest"] for result in results]
    assert digests[0] == digests[1] != digests[2]
    network = load(results[0]["network"])
    assert network.dynamics is None
    assert network.metadata["schedule"] == results[0]["schedule"] == "settle"
    assert network.name == "digits"
    assert results[2]["accuracy_quantised"] == results[2]["accuracy_integer"]
    assert "timesteps" not in network.metadata


def test_default_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train("digits", "cnn", method="qcfs", epochs=1, progress=False)
    assert result["network"] == "digits-qcfs.npz"
    assert load("digits-qcfs.npz").name == "digits-qcfs"


def test_levels_of_threshold_balance_are_its_time_steps(tmp_path):
    result = train("digits", "mlp", out=tmp_path / "a.npz", method="threshold-balance", epochs=1,
                   schedule="settle", timesteps=5, progress=False)
    assert load(result["network"]).levels["fc1"] == 5


@pytest.mark.parametrize("method, levels, kind, norms", [
    ("qcfs", 4, Qcfs, True), ("threshold-balance", 32, nn.Hardtanh, False),
    ("casc", 8, ClipQuan, True)])
def test_settings(method, levels, kind, norms):
    authors = METHODS[method]
    assert isinstance(authors.activation(levels), kind)
    recipe = authors.adapted(RECIPES["cifar-10", "cnn"])
    assert (recipe.levels, recipe.tuning, recipe.bits) == (levels, 0, "8")
    assert authors.norm == norms
    assert recipe.model["pool"] == ("max" if method == "casc" else "average")
    assert recipe.epochs == 21


@pytest.mark.parametrize("method, epochs, shares", [
    ("qcfs", 10, {0: 1, 0.5: 0.5, 1: 0}),
    ("threshold-balance", 10, {0: 1, 0.49: 1, 0.5: 0.1, 0.69: 0.1, 0.7: 0.01, 1: 0.01}),
    ("casc", 100, {0: 0, 0.025: 0.5, 0.05: 1, 0.525: 0.5, 1: 0}),
    ("casc", 8, {0: 0, 0.125: 0.5, 0.25: 1, 0.625: 0.5, 1: 0}),
])
def test_learning_rates(method, epochs, shares):
    for done, share in shares.items():
        assert METHODS[method].rates(done, epochs) == pytest.approx(share, abs=1e-12)


def test_a_step_moves_as_its_range_would():
    """SGD on lambda = levels * step, which the authors train."""
    torch.manual_seed(0)
    inputs = torch.randn(5, 40)
    module, ranged = Qcfs(4, 2.0), torch.tensor(8.0, requires_grad=True)
    phase = Phase("float", 1, 0.1, 0.05, lambda done, epochs: 1 - done / 2)
    optimiser, schedule = phase.optimiser(nn.Sequential(module), 5)
    theirs = torch.optim.SGD([ranged], 0.1, momentum=0.9, weight_decay=0.05)
    for k, x in enumerate(inputs):
        module.zero_grad()
        module(x).square().sum().backward()
        optimiser.step()
        schedule.step()
        theirs.zero_grad()
        theirs.param_groups[0]["lr"] = 0.1 * (1 - k / 10)
        scaled = x / ranged * 4 + 0.5
        counts = (scaled + (scaled.floor() - scaled).detach()).clamp(0, 4)
        (ranged / 4 * counts).square().sum().backward()
        theirs.step()
        assert math.isclose(4 * module.step.item(), ranged.item(), rel_tol=1e-4)
    assert not math.isclose(ranged.item(), 8.0, rel_tol=1e-2)


def test_all_parameters_are_trained_once():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Qcfs(2), nn.Linear(4, 2), Qcfs(3))
    optimiser, _ = Phase("float", 1, 0.1, 1e-4, lambda done, epochs: 1).optimiser(model, 3)
    groups = optimiser.param_groups
    assert sorted(map(id, model.parameters())) == sorted(
        id(p) for group in groups for p in group["params"])
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.1 / 4, 0.1 / 9])


@pytest.mark.parametrize("options, error, message", [
    ({"method": "st-bif"}, DataError, "^there is no method to train with 'st-bif'; known are qcfs"),
    ({"method": "sgd"}, ConversionError, "^there is no method 'sgd'; "),
    ({"timesteps": 3}, ConversionError, "^--timesteps needs a method \\(--method\\)$"),
    ({"until_quiet": True}, ConversionError, "^--until-quiet needs --method casc$"),
    ({"method": "qcfs", "until_quiet": True}, ConversionError,
     "^--until-quiet needs --method casc$"),
    ({"schedule": "settle", "until_quiet": True}, ConversionError,
     "^in the schedule 'settle' neurons fire once"),
    ({"method": "threshold-balance", "timesteps": 3, "levels": 4}, ConversionError,
     "^threshold-balance has as many levels as time-steps, not 4 and 3"),
    *((options, ConversionError, message) for options, message in (
        ({"method": "casc", "levels": 8, "timesteps": 7}, "^casc is awake for as many time-steps"),
        ({"method": "casc", "sleep": 64}, "^casc: there are [0-9]+ time-steps; 64 are the most"),
        ({"method": "casc", "levels": 65, "until_quiet": True},
         "^casc is awake for as many time-steps as the neurons have levels, 65; 64 are the most"),
        ({"method": "qcfs", "levels": 65}, "^qcfs: there are 65 time-steps; 64 are the most"))),
])
def test_what_cannot_be_trained(options, error, message, tmp_path, monkeypatch):
    """It is refused before the first step of training."""
    monkeypatch.setattr(training, "_fit", None)
    with pytest.raises(error, match=message):
        train("digits", "mlp", out=tmp_path / "a.npz", progress=False, **options)
    assert not list(tmp_path.iterdir())


def test_images_that_calibrate_are_training_images(tmp_path, monkeypatch):
    """Black test images change no weight."""
    digits = datasets.load("digits")
    digests = []
    for test in (digits.test_images, np.zeros_like(digits.test_images)):
        changed = replace(digits, test_images=test)
        monkeypatch.setattr(datasets, "load", lambda *_, data=changed: data)
        digests.append(train("digits", "mlp", out=tmp_path / "a.npz", method="threshold-balance",
                             epochs=1, timesteps=3, progress=False)["digest"])
    assert digests[0] == digests[1]
