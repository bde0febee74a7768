"""Recurrent layers: their time-steps are the rows of a map."""

import nir
import numpy as np
import pytest
from torch import nn

from gen.convert.spiking.conversion import convert_module, converted
from gen.convert.spiking.data import Data, read_data
from gen.convert.spiking.graph import INPUT
from gen.convert.spiking.layers import layers_of
from gen.convert.spiking.nirfile import Reading, read_nir
from gen.convert.spiking.recorded import record
from gen.convert.spiking.sequences import needs_rows
from gen.convert.spiking.simulation import simulate
from gen.errors import ConversionError
from gen.ir import artifact

from . import neurons
from .test_nirfile import affine, integrate, lif, written
from .test_recorded import DIGITS


def trains(steps=30, samples=40):
    """More time-steps than a train has."""
    rng = np.random.default_rng(0)
    return (rng.random((samples, steps, 64)) < DIGITS[:samples, None] / 40).astype(np.int64)


def events():
    return Data(trains().swapaxes(0, 1)[..., None, None], 1, 30, 255, (64,))


def test_the_graph_computes_what_the_module_does():
    graph, trains = record(neurons.lively(neurons.recurrent), events())
    assert {name: list(found) for name, found in graph.sources.items()} == {
        "0": [INPUT], "1": ["0", "1.recurrent"], "1.recurrent": ["1"], "2": ["1"],
        "3": ["2", "3.recurrent"], "3.recurrent": ["3"], "output": ["3"]}
    layers, _ = layers_of(graph)
    assert needs_rows(layers) == "the recurrent layer 1"
    real = simulate(layers, events().real)
    for name, train in trains.items():
        wanted = real[name].reshape(train.shape)
        assert 0.02 < wanted.mean() < 0.9
        assert np.mean(wanted == train) > 0.999, name
    alone = simulate(layers_of(graph_without_return(graph))[0], events().real)
    assert np.mean(alone["1"] == real["1"]) < 0.99, "what comes back makes a difference"


def test_synaptic_currents_in_real_numbers():
    graph, trains = record(neurons.lively(neurons.synaptic), events())
    layers, _ = layers_of(graph)
    real = simulate(layers, events().real)
    for name, train in trains.items():
        wanted = real[name].reshape(train.shape)
        assert 0.02 < wanted.mean() < 0.9
        assert np.mean(wanted == train) > 0.999, name
    alone = [layer for layer in layers if layer.name == "3"]
    assert needs_rows(alone) == "the synaptic currents of 3"


def graph_without_return(graph):
    sources = {name: graph.inputs(name) for name in graph.sources}
    return type(graph)(graph.nodes, sources, graph.shape)


@pytest.mark.parametrize("kind, back", [(neurons.recurrent, [1, 1]), (neurons.synaptic, [1, 0])])
def test_the_integers_spike_as_the_module(kind, back, tmp_path):
    np.save(tmp_path / "x.npy", trains())
    told = convert_module(neurons.lively(kind), "m.py:build", out=tmp_path / "n.npz",
                          bits=12, calibration=tmp_path / "x.npy")
    assert min(told["spikes"].values()) > 0.99
    assert told["agreement"] > 0.85
    assert told["timesteps"] == 30
    network = artifact.load(tmp_path / "n.npz")
    assert (network.input_shape, network.input_levels) == ((64, 30, 1), 1)
    assert [layer.lasting.current for layer in network.neurons] == (
        [None, None] if kind is neurons.recurrent else [(2,), (1,)])
    assert [len(layer.recurrent) for layer in network.neurons] == back
    # What is told is so; and the read-out counts the spikes of the last layer.
    _, recorded = record(neurons.lively(kind), events())
    trace = network.run(network.encode(trains()))
    for name, train in recorded.items():
        got = trace.counts[name][..., 0].transpose(2, 0, 1)
        assert np.mean(got == train) == pytest.approx(told["spikes"][name])
    assert np.array_equal(trace.logits, trace.counts["3"].sum(axis=(2, 3)))


def test_images_drive_all_rows_alike(tmp_path):
    np.save(tmp_path / "x.npy", DIGITS[:30])
    told = convert_module(neurons.lively(neurons.recurrent), "m.py:build", out=tmp_path / "n.npz",
                          bits=14, calibration=tmp_path / "x.npy", pixel_max=16, input_levels=16,
                          timesteps=6)
    assert min(told["spikes"].values()) > 0.98
    network = artifact.load(tmp_path / "n.npz")
    assert np.array_equal(network.samples, DIGITS[:30, :, None, None].repeat(6, axis=2))


def looped(path, *, back=None, shape=(4,), first=None, more=()):
    """``n0 -> n1 -> n2 -> n1``, ``n1`` being neurons."""
    back = back or nir.Linear(np.eye(3))
    return written(path, first or affine(3, 4), lif(3), back, shape=shape,
                   edges=[("n2", "n1"), *more])


def test_edges_of_a_file(tmp_path):
    """Through weights, and from the neurons at once."""
    calibration = np.random.default_rng(3).integers(0, 2, (20, 12, 4))
    np.save(tmp_path / "x.npy", calibration)
    data = read_data(tmp_path / "x.npy", (4,), timesteps=None, pixel_max=255)
    shared = affine(3, 4)
    graphs = [read_nir(path, Reading("snntorch")) for path in (
        looped(tmp_path / "a.nir", first=shared),
        written(tmp_path / "b.nir", shared, lif(3), edges=[("n1", "n1")]))]
    spikes = [simulate(layers_of(graph)[0], data.real)["n1"] for graph in graphs]
    assert np.array_equal(*spikes)
    told = converted(graphs[0], data, out=tmp_path / "n.npz", name=None, bits=12,
                     input_levels=255, source="a.nir")
    assert min(told["spikes"].values()) > 0.97


POOL = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
CONV = nir.Conv2d((2, 2), np.ones((3, 1, 1, 1)), 1, 0, 1, 1, np.zeros(3))


@pytest.mark.parametrize("options, message", [
    ({"more": [("n0", "n2")]}, "^n2: gets the result of weights without neurons between them"),
    ({"more": [("input", "n2")], "first": affine(3, 3), "shape": (3,)},
     "^n2: brings the spikes of n1 back to it, and others with them; these need weights of their"),
    ({"back": nir.Linear(np.ones((2, 3)))},
     r"^n2: brings a map of \(2, 1, 1\) back to n1, which has \(3, 1, 1\)$"),
    ({"first": CONV, "shape": (1, 2, 2), "back": nir.Scale(np.ones(3))},
     "^n1: is a map of neurons, which a network with the recurrent layer n1 can't have; its"),
])
def test_refused(options, message, tmp_path):
    shape = options.get("shape", (4,))
    graph = read_nir(looped(tmp_path / "a.nir", **options), Reading("snntorch"))
    np.save(tmp_path / "x.npy", np.ones((3, 5, *shape), np.int64))
    data = read_data(tmp_path / "x.npy", shape, timesteps=None, pixel_max=255)
    with pytest.raises(ConversionError, match=message):
        converted(graph, data, out=tmp_path / "n.npz", name=None, bits=8, input_levels=255,
                  source="a.nir")


def test_other_loops_are_refused(tmp_path):
    both = read_nir(written(tmp_path / "a.nir", affine(3, 4), lif(3), nir.Linear(np.eye(3)),
                            integrate(3), edges=[("n3", "n1")]), Reading())
    with pytest.raises(ConversionError, match="is a loop through several layers of neurons, or "):
        layers_of(both)
    mixed = read_nir(written(tmp_path / "b.nir", affine(4, 4), lif(4), edges=[("n1", "n0")]),
                     Reading())
    with pytest.raises(ConversionError, match=r"^n1: is fed by n0 alone, through which its own "):
        layers_of(mixed)


@pytest.mark.parametrize("module, message", [
    (nn.Sequential(nn.Conv2d(2, 1, 3, padding=1),
                   neurons.RLeaky(0.5, nn.Conv2d(1, 1, 3, padding=1))),
     r"^1 \(RLeaky\): its spikes come back to it through a Conv2d; they can through a Linear"),
    (nn.Sequential(nn.Flatten(), nn.Linear(128, 9), neurons.RLeaky(
        0.5, nn.Linear(9, 9), reset_mechanism="zero")),
     r"^2 \(RLeaky\): a reset to zero that takes the charge after it can't be converted")])
def test_layers_of_snntorch_that_are_refused(module, message):
    train = np.ones((4, 3, 2, 8, 8), np.int64)
    with pytest.raises(ConversionError, match=message):
        record(module, Data(train, 1, 4, 255, (2, 8, 8)))
