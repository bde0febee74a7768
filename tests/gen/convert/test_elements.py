"""Modules over sequences as PyTorch has them: ``Conv1d``, ``RNN`` and what goes with them."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import convert, to_quantised
from gen.convert.lower import lower, takes_sequences
from gen.convert.qcfs import Qcfs
from gen.convert.recurrent import Recurrent
from gen.convert.terms import Form
from gen.convert.usercode import loaded
from gen.errors import ConversionError
from gen.ir.artifact import load

torch.set_num_threads(1)


class Rnn(nn.Module):
    """An ``nn.RNN`` and scores of its last element."""

    def __init__(self, read="last"):
        super().__init__()
        self.read = read
        self.rnn = nn.RNN(5, 8, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(8 * 7 if read == "flatten" else 8, 4)

    def forward(self, x):
        states, h = self.rnn(x)
        return self.fc({"last": lambda: states[:, -1], "state": lambda: h[-1],
                        "mean": lambda: states.mean(dim=1), "flatten": lambda: states.flatten(1),
                        "every": lambda: states}[self.read]())


class TwoRnns(nn.Module):
    """Convolutions over time, an activation between two layers, and a pooling."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm1d(6)
        self.pool = nn.MaxPool1d(2)
        self.rnn1 = nn.RNN(6, 8, nonlinearity="relu", batch_first=True)
        self.rnn2 = nn.RNN(8, 7, nonlinearity="relu", batch_first=True, bias=False)
        self.fc = nn.Linear(7, 4)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.conv(x)))).transpose(1, 2)
        x, _ = self.rnn1(x)
        x, _ = self.rnn2(x)
        return self.fc(x[:, -1, :])


class Deep(nn.Module):
    """Three layers, whose dropout is not in force; samples or elements come first."""

    def __init__(self, read, leading=False, bias=True):
        super().__init__()
        self.read, self.leading = read, leading
        self.rnn = nn.RNN(5, 8, 3, nonlinearity="relu", batch_first=not leading, bias=bias,
                          dropout=0.4)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        states, h = self.rnn(x.transpose(0, 1) if self.leading else x)
        return self.fc({"last": lambda: states[-1] if self.leading else states[:, -1],
                        "state": lambda: h[-1], "lower": lambda: h[1],
                        "mean": lambda: states.mean(dim=1 - self.leading),
                        "few": lambda: states[2:].permute(1, 0, 2)[:, -1],
                        }[self.read]())


class Each(nn.Module):
    """A linear layer of each element, and an independent recurrence."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(6, 4)
        self.own = Recurrent(6, Qcfs(15), diagonal=True)

    def forward(self, x):
        return self.fc2(self.own(self.fc1(x).permute(0, 2, 1))[:, :, -1])


class Leading(nn.Module):
    """Elements before samples, with a linear layer of each."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(8, 4)
        self.rnn = nn.RNN(6, 8, nonlinearity="relu")

    def forward(self, x):
        states, _ = self.rnn(F.relu(self.fc1(x.permute(1, 0, 2))))
        return self.fc2(states[-1])


class Ecg(nn.Sequential):
    """No recurrence at all."""

    def __init__(self):
        super().__init__(
            nn.Conv1d(2, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.ReLU(),
            nn.AvgPool1d(2), nn.Conv1d(8, 8, 3, padding="same", groups=4), nn.ReLU(),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3))


class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(3, 6, 3), nn.Conv1d(6, 6, 2, stride=2)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = F.relu(self.conv1(F.pad(x, (2, 0))))
        x = F.relu(self.conv2(F.pad(x, (1, 0))))
        return self.fc(x[:, :, -1])


MODULES = {
    **{f"rnn {read}": (lambda read=read: Rnn(read), (7, 5), Form.ELEMENTS)
       for read in ("last", "state", "mean", "flatten")},
    **{f"deep {read}": (lambda read=read: Deep(read), (7, 5), Form.ELEMENTS)
       for read in ("last", "state", "lower")},
    **{f"leading {read}": (lambda read=read: Deep(read, True, False), (7, 5), Form.ELEMENTS)
       for read in ("last", "mean", "few")},
    "leading": (Leading, (7, 5), Form.ELEMENTS),
    "two rnns": (TwoRnns, (3, 12), Form.CHANNELS), "each": (Each, (7, 5), Form.ELEMENTS),
    "every": (lambda: Rnn("every"), (7, 5), Form.ELEMENTS),
    "labels": (lambda: nn.Sequential(nn.Conv1d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv1d(6, 4, 1)),
               (3, 9), Form.CHANNELS),
    "ecg": (Ecg, (2, 24), Form.CHANNELS), "causal": (Causal, (3, 9), Form.CHANNELS),
}


@pytest.mark.parametrize("make, shape, form", MODULES.values(), ids=MODULES)
def test_the_quantised_network_computes_what_the_module_does(make, shape, form):
    torch.manual_seed(3)
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.5, 2)
    images = np.random.default_rng(0).random((60, *shape), dtype=np.float32)
    quantised, lowered, scores = to_quantised(module, images, bits=8, levels=255)
    assert lowered.input_form is form
    network = quantised.to_network("a")
    elements = lowered.input_form.as_map(torch.from_numpy(images), lowered.input_shape)
    counts = network.encode((elements.numpy() * 255 + 0.5).astype(np.int64))
    trace = network.run(counts)
    with torch.no_grad():
        made = quantised.trace(torch.from_numpy(counts))
        ours = quantised.scores(made)
    for name, values in trace.counts.items():
        assert np.array_equal(made[name].numpy(), values), name
    potentials = made[network.readout.name].numpy()
    assert np.array_equal(potentials.reshape(trace.logits.shape), trace.logits)
    # Many bits and levels leave little of the rounding.
    assert (ours - scores).abs().mean() < 0.02 * (scores.max() - scores.min())


def states_in_float64(lowered, x):
    """What the lowered layers say in real numbers, element by element, by layer."""
    values = {"input": lowered.input_form.as_map(x, lowered.input_shape)}
    for layer in lowered.relus:
        values[layer.name] = torch.zeros(len(x), len(layer.bias), x.shape[1], 1,
                                         dtype=torch.float64)
        for k in range(x.shape[1]):
            charge = sum(term.convolved(values[term.source], term.weight.double())
                         for term in layer.terms) + layer.bias.double()[:, None, None]
            values[layer.name][:, :, k] = charge[:, :, k].relu()
    return values


def test_every_state_of_every_layer_is_pytorchs():
    torch.manual_seed(4)
    module = Deep("last")
    lowered = lower(module, (7, 5))
    assert [layer.name for layer in lowered.layers] == ["rnn.l0", "rnn.l1", "rnn.l2", "fc"]
    x = torch.rand(30, 7, 5, dtype=torch.float64)
    values = states_in_float64(lowered, x)
    with torch.no_grad():
        states, h = module.double().rnn(x)
    ours = [values[layer.name][..., 0].transpose(1, 2) for layer in lowered.relus]
    # The two biases are added in float32.
    assert torch.allclose(ours[-1], states, rtol=0, atol=1e-6)
    for layer, last in zip(ours, h, strict=True):
        assert torch.allclose(layer[:, -1], last, rtol=0, atol=1e-6)


@pytest.mark.parametrize("elements, levels, coarse", [(101, 30, True), (100, 30, False),
                                                      (101, 31, False)])
def test_coarse_states_of_long_sequences(elements, levels, coarse, caplog):
    images = np.random.default_rng(0).random((8, elements, 5), dtype=np.float32)
    to_quantised(Rnn(), images, levels=levels)
    said = [message for message in caplog.messages if "add up slowly" in message]
    assert said == [message for message in said if message.startswith(
        f"warning: rnn: counts of 0..{levels} can't add up slowly over {elements} elements")]
    assert bool(said) == coarse


def test_layers_that_nobody_reads_are_left_out():
    lowered = lower(Deep("lower"), (7, 5))
    assert [layer.name for layer in lowered.layers] == ["rnn.l0", "rnn.l1", "fc"]


def test_a_module_with_layers_stays_as_it_is():
    module = Deep("last")
    names = [name for name, _ in module.named_parameters()]
    lower(module, (7, 5))
    assert [name for name, _ in module.named_parameters()] == names
    assert all(value.requires_grad for value in module.parameters())


def test_layers_that_compute_something_else_are_refused():
    module, images = Deep("last"), np.random.default_rng(0).random((20, 7, 5), dtype=np.float32)
    module.rnn.register_forward_hook(lambda rnn, x, out: (1.1 * out[0], out[1]))
    with pytest.raises(ConversionError, match="the module itself gives other scores"):
        to_quantised(module, images)


def test_an_rnn_converts_from_its_files(tmp_path):
    source = '''
from torch import nn


class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(8, 12, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.fc(states[:, -1])


def make():
    return Rnn()
'''
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 8))
    file, weights, calibration = (tmp_path / name for name in ("a.py", "a.safetensors", "a.npy"))
    file.write_text(source, encoding="utf-8")
    np.save(calibration, images)
    with loaded(f"{file}:make") as module:
        save_model(module, str(weights))
    result = convert(f"{file}:make", weights=weights, calibration=calibration,
                     out=tmp_path / "a.npz", levels=63)
    network = load(result["network"])
    assert network.input_shape == (8, 6, 1)
    assert result["agreement"] > 0.8
    assert np.array_equal(network.samples[..., 0], images[:len(network.samples)].swapaxes(1, 2))
    # Elements may come first or last.
    assert np.array_equal(network.predict(images), network.predict(images.swapaxes(1, 2)))


def test_which_modules_take_sequences():
    assert all(takes_sequences(make()) for make, _, _ in MODULES.values())
    assert not takes_sequences(nn.Sequential(nn.Conv2d(1, 1, 1), Recurrent(1, nn.ReLU())))
    assert not takes_sequences(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)))


class Around(nn.Module):
    """A layer between an input of 7 elements of 5 features and scores."""

    def __init__(self, layer, use=lambda layer, x: layer(x)[0][:, -1]):
        super().__init__()
        self.layer, self.use, self.fc = layer, use, nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.use(self.layer, x))


def relu_rnn(*sizes, **options):
    return nn.RNN(*(sizes or (5, 8)), **{"nonlinearity": "relu", "batch_first": True, **options})


REFUSED = {
    "tanh": (Around(relu_rnn(nonlinearity="tanh")), "nonlinearity must be 'relu', not 'tanh'"),
    "tanh of layers": (Around(relu_rnn(nonlinearity="tanh", num_layers=2)), "not 'tanh'"),
    "states of layers": (Around(relu_rnn(num_layers=2), lambda rnn, x: rnn(x)[1].mean(dim=0)),
                         r"layer \(RNN\): the last states of its layers can be used one by one"),
    "layer of layers": (Around(relu_rnn(num_layers=2), lambda rnn, x: rnn(x)[1][2]), "one by one"),
    "batch": (Around(relu_rnn(batch_first=False)),
              r"batch_first must be True, or the input x.transpose\(0, 1\)"),
    "leading batch": (Around(relu_rnn(), lambda rnn, x: rnn(x.transpose(0, 1))[0][-1]),
                      "batch_first must be False"),
    "both ways": (Around(relu_rnn(bidirectional=True)), "bidirectional must be False: its second"),
    "layers both ways": (Around(relu_rnn(num_layers=2, bidirectional=True)), "its second"),
    "leading, flattened": (Around(relu_rnn(batch_first=False), lambda rnn, x: rnn(
        x.transpose(0, 1))[0].flatten(1)), "the samples must come first"),
    "features": (Around(relu_rnn(6, 8)), "expects 6 features, but its input has 5"),
    "lstm": (Around(nn.LSTM(5, 8)), "its gates need products, .* use nn.RNN"),
    "gru": (Around(nn.GRU(5, 8)), "its gates need products"),
    "swapped": (Around(relu_rnn(), lambda rnn, x: rnn(x)[0].transpose(0, 2)), "can be swapped"),
    "norm": (Around(nn.ModuleList([nn.Linear(5, 8), nn.BatchNorm1d(7)]),
                    lambda parts, x: F.relu(parts[1](parts[0](x)))[:, -1]),
             "would see the elements as channels"),
    "recurrent": (Around(nn.ModuleList([nn.Linear(5, 8), Recurrent(8, nn.ReLU())]),
                         lambda parts, x: parts[1](parts[0](x))[:, -1]),
                  r"needs a sequence of \(channels, elements\), but"),
    "mean": (Around(relu_rnn(), lambda rnn, x: rnn(x)[0].mean(dim=2)), "must be over the map's"),
    "state": (Around(relu_rnn(), lambda rnn, x: rnn(x)[1]),
              "is given the last states of all layers"),
}


@pytest.mark.parametrize("module, message", REFUSED.values(), ids=REFUSED)
def test_what_has_no_counterpart_is_refused(module, message):
    with pytest.raises(ConversionError, match=message):
        lower(module, (7, 5))


def test_an_rnn_that_computes_something_else_is_refused():
    module, images = Rnn(), np.random.default_rng(0).random((20, 7, 5), dtype=np.float32)
    forward = module.rnn.forward
    module.rnn.forward = lambda x: (1.1 * forward(x)[0], None)
    with pytest.raises(ConversionError, match="rnn: the module computes something else here"):
        to_quantised(module, images)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), ()])
def test_other_samples_are_refused(shape):
    with pytest.raises(ConversionError, match="a sample must have the shape"):
        lower(Rnn(), shape)
