"""A reshape and an enlargement leave convolutions what they are."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.lower import lower
from gen.convert.terms import Form
from gen.convert.unwrapped import unwrapped
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)


def decoder(*layers, features=128):
    return nn.Sequential(nn.Linear(20, features), *layers)


UNFLATTEN = nn.Unflatten(1, (8, 4, 4))
CONV = nn.Conv2d(8, 8, 3, padding=1)

DECODERS = {
    "before": (decoder(nn.Unflatten(1, (8, 4, 4)), nn.ReLU(), CONV, nn.ReLU(),
                       nn.Conv2d(8, 1, 1)), 3400),
    "after": (decoder(nn.ReLU(), nn.Dropout(), UNFLATTEN, CONV, nn.ReLU(), nn.Conv2d(8, 1, 1)),
              3400),
    "batch norm": (decoder(nn.BatchNorm1d(128), nn.ReLU6(), UNFLATTEN, CONV, nn.ReLU(),
                           nn.Conv2d(8, 1, 1)), 3400),
    "tanh": (decoder(nn.Tanh(), UNFLATTEN, nn.Conv2d(8, 1, 3, padding=1)), 17_000),
    "transposed": (decoder(nn.ReLU(), UNFLATTEN, nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.ReLU(),
                           nn.Conv2d(4, 1, 1)), 5200),
    "enlarged": (decoder(nn.ReLU(), UNFLATTEN, nn.Upsample(scale_factor=2), nn.Conv2d(
        8, 2, 3, padding=1)), 5000),
    "cut": (decoder(nn.ReLU(), nn.Unflatten(1, (2, 8, 8)), nn.Conv2d(2, 2, (3, 1), 2)), 2900),
}


@pytest.mark.parametrize("model, most", DECODERS.values(), ids=DECODERS)
def test_decoders(model, most):
    """A convolution that sees a vector would have 16,384 weights alone."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            module.reset_parameters()
    network, _, error = compared(model, (20,))
    assert error < 0.15
    assert network.weight_count < most


class Viewed(nn.Module):
    """Reshapes that ask for the number of samples."""

    def __init__(self):
        super().__init__()
        self.encode, self.middle = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 128)
        self.decode = nn.ConvTranspose2d(8, 2, 2, 2, groups=2)

    def forward(self, x):
        x = x.view(-1, 1, 8, 8)
        x = self.encode(x).relu()
        x = F.relu(self.middle(x.reshape(x.shape[0], -1)))
        return self.decode(x.view(x.size(0), 8, 4, 4))


def test_views():
    torch.manual_seed(0)
    _, lowered, error = compared(Viewed(), (64,))
    assert (lowered.input_form, lowered.input_shape) == (Form.VECTOR, (1, 8, 8))
    assert error < 0.1
    weights = {layer.name: layer.terms[0].weight.numel() for layer in lowered.charged}
    assert weights == {"encode": 36, "middle": 256 * 128, "ones": 4, "decode": 32}


def test_a_linear_layer_that_sees_no_more_than_a_part():
    """The last row and column are seen by no window of the convolution, which is merged."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 2, 2, dilation=2), nn.Flatten(), nn.Linear(16, 20),
                          nn.ReLU(), nn.Unflatten(1, (1, 5, 4)), nn.Conv2d(1, 2, 3))
    _, lowered, error = compared(model, (1, 6, 6))
    assert [layer.name for layer in lowered.layers] == ["ones", "2", "5"]
    assert error < 0.1


def test_a_vector_that_is_seen_as_a_map_and_as_a_vector():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(16, 2)
            self.out = nn.Linear(32, 2)

        def forward(self, x):
            y = self.conv(x.view(-1, 1, 4, 4)).relu()
            return self.out(y.flatten(1)) + self.fc(x)

    torch.manual_seed(0)
    _, lowered, error = compared(Both(), (16,))
    assert lowered.input_shape == (16, 1, 1)
    assert error < 0.05


@pytest.mark.parametrize("layer, weights", [
    (nn.Conv2d(8, 8, 3, padding=1, groups=8), 4 * 8 * 9),
    (nn.Conv2d(8, 6, 3, padding=1, groups=2), 4 * 6 * 4 * 9),
    (nn.Conv2d(8, 8, 3, 2, padding=1, groups=8), 8 * 2 * 3)], ids=["depthwise", "groups", "stride"])
@pytest.mark.parametrize("before", [nn.ReLU(), nn.Hardtanh()], ids=str)
def test_groups_of_an_enlarged_map(layer, weights, before):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), before, nn.Upsample(scale_factor=2), layer,
                          nn.ReLU(), nn.Conv2d(layer.out_channels, 1, 1))
    _, lowered, error = compared(model, (1, 6, 6))
    assert error < 0.15
    (first, *_) = next(made for made in lowered.layers if made.name == "3").terms
    assert first.weight.numel() == weights


@pytest.mark.parametrize("groups, dilation", [(1, 2), (2, 1), (8, (1, 2))])
def test_transposed_convolutions(groups, dilation):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2, 2, groups=groups, dilation=dilation,
                           output_padding=1 if dilation == 2 else 0 if dilation == 1 else (0, 1)))
    lowered = lower(model, (1, 6, 6))
    assert lowered.layers[-1].terms[0].groups == groups
    *_, error = compared(model, (1, 6, 6))
    assert error < 0.05


@pytest.mark.parametrize("name", ["code", "graph"])
def test_names_that_traced_modules_have(name):
    module = nn.Sequential()
    module.add_module(name, nn.Linear(4, 2))
    with pytest.raises(ConversionError, match=rf"^the submodule .{name}. has a name that "):
        unwrapped(module)
    lower(nn.Sequential(unwrapped(nn.Sequential(module))), (4,))


@pytest.mark.parametrize("size", [(6, 6), (12, 6), (18, 12), (1, 6)])
def test_adaptive_pooling_to_multiples(size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(size),
                          nn.Flatten(), nn.Linear(4 * size[0] * size[1], 3))
    *_, error = compared(model, (1, 6, 6))
    assert error < 0.06
