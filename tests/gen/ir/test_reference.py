import numpy as np
import pytest

from gen.ir import shipped
from gen.ir.reference import torch_run
from tests import networks
from tests.hw import cases

# What fires in time-steps is compared neuron by neuron in test_stepping.py.
SHIPPED = [network for network in map(shipped.find, shipped.names()) if network.dynamics is None]


@pytest.mark.parametrize("network", [
    networks.linear(), networks.convolutional(), networks.residual(),
    *(cases.network(name) for name in (*cases.LAYERS, *cases.NETWORKS)), *SHIPPED],
    ids=lambda network: network.name)
def test_pytorch_agrees_on_every_neuron(network):
    counts = (networks.counts_for(network, 6) if network.samples is None
              else network.encode(network.samples[:6]))
    trace, results = network.run(counts), torch_run(network, counts)
    for name, expected in trace.counts.items():
        assert np.array_equal(results[name], expected), name
    readout = results[network.readout.name]
    assert np.array_equal(readout.reshape(trace.logits.shape), trace.logits)
