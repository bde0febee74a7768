"""Standardised inputs and several results, from a module to what a host prints."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

MODEL = '''
import torch
from torch import nn


class Net(nn.Module):
    """A class, two values that are never negative, and one value."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 12),
                                  nn.LeakyReLU(0.1))
        self.kind, self.size = nn.Linear(12, 5), nn.Linear(12, 2)
        self.level = nn.Linear(12, 1)

    def forward(self, x):
        x = self.body(x)
        return {"kind": self.kind(x).softmax(dim=1), "size": torch.relu(self.size(x)),
                "level": self.level(x).squeeze(1)}


def build():
    torch.manual_seed(0)
    return Net()
'''


def ours(module, *arguments, cwd):
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments), "--json"], cwd=cwd,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    (folder / "model.py").write_text(MODEL)
    names: dict = {}
    exec(compile(MODEL, "model.py", "exec"), names)
    module = names["build"]()
    x = np.random.default_rng(0).normal(0, 1, (300, 16)).clip(-3, 3)
    np.save(folder / "x.npy", x)
    save_file(module.state_dict(), folder / "w.safetensors")
    told = ours("gen", "convert", "model.py:build", "--weights", "w.safetensors", "--calibration",
                "x.npy", "--range", -3, 3, "--levels", 63, "-o", "net.npz", cwd=folder)
    return folder, module, x[:20], told


def test_what_it_costs_is_told(folder):
    _, _, _, told = folder
    assert list(told["results"]) == ["kind", "size", "level"]
    assert 0.9 < told["results"]["kind"]["agreement"] <= 1
    assert all(0 < result["scores_error"] < 0.1 for result in told["results"].values())
    assert set(told["results"]["level"]) == {"scores_error"}
    assert all(0 <= error < 0.1 for error in told["errors"].values())
    assert {"body.0", "body.2", "kind"} <= set(told["errors"])


def test_a_device_gives_what_the_module_gives(folder):
    where, module, x, _ = folder
    np.save(where / "few.npy", x)
    ours("gen", "build", "net.npz", "--board", "arty-a7", "--no-synthesis", "-o", "built",
         cwd=where)
    told = ours("host", "infer", "few.npy", "--board", "built", "--port", "virtual", "--scores",
                cwd=where)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x).float())
    assert list(told["scores"]) == ["kind", "size", "level"]
    for name, values in told["scores"].items():
        assert np.shape(values) == wanted[name].shape
        difference = torch.tensor(values) - wanted[name]
        assert difference.abs().max() < 0.15 * wanted[name].abs().max(), name
    assert torch.tensor(told["scores"]["kind"]).sum(dim=1).allclose(torch.ones(len(x)))
    logits = ours("gen", "run", "net.npz", "few.npy", cwd=where)
    assert logits["images"] == len(x)


def test_values_out_of_range(folder):
    where, _, x, _ = folder
    np.save(where / "far.npy", x * 2)
    done = subprocess.run(
        [sys.executable, "-m", "gen", "run", "net.npz", "far.npy"], cwd=where,
        capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "real inputs must lie in -3..3, not" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
