"""What only arranges, scales or joins values costs no neuron, and loses nothing."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import to_quantised
from gen.convert.scale import UNIT, InputScale
from gen.errors import ConversionError

torch.set_num_threads(1)


class Net(nn.Module):
    """Layers for a function of them to use."""

    def __init__(self, forward):
        super().__init__()
        self.use = forward
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.dw = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.small = nn.Conv2d(4, 8, 1)
        self.wide, self.deep = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(2, 8, 3, padding=1)
        self.grouped = nn.Conv2d(16, 8, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.LazyLinear(5)
        self.register_buffer("dead", (torch.arange(8.0) == 0).float().reshape(1, 8, 1, 1))
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1))

    def forward(self, x, mask=None, *, scale=2):
        return self.use(self, x)


def net(forward, shape):
    torch.manual_seed(3)
    model = Net(forward)
    with torch.no_grad():
        model.norm.weight.uniform_(0.5, 1.5)
        model.norm.bias.normal_(0, 0.3)
        model.norm.running_mean.normal_(0, 0.3)
        model.norm.running_var.uniform_(0.5, 1.5)
        model.eval()(torch.rand(2, *shape))
    return model


def head(m, x):
    return m.fc(x.flatten(1))


def shuffle(x, groups):
    n, c, h, w = x.size()
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


def first(m, x):
    return F.relu(m.a(x))


ARRANGED = {
    "chunks": lambda m, x: head(m, F.relu(m.small(first(m, x).chunk(2, 1)[1]))),
    "parts": lambda m, x: head(m, F.relu(m.small(torch.split(first(m, x), [3, 4, 1], dim=1)[1]))),
    "shuffle": lambda m, x: head(m, F.relu(m.dw(shuffle(first(m, x), 4)))),
    "every other": lambda m, x: head(m, F.relu(m.b(first(m, x)[:, :, ::2, 1::3]))),
    "cut": lambda m, x: head(m, F.relu(F.conv2d(first(m, x)[:, 2:, 1:-2, 3:], m.b.weight[:, 2:]))),
    "padded": lambda m, x: head(m, F.relu(m.b(F.pad(first(m, x), (2, 0, 1, 3))))),
    "strided, padded": lambda m, x: head(m, F.relu(m.dw(first(m, x)[:, :, ::2, ::2]))),
    "more channels": lambda m, x: head(m, F.relu(m.wide(F.pad(first(m, x), (0, 0, 0, 0, 5, 3))))),
    "joined": lambda m, x: head(m, F.relu(m.wide(torch.cat((first(m, x), F.relu(m.b(first(
        m, x)))), 1)))),
    "joined in groups": lambda m, x: head(m, F.relu(m.grouped(torch.cat((first(m, x), F.relu(m.b(
        first(m, x)))), 1)))),
    "joined sums": lambda m, x: head(m, F.relu(m.wide(F.relu(torch.cat((m.a(x), m.dw(first(
        m, x))), 1))))),
    "dense": lambda m, x: head(m, F.relu(m.wide(torch.cat((m.norm(first(m, x)), m.norm(
        F.max_pool2d(first(m, x), 3, 1, 1))), 1)))),
    "with itself": lambda m, x: head(m, F.relu(m.wide(torch.cat((first(m, x),) * 2, 1)))),
    "norm of a map": lambda m, x: head(m, F.relu(m.b(m.norm(first(m, x))))),
    "norm, strided": lambda m, x: head(m, F.relu(F.conv2d(m.norm(first(m, x))[:, :, 1:],
                                                         m.b.weight, stride=2))),
    "norm, averaged": lambda m, x: head(m, F.avg_pool2d(m.norm(first(m, x)), 3, 2, 1)),
    "norm, active": lambda m, x: head(m, F.relu(m.norm(first(m, x)))),
    "norm, greatest": lambda m, x: head(m, F.max_pool2d(m.norm(first(m, x)), 2)),
    "twice active": lambda m, x: head(m, F.relu(F.max_pool2d(first(m, x), 2))),
    "active after": lambda m, x: head(m, F.relu(F.max_pool2d(m.a(x), 2))),
    "standardised": lambda m, x: head(m, F.relu(m.a((x - m.mean) / 0.25))),
    "two after each other": lambda m, x: head(m, F.relu(m.c(m.dw(m.a(x))))),
    "merged": lambda m, x: head(m, F.relu(F.conv2d(m.norm(m.c(first(m, x))), m.b.weight))),
    "averaged sums": lambda m, x: head(m, F.relu(F.avg_pool2d(m.a(x), 2))),
    "two linear": lambda m, x: m.fc(m.a(x).flatten(1)),
    "scaled residual": lambda m, x: head(m, F.relu(0.3 * m.b(first(m, x)) - first(m, x) / 2)),
    "added": lambda m, x: head(m, F.relu(torch.add(m.b(first(m, x)), first(m, x), alpha=-0.5) + 1)),
    "enlarged": lambda m, x: head(m, F.relu(m.c(F.interpolate(first(m, x), scale_factor=2)))),
    "enlarged thrice": lambda m, x: head(m, F.relu(m.b(F.interpolate(F.relu(m.c(first(
        m, x))), scale_factor=(3, 2))))),
    "enlarged, averaged": lambda m, x: head(m, F.avg_pool2d(F.relu(m.b(F.interpolate(
        F.relu(m.c(first(m, x))), scale_factor=2))), 2)),
    "enlarged and joined": lambda m, x: head(m, F.relu(m.wide(torch.cat((F.interpolate(F.relu(
        m.c(first(m, x))), scale_factor=2), F.interpolate(F.relu(m.c(F.relu(m.b(first(
            m, x))))), scale_factor=2)), 1)))),
    "shuffled pixels": lambda m, x: head(m, F.relu(m.deep(F.pixel_shuffle(first(m, x), 2)))),
    "shuffled sums": lambda m, x: head(m, F.relu(m.deep(F.relu(F.pixel_shuffle(m.a(x), 2))))),
    "transposed": lambda m, x: head(m, F.relu(m.small(F.relu(m.up(F.relu(m.c(first(m, x)))))))),
    "transposed norm": lambda m, x: head(m, F.relu(m.up(m.norm(F.relu(m.c(first(m, x))))))),
    "unflattened": lambda m, x: m.fc(F.relu(m.deep(F.relu(F.linear(
        first(m, x).flatten(1), m.b.weight.reshape(18, 32)[:, :1].expand(18, 8 * x.shape[2]
        * x.shape[3]) * 0.01)).view(x.shape[0], 2, 3, 3))).flatten(1)),
    "own weights": lambda m, x: head(m, F.relu(F.conv2d(
        x, m.a.weight - m.a.weight.mean(dim=(1, 2, 3), keepdim=True), m.a.bias, padding=1))),
    "squeezed": lambda m, x: m.fc(F.adaptive_avg_pool2d(first(m, x), 1).squeeze(-1).squeeze(-1)),
    "clamped": lambda m, x: head(m, m.a(x).clamp(min=0).float()),
    "norm, averaged otherwise": lambda m, x: head(m, F.avg_pool2d(m.norm(first(m, x)), 2,
                                                                  divisor_override=3)),
    "active in place": lambda m, x: head(m, F.relu(F.max_pool2d(m.a(x), 2), inplace=True)),
    "wide average": lambda m, x: m.fc(F.conv2d(first(m, x), m.b.weight[:, :, 1:2, 1:2]).mean(
        (2, 3))),
    "dead": lambda m, x: head(m, F.hardswish(m.a(x) - 20 * m.dead).mean((2, 3))),
    "mixed": lambda m, x: head(m, F.leaky_relu(m.wide(torch.cat((torch.tanh(m.a(x)), F.silu(m.dw(
        first(m, x)))), 1)), 0.2)),
    "curves of an enlargement": lambda m, x: head(m, F.gelu(m.b(F.interpolate(F.hardswish(
        m.c(first(m, x))), scale_factor=2)))),
}


def check(model, shape, scale=UNIT, error=0.1):
    images = np.random.default_rng(0).random((16, *shape), dtype=np.float32)
    quantised, lowered, _ = to_quantised(model, images, levels=63, scale=scale)
    network = quantised.eval().to_network("net")
    counts = np.random.default_rng(2).integers(0, 256, (6, *network.input_shape))
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
        wanted = model(lowered.real(torch.from_numpy(counts / 255).float()))
    for layer, value in trace.counts.items():
        assert np.array_equal(value, theirs[layer].numpy()), layer
    out = torch.from_numpy(trace.logits).float() * quantised.logit_step
    results = list(lowered.parted(out))
    given = list(wanted.values()) if isinstance(wanted, dict) else (
        list(wanted) if isinstance(wanted, tuple) else [wanted])
    for (result, scores), other in zip(results, given, strict=True):
        own = result.of(scores)
        assert (own - other.reshape(own.shape)).abs().mean() < error * other.std()
    return network, lowered


@pytest.mark.parametrize("name", ARRANGED)
def test_arranged(name):
    shape = (3, 6, 6)
    check(net(ARRANGED[name], shape), shape, error=0.15)


@pytest.mark.parametrize("scale", [
    InputScale.given((-3, 3), None, None), InputScale.given(None, [0.4, 0.5, 0.6], [0.2]),
    InputScale.given((-1, 2), [0.1], [0.5, 0.6, 0.7])], ids=["range", "mean", "both"])
@pytest.mark.parametrize("forward", [
    lambda m, x: head(m, first(m, x)), lambda m, x: head(m, F.relu(m.a(F.pad(x, (1, 2, 0, 0))))),
    lambda m, x: head(m, F.relu(m.a(F.avg_pool2d(x, 3, 1, 1))))], ids=["zeros", "padded", "pool"])
def test_scales(scale, forward):
    """Zeros around the map are zeros, whatever the count of a zero."""
    check(net(forward, (3, 6, 6)), (3, 6, 6), scale)


@pytest.mark.parametrize("results, names", [
    (lambda y, z: (y, z), ["0", "1"]), (lambda y, z: {"y": y, "z": z}, ["y", "z"])])
def test_several_results(results, names):
    model = net(lambda m, x: results(head(m, first(m, x)).softmax(1),
                                     first(m, x).mean((2, 3)) - 1), (3, 4, 4))
    network, lowered = check(model, (3, 4, 4))
    assert [result.name for result in lowered.results] == names
    assert [result.function for result in lowered.results] == ["softmax", ""]
    assert network.classes == 13


def test_what_is_only_arranged_has_no_layer():
    plain = {"a", "b", "c", "dw", "wide", "small", "fc", "ones"}
    for name in ("chunks", "shuffle", "joined", "norm of a map", "every other", "standardised",
                 "more channels", "twice active"):
        _, lowered = check(net(ARRANGED[name], (3, 6, 6)), (3, 6, 6))
        layers = {layer.name.split("_")[0] for layer in lowered.charged}
        assert layers <= plain, name


REFUSED = {
    "zeros over values": (lambda m, x: head(m, F.relu(m.b(first(m, x)[:, :, 1:]))),
                          "zeros come where elements of the map were left out"),
    "rows": (lambda m, x: head(m, torch.cat((first(m, x),) * 2, 2)), "can join channels alone"),
    "gate": (lambda m, x: head(m, first(m, x) * torch.sigmoid(m.b(first(m, x)))),
             "the product of two values needs a multiplier"),
    "bilinear": (lambda m, x: head(m, F.interpolate(first(m, x), scale_factor=2, mode="bilinear")),
                 "mode must be 'nearest'"),
    "fraction": (lambda m, x: head(m, F.interpolate(first(m, x), size=(9, 9))),
                 "must enlarge by whole numbers"),
    "blocks": (lambda m, x: head(m, F.relu(F.conv2d(F.interpolate(first(m, x), scale_factor=2),
                                                    m.b.weight))[:, :, 1:]),
               "an enlarged map can't be sliced"),
    "greatest of a gate": (lambda m, x: head(m, F.max_pool2d(torch.tanh(m.a(x)), 2)),
                           "the greatest value is not that of the greatest count"),
    "negative": (lambda m, x: head(m, F.max_pool2d(-first(m, x), 2)), "a negative factor"),
    "softmax of positions": (lambda m, x: first(m, x).flatten(1).softmax(1),
                             "its softmax does not go over the channels"),
    "zeros alone": (lambda m, x: head(m, F.pad(first(m, x), (0, 0, 0, 0, 2, 0))[:, :2]),
                    "leaves channels of zeros alone"),
    "skip": (lambda m, x: head(m, F.relu(m.wide(torch.cat((F.interpolate(F.relu(m.c(first(m, x))),
                                                                         scale_factor=2),
                                                           first(m, x)), 1)))),
             "an enlarged map and another one can't be joined"),
    "constant map": (lambda m, x: head(m, first(m, x) + torch.rand(6, 6)),
                     "the constant must be one number, or one for each channel"),
}


@pytest.mark.parametrize("forward, message", REFUSED.values(), ids=REFUSED)
def test_refused(forward, message):
    model = net(forward, (3, 6, 6))
    with pytest.raises(ConversionError, match=message) as error:
        to_quantised(model, np.random.default_rng(0).random((4, 3, 6, 6), dtype=np.float32))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("between, mean, std, message", [
    ((3, -3), None, None, "range: must be two numbers"),
    ((0, float("inf")), None, None, "range: must be two numbers"),
    (None, [0.5], [0.0], "those of std positive"), (None, [1, 2], [1, 2, 3], "2 means, but 3")])
def test_scales_that_are_none(between, mean, std, message):
    with pytest.raises(ConversionError, match=message):
        InputScale.given(between, mean, std)


def test_scales_of_other_channels():
    with pytest.raises(ConversionError, match="are for 2 channels, but the input has 3"):
        to_quantised(net(lambda m, x: head(m, first(m, x)), (3, 4, 4)),
                     np.zeros((2, 3, 4, 4), dtype=np.float32),
                     scale=InputScale.given(None, [1, 2], [1]))
