import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import to_quantised
from gen.convert.lower import lower
from gen.convert.qcfs import ClipQuan, Qcfs
from gen.convert.recurrent import Recurrent
from gen.errors import ConversionError

torch.set_num_threads(1)


class Last(nn.Module):
    def __init__(self, rows=1):
        super().__init__()
        self.rows = rows

    def forward(self, x):
        return x[:, :, -self.rows:]


class Before(nn.Module):
    def forward(self, x):
        return F.pad(x, (0, 0, 2, 0))


def sequential(*activations, diagonal=False, elements=7, front=False, seed=0):
    """Recurrent layers of 6 neurons over 3 features, and 4 scores of the last element."""
    torch.manual_seed(seed)
    layers, fan = [], 3
    if front:
        layers += [Before(), nn.Conv2d(3, 5, (3, 1), (2, 1)), nn.BatchNorm2d(5), nn.ReLU()]
        fan = 5
    for activation in activations:
        recurrent = Recurrent(6, activation, diagonal=diagonal)
        with torch.no_grad():
            recurrent.own.copy_(0.5 * torch.randn_like(recurrent.own))
        layers += [nn.Conv2d(fan, 6, 1), recurrent]
        fan = 6
    module = nn.Sequential(*layers, Last(), nn.Flatten(), nn.Linear(6, 4)).eval()
    return module, np.random.default_rng(seed).random((40, 3, elements, 1), dtype=np.float32)


def test_a_recurrent_layer_is_pytorchs():
    torch.manual_seed(1)
    theirs = nn.RNN(3, 6, nonlinearity="relu", batch_first=True)
    ours = Recurrent(6, nn.ReLU())
    x = torch.rand(4, 9, 3)
    with torch.no_grad():
        ours.own.copy_(theirs.weight_hh_l0[:, :, None, None])
        charge = F.linear(x, theirs.weight_ih_l0, theirs.bias_ih_l0 + theirs.bias_hh_l0)
        h = ours(charge.transpose(1, 2)[..., None])
        assert torch.allclose(h[..., 0].transpose(1, 2), theirs(x)[0], atol=1e-6)


def test_a_diagonal_layer_has_a_weight_for_each_channel():
    ours = Recurrent(3, nn.Identity(), diagonal=True)
    with torch.no_grad():
        ours.own.copy_(torch.tensor([0.5, 1, 2])[:, None, None, None])
    h = ours(torch.ones(1, 3, 3, 2))
    assert h[0, :, :, 0].tolist() == [[1, 1.5, 1.75], [1, 2, 3], [1, 3, 7]]


def test_it_keeps_what_it_has_seen_at_first():
    z = torch.zeros(1, 4, 5, 1)
    z[:, :, 0] = torch.tensor([1.0, 0, 2, 3])[None, :, None]
    assert torch.equal(Recurrent(4, nn.ReLU())(z), z[:, :, :1].expand_as(z))


@pytest.mark.parametrize("activations, options", [
    ([Qcfs(7)], {}), ([Qcfs(7)], {"diagonal": True}), ([nn.ReLU()], {}), ([ClipQuan(5)], {}),
    ([nn.Hardtanh(0, 0.7), Qcfs(15)], {}), ([nn.ReLU(), nn.ReLU()], {"front": True}),
    ([Qcfs(3)], {"front": True, "diagonal": True, "elements": 30})])
def test_every_state_is_that_of_the_quantised_module(activations, options):
    module, images = sequential(*activations, **options)
    quantised, _, scores = to_quantised(module, images, bits=8, levels=31, input_levels=15)
    network = quantised.to_network("a", pixel_max=255)
    counts = np.random.default_rng(2).integers(0, 16, (20, *network.input_shape))
    with torch.no_grad():
        trace, made = network.run(counts), quantised.eval().trace(torch.from_numpy(counts))
    recurrent = [layer.name for layer in network.layers if layer.name in layer.sources]
    assert len(recurrent) == len(activations)
    for name, states in trace.counts.items():
        assert np.array_equal(made[name].numpy(), states), name
        assert len(np.unique(states)) > 1
    assert np.array_equal(made[network.readout.name].flatten(1).numpy(), trace.logits)
    predictions = network.predict(np.floor(images * 255 + 0.5).astype(int)).argmax(axis=1)
    assert (predictions == scores.argmax(1).numpy()).mean() >= 0.8


def test_recurrent_weights_are_trained():
    module, images = sequential(Qcfs(7))
    quantised, _, _ = to_quantised(module, images)
    quantised.train()
    counts = torch.randint(0, 256, (8, 3, 7, 1)).float()
    quantised(counts).square().mean().backward()
    own = next(weight for layer in quantised.layers for term, weight in zip(
        getattr(layer, "terms", ()), getattr(layer, "weights", ()), strict=True)
        if term.source == layer.name)
    assert own.grad.abs().sum() > 0


def test_the_step_is_that_of_the_inner_activation():
    module, _ = sequential(Qcfs(7, step=0.3))
    (layer,) = lower(module, (3, 7, 1)).neurons
    assert (layer.activation, layer.step, layer.levels) == ("1.activation", pytest.approx(0.3), 7)
    term, own = layer.terms
    assert (own.source, own.padding, own.below) == (layer.name, (1, 0), -1)
    assert term.source == "input"


def test_a_layer_that_computes_something_else_is_refused():
    module, images = sequential(Qcfs(7))
    module[1].fed_back = lambda h: 0.9 * h
    with pytest.raises(ConversionError, match=r"1.activation: this activation is not step"):
        to_quantised(module, images)
    module, images = sequential(nn.ReLU())
    module[1].fed_back = lambda h: 0.9 * h
    with pytest.raises(ConversionError, match="0: the module computes something else here"):
        to_quantised(module, images)


@pytest.mark.parametrize("layers, message", [
    ([nn.Conv2d(3, 5, 1), Recurrent(6, Qcfs(3))], "expects 6 channels, but its input has 5"),
    ([nn.Conv2d(3, 6, 1), Recurrent(6, nn.Identity())], "its activation must be Qcfs"),
    ([nn.Conv2d(3, 6, 1), Recurrent(6, nn.Tanh())], "its activation must be"),
    ([nn.Conv2d(3, 6, 1), Recurrent(6, nn.LeakyReLU())], "its activation must be"),
    ([nn.Conv2d(3, 6, 1), Qcfs(3), Last(2), nn.AvgPool2d((2, 1))], "pool before elements"),
])
def test_what_has_no_counterpart_is_refused(layers, message):
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 4))
    with pytest.raises(ConversionError, match=message):
        lower(module, (3, 7, 1))


class Sliced(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.index, self.conv, self.act = index, nn.Conv2d(3, 4, 1), Qcfs(3)

    def forward(self, x):
        return self.act(self.conv(x))[self.index].flatten(1)


@pytest.mark.parametrize("index, message", [
    ((slice(None), slice(None), slice(7, None)), "a slice must have places"),
    ((slice(None), slice(None), 9), "there is no place 9 among 7"),
    ((slice(None),) * 5, "more indices"), (0, "not by samples")])
def test_other_slices_are_refused(index, message):
    with pytest.raises(ConversionError, match=message):
        lower(nn.Sequential(Sliced(index), nn.Linear(4, 2)), (3, 7, 1))


@pytest.mark.parametrize("pad, options", [
    ((0, 0, 0, 1), {"value": 1.0}), ((1, 1, 0, 0), {"mode": "reflect"})])
def test_other_padding_is_refused(pad, options):
    class Padded(nn.Module):
        def forward(self, x):
            return F.pad(x, pad, **options)

    module = nn.Sequential(Padded(), nn.Conv2d(3, 4, 1), Qcfs(3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ConversionError, match="must pad with zeros"):
        lower(module, (3, 7, 1))


@pytest.mark.parametrize("channels", [0, -1, 1.5])
def test_wrong_channels_are_refused(channels):
    with pytest.raises(ValueError, match="channels must be a positive integer"):
        Recurrent(channels, nn.ReLU())
