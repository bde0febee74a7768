"""Modules that change nothing, or only scale, in evaluation."""

import pytest
import torch
from torch import nn
from torch.ao.quantization import DeQuantStub, QuantStub

from tests.compared import compared

torch.set_num_threads(1)


class Scale(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.scale, self.shift = (nn.Parameter(torch.rand(shape) + 0.5) for _ in range(2))

    def forward(self, x):
        return x * self.scale + self.shift


def synchronised():
    norm = nn.SyncBatchNorm(4)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


def net(*layers, features=256):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *layers, nn.Flatten(),
                         nn.Linear(features, 3))


MODULES = {
    "SyncBatchNorm": lambda: net(synchronised(), nn.ReLU()),
    "dropouts": lambda: net(nn.ReLU(), nn.Dropout3d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()),
    "ceil_mode": lambda: net(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), features=64),
    "AdaptiveAvgPool2d": lambda: net(nn.AdaptiveAvgPool2d((None, 8)), nn.ReLU(),
                                     nn.AdaptiveAvgPool2d(8)),
    "stubs": lambda: nn.Sequential(QuantStub(), *net(nn.ReLU()), DeQuantStub()),
    "scale of channels": lambda: net(Scale(1, 4, 1, 1), nn.ReLU(), Scale(4, 1, 1)),
    "one scale": lambda: net(Scale(1), nn.ReLU(), Scale()),
}


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.parametrize("name", MODULES)
def test_costs_no_neurons(name):
    torch.manual_seed(0)
    network, _, error = compared(MODULES[name](), (1, 8, 8))
    pools = ["max pool"] if name == "ceil_mode" else []
    assert [layer.label for layer in network.layers] == ["neurons", *pools, "readout"]
    assert error < 0.06
