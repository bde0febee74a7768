"""Networks of torchvision by their names."""

import sys
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.conversion import convert
from gen.convert.vision import from_torchvision
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)


@pytest.fixture
def models():
    """The models of torchvision, whose operators in C++ may be missing."""
    if "torchvision" not in sys.modules:
        with patch.object(torch.library, "register_fake", lambda name: lambda function: function):
            pytest.importorskip("torchvision", reason="pip install spikeloom[vision]")
    from torchvision import models
    return models


def with_statistics(module, shape):
    """A network whose batch norms have seen images."""
    torch.manual_seed(0)
    with torch.no_grad():
        module.train()(torch.rand(4, *shape))
    return module.eval()


@pytest.mark.parametrize("name", [
    "squeezenet1_1", pytest.param("resnet18", marks=pytest.mark.slow),
    pytest.param("mobilenet_v2", marks=pytest.mark.slow),
    pytest.param("vgg11_bn", marks=pytest.mark.slow)])
def test_converts(models, name):
    torch.manual_seed(0)
    module = with_statistics(models.get_model(name, weights=None, num_classes=10), (3, 32, 32))
    compared(module, (3, 32, 32))


def test_by_name_and_weights(models, tmp_path):
    module = with_statistics(models.squeezenet1_1(num_classes=3), (3, 32, 32))
    torch.save(module.state_dict(), tmp_path / "w.pth")
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32))
    np.save(tmp_path / "x.npy", images)
    result = convert("torchvision:squeezenet1_1", weights=tmp_path / "w.pth",
                     calibration=tmp_path / "x.npy", out=tmp_path / "net.npz")
    assert next(iter(result["layers"])) == "features.0"
    weights = sum(value.numel() for name, value in module.state_dict().items()
                  if name.endswith("weight"))
    assert result["weights"] == weights + 3, "three classes, whose activation is averaged last"


def test_another_name(models):
    with pytest.raises(ConversionError, match=r"^there is no network of torchvision 'resnet19'; "):
        from_torchvision("torchvision:resnet19", {})


def test_another_state(models, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ConversionError, match=r"w\.pth: lacks tensor 'features\.0\.weight'"):
        convert("torchvision:squeezenet1_1", weights=tmp_path / "w.pth",
                calibration=tmp_path / "x.npy", out=tmp_path / "net.npz")


def test_without_weights(tmp_path):
    with pytest.raises(ConversionError, match=r"^torchvision:resnet18: needs the module's weights"):
        convert("torchvision:resnet18", calibration=tmp_path / "x.npy", out=tmp_path / "net.npz")


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError) as error:
        from_torchvision("torchvision:resnet18", {})
    assert error.value.name == "torchvision"


def test_one_of_another_release(monkeypatch):
    broken = Mock(spec=[])
    type(broken).models = property(Mock(side_effect=RuntimeError("operator torchvision::nms")))
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    with pytest.raises(ConversionError, match=r"^torchvision can't be imported \(operator torchvi"):
        from_torchvision("torchvision:resnet18", {})
