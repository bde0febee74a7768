"""Samples in parts, and the memory that large maps take."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gen.ir import batches as module
from gen.ir.batches import batches
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics
from tests import networks


def wide(size):
    """Three convolutions over maps of ``size``, and a read-out of the mean of the last."""
    rng, channels = np.random.default_rng(0), (3, 16, 16, 16)
    layers, source = [], INPUT
    for k, (given, made) in enumerate(pairwise(channels)):
        weights = rng.integers(-8, 8, (made, given, 3, 3))
        bundle = Synapses(source, weights, (1 + (k > 1),) * 2, (1, 1))
        layers.append(Neurons(f"conv{k}", (bundle,), np.zeros(made, int),
                              np.full(made, 100), 15))
        source = f"conv{k}"
    mean = Synapses(source, rng.integers(-8, 8, (10, 16, size // 2, size // 2)))
    return Network("wide", (3, size, size), 255, 255,
                   (*layers, Readout("out", (mean,), np.zeros(10, int))))


def test_every_sample_once():
    for network, samples in (networks.linear(), 1203), (wide(64), 30), (wide(64), 0):
        parts = [np.arange(samples)[part] for part in batches(network, samples)]
        assert np.array_equal(np.concatenate([np.zeros(0, int), *parts]), np.arange(samples))


def test_large_maps_and_time_steps_make_small_parts(monkeypatch):
    assert batches(networks.linear(), 500) == [slice(0, 500)]
    first, large = (batches(wide(size), 1000)[0].stop for size in (64, 128))
    assert 3 * large <= first <= 5 * large
    net = networks.stepping(Dynamics(3))
    once = replace(net, layers=tuple(layer.settled(1) for layer in net.layers))
    monkeypatch.setattr(module, "_VALUES", 60_000)
    assert batches(net, 1000)[0].stop == batches(once, 1000)[0].stop // 3
    assert batches(wide(512), 2) == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize("samples", [6, 18])
def test_memory_follows_neither_the_samples_nor_the_windows(samples):
    """The second layer's windows have 19 MB of counts for each sample."""
    network = wide(128)
    images = np.random.default_rng(0).integers(0, 256, (samples, 3, 128, 128), dtype=np.uint8)
    tracemalloc.start()
    try:
        network.predict(images)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 120 << 20
