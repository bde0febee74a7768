"""Every kind of layer has its place in gateware."""

import pytest

from gen.ir.layers import TYPES
from gen.plan.kinds import kind
from gen.plan.mapping import flat_input, map_network
from tests import networks

NETWORKS = [flat_input(networks.linear()), networks.convolutional(), networks.residual()]


def test_every_kind_is_tried():
    assert {layer.type for network in NETWORKS for layer in network.layers} == set(TYPES)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_layer_and_its_configuration_are_of_one_kind(network):
    config, image = map_network(network)
    names = set()
    for layer, shape in zip(network.layers, config.layers, strict=True):
        assert kind(layer) is kind(shape)
        assert [part.layer for part in kind(shape).parts(shape)].count(layer.name) > 1
        names |= set(kind(layer).memories(layer, shape))
    assert names == set(image)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_no_configuration_stores_less_than_its_kind_says(network):
    config, _ = map_network(network)
    for layer, shape in zip(network.layers, config.layers, strict=True):
        levels = [network.levels[source] for source in layer.sources]
        stored = sum(memory.width * len(memory.rows)
                     for memory in kind(layer).memories(layer, shape).values())
        bits = kind(layer).memory_bits(layer, levels, "phase")
        assert stored >= bits
        assert (bits > 0) == bool(layer.synapses)
