"""Lowering, and the quantised model against the integer network, neuron by neuron."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.calibration import calibrate
from gen.convert.foreign import Activation
from gen.convert.lower import lower
from gen.convert.qcfs import Qcfs
from gen.convert.quantised import QuantisedModel
from gen.convert.widths import layer_bits
from gen.errors import ConversionError

torch.set_num_threads(1)


def warm(model, shape, n=16):
    """Give batch norms statistics other than 0 and 1, and let the weights be of all sizes."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
        model.train()(torch.rand(n, *shape))
    return model.eval()


def quantise(model, shape, *, bits=8, input_levels=15, activation=None):
    lowered = lower(model, shape, activation)
    images = np.random.default_rng(0).random((8, *shape), dtype=np.float32)
    lowered, _ = calibrate(model, lowered, images, 7)
    return QuantisedModel(lowered, bits=bits, input_levels=input_levels).eval(), lowered


def agree(quantised, n=20, seed=0):
    """Every neuron of every layer, and every potential of the read-out; returns the network."""
    network = quantised.to_network("net")
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, network.input_levels + 1, (n, *network.input_shape))
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
    for name, value in trace.counts.items():
        assert np.array_equal(value, theirs[name].numpy()), name
    assert np.array_equal(trace.logits, theirs[network.readout.name].flatten(1).numpy())
    return network


class Residual(nn.Module):
    """An identity shortcut, a projection, depthwise, groups, strides, max and average pools."""

    def __init__(self, levels=3):
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = Qcfs(levels)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8)
        self.act1 = Qcfs(levels + 2)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.norm1 = nn.BatchNorm2d(8)
        self.act2 = Qcfs(1, step=0.7)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=2)
        self.project = nn.Conv2d(8, 12, 1, stride=2)
        self.act3 = Qcfs(levels)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.pool(self.act(self.norm(self.stem(x))))
        y = self.norm1(self.pointwise(self.act1(self.depthwise(x))))
        y += x
        x = self.act2(y)
        x = self.act3(torch.add(self.down(x), self.project(x)))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.head(torch.flatten(x, 1))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding="same")
        self.fc = nn.Linear(4 * 2 * 2, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        x = F.avg_pool2d(F.max_pool2d(self.conv(x).relu(), 2), 2)
        x = F.dropout(x.view(x.size(0), -1), 0.5, self.training)
        return self.out(F.relu(self.fc(x)))


def small(*layers, flat=True):
    return nn.Sequential(nn.Conv2d(1, 4, 3), Qcfs(3, step=0.1), *layers)


@pytest.mark.parametrize("bits", [2, 3, 4, 8, "4,down=2,head=8"])
@pytest.mark.parametrize("levels", [1, 3, 6])
def test_residual_network(bits, levels):
    torch.manual_seed(levels)
    network = agree(quantise(warm(Residual(levels), (2, 9, 11)), (2, 9, 11), bits=bits)[0])
    assert network.shapes["down"] == (12, 3, 3)
    assert network.levels["pointwise"] == 1
    assert [len(layer.synapses) for layer in network.layers if layer.synapses] \
        == [1, 1, 2, 2, 1]


def test_functional_network():
    torch.manual_seed(0)
    network = agree(quantise(Functional(), (1, 9, 8))[0])
    assert [layer.name for layer in network.layers] \
        == ["conv", "max_pool2d", "avg_pool2d", "fc", "out"]


POOLS = {
    "two average pools": [nn.AvgPool2d(2), nn.AvgPool2d(2, 1)],
    "max after average": [nn.AvgPool2d(2), nn.MaxPool2d(3, 1, 1)],
    "padded average": [nn.AvgPool2d(3, 2, padding=1)],
    "divisor": [nn.AvgPool2d(2, divisor_override=3)],
    "average after max": [nn.MaxPool2d((1, 2)), nn.AvgPool2d((2, 1))],
}


@pytest.mark.parametrize("pools", POOLS.values(), ids=POOLS)
def test_pools(pools):
    torch.manual_seed(1)
    model = small(*pools, nn.Conv2d(4, 4, 2), nn.Identity(), Qcfs(5, 0.1), nn.Flatten(),
                  nn.LazyLinear(3))
    model(torch.rand(1, 1, 10, 10))
    quantised, _lowered = quantise(model, (1, 10, 10))
    agree(quantised)
    close(model, quantised)


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2), nn.MaxPool2d(2)])
def test_pool_of_the_input(pool):
    model = nn.Sequential(pool, nn.Conv2d(1, 4, 3), Qcfs(3, 0.1), nn.Conv2d(4, 3, 3), nn.Flatten())
    network = agree(quantise(model, (1, 10, 10))[0])
    assert network.levels[network.layers[0].name] == (60 if isinstance(pool, nn.AvgPool2d) else 15)


def test_average_pool_into_an_identity():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.act = nn.Conv2d(1, 4, 3), Qcfs(3, 0.1)
            self.b, self.act_b = nn.Conv2d(4, 4, 3, padding=1), Qcfs(7, 0.05)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            x = F.avg_pool2d(self.act(self.a(x)), 2)
            x = self.act_b(x + self.b(x))
            return self.fc(x.mean((2, 3)))

    torch.manual_seed(2)
    model = Net()
    quantised, _ = quantise(model, (1, 10, 10))
    agree(quantised)
    close(model, quantised)


def test_a_shared_step_gives_an_exact_identity():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), Qcfs(3, 0.13)
            self.c = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = self.act(self.a(x))
            x = self.act(self.b(x) + x)
            return self.c(x)

    quantised, _lowered = quantise(Net(), (1, 3, 3), bits=4)
    network = agree(quantised)
    identity = network.layers[1].synapses[1]
    assert np.array_equal(identity.weights[:, 0, 0, 0], network.layers[1].threshold)
    assert identity.groups == 4
    assert len(quantised.steps) == 1


def test_vectors():
    model = warm(nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(),
                               nn.Linear(9, 3, bias=False)), (7,))
    assert agree(quantise(model, (7,))[0]).input_shape == (7, 1, 1)


def close(model, quantised, input_levels=15):
    """Eight bits are nearly the float module: same scores within a few percent of their spread."""
    counts = torch.randint(0, input_levels + 1, (40, *quantised.input_shape))
    with torch.no_grad():
        real, scores = model(counts / input_levels).flatten(1), quantised(counts)
    assert (real - scores).abs().mean() < 0.05 * (real.max() - real.min())


def test_scores_are_those_of_the_module():
    torch.manual_seed(3)
    model = warm(Residual(7), (2, 8, 8))
    close(model, quantise(model, (2, 8, 8))[0])


def test_ties_agree():
    # Weights and steps are powers of two, so half of all potentials are exact halves of a step.
    model = nn.Sequential(nn.Conv2d(1, 8, 2, bias=False), Qcfs(3, step=0.25), nn.Flatten(),
                          nn.Linear(8 * 9, 4))
    with torch.no_grad():
        model[0].weight.copy_(torch.randint(-8, 9, (8, 1, 2, 2)) / 8)
        model[3].weight.copy_(torch.randint(-8, 9, (4, 72)) / 8)
    quantised, _ = quantise(model, (1, 4, 4), input_levels=1)
    with torch.no_grad():
        quantised.layers[0].theta.fill_(8)
    network = agree(quantised)
    neurons, counts = network.layers[0], np.random.default_rng(0).integers(0, 2, (20, 1, 4, 4))
    potentials = neurons.charge([counts]) + neurons.initial[:, None, None]
    assert (potentials % neurons.threshold[:, None, None] == 0).sum() > 100
    trace = quantised.trace(torch.from_numpy(counts))
    real = model[:2](torch.from_numpy(counts).float())
    assert torch.equal(trace["0"] * 0.25, real.double())


def test_training_moves_every_parameter_and_stays_exact():
    torch.manual_seed(4)
    quantised, _ = quantise(warm(Residual(3), (2, 8, 8)), (2, 8, 8), bits=4)
    optimiser = torch.optim.Adam(quantised.parameters(), 1e-2)
    before = [p.detach().clone() for p in quantised.parameters()]
    for _ in range(5):
        scores = quantised.train()(torch.randint(0, 16, (16, 2, 8, 8)))
        optimiser.zero_grad()
        F.cross_entropy(scores, torch.randint(0, 5, (16,))).backward()
        optimiser.step()
    for old, new in zip(before, quantised.parameters(), strict=True):
        assert torch.equal(old, new) is not new.requires_grad
    agree(quantised.eval())


def test_training_mode_computes_the_same():
    torch.manual_seed(5)
    quantised, _ = quantise(warm(Residual(3), (2, 8, 8)), (2, 8, 8))
    counts = torch.randint(0, 16, (16, 2, 8, 8))
    with torch.no_grad():
        exact, trained = quantised.trace(counts), quantised.train().trace(counts)
    for name in exact:
        assert torch.equal(exact[name], trained[name].double()), name


def test_thresholds_use_the_width():
    quantised, _ = quantise(small(nn.Flatten(), nn.Linear(4 * 64, 3)), (1, 10, 10), bits=4)
    weights = quantised.to_network("net").layers[0].synapses[0].weights
    assert (np.abs(weights).reshape(4, -1).max(axis=1) >= 5).all()


@pytest.mark.parametrize("gain, bias", [(1e-30, 0), (1e-12, 0), (1e-12, 1e-12), (1e30, 0),
                                        (1e-30, 1e3)])
def test_a_readout_of_any_magnitude(gain, bias):
    torch.manual_seed(0)
    model = small(nn.Flatten(), nn.Linear(4 * 64, 3))
    with torch.no_grad():
        model[3].weight.mul_(gain)
        model[3].bias.copy_(torch.tensor([1.0, 2.0, 3.0]) * bias)
    quantised, _ = quantise(model, (1, 10, 10))
    agree(quantised)
    counts = torch.randint(0, 16, (40, 1, 10, 10))
    with torch.no_grad():
        real, scores = model(counts / 15), quantised(counts)
    assert (real.argmax(1) == scores.argmax(1)).double().mean() > 0.9


def test_channels_of_next_to_nothing():
    model = small(nn.Flatten(), nn.Linear(4 * 64, 3))
    with torch.no_grad():
        model[0].weight.mul_(torch.tensor([1e-30, 1e-9, 0, 0])[:, None, None, None])
        model[0].bias.copy_(torch.tensor([0.149, 0.151, 0.25, 9]))
    quantised, _ = quantise(model, (1, 10, 10))
    network = agree(quantised)
    assert network.layers[0].threshold.max() <= 1 << 25
    counts = network.run(np.zeros((1, 1, 10, 10), int)).counts["0"]
    assert counts[0, :, 0, 0].tolist() == [1, 2, 3, 3]


def test_a_relu_without_a_step():
    lowered = lower(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (4,))
    with pytest.raises(ValueError, match=r"^0: this ReLU has no step; calibrate the layers first$"):
        QuantisedModel(lowered)


def test_bits():
    names = ["a", "b.c", "d"]
    assert layer_bits(4, names) == dict.fromkeys(names, 4)
    assert layer_bits("4,b.c=2", names) == {"a": 4, "b.c": 2, "d": 4}
    assert layer_bits(["b.c=2"], names) == {"a": 8, "b.c": 2, "d": 8}
    assert layer_bits({"d": 3}, names) == {"a": 8, "b.c": 8, "d": 3}
    for bits, message in [
        (9, "bits must be 2 to 8, not 9"), ("a=1", "bits of a must be 2 to 8, not 1"),
        ("x=4", "bits: there is no layer 'x'; known are a, b.c, d"),
        ("a=", "bits must be a width or name=width, not 'a='"),
    ]:
        with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
            layer_bits(bits, names)


class Foreign(nn.Module):
    """Somebody's QCFS: threshold and L."""

    def __init__(self, wrong=0.0):
        super().__init__()
        self.thresh, self.config, self.wrong = nn.Parameter(torch.tensor([0.9])), {}, wrong
        self.L = 6

    def forward(self, x):
        x = torch.clamp(x / self.thresh, 0, 1)
        return torch.floor(x * self.L + 0.5 + self.wrong) / self.L * self.thresh


def test_foreign_activation():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Foreign(), nn.Flatten(), nn.Linear(4 * 64, 3))
    quantised, lowered = quantise(model, (1, 10, 10),
                                  activation=Activation.parse("Foreign,thresh/L,L"))
    assert agree(quantised).levels["0"] == 6
    assert lowered.layers[0].step == pytest.approx(0.15)
    close(model, quantised)


ONE_NUMBER = "must be one number, or one for each channel; say how the step and the levels are read"


@pytest.mark.parametrize("given, message", [
    ("Foreign,thres/L,L", f"1 (Foreign): attribute 'thres' {ONE_NUMBER}"),
    ("Foreign,config,L", f"1 (Foreign): attribute 'config' {ONE_NUMBER}"),
    ("Foreign,wrong,L", "1: the step 'wrong' must be positive, not 0.0"),
    ("Foreign,thresh/wrong,L", "1: the step 'thresh/wrong' must be positive, not nan"),
    ("Foreign,thresh/L,2.5", "1: the levels '2.5' must be an integer in 1..65535, not 2.5"),
    ("Foreign,,L", ("activation must be CLASS,STEP,LEVELS such as QCFS,thresh/L,L, with ,floor at "
                    "the end if it rounds down, not 'Foreign,,L'")),
])
def test_foreign_activation_misread(given, message):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Foreign(), nn.Flatten(), nn.Linear(4 * 64, 3))
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
        quantise(model, (1, 10, 10), activation=Activation.parse(given))


def test_foreign_activation_of_another_meaning():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Foreign(0.4), nn.Flatten(), nn.Linear(4 * 64, 3))
    with pytest.raises(ConversionError, match=r"^1: this activation is not step \* clip.* differ"):
        quantise(model, (1, 10, 10), activation=Activation.parse("Foreign,thresh/L,L"))


class Shapes(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv, self.fc, self._forward = nn.Conv2d(1, 4, 3), nn.Linear(256, 3), forward

    def forward(self, x):
        return self._forward(self, x)


HEAD = [nn.Flatten(), nn.Linear(256, 3)]
REFUSED = {
    "padding_mode": (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")),
                     r"^0 \(Conv2d\): padding_mode must be 'zeros', not 'reflect': neurons"),
    "ceil_mode": (small(nn.MaxPool2d(3, ceil_mode=True)),
                  r"^2 \(MaxPool2d\): ceil_mode must be False where"),
    "count_include_pad": (small(nn.AvgPool2d(3, padding=1, count_include_pad=False)),
                          r"^2 \(AvgPool2d\): count_include_pad must be True"),
    "pool dilation": (small(nn.MaxPool2d(2, dilation=2)), r"^2 \(MaxPool2d\): dilation must be 1"),
    "adaptive": (small(nn.AdaptiveAvgPool2d(5)),
                 r"^2 \(AdaptiveAvgPool2d\): output_size must divide the map"),
    "pool of charge": (nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)),
                       r"^1 \(MaxPool2d\): the greatest of sums is not known"),
    "norm without statistics": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        r"^1 \(BatchNorm2d\): needs running statistics"),
    "unflattened": (small(nn.Linear(8, 3)), r"^2 \(Linear\): needs a Flatten before it$"),
    "flattened": (small(nn.Flatten(), nn.Conv2d(256, 3, 1)),
                  r"^3 \(Conv2d\): needs a map of \(C, H, W\), but its input is flattened$"),
    "features": (small(nn.Flatten(), nn.Linear(99, 3)),
                 r"^3 \(Linear\): expects 99 features, but its input has 256$"),
    "channels": (nn.Sequential(nn.Conv2d(3, 4, 3)),
                 r"^0 \(Conv2d\): expects 3 channels, but its input has 1$"),
    "kernel": (nn.Sequential(nn.Conv2d(1, 4, 11)), r"^0 \(Conv2d\): a kernel of \(11, 11\) does "),
    "flatten all": (small(nn.Flatten(0)), r"^2 \(Flatten\): must keep the batch"),
    "shapes differ": (Shapes(lambda m, x: x + m.conv(x)),
                      r"^function 'add' .* must have one shape"),
    "control flow": (Shapes(lambda m, x: m.conv(x) if x.sum() > 0 else x),
                     r"^torch.fx can't trace Shapes \(TraceError: .*\); forward must be free of "),
    "parameter": (Shapes(lambda m, x: m.conv(x) + m.fc.weight),
                  r"^function 'add' .*: the constant must be one number, or one for each channel"),
    "product": (Shapes(lambda m, x: m.conv(x) * m.conv(x)),
                r"^function 'mul' .*: the product of two values needs a multiplier"),
    "softmax inside": (Shapes(lambda m, x: m.conv(F.softmax(x, 1))),
                       r"^function 'softmax' .*: leave it out"),
    "permute": (Shapes(lambda m, x: m.conv(x.permute(0, 1, 3, 2))),
                r"^function 'permute' \(in the top module, .*\.py:\d+\): only the elements"),
    "tuple": (Shapes(lambda m, x: (m.conv(x), 3)),
              r"^the module's result 1: must be a tensor, not 3$"),
    "two sizes": (Shapes(lambda m, x: (m.conv(x), x)), r"must be maps of one size"),
}


@pytest.mark.parametrize("model, message", REFUSED.values(), ids=REFUSED)
def test_refused(model, message):
    with pytest.raises(ConversionError, match=message) as error:
        lower(model, (1, 10, 10))
    assert "\n" not in str(error.value)


def test_two_inputs():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(ConversionError, match=r"^input 'y': a network has one input$"):
        lower(Two(), (1, 4, 4))


@pytest.mark.parametrize("layer, message", [
    (nn.Conv2d(1, 4, 3, stride=0), "kernel, stride and dilation must be positive"),
    (nn.AvgPool2d(0), "kernel, stride and dilation must be positive"),
    (nn.MaxPool2d((2, 2, 2)), "must have a number for each of 2 axes, or one for all"),
    (nn.AvgPool2d(2, divisor_override=-4), r"divisor_override must be at least 1, not -4"),
])
def test_windows_that_are_none(layer, message):
    module = nn.Sequential(layer, nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(ConversionError, match=message):
        lower(module, (1, 4, 4))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else x


def test_the_part_that_cannot_be_traced_is_named():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.ReLU(), Branching()))
    with pytest.raises(ConversionError, match=r"^torch\.fx can't trace 2\.1 \(Branching\) \(Trace"):
        lower(module, (4,))


def test_arguments_with_defaults_keep_them():
    class Masked(nn.Sequential):
        def forward(self, x, mask=None, return_features=False):
            x = super().forward(x)
            if mask is not None:
                x = x * mask
            return (x, x) if return_features else x

    module = Masked(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert [layer.name for layer in lower(module, (4,)).layers] == ["0", "2"]


def test_subclasses_that_inherit_forward_are_their_base():
    class Own(nn.Conv2d):
        def __init__(self, inside, outside):
            super().__init__(inside, outside, 3, padding=1)

    module = nn.Sequential(Own(1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    agree(quantise(module, (1, 4, 4))[0])


class Down(nn.Module):
    """CASC's quantiser, as its authors have it: rounded down."""

    def __init__(self):
        super().__init__()
        self.up, self.t = nn.Parameter(torch.tensor(2.0)), 4

    def forward(self, x):
        return torch.floor((x / self.up).clamp(0, 1) * self.t) / self.t * self.up


def test_foreign_activations_that_round_down():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), Down(), nn.Linear(6, 3))
    named = Activation.parse("Down,up/t,t,floor")
    quantised, lowered = quantise(model, (1, 4, 4), activation=named)
    assert lowered.neurons[0].floor
    agree(quantised)
    with pytest.raises(ConversionError, match="this activation is not step"):
        quantise(model, (1, 4, 4), activation=Activation.parse("Down,up/t,t"))
