"""Modules with neurons of the libraries, in integers, spike by spike."""

import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from gen.convert.spiking.conversion import convert_module
from gen.convert.spiking.data import Data
from gen.convert.spiking.graph import INPUT
from gen.convert.spiking.layers import layers_of
from gen.convert.spiking.recorded import is_spiking, record
from gen.convert.spiking.simulation import simulate
from gen.errors import ConversionError
from gen.ir import artifact

from . import neurons

DIGITS = load_digits().data[:80].astype(np.int64)


def images(shape, steps=10):
    return Data(DIGITS.reshape(80, *(*shape, 1, 1)[:3]), 0, steps, 16, shape)


def events(steps=9, samples=40):
    train = np.random.default_rng(0).random((steps, samples, 2, 8, 8)) < 0.15
    return Data(train.astype(np.int64), 1, steps, 255, (2, 8, 8))


def ends_in_weights():
    """Its scores are sums of currents."""
    return nn.Sequential(*neurons.soft()[:3])


KINDS = {"currents": (ends_in_weights, images((64,))),
         "leaky": (neurons.leaky, images((64,))), "leaky zero": (neurons.leaky_zero, images((64,))),
         "loop": (neurons.loop, images((1, 8, 8))), "soft": (neurons.soft, images((64,))),
         "hard": (neurons.hard, images((64,))), "multi": (neurons.multi, events()),
         "sinabs": (neurons.sinabs, events())}


def lively(kind):
    return neurons.lively(KINDS[kind][0], factor=8.0 if kind == "multi" else 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_computes_what_the_module_does(kind):
    """In real numbers every spike is the same, but for ties and rounding in 32 bits."""
    _, data = KINDS[kind]
    graph, trains = record(lively(kind), data)
    layers, shape = layers_of(graph)
    real = simulate(layers, data.real)
    assert shape == data.shape
    assert trains
    for name, train in trains.items():
        wanted = real[name].reshape(train.shape)
        assert 0.005 < wanted.mean() < 2, name
        assert np.mean(wanted == train) > 0.999, name
    assert layers[-1].neuron is None
    (term,) = layers[-1].terms
    assert term.source == list(trains)[-1]
    assert (set(np.unique(term.weight)) == {0, 1}) == (kind != "currents")


@pytest.mark.parametrize("kind, least", [
    ("currents", 0.98), ("leaky", 0.96), ("leaky zero", 0.96), ("loop", 0.95), ("soft", 0.98),
    ("hard", 0.98), ("multi", 0.96), ("sinabs", 0.96)])
def test_the_integers_spike_as_the_module(kind, least, tmp_path):
    _, data = KINDS[kind]
    np.save(tmp_path / "x.npy", data.values.swapaxes(0, 1) if data.events else
            data.values.reshape(-1, *data.given))
    told = convert_module(lively(kind), "m.py:build", out=tmp_path / "n.npz",
                          calibration=tmp_path / "x.npy", pixel_max=16, input_levels=16,
                          timesteps=None if data.events else data.timesteps)
    assert min(told["spikes"].values()) > least
    assert told["agreement"] > 0.85
    network = artifact.load(tmp_path / "n.npz")
    assert network.metadata["agreement"] == told["agreement"]
    assert network.timesteps == data.timesteps == told["timesteps"]
    # What is told is so.
    _, trains = record(lively(kind), data)
    trace = network.run(network.encode(data.pixels))
    for name, train in trains.items():
        got = trace.trains[name].reshape(train.shape)
        assert np.mean(got == train) == pytest.approx(told["spikes"][name])
    if kind == "currents":
        return
    # The read-out counts the spikes of the last layer.
    last = trace.counts[network.neurons[-1].name].reshape(len(trace.logits), -1)
    assert np.array_equal(trace.logits, last)


def test_of_wide_weights_and_decays_that_shifts_reach_almost_all_spikes_agree(tmp_path):
    data = images((64,))
    np.save(tmp_path / "x.npy", data.values[..., 0, 0])
    shares = {}
    for bits in (4, 8, 14):
        told = convert_module(lively("leaky"), "m.py:build", out=tmp_path / "n.npz", bits=bits,
                              calibration=tmp_path / "x.npy", pixel_max=16, input_levels=16,
                              timesteps=data.timesteps)
        shares[bits] = min(told["spikes"].values())
    assert shares[4] < shares[8] < shares[14]
    assert shares[14] > 0.998


def test_what_is_recorded():
    graph, _ = record(neurons.lively(neurons.loop), images((1, 8, 8)))
    assert dict(graph.sources) == {
        "conv": [INPUT], "norm": ["conv"], "pool": ["norm"], "lif1": ["pool"], "fc": ["lif1"],
        "lif2": ["fc"], "output": ["lif2"]}
    assert is_spiking(neurons.loop())
    assert not is_spiking(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(64, 64), neurons.Leaky(0.5)

    def forward(self, x):
        return self.lif(self.fc(self.lif(self.fc(x))))


class Between(Twice):
    def forward(self, x):
        return self.lif(torch.relu(self.fc(x)))


def following(layer):
    return nn.Sequential(nn.Linear(64, 10), layer, neurons.Leaky(0.5))


@pytest.mark.parametrize("module, message", [
    (Twice(), "fc: is fed by input, and also by lif; a layer must be called once in a time-step"),
    (Between(), "lif: gets what no layer has made, but forward has computed; make each "),
    (following(nn.Tanh()), "1 (Tanh): can't be converted among neurons that spike; Linear, "),
    (nn.Sequential(nn.Linear(64, 4), neurons.Leaky(0.5, reset_mechanism="none")),
     "1 (Leaky): a reset mechanism of none can't be converted"),
    (nn.Sequential(nn.Linear(64, 4), type("Alpha", (neurons.Leaky,), {"__module__": "snntorch"})(
        0.5)), "1 (Alpha): there is no layer of neurons 'Alpha'"),
    (nn.Sequential(nn.Linear(64, 4), neurons.Synaptic(0.5, 0.5, reset_mechanism="zero")),
     "1 (Synaptic): a reset to zero that takes the charge after it can't be converted"),
    (neurons.Loop(7), "forward runs 7 time-steps by itself; give --timesteps 7"),
])
def test_refused(module, message):
    data = images((1, 8, 8) if isinstance(module, neurons.Loop) else (64,))
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}"):
        record(module, data)


def test_thresholds_of_one_axis_are_those_of_columns():
    """As PyTorch takes them: a map of four channels and four columns has no other sign of it."""
    def module(threshold):
        layer = neurons.Leaky(0.5, threshold)
        return nn.Sequential(nn.Conv2d(1, 4, 5, padding=0), layer)

    data = images((1, 8, 8))
    graph, trains = record(module([0.1, 0.2, 0.3, 0.4]), data)
    with pytest.raises(ConversionError, match=r"^1: the neurons of a channel differ in a p"):
        layers_of(graph)
    graph, trains = record(module([[[0.1]], [[0.2]], [[0.3]], [[0.4]]]), data)
    real = simulate(layers_of(graph)[0], data.real)["1"]
    assert np.mean(real == trains["1"]) > 0.999


def test_a_loop_of_forward_needs_images():
    train = np.random.default_rng(0).integers(0, 2, (10, 20, 1, 8, 8))
    with pytest.raises(ConversionError, match=r"^forward runs all time-steps by itself, on a "):
        record(neurons.lively(neurons.loop), Data(train, 1, 10, 255, (1, 8, 8)))
