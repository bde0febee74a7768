import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gen.artifact import load
from gen.convert import convert
from gen.errors import ConversionError, DataError
from gen.qcfs import Qcfs

torch.set_num_threads(1)

MODEL = '''
import torch
from torch import nn
from helper import width

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        out = self.pointwise(self.relu(self.norm(self.depthwise(x))))
        out += x
        return self.relu(out)

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.MaxPool2d(2), Block(width),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))

def number():
    return 3

def broken():
    raise RuntimeError("two\\nlines")
'''


@pytest.fixture
def files(tmp_path):
    """A user's file with a neighbour, weights and calibration images."""
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "helper.py").write_text("width = 8\n")
    target = f"{tmp_path}/model.py:build"
    from gen.convert import load_module
    module = load_module(target)
    weights, images = tmp_path / "w.safetensors", tmp_path / "x.npy"
    save_file(module.state_dict(), weights)
    rng = np.random.default_rng(0)
    np.save(images, rng.integers(0, 256, (150, 1, 10, 12), dtype=np.uint8))
    return {"target": target, "weights": weights, "calibration": images,
            "out": tmp_path / "net.npz"}


def test_residual_network_with_plain_relu(files):
    result = convert(**files, bits="8,3.depthwise=4", levels=31)
    assert json.loads(json.dumps(result)) == result
    assert result["layers"] == {"0": "neurons", "2": "max pool", "3.depthwise": "neurons",
                                "3.pointwise": "neurons", "4": "sum pool", "6": "readout"}
    assert result["weights"] == 8 * 9 + 8 * 9 + 8 * 8 + 8 + 4 * 8
    assert result["agreement"] > 0.9
    network = load(result["network"])
    assert network.digest == result["digest"] and network.name == "net"
    assert network.layers[2].synapses[0].bits == 4
    assert (network.input_levels, network.pixel_max) == (255, 255)
    images = np.load(files["calibration"])
    assert np.array_equal(network.samples, images[:32])
    assert network.metadata["agreement"] == result["agreement"]


def test_kinds_of_calibration_images(files):
    images = np.load(files["calibration"])
    digest = convert(**files)["digest"]
    for other in images[:, 0], images / 255, (images / 255).astype(np.float32):
        np.save(files["calibration"], other)
        assert convert(**files)["digest"] == digest


def test_same_files_same_bytes(files):
    convert(**files)
    first = files["out"].read_bytes()
    convert(**files)
    assert files["out"].read_bytes() == first


def test_qcfs_keeps_its_trained_step_and_levels(tmp_path, files):
    (tmp_path / "model.py").write_text(
        "from torch import nn\nfrom gen.qcfs import Qcfs\n"
        "def build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(120, 9), Qcfs(5), nn.Linear(9, 3))")
    module = nn.Sequential(nn.Flatten(), nn.Linear(120, 9), Qcfs(5, step=0.25), nn.Linear(9, 3))
    save_file(module.state_dict(), files["weights"])
    result = convert(**files, input_levels=15)
    assert result["steps"] == {"1": 0.25}
    assert load(result["network"]).levels == {"input": 15, "1": 5}


def test_foreign_activation(tmp_path, files):
    (tmp_path / "model.py").write_text('''
import torch
from torch import nn
class QCFS(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.t = nn.Parameter(torch.tensor(1.5)), 3
    def forward(self, x):
        return (x / self.up * self.t + 0.5).floor().clamp(0, self.t) / self.t * self.up
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(120, 9), QCFS(), nn.Linear(9, 3))
''')
    from gen.convert import load_module
    save_file(load_module(files["target"]).state_dict(), files["weights"])
    assert convert(**files, activation="model.QCFS,up/t,t")["steps"] == {"1": 0.5}
    with pytest.raises(ConversionError, match=r"^2: uses its parameter 'up' directly"):
        convert(**files)


def refused(files, message, error=ConversionError, **changes):
    with pytest.raises(error, match=message) as caught:
        convert(**{**files, **changes})
    assert "\n" not in str(caught.value)
    assert not files["out"].exists()


@pytest.mark.parametrize("function, message", [
    ("number", r"model\.py:number: must return a torch\.nn\.Module, not int$"),
    ("broken", r"model\.py:broken: RuntimeError: two$"),
    ("absent", r"model\.py:absent: AttributeError: "),
    ("not good", r"^the module must be given as FILE\.py:FUNCTION, not "),
])
def test_bad_function(files, function, message):
    refused(files, message, target=files["target"].replace("build", function))


def test_bad_file(files, tmp_path):
    refused(files, r"none\.py: there is no such file$", target=f"{tmp_path}/none.py:build")
    (tmp_path / "model.py").write_text("def build(:")
    refused(files, r"model\.py:build: SyntaxError: ")


def test_bad_weights(files):
    state = {"0.weight": torch.zeros(8, 1, 3, 3)}
    save_file(state, files["weights"])
    refused(files, r"lacks tensor '0\.bias' \(\d+ missing, 0 unknown\)")
    from gen.convert import load_module
    state = load_module(files["target"]).state_dict()
    save_file({**state, "extra": torch.zeros(1)}, files["weights"])
    refused(files, r"has the unknown tensor 'extra' \(0 missing, 1 unknown\)")
    save_file({**state, "0.bias": torch.zeros(9)}, files["weights"])
    refused(files, r"tensor '0\.bias' must have the shape \(8,\), not \(9,\)$")
    save_file({**state, "0.bias": torch.full((8,), float("nan"))}, files["weights"])
    refused(files, r"tensor '0\.bias' must hold finite numbers$")
    torch.save(state, files["weights"])
    refused(files, r"can't be read as safetensors")
    files["weights"].unlink()
    refused(files, r"can't be read as safetensors")


@pytest.mark.parametrize("images, message", [
    (np.zeros((0, 1, 10, 12), np.uint8), r"must have the shape \(N, C, H, W\), \(N, H, W\) or"),
    (np.zeros(5, np.uint8), r"must have the shape .*, not \(5,\)$"),
    (np.full((2, 1, 10, 12), 256), r"must lie in 0\.\.255, not 256\.\.256; put a normalisation"),
    (np.full((2, 1, 10, 12), -0.1), r"must lie in 0\.\.1, not -0\.1\.\.-0\.1; "),
    (np.full((2, 1, 10, 12), np.nan), r"must lie in 0\.\.1, not nan"),
    (np.array([[{}]]), r"can't be read as a \.npy file of numbers"),
    (np.array([["a"]]), r"must be one \.npy array of numbers$"),
])
def test_bad_calibration(files, images, message):
    np.save(files["calibration"], images)
    refused(files, message, DataError)


def test_module_of_another_size(files):
    np.save(files["calibration"], np.zeros((2, 3, 10, 12), np.uint8))
    refused(files, r"^0 \(Conv2d\): expects 1 channels, but its input has 3$")


@pytest.mark.parametrize("changes, message", [
    ({"bits": 9}, "bits must be 2 to 8, not 9"),
    ({"bits": "conv9=4"},
     "bits: there is no layer 'conv9'; layers are 0, 3.depthwise, 3.pointwise, 6"),
    ({"levels": 0}, "levels must be an integer in 1..65535, not 0"),
    ({"input_levels": 2.5}, "input_levels must be an integer in 1..65535, not 2.5"),
])
def test_bad_options(files, changes, message):
    refused(files, f"^{re.escape(message)}", **changes)
