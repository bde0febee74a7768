"""Whose mistake it is: the module's is one line about it, ours stays what it is."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert import apart, conversion
from gen.convert.activations import ActivationOperators
from gen.convert.conversion import convert
from gen.convert.fidelity import _Comparison
from gen.convert.lower import lower
from gen.convert.usercode import blamed
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)

SHAPE = (1, 6, 6)

MODEL = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3))
"""


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3))
    (tmp_path / "model.py").write_text(MODEL)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (20, 6, 6)))
    return {"target": f"{tmp_path}/model.py:build", "weights": str(tmp_path / "w.pth"),
            "calibration": str(tmp_path / "x.npy"), "out": str(tmp_path / "net.npz")}


@pytest.mark.parametrize("error", [KeyError("ours"), AssertionError("ours"), TypeError("ours")],
                         ids=repr)
@pytest.mark.parametrize("place, name", [
    (conversion, "keep_whole"), (ActivationOperators, "_relu"), (_Comparison, "_charge")],
    ids=["conversion", "operators", "comparison"])
def test_our_mistakes_are_ours(files, monkeypatch, place, name, error):
    monkeypatch.setattr(place, name, Mock(side_effect=error))
    with pytest.raises(type(error), match="ours"):
        convert(**files)


def test_our_mistakes_in_the_other_process(monkeypatch, files):
    assert "bug" not in apart._answer(files)
    answer = apart._answer({**files, "levels": "no number", "bits": object()})
    assert list(answer) == ["error"]
    monkeypatch.setattr(conversion, "keep_whole", None)
    answer = apart._answer(files)
    assert "TypeError: 'NoneType' object is not callable" in answer["bug"].splitlines()[-1]


def test_errors_in_libraries_that_the_code_calls():
    with pytest.raises(ConversionError, match=r"^model: RuntimeError: "), blamed(
            "model", code_alone=True):
        torch.zeros(3) @ torch.zeros(4)


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv, self._forward = nn.Conv2d(1, 4, 3, padding=1), forward
        self.weight = nn.Parameter(torch.rand(4, 1, 3, 3))

    def forward(self, x):
        return self._forward(self, x)


def on(function):
    """A module that applies a function to neurons."""
    return Net(lambda net, x: function(net.conv(x).relu()))


UNFIT = {
    "transpose": (on(lambda z: z.transpose(1, "a")), "function 'transpose' .*TypeError: transpose"),
    "max_pool2d": (on(lambda z: F.max_pool2d(z, None)), "function 'max_pool2d' .*TypeError: max_p"),
    "pad": (on(lambda z: F.pad(z, 1)), "function 'pad' .*: can't be computed .TypeError: pad"),
    "half a zero": (on(lambda z: F.pad(z, (1.5, 1))), "must pad with whole numbers of zeros, not"),
    "split": (on(lambda z: z.split(None, 1)[0]), "function 'split' .*TypeError: split"),
    "narrow": (on(lambda z: z.narrow(1, "a", 2)), "function 'narrow' .*TypeError: narrow"),
    "cat": (on(lambda z: torch.cat(z, 1)), "function 'cat' .*TypeError: cat"),
    "step of a slice": (on(lambda z: z[:, ::0]), "function 'getitem' .*slice step cannot be zero"),
    "gelu": (on(lambda z: F.gelu(z, approximate="x")), "function 'gelu' .*approximate argument"),
    "mean of all": (on(lambda z: z.mean()), r"must be over the map's two axes \(2, 3\), not None"),
    "mean in float64": (on(lambda z: z.mean((2, 3), dtype=torch.float64)),
                        "these arguments are not supported: got an unexpected .* 'dtype'"),
    "whole numbers": (on(lambda z: z.to(torch.int32)), "values can't become whole numbers, torch"),
    "index of a weight": (Net(lambda net, x: net.conv(x) * net.weight[5]),
                          r"can't be computed \(IndexError: index 5 is out of bounds"),
    "attribute of a weight": (Net(lambda net, x: net.conv(x) * net.weight.foo()),
                              r"can't be computed \(AttributeError: 'Tensor' object has no"),
    "shape of a weight": (Net(lambda net, x: net.conv(x) * net.weight.view(3, 4)),
                          r"can't be computed \(RuntimeError: shape '\[3, 4\]' is invalid"),
}


@pytest.mark.parametrize("model, message", UNFIT.values(), ids=UNFIT)
def test_arguments_that_fit_nothing(model, message):
    with pytest.raises(ConversionError, match=message) as error:
        lower(model, SHAPE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", [lambda z: z.to(z.device), lambda z: z.to(dtype=torch.float32),
                                 lambda z: z.type_as(z).cpu()])
def test_where_and_in_what_type_values_are(how):
    torch.manual_seed(0)
    *_, error = compared(on(how), SHAPE)
    assert error < 0.05


class Rnn(nn.Module):
    def __init__(self, read, layers=1):
        super().__init__()
        self.rnn, self.fc = nn.RNN(5, 8, layers, nonlinearity="relu", batch_first=True), nn.Linear(
            8, 4)
        self.read = read

    def forward(self, x):
        return self.fc(self.read(self.rnn(x)[1]))


@pytest.mark.parametrize("read", [
    lambda h: h.squeeze(0), lambda h: h.squeeze(-3), lambda h: h.squeeze(dim=0),
    lambda h: torch.squeeze(h, 0), lambda h: h.squeeze()])
def test_last_states_without_their_layers(read):
    torch.manual_seed(0)
    _, lowered, _ = compared(Rnn(read), (6, 5))
    assert [layer.name for layer in lowered.layers] == ["rnn", "fc"]


@pytest.mark.parametrize("read", [lambda h: h.squeeze(1), lambda h: h.view(-1, 8),
                                  lambda h: h.transpose(0, 1).flatten(1)])
def test_last_states_of_all_layers(read):
    with pytest.raises(ConversionError, match=r"is given the last states of all layers: take tho"):
        lower(Rnn(read), (6, 5))


class Joined(nn.Module):
    """Sums of which the first part does not fill the map."""

    def __init__(self):
        super().__init__()
        self.small, self.whole = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3, padding=1)
        self.both = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x):
        small, whole = self.small(x).relu(), self.whole(x).relu()
        return self.both(torch.cat((F.pad(small, (1, 1, 1, 1)), whole), 1) + 0.5)


def test_a_constant_on_maps_of_which_one_is_padded():
    torch.manual_seed(0)
    network, _, error = compared(Joined(), SHAPE)
    assert "ones" in [layer.name for layer in network.layers]
    assert error < 0.05
