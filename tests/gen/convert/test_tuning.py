"""What a conversion costs, and how much of it can be won back."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from gen.convert.accuracy import layer_errors
from gen.convert.conversion import convert, to_quantised
from gen.convert.tuning import Tuning, tuned
from gen.data.datasets import load
from gen.errors import DataError
from gen.ir.artifact import load as load_network

torch.set_num_threads(1)

COARSE = {"bits": 3, "levels": 3, "input_levels": 16}


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
                         nn.Flatten(), nn.Linear(96, 24), nn.LeakyReLU(0.1), nn.Linear(24, 10))


@pytest.fixture(scope="module")
def trained():
    """A network of the digits, trained without any module of ours; images of 0..1, and labels."""
    digits = load("digits")
    images = digits.train_images.astype(np.float32) / digits.pixel_max
    x, y = torch.from_numpy(images), torch.from_numpy(digits.train_labels)
    module = build()
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(12):
        for chosen in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(module(x[chosen]), y[chosen]).backward()
            optimiser.step()
    return module.eval(), images, digits


def accuracy_of(quantised, digits):
    network = quantised.eval().to_network("net", pixel_max=digits.pixel_max)
    classes = network.predict(digits.test_images).argmax(1)
    return float((classes == digits.test_labels).mean())


def test_coarse_integers_are_tuned(trained):
    module, images, digits = trained
    quantised, lowered, _ = to_quantised(module, images, **COARSE)
    before = accuracy_of(quantised, digits)
    errors = layer_errors(module, lowered, quantised, images[:200])
    tuned(quantised, module, lowered, images, digits.train_labels, Tuning(3, progress=False))
    assert accuracy_of(quantised, digits) > before + 0.01
    after = layer_errors(module, lowered, quantised, images[:200])
    assert sum(after.values()) < sum(errors.values())


def test_layers_alone_need_no_labels(trained):
    module, images, _ = trained
    quantised, lowered, _ = to_quantised(module, images, **COARSE)
    before = layer_errors(module, lowered, quantised, images[:200])
    tuned(quantised, module, lowered, images[:600], None, Tuning(0, progress=False))
    after = layer_errors(module, lowered, quantised, images[:200])
    assert after["6"] < before["6"]


def test_one_seed_gives_one_network(trained):
    module, images, _ = trained
    digests = []
    for seed in (1, 1, 2):
        quantised, lowered, _ = to_quantised(module, images[:400], **COARSE)
        state = torch.random.get_rng_state()
        tuned(quantised, module, lowered, images[:400], None, Tuning(1, seed, progress=False))
        assert torch.equal(state, torch.random.get_rng_state())
        digests.append(quantised.to_network("net").digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_last_function_changes_nothing(trained):
    module, images, digits = trained
    logits = []
    for each in (module, nn.Sequential(module, nn.Softmax(1))):
        quantised, lowered, _ = to_quantised(each, images[:200], **COARSE)
        tuned(quantised, each, lowered, images[:200], None, Tuning(1, progress=False))
        network = quantised.to_network("net", pixel_max=digits.pixel_max)
        logits.append(network.predict(digits.test_images[:50]))
    assert np.array_equal(*logits)


def test_what_is_not_better_is_not_kept(trained, monkeypatch):
    """Steps that are far too long lose nothing."""
    module, images, digits = trained
    monkeypatch.setattr("gen.convert.tuning._RATE", 50.0)
    monkeypatch.setattr("gen.convert.tuning._LAST_RATE", 50.0)
    quantised, lowered, _ = to_quantised(module, images, bits=8, levels=31, input_levels=16)
    before = accuracy_of(quantised, digits)
    tuned(quantised, module, lowered, images, digits.train_labels, Tuning(1, progress=False))
    assert accuracy_of(quantised, digits) > before - 0.01


def test_from_files(trained, tmp_path, monkeypatch):
    module, _, digits = trained
    monkeypatch.chdir(tmp_path)
    save_file(module.state_dict(), "w.safetensors")
    np.savez("data.npz", images=digits.train_images, labels=digits.train_labels)
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6),\n"
        "        nn.ReLU(), nn.Flatten(), nn.Linear(96, 24), nn.LeakyReLU(0.1),\n"
        "        nn.Linear(24, 10))\n")
    made = []
    for tune in (None, {"epochs": 1, "seed": 0, "progress": False}):
        made.append(convert("model.py:build", weights="w.safetensors", calibration="data.npz",
                            out="net.npz", pixel_max=digits.pixel_max, tune=tune, **COARSE))
    assert made[1]["scores_error"] < made[0]["scores_error"]
    assert made[0]["accuracy_module"] == made[1]["accuracy_module"]
    assert load_network("net.npz").metadata["accuracy"] == made[1]["accuracy"]


@pytest.mark.parametrize("arrays, message", [
    ({"pictures": np.zeros((3, 1, 8, 8), int)}, "must have an array 'images', not"),
    ({"images": np.arange(192).reshape(3, 1, 8, 8) % 16, "labels": np.zeros(2, int)},
     "labels must be one class for each of the 3 images"),
    ({"images": np.arange(192).reshape(3, 1, 8, 8) % 16, "labels": -np.ones(3, int)},
     r"labels must be classes from 0 on, not -1\.\.-1"),
    ({"images": np.arange(192).reshape(3, 1, 8, 8) % 16, "labels": np.ones((3, 0), int)},
     "labels must be one class for each of the 3 images"),
    ({"images": np.arange(192).reshape(3, 1, 8, 8) % 16, "labels": np.ones(3)},
     r"or for each of their positions, not float64 of \(3,\)"),
    ({"images": np.zeros((3, 1, 8, 8), int)}, "all values of the calibration images are 0"),
    (None, "can't be read as .npz"),
])
def test_other_data(trained, tmp_path, arrays, message):
    module, _, digits = trained
    save_file(copy.deepcopy(module).state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "model.py").write_text("from torch import nn\ndef build(): return nn.Linear(2, 2)")
    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "w.safetensors")
    path = tmp_path / "data.npz"
    path.write_bytes(b"PK nothing") if arrays is None else np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        convert(f"{tmp_path / 'model.py'}:build", weights=tmp_path / "w.safetensors",
                calibration=path, out=tmp_path / "net.npz", pixel_max=digits.pixel_max)
