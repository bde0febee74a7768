"""What comes after a maximum and never falls is computed before it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.foreign import Activation
from gen.convert.qcfs import ClipQuan, Qcfs
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)

SHAPE = (1, 8, 8)

RISING = {
    "relu": F.relu, "relu6": F.relu6, "hardtanh": lambda z: F.hardtanh(z, -0.2, 0.4),
    "hardsigmoid": F.hardsigmoid, "clamp": lambda z: torch.clamp(z, min=0, max=0.3),
    "clamp of one bound": lambda z: z.clamp(min=0), "clamp_min": lambda z: z.clamp_min(0.0),
    "clip": lambda z: z.clip(-0.1, 0.4), "clamp in place": lambda z: z.clamp_(0, 0.3),
    "dropout": lambda z: F.dropout(z, training=False).relu(),
}


class Pooled(nn.Module):
    def __init__(self, pool, after, features):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(features, 3)
        self.pool, self.after = pool, after

    def forward(self, x):
        return self.fc(self.after(self.pool(self.conv(x))).flatten(1))


@pytest.mark.parametrize("pool, features", [
    (lambda z: F.max_pool2d(z, 2), 64), (lambda z: F.adaptive_max_pool2d(z, 1), 4),
    (nn.MaxPool2d(3, 2, padding=1), 64), (nn.AdaptiveMaxPool2d(1), 4)],
    ids=["max_pool2d", "adaptive_max_pool2d", "MaxPool2d", "AdaptiveMaxPool2d"])
@pytest.mark.parametrize("name", RISING)
def test_functions(pool, features, name):
    torch.manual_seed(0)
    network, _, error = compared(Pooled(pool, RISING[name], features), SHAPE)
    assert [layer.label for layer in network.layers] == ["neurons", "max pool", "readout"]
    assert error < 0.1


class Own(nn.Module):
    step, levels = 0.1, 7

    def forward(self, x):
        return (x / self.step).add(0.5).floor().clamp(0, self.levels) * self.step


def norm(weight):
    module = nn.BatchNorm2d(4)
    module.weight.data.fill_(weight)
    module.running_mean.normal_()
    module.running_var.uniform_(0.5, 2)
    return module


@pytest.mark.parametrize("after", [
    (Qcfs(7, 0.1),), (ClipQuan(7),), (nn.Hardtanh(),), (Own(),), (nn.Identity(), nn.ReLU()),
    (norm(0.5), nn.Dropout2d(), nn.ReLU()), (norm(2.0), nn.ReLU6())], ids=str)
def test_modules(after):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), *after, nn.Flatten(),
                          nn.Linear(36, 3))
    named = Activation("Own") if isinstance(after[0], Own) else None
    network, _, error = compared(model, SHAPE, activation=named)
    assert [layer.label for layer in network.layers] == ["neurons", "max pool", "readout"]
    assert error < 0.1


def test_a_batch_norm_that_falls():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), norm(-1.0), nn.ReLU())
    with pytest.raises(ConversionError, match=r"^1 \(MaxPool2d\): the greatest of sums is not "):
        compared(model, SHAPE)


class Joined(nn.Module):
    """What is joined is used again, and must not be changed in place."""

    def __init__(self, after):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.after, self.c, self.fc = after, nn.Conv2d(10, 4, 1), nn.Linear(256, 3)

    def forward(self, x):
        a = self.a(x).relu()
        y = self.c(self.after(torch.cat((a, self.b(a)), 1)))
        return self.fc(F.relu(y + a).flatten(1))


def dense_norm():
    wide = nn.BatchNorm2d(10)
    for values in (wide.weight.data, wide.bias.data, wide.running_mean):
        values.normal_(0, 0.5)
    return wide


@pytest.mark.parametrize("after", [
    lambda: nn.Sequential(dense_norm(), nn.ReLU(inplace=True)), lambda: nn.ReLU(inplace=True),
    lambda: nn.Hardtanh(-0.2, 0.5, inplace=True), nn.Tanh, lambda: Qcfs(15, 0.1), dense_norm,
    lambda: nn.PReLU(10), lambda: F.relu6, lambda: torch.relu_])
def test_joined_channels(after):
    torch.manual_seed(0)
    _, lowered, error = compared(Joined(after()), SHAPE)
    assert error < 0.15
    assert "a" in [layer.name for layer in lowered.layers]


def test_joined_channels_cost_no_weights():
    torch.manual_seed(0)
    model = nn.Sequential(dense_norm(), nn.ReLU())
    network, *_ = compared(Joined(model), SHAPE)
    own = 4 * 9 + 6 * 4 * 9 + 4 * 10 + 3 * 256
    assert network.weight_count < own + 40
