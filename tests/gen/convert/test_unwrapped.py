"""Modules that were prepared for quantisation-aware training, or scripted in part."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao import quantization

from gen.convert.conversion import convert
from gen.convert.unwrapped import unobserved, unwrapped
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning",
                                        "ignore::UserWarning")

SHAPE = (1, 8, 8)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(quantization.QuantStub(), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
                         nn.Flatten(), nn.Linear(144, 3), quantization.DeQuantStub())


def trained(module):
    module.train()(torch.rand(16, *SHAPE))
    return module.eval()


def observed():
    module = plain().eval()
    module.qconfig = quantization.default_qconfig
    return trained(quantization.prepare(module))


def prepared(*, fused):
    module = plain().train()
    if fused:
        quantization.fuse_modules_qat(module, [["1", "2", "3"]], inplace=True)
    module.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    return trained(quantization.prepare_qat(module))


@pytest.mark.parametrize("make", [observed, lambda: prepared(fused=False),
                                  lambda: prepared(fused=True)])
def test_observers_are_dropped(make):
    module = make()
    module.apply(quantization.disable_fake_quant)
    images = torch.rand(4, *SHAPE)
    with torch.no_grad():
        before = module(images)
    bare = unobserved(unwrapped(module))
    assert not [name for name, _ in bare.named_modules() if "fake" in name or "process" in name]
    with torch.no_grad():
        assert torch.allclose(bare(images), before, atol=1e-5)
    *_, error = compared(bare, SHAPE)
    assert error < 0.06


def test_values_that_are_quantised_now():
    with pytest.raises(ConversionError, match=r"quantises values while it is trained, .* switch it "
                                              r"off, module\.apply\(torch\.ao\.quantization\.dis"):
        unobserved(unwrapped(prepared(fused=True)))


def test_the_state_of_a_prepared_module(tmp_path):
    """It fits the module before it was prepared."""
    (tmp_path / "model.py").write_text(
        "from torch import nn\nfrom torch.ao import quantization\n"
        "def build(): return nn.Sequential(quantization.QuantStub(), nn.Conv2d(1, 4, 3), "
        "nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3), "
        "quantization.DeQuantStub())")
    torch.save(prepared(fused=False).state_dict(), tmp_path / "w.pth")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (20, *SHAPE)))
    result = convert(f"{tmp_path}/model.py:build", weights=tmp_path / "w.pth",
                     calibration=tmp_path / "x.npy", out=tmp_path / "net.npz")
    assert result["layers"] == {"1": "neurons", "5": "readout"}


def test_a_part_that_was_scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = torch.jit.script(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()))
    with pytest.raises(ConversionError, match=r"^the submodule '0' is a ScriptModule, whose code"):
        unwrapped(nn.Sequential(part, nn.Flatten(), nn.Linear(144, 3)))
