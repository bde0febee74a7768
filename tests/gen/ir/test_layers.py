"""What layers say about themselves, whatever their kind."""

import numpy as np
import pytest

from gen.ir.layers import INPUT, TYPES, Pool
from tests import networks

NETWORKS = [networks.linear(), networks.convolutional(), networks.residual(), networks.wide()]
LAYERS = {f"{network.name} {layer.name}": (network, layer)
          for network in NETWORKS for layer in network.layers}


def test_every_kind_is_tried():
    assert {layer.type for _, layer in LAYERS.values()} == set(TYPES)


@pytest.mark.parametrize("name", LAYERS)
def test_a_window_for_each_source(name):
    network, layer = LAYERS[name]
    assert layer.sources == tuple(window.source for window in layer.windows)
    height, width = network.shapes[layer.name][1:]
    for window in layer.windows:
        size = network.shapes[window.source][1:]
        assert (height, width) == tuple(
            (n + 2 * p - k) // s + 1 for n, p, k, s in zip(
                size, window.padding, window.kernel, window.stride, strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_described_and_restored(name):
    _, layer = LAYERS[name]
    facts, arrays = layer.described()
    used = dict(arrays)
    other = TYPES[facts["type"]].restored(facts, used.pop)
    assert not used
    assert type(other) is type(layer)
    for own, others in zip(layer.meaning(), other.meaning(), strict=True):
        assert np.array_equal(own, others) if isinstance(own, np.ndarray) else own == others


def test_meaning_tells_layers_apart():
    digests = {network.digest for network in NETWORKS}
    for kind in ("sum", "max"):
        pool = Pool("pool", INPUT, kind, (2, 2), (2, 2))
        digests.add(str(list(pool.meaning())))
    assert len(digests) == len(NETWORKS) + 2


def test_a_linear_layer_takes_a_vector():
    network = networks.linear(shape=(2, 3, 3))
    counts = networks.counts_for(network, 5)
    first, last = network.layers
    flat = first.flattened(INPUT, network.input_shape)
    assert np.array_equal(flat.run([counts.reshape(5, 18, 1, 1)]), first.run([counts]))
    assert last.flattened(INPUT, network.input_shape) is last


@pytest.mark.parametrize("layer, source, shape", [
    (networks.convolutional().layers[0], INPUT, (1, 9, 9)),
    (networks.convolutional().layers[1], "conv1", (5, 5, 5)),
    (networks.residual().layers[2], "stem", (6, 6, 6))])
def test_who_looks_at_a_part_takes_no_vector(layer, source, shape):
    assert layer.flattened(source, shape) is None


def test_neurons():
    assert [layer.name for layer in networks.residual().neurons] == ["stem", "deep", "add1", "down"]
    assert networks.wide().neurons == ()
