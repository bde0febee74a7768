"""Symmetric activations: counts with a sign, as pairs of neurons."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import to_quantised
from gen.convert.firing import Firing
from gen.convert.lower import lower
from gen.convert.pairs import paired_potentials, paired_weights
from gen.convert.qcfs import Qcfs
from gen.convert.recurrent import Recurrent
from gen.errors import ConversionError
from gen.ir.layers import INPUT, Neurons
from gen.ir.reference import torch_run
from gen.ir.synapses import Synapses

from .test_qcfs import require_gradients

torch.set_num_threads(1)


@pytest.mark.parametrize("levels", [1, 2, 7])
@pytest.mark.parametrize("theta", [*range(1, 18), 255, 256])
def test_a_pair_is_the_symmetric_quantiser_for_every_sum(theta, levels):
    """``n+ - n-`` is the nearest whole number, an exact half rounded up, clipped on both sides."""
    x = np.arange(-(levels + 2) * theta, (levels + 2) * theta + 1)
    bias = np.array([0, 1, -3, theta, theta >> 1])
    weights = paired_weights(np.ones((len(bias), 1, 1, 1), np.int64), source=False, own=True)
    thetas = np.full(len(bias), theta)
    layer = Neurons("a", (Synapses(INPUT, weights),), paired_potentials(bias, thetas),
                    thetas.repeat(2), levels)
    counts = layer.run([x[:, None, None, None]])[:, :, 0, 0]
    up, down = counts[:, ::2], counts[:, 1::2]
    total = x[:, None] + bias
    assert np.array_equal(up - down, np.clip((2 * total + theta) // (2 * theta), -levels, levels))
    assert not (up * down).any()
    if theta % 2 == 0:
        ties = total % theta == theta // 2
        assert ties.any()
        assert np.array_equal((up - down)[ties], np.clip(total[ties] // theta + 1, -levels, levels))


@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_pairs_of_weights_carry_the_sign(source, own, groups):
    rng = np.random.default_rng(0)
    weights = rng.integers(-7, 8, (8, 4 // groups, 3, 2))
    counts = rng.integers(-5 if source else 0, 6, (3, 4, 6, 5))
    charge = Synapses(INPUT, weights, padding=(1, 1), groups=groups).charge(counts)
    pairs = Synapses(INPUT, paired_weights(weights, source=source, own=own), padding=(1, 1),
                     groups=groups).charge(beside(counts) if source else counts)
    if own:
        assert np.array_equal(pairs[:, ::2], charge)
        assert np.array_equal(pairs[:, 1::2], -charge)
    else:
        assert np.array_equal(pairs, charge)


def beside(counts):
    """``(N, 2 C, H, W)`` counts of the pairs that ``(N, C, H, W)`` counts with a sign stand for."""
    pairs = np.stack((np.maximum(counts, 0), np.maximum(-counts, 0)), axis=2)
    return pairs.reshape(len(counts), -1, *counts.shape[2:])


def test_values_are_whole_steps_of_both_signs():
    z = torch.tensor([-9.0, -1.76, -1.75, -0.75, -0.74, -0.26, -0.25, 0.24, 0.25, 1.25, 9.0])
    n = torch.tensor([-3, -3, -3, -1, -1, -1, 0, 0, 1, 3, 3])
    assert torch.equal(Qcfs(3, step=0.5, symmetric=True)(z), 0.5 * n)


def test_gradients_of_both_signs():
    act = Qcfs(3, step=0.5, symmetric=True)
    require_gradients(act, [(0.6, 1, 1 - 1.2), (-0.6, 1, -1 + 1.2), (-1.7, 1, -3 + 3.4),
                            (-2.0, 0, -3), (2.0, 0, 3)])
    assert repr(act) == "Qcfs(levels=3, step=0.5, symmetric=True)"


def signed(levels=7, step=0.2):
    return Qcfs(levels, step, symmetric=True)


class Last(nn.Module):
    def forward(self, x):
        return x[:, :, -1:]


class Causal(nn.Module):
    def forward(self, x):
        return F.pad(x, (0, 0, 2, 0))


class Residual(nn.Module):
    """Values with and without a sign, added before activations of both kinds."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.act1, self.act2, self.act3 = signed(), Qcfs(5, 0.2), signed(3, 0.3)

    def forward(self, x):
        a = self.act1(self.conv1(x))
        b = self.act2(self.conv2(a) + a)
        return self.act3(self.conv3(b) + a + b)


def recurrent(activation, *, diagonal=False, fan=3):
    layer = Recurrent(6, activation, diagonal=diagonal)
    with torch.no_grad():
        layer.own.copy_(0.7 * torch.randn_like(layer.own))
    return nn.Conv2d(fan, 6, 1), layer


MODULES = {
    "dense": lambda: [*recurrent(signed()), Last(), nn.Flatten(), nn.Linear(6, 4)],
    "diagonal": lambda: [*recurrent(signed(), diagonal=True), Last(), nn.Flatten(),
                         nn.Linear(6, 4)],
    "two": lambda: [*recurrent(signed()), *recurrent(signed(15, 0.1), diagonal=True, fan=6), Last(),
                    nn.Flatten(), nn.Linear(6, 4)],
    "in front": lambda: [Causal(), nn.Conv2d(3, 5, (3, 1)), nn.BatchNorm2d(5), signed(),
                         *recurrent(Qcfs(7, 0.2), fan=5), Last(), nn.Flatten(), nn.Linear(6, 4)],
    "after": lambda: [*recurrent(Qcfs(7, 0.2)), Causal(), nn.Conv2d(6, 4, (3, 1), groups=2),
                      signed(1, 0.3), Last(), nn.Flatten(), nn.Linear(4, 4)],
    "convolutions": lambda: [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), signed(),
                             nn.Conv2d(6, 6, 3, padding=1, groups=6), signed(3, 0.1),
                             nn.AvgPool2d(2), nn.Conv2d(6, 4, 3, 2, 1, groups=2), signed(),
                             nn.Flatten(), nn.Linear(4 * 2 * 2, 4)],
    "residual": lambda: [Residual(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)],
    "pool": lambda: [nn.Conv2d(3, 4, 1), signed(), nn.AvgPool2d(3, 2, 1), nn.Flatten(),
                     nn.Linear(4 * 16, 4)],
    "linear": lambda: [nn.Flatten(), nn.Linear(192, 9), signed(), nn.Linear(9, 5, bias=False),
                       signed(2, 0.1), nn.Linear(5, 4)],
}


def made(name, bits=8):
    torch.manual_seed(5)
    module = nn.Sequential(*MODULES[name]())
    over_time = any(isinstance(part, Recurrent) for part in module)
    for part in module:
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.1, 0.5)
    images = np.random.default_rng(0).random((40, 3, 9 if over_time else 8, 1 if over_time else 8),
                                             dtype=np.float32)
    quantised, lowered, scores = to_quantised(module, images, bits=bits, input_levels=63)
    return module, images, quantised, lowered, scores


def require_equal(quantised, network, counts):
    """Every state of every layer in PyTorch's float64, in the network and in PyTorch's integers."""
    trace, reference = network.run(counts), torch_run(network, counts)
    with torch.no_grad():
        values = quantised.eval().trace(torch.from_numpy(counts))
    for name, own in trace.counts.items():
        value = values[name].numpy()
        if name in quantised.signed:
            if name in quantised.neurons:
                assert np.array_equal(own, beside(value.astype(np.int64))), name
            own = own[:, ::2] - own[:, 1::2]
            assert own.min() < 0 < own.max(), name
        assert np.array_equal(own, value), name
        assert np.array_equal(trace.counts[name], reference[name]), name
    assert np.array_equal(values[network.readout.name].flatten(1).numpy(), trace.logits)
    assert np.array_equal(reference[network.readout.name].reshape(trace.logits.shape), trace.logits)


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("name", MODULES)
def test_every_count_is_that_of_the_quantised_module(name, bits):
    _, _, quantised, _, _ = made(name, bits)
    network = quantised.to_network("a")
    require_equal(quantised, network,
                  np.random.default_rng(2).integers(0, 64, (20, *network.input_shape)))


@pytest.mark.parametrize("name", MODULES)
def test_the_module_itself_gives_those_counts(name):
    """Each activation of the module in float64, against the integers with little rounding."""
    module, images, quantised, lowered, scores = made(name)
    with torch.no_grad():
        assert torch.equal(module(torch.from_numpy(images)), scores)
        network = quantised.to_network("a")
        counts = network.encode((images * 255 + 0.5).astype(np.int64))
        logits = quantised.scores(quantised.trace(torch.from_numpy(counts)))
    assert (logits - scores).abs().mean() < 0.1 * (scores.max() - scores.min())
    assert (logits.argmax(1) == scores.argmax(1)).float().mean() > 0.8
    assert lowered.signed == quantised.signed


def step_by_step(module, x):
    """States of the first layers of ``dense`` in float64, element by element, as counts, for
    elements in fifteenths."""
    conv, layer = module[0], module[1]
    own, step = layer.own.detach()[:, :, 0, 0].double(), float(layer.activation.step.detach())
    weight, bias = conv.weight.detach()[:, :, 0, 0].double() / 15, conv.bias.detach().double()
    h, states = torch.zeros(len(x), 6, dtype=torch.float64), []
    for k in range(x.shape[2]):
        z = x[:, :, k, 0] @ weight.T + bias + step * h @ own.T
        h = (z / step + 0.5).floor().clamp(-7, 7)
        states.append(h)
    return torch.stack(states, 2)


def test_the_states_of_weights_on_the_grid_are_the_modules():
    """A module whose weights and biases need no rounding has exactly the network's states."""
    torch.manual_seed(0)
    module = nn.Sequential(*recurrent(signed(7, 1.0)), Last(), nn.Flatten(), nn.Linear(6, 4))
    with torch.no_grad():
        for values in module[0].weight, module[0].bias, module[1].own:
            values.copy_((values * 32).round().clamp(-40, 40) / 32)
        # The greatest weight of each channel is 127 of its grid of 1/64 and theta = 64.
        module[0].weight *= 15
        module[1].own[range(6), range(6)] = 127 / 64
    images = np.random.default_rng(0).integers(0, 16, (50, 3, 12, 1)) / np.float32(15)
    quantised, _, _ = to_quantised(module, images, input_levels=15)
    network = quantised.to_network("a")
    assert set(network.layers[0].threshold.tolist()) == {64}
    counts = np.rint(images * 15).astype(np.int64)
    states = network.run(counts).counts["0"]
    theirs = step_by_step(module, torch.from_numpy(counts).double())
    assert theirs.unique().numel() == 15
    assert np.array_equal((states[:, ::2] - states[:, 1::2])[..., 0], theirs.numpy())


def test_training_keeps_pairs_opposite():
    _, _, quantised, _, _ = made("residual")
    quantised.train()
    optimiser = torch.optim.SGD(quantised.parameters(), lr=0.5)
    counts = torch.randint(0, 64, (16, 3, 8, 8)).float()
    for _ in range(3):
        optimiser.zero_grad()
        quantised(counts).square().mean().backward()
        optimiser.step()
    assert all(step.grad.abs().sum() > 0 for step in quantised.steps)
    network = quantised.to_network("a")
    require_equal(quantised, network, counts.numpy().astype(np.int64))


@pytest.mark.parametrize("bits", range(2, 9))
def test_no_weight_is_the_least_of_its_width(bits):
    """Its opposite would not fit."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 4, bias=False), signed(), nn.Linear(4, 2))
    with torch.no_grad():
        module[1].weight.copy_(-torch.rand(4, 3) - torch.tensor([4, 0, 0]))
        module[3].weight.copy_(-torch.rand(2, 4) - torch.tensor([4, 0, 0, 0]))
    images = np.random.default_rng(0).random((9, 3), dtype=np.float32)
    network = to_quantised(module, images, bits=bits)[0].to_network("a")
    for layer in network.layers:
        (bundle,) = layer.synapses
        assert bundle.bits == bits
        assert bundle.weights.min() == -bundle.weights.max() >= 1 - (1 << bits - 1)


REFUSED = {
    "max": ([nn.Conv2d(3, 4, 1), signed(), nn.MaxPool2d(2)], "use an average pooling"),
    "max of sums": ([nn.Conv2d(3, 4, 1), signed(), nn.AvgPool2d(2), nn.MaxPool2d(2)],
                    "counts with a sign"),
    "recurrent tanh": ([nn.Conv2d(3, 4, 1), Recurrent(4, nn.Tanh())], "symmetric=True"),
}


@pytest.mark.parametrize("layers, message", REFUSED.values(), ids=REFUSED)
def test_what_has_no_counterpart_is_refused(layers, message):
    with pytest.raises(ConversionError, match=message):
        lower(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2)), (3, 8, 8))


def test_a_tanh_rnn_is_told_what_to_train():
    class Rnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(5, 8, batch_first=True)

        def forward(self, x):
            return self.rnn(x)[0][:, -1]

    with pytest.raises(ConversionError, match=r"'tanh': .*Qcfs\(levels, symmetric=True\)"):
        lower(Rnn(), (7, 5))


@pytest.mark.parametrize("method", ["qcfs", "st-bif", "casc", "group"])
def test_time_steps_are_refused(method):
    images = np.random.default_rng(0).random((9, 3), dtype=np.float32)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), signed(), nn.Linear(4, 2))
    with pytest.raises(ConversionError, match=r"^1: a symmetric activation can't have time-steps"):
        to_quantised(module, images, firing=Firing(method))
    to_quantised(module, images, firing=Firing(method, "settle"))


def test_an_activation_of_one_sign_is_not_taken_for_two():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), signed(), nn.Linear(4, 2))
    module[2].forward = Qcfs(7, 0.2).forward
    with pytest.raises(ConversionError, match=r"is not step \* clip.*, -7, 7\)"):
        to_quantised(module, np.random.default_rng(0).random((9, 3), dtype=np.float32))
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), Qcfs(7, 0.2), nn.Linear(4, 2))
    module[2].forward = signed().forward
    with pytest.raises(ConversionError, match=r"is not step \* clip.*, 0, 7\)"):
        to_quantised(module, np.random.default_rng(0).random((9, 3), dtype=np.float32))
