"""What a host makes of the logits is what the module returns: its own axes, one by one."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import _meaning, to_quantised
from gen.convert.final import named
from gen.convert.options import Options
from gen.errors import ConversionError
from host.meaning import Meaning

torch.set_num_threads(1)


class Net(nn.Module):
    """Layers for a function of them to use."""

    def __init__(self, forward):
        super().__init__()
        self.use = forward
        self.conv, self.last = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 3, 1)
        self.one, self.tall = nn.Conv2d(6, 1, 1), nn.Conv2d(6, 3, (1, 4))
        self.flat, self.up = nn.Conv2d(6, 3, (4, 1)), nn.ConvTranspose2d(6, 3, 2, 2)
        self.over, self.steps = nn.Conv1d(2, 6, 3, padding=1), nn.Conv1d(6, 3, 1)
        self.single = nn.Conv1d(6, 1, 1)
        self.rnn = nn.RNN(5, 6, nonlinearity="relu", batch_first=True)
        self.each, self.value = nn.Linear(6, 3), nn.Linear(6, 1)
        self.first, self.kind = nn.Linear(8, 6), nn.Linear(6, 4)
        self.softmax, self.log = nn.Softmax(), nn.LogSoftmax()

    def forward(self, x):
        return self.use(self, x)


MAP, VECTOR, SEQUENCE, ELEMENTS = (2, 4, 4), (8,), (2, 7), (7, 5)


def features(m, x):
    return F.relu(m.conv(x))


def hidden(m, x):
    return F.relu(m.first(x))


def steps(m, x):
    return F.relu(m.over(x))


RESULTS = {
    "map": (MAP, lambda m, x: m.last(features(m, x))),
    "flattened": (MAP, lambda m, x: m.last(features(m, x)).flatten(1)),
    "enlarged": (MAP, lambda m, x: m.up(features(m, x))),
    "enlarged, flattened": (MAP, lambda m, x: m.up(features(m, x)).flatten(1)),
    "enlarged channel": (MAP, lambda m, x: m.up(features(m, x))[:, 1]),
    "one channel": (MAP, lambda m, x: m.one(features(m, x)).squeeze(1)),
    "one channel, view": (MAP, lambda m, x: m.one(features(m, x)).view(-1, 4, 4)),
    "one column, view": (MAP, lambda m, x: m.tall(features(m, x)).view(x.shape[0], 3, 4)),
    "one row, view": (MAP, lambda m, x: m.flat(features(m, x)).reshape(-1, 3, 4)),
    "a channel": (MAP, lambda m, x: m.last(features(m, x))[:, -1]),
    "one column": (MAP, lambda m, x: m.tall(features(m, x)).squeeze(-1)),
    "one row": (MAP, lambda m, x: m.flat(features(m, x)).squeeze(2)),
    "a row": (MAP, lambda m, x: features(m, x)[:, :, 1]),
    "a column": (MAP, lambda m, x: features(m, x)[..., 1]),
    "a row of a channel": (MAP, lambda m, x: features(m, x)[:, 1, 2]),
    "pooled": (MAP, lambda m, x: F.adaptive_avg_pool2d(features(m, x), 1)),
    "half squeezed": (MAP, lambda m, x: F.adaptive_avg_pool2d(features(m, x), 1).squeeze(-1)),
    "all squeezed": (MAP, lambda m, x: F.adaptive_avg_pool2d(features(m, x), 1).squeeze()),
    "squeezed one by one": (MAP, lambda m, x: m.kind(F.adaptive_avg_pool2d(features(
        m, x), 1).squeeze(-1).squeeze(-1))),
    "mean of one": (MAP, lambda m, x: F.adaptive_avg_pool2d(m.one(features(m, x)), 1).squeeze()),
    "vector": (VECTOR, lambda m, x: m.kind(hidden(m, x))),
    "one of it": (VECTOR, lambda m, x: m.value(hidden(m, x))),
    "squeezed": (VECTOR, lambda m, x: m.value(hidden(m, x)).squeeze(1)),
    "squeezed, last": (VECTOR, lambda m, x: torch.squeeze(m.value(hidden(m, x)), -1)),
    "squeezed at all": (VECTOR, lambda m, x: m.value(hidden(m, x)).squeeze()),
    "first": (VECTOR, lambda m, x: m.value(hidden(m, x))[:, 0]),
    "first of several": (VECTOR, lambda m, x: m.kind(hidden(m, x))[:, 2]),
    "last of all": (VECTOR, lambda m, x: m.value(hidden(m, x))[..., -1]),
    "view": (VECTOR, lambda m, x: m.value(hidden(m, x)).view(-1)),
    "reshape": (VECTOR, lambda m, x: m.value(hidden(m, x)).reshape(x.shape[0])),
    "flatten": (VECTOR, lambda m, x: m.value(hidden(m, x)).flatten()),
    "flatten, function": (VECTOR, lambda m, x: torch.flatten(m.value(hidden(m, x)))),
    "scaled": (VECTOR, lambda m, x: m.value(hidden(m, x)).squeeze(1) * 2 - 1),
    "back": (VECTOR, lambda m, x: m.value(hidden(m, x)).squeeze(1).view(-1, 1)),
    "sigmoid": (VECTOR, lambda m, x: torch.sigmoid(m.value(hidden(m, x)).squeeze(1))),
    "sigmoid before": (VECTOR, lambda m, x: m.value(hidden(m, x)).sigmoid().squeeze(1)),
    "tanh, first": (VECTOR, lambda m, x: torch.tanh(m.value(hidden(m, x)))[:, 0]),
    "sigmoid, view": (VECTOR, lambda m, x: torch.sigmoid(m.value(hidden(m, x))).view(-1)),
    "sigmoid of a map": (MAP, lambda m, x: torch.sigmoid(m.one(features(m, x))).squeeze(1)),
    "sigmoid, several": (VECTOR, lambda m, x: (m.kind(h := hidden(m, x)), torch.sigmoid(m.value(
        h)).squeeze(-1))),
    "softmax": (VECTOR, lambda m, x: m.softmax(m.kind(hidden(m, x)))),
    "softmax, last": (VECTOR, lambda m, x: F.softmax(m.kind(hidden(m, x)), -1)),
    "softmax, none": (VECTOR, lambda m, x: F.softmax(m.kind(hidden(m, x)))),
    "softmax of maps": (MAP, lambda m, x: m.log(m.last(features(m, x)))),
    "softmax of columns": (MAP, lambda m, x: m.tall(features(m, x)).squeeze(-1).softmax(1)),
    "channels": (SEQUENCE, lambda m, x: m.steps(steps(m, x))),
    "elements": (SEQUENCE, lambda m, x: m.steps(steps(m, x)).transpose(1, 2)),
    "of one channel": (SEQUENCE, lambda m, x: m.single(steps(m, x)).squeeze(1)),
    "features last": (SEQUENCE, lambda m, x: m.single(steps(m, x)).transpose(1, 2)[..., 0]),
    "last element": (SEQUENCE, lambda m, x: m.steps(steps(m, x))[:, :, -1]),
    "softmax of elements": (SEQUENCE, lambda m, x: m.steps(steps(m, x)).transpose(1, 2).softmax(
        -1)),
    "tagged": (ELEMENTS, lambda m, x: m.each(m.rnn(x)[0])),
    "tagged, flattened": (ELEMENTS, lambda m, x: m.each(m.rnn(x)[0]).flatten(1)),
    "tagged, elements first": (ELEMENTS, lambda m, x: m.each(m.rnn(x)[0]).transpose(0, 1)),
    "regressed": (ELEMENTS, lambda m, x: m.value(m.rnn(x)[0]).squeeze(-1)),
    "tags of both kinds": (ELEMENTS, lambda m, x: (m.each(m.rnn(x)[0]), m.rnn(x)[0].transpose(
        1, 2))),
    "value and policy": (VECTOR, lambda m, x: (m.kind(hidden(m, x)).softmax(1), m.value(hidden(
        m, x)).squeeze(-1))),
    "named": (VECTOR, lambda m, x: {"a": m.value(hidden(m, x)), 7: m.kind(hidden(m, x))}),
    "maps": (MAP, lambda m, x: [m.one(features(m, x))[:, 0], torch.tanh(m.last(features(m, x)))]),
    "of one position": (MAP, lambda m, x: (features(m, x).mean((2, 3)), F.adaptive_avg_pool2d(
        m.last(features(m, x)), 1))),
    "one of a list": (VECTOR, lambda m, x: [m.kind(hidden(m, x))]),
}


def converted(shape, forward):
    torch.manual_seed(5)
    module = Net(forward).eval()
    images = np.random.default_rng(0).random((12, *shape), dtype=np.float32)
    quantised, lowered, _ = to_quantised(module, images, levels=255)
    return module, quantised.eval(), lowered


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", RESULTS)
def test_a_host_gives_what_the_module_gives(name):
    module, quantised, lowered = converted(*RESULTS[name])
    meaning = Meaning.parse(_meaning(quantised, lowered, Options()), "net")
    network = quantised.to_network("net")
    counts = np.random.default_rng(1).integers(0, 256, (5, *network.input_shape))
    scores = meaning.scores(network.run(counts).logits)
    with torch.no_grad():
        wanted = named(module(lowered.real(_as_given(counts, RESULTS[name][0], lowered))))
    assert list(scores) == list(wanted)
    for key, own in scores.items():
        other = wanted[key].numpy()
        assert own.shape == other.shape, key
        assert np.abs(own - other).mean() < 0.1 * other.std() + 0.001, key


def _as_given(counts, shape, lowered):
    values = torch.from_numpy(counts / 255).float()
    if shape == ELEMENTS:
        values = values[..., 0].transpose(1, 2)
    return values.reshape(len(counts), *shape)


@pytest.mark.parametrize("name", ["sigmoid", "sigmoid before", "tanh, first", "sigmoid, view",
                                  "sigmoid of a map", "sigmoid, several"])
def test_a_last_function_needs_no_neurons(name):
    _, quantised, lowered = converted(*RESULTS[name])
    assert lowered.results[-1].function == name.split(",")[0].split()[0]
    assert len(quantised.neurons) == 1


@pytest.mark.parametrize("forward", [
    lambda m, x: torch.sigmoid(m.kind(hidden(m, x)))[:, 1],
    lambda m, x: (torch.sigmoid(y := m.value(hidden(m, x))) + y)[:, 0],
    lambda m, x: torch.sigmoid(m.value(hidden(m, x))).squeeze()])
def test_what_is_not_last_has_neurons(forward):
    """A channel of several, a function that others use, and what has always been neurons."""
    _, quantised, lowered = converted(VECTOR, forward)
    assert lowered.results[0].function == ""
    assert len(quantised.neurons) == 2


REFUSED = {
    "one name": (VECTOR, lambda m, x: {1: m.kind(hidden(m, x)), "1": m.value(hidden(m, x))},
                 "the module's results 1 and '1' have one name, '1'; give them different keys"),
    "no name": (VECTOR, lambda m, x: {"a\nb": m.kind(hidden(m, x))},
                "the module's result 'a\\nb': its name can't be printed; give it another key"),
    "sizes": (MAP, lambda m, x: (features(m, x), features(m, x).mean((2, 3))),
              "or all have one position, not of (4, 4) and (1, 1); return those of one size"),
    "phases": (MAP, lambda m, x: (m.up(features(m, x)[:, :, ::2, ::2]), features(m, x)),
               "an enlarged map and another one can't be computed together; return one of them"),
    "constant": (VECTOR, lambda m, x: (m.kind(hidden(m, x)), m.kind.bias),
                 "the module's result 1: must be a tensor that depends on the input"),
    "number": (VECTOR, lambda m, x: (m.kind(hidden(m, x)), 3),
               "the module's result 1: must be a tensor, not 3"),
    "samples": (VECTOR, lambda m, x: m.kind(hidden(m, x)).flatten(),
                "must keep the batch and flatten the rest (start_dim=1), not start_dim=0"),
    "samples, view": (VECTOR, lambda m, x: m.kind(hidden(m, x)).view(-1),
                      "must have 4 values a sample, not (-1,)"),
    "of samples": (SEQUENCE, lambda m, x: F.softmax(m.steps(steps(m, x))),
                   "its softmax has no dim, which PyTorch takes for 0, and so does not go over"),
    "of samples, module": (SEQUENCE, lambda m, x: m.log(m.steps(steps(m, x)).transpose(1, 2)),
                           "and so does not go over the channels, dim=2; leave it out, and"),
    "of one": (VECTOR, lambda m, x: F.softmax(m.value(hidden(m, x)).squeeze(1), 0),
               "its softmax does not go over the channels; leave it out"),
    "of rows": (MAP, lambda m, x: m.last(features(m, x)).softmax(-1),
                "its softmax does not go over the channels, dim=1; leave it out"),
    "elements first": (ELEMENTS, lambda m, x: m.value(m.rnn(x)[0]).transpose(0, 1).squeeze(-1),
                       "can't leave out the channels of a sequence of (elements, samples"),
}


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    shape, forward, message = REFUSED[name]
    with pytest.raises(ConversionError) as error:
        converted(shape, forward)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_result_that_is_another_is_named():
    module = Net(lambda m, x: {"a": m.kind(hidden(m, x)), "b": m.value(hidden(m, x))}).eval()
    module.register_forward_hook(lambda m, given, out: {**out, "b": 2 * out["b"]})
    with pytest.raises(ConversionError, match=r"^the result 'b' of the module itself gives other "
                                              r"scores than its layers one after the other: 100% "):
        to_quantised(module, np.random.default_rng(0).random((12, 8), dtype=np.float32))


def test_one_image_may_lose_its_axis():
    """``squeeze()`` takes the axis of the samples, too, if there is one."""
    module = Net(RESULTS["squeezed at all"][1]).eval()
    image = np.random.default_rng(0).random((1, 8), dtype=np.float32)
    _, lowered, scores = to_quantised(module, image)
    assert lowered.results[0].form.layout == ("N",)
    assert scores.shape == (1, 1)
