"""Networks in integers, written as NIR, and read back."""

from dataclasses import replace

import nir
import numpy as np
import pytest

from gen.convert.spiking.export import export_nir, graph_of
from gen.convert.spiking.from_nir import convert_nir
from gen.convert.spiking.layers import layers_of
from gen.convert.spiking.nirfile import Reading, read_nir
from gen.convert.spiking.simulation import simulate
from gen.errors import ConversionError, OutputError
from gen.ir import artifact
from gen.ir.layers import Pool
from gen.ir.stepping import arrived
from hw.dynamics import Dynamics
from tests import networks, sequences
from tests.networks import MEMBRANES


def summed(dynamics, *, initial=0):
    """A stepping network without a maximum pooling, whose neurons begin alike."""
    network = networks.stepping(dynamics, seed=3)
    layers = []
    for layer in network.layers:
        if isinstance(layer, Pool):
            layer = replace(layer, kind="sum")
        else:
            layer = replace(layer, initial=0 * layer.initial + initial)
        layers.append(layer)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("name", ["above", "zero above", "delayed alone", "plain"])
def test_without_a_leak_what_is_read_computes_the_same(name, tmp_path):
    membrane = MEMBRANES.get(name, Dynamics(1).membrane)
    network = summed(Dynamics(6, events=1, membrane=membrane), initial=2)
    told = export_nir(network, tmp_path / "n.nir")
    assert (told["neurons"], told["left_out"]) == (["IF"], ["initial", "reset", "strict"])
    found = nir.read(tmp_path / "n.nir", type_check=False)
    assert len(found.nodes) == told["nodes"]
    assert found.metadata["digest"] == network.digest
    layers, shape = layers_of(read_nir(tmp_path / "n.nir", Reading()))
    assert shape == network.input_shape
    counts = networks.counts_for(network, 20)
    trace = network.run(counts)
    real = simulate(layers, arrived(counts, network.dynamics))
    for layer in network.neurons:
        assert trace.trains[layer.name].any()
        assert np.array_equal(real[layer.name], trace.trains[layer.name]), layer.name
    assert np.array_equal(real[layers[-1].name].sum(axis=0).reshape(20, -1), trace.logits - 2)


def test_a_leak_is_a_time_constant(tmp_path):
    network = summed(Dynamics(6, events=1, membrane=MEMBRANES["leak"]))
    graph = graph_of(network)
    lif = graph.nodes["first"]
    assert isinstance(lif, nir.LIF)
    assert lif.tau == pytest.approx(np.full((4, 4, 4), 4.0))
    assert np.array_equal(lif.v_threshold[:, 0, 0], network.layers[0].threshold)
    assert lif.v_threshold.dtype.kind == "i"
    assert lif.metadata["shifts"].tolist() == [2]
    nir.write(tmp_path / "n.nir", graph)
    layers, _ = layers_of(read_nir(tmp_path / "n.nir", Reading()))
    assert layers[0].neuron.decay == pytest.approx(np.full(4, 0.75))
    assert layers[0].neuron.gain == pytest.approx(np.ones(4))


def test_converted_again_it_is_the_same_network(tmp_path):
    """The integers are whole numbers on the grid that is chosen anew."""
    rng = np.random.default_rng(1)
    graph = nir.NIRGraph({
        "input": nir.Input(np.array([12])), "fc": nir.Affine(rng.normal(size=(9, 12)), np.ones(9)),
        "if": nir.IF(np.ones(9), np.ones(9) * 3), "output": nir.Output(np.array([9]))},
        [("input", "fc"), ("fc", "if"), ("if", "output")], {}, type_check=False)
    nir.write(tmp_path / "a.nir", graph)
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (30, 8, 12)))
    told = convert_nir(tmp_path / "a.nir", calibration=tmp_path / "x.npy", out=tmp_path / "a.npz")
    export_nir(artifact.load(tmp_path / "a.npz"), tmp_path / "b.nir")
    again = convert_nir(tmp_path / "b.nir", calibration=tmp_path / "x.npy", out=tmp_path / "b.npz")
    assert again["spikes"] == {"if": 1.0}
    assert again["agreement"] == 1
    assert told["spikes"]["if"] > 0.97


def test_what_fires_once_says_its_levels():
    graph = graph_of(networks.linear())
    assert graph.nodes["fc1"].metadata["levels"] == 3
    assert {name: type(node).__name__ for name, node in graph.nodes.items()} == {
        "input": "Input", "fc1.synapses": "Conv2d", "fc1": "IF", "out.synapses": "Conv2d",
        "out": "I", "output": "Output"}


def test_refused(tmp_path):
    with pytest.raises(ConversionError, match=r"^pool2: NIR has no maximum pooling"):
        graph_of(networks.convolutional())
    with pytest.raises(ConversionError, match=r"^\w+: is recurrent over the elements"):
        graph_of(sequences.layered())
    with pytest.raises(ConversionError, match=r"^layer0: its time-steps are the rows of its map"):
        graph_of(sequences.random_lasting(np.random.default_rng(2), elements=6))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        export_nir(networks.linear(), tmp_path / "file" / "n.nir")
