"""Spikes that travel, of networks that fire in every time-step: each of them counts."""

import numpy as np
import pytest

from gen.ir.run import run
from gen.ir.spikes import (
    map_spikes,
    most_spikes,
    neuron_spikes,
    replayed,
    replayed_maps,
    sample_spikes,
)
from gen.plan.mapping import map_network
from hw.maps import MapConfig, signed_digits
from tests import networks, sequences
from tests.networks import STEPPING


@pytest.mark.parametrize("name", STEPPING)
def test_as_many_as_the_receiver_replays(name):
    network = networks.stepping(STEPPING[name], seed=3)
    counts = networks.counts_for(network, 3)
    trace = network.run(counts)
    config, _ = map_network(network)
    found = sample_spikes(config, trace, counts)
    for layer in config.layers[:-1]:
        planes = [layer.out.has_spike(trace.maps[layer.name], plane).reshape(3, -1).sum(axis=1)
                  for plane in range(layer.out.planes)]
        assert found[layer.name].tolist() == np.sum(planes, axis=0).tolist()
    each = neuron_spikes(network, trace, counts)
    assert each.keys() == found.keys()
    for layer in config.layers[:-1]:
        assert each[layer.name].reshape(3, -1).sum(axis=1).tolist() == found[layer.name].tolist()
        assert each[layer.name].max() <= most_spikes(layer.out)


def test_those_that_are_taken_back():
    train = MapConfig(2, 1, 1, 2, 2, "train", 3, -1)
    # Steps of 2, -1 and 0 spikes, and of 1, 0 and -1: two bits for each number, and one below.
    trains = np.array([[0b100_001_000, 0b010_000_001]]).reshape(1, 2, 1, 1)
    assert map_spikes(train, trains).tolist() == [5]
    assert most_spikes(train) == 6
    bursts = MapConfig(1, 1, 1, 300, 1, "train", 2)
    assert map_spikes(bursts, np.full((1, 1, 1, 1), 7, dtype=np.uint8)).tolist() == [7]
    wide = MapConfig(1, 1, 1, 1, 1, "train", 64, -1)
    longest = np.array([3 << 126 | 1], dtype=object).reshape(1, 1, 1, 1)
    assert map_spikes(wide, longest).tolist() == [3]


def test_run_counts_spikes(tmp_path):
    network = networks.settling()
    images = networks.counts_for(network, 6)
    np.save(tmp_path / "images.npy", images)
    result = run(network, images_file=tmp_path / "images.npy", progress=False)
    trains = network.run(images).trains
    assert (trains["fc2"] < 0).any()
    assert result["spikes"] == {"input": images.sum() / 6} | {
        name: np.count_nonzero(train) / 6 for name, train in trains.items()}
    assert result["rates"]["fc2"] == np.count_nonzero(trains["fc2"]) / 6 / 6
    assert result["images_exact"] == network.exact(network.run(images)).sum()


def test_changes_are_counted_beside_counts():
    config, _ = map_network(sequences.layered(), differential={"conv": ["input"],
                                                               "dense": ["dense"]})
    network = sequences.layered()
    counts = np.random.default_rng(0).integers(0, 8, (3, *network.input_shape))
    trace = network.run(counts)
    found = sample_spikes(config, trace, counts)
    assert set(found) == set(replayed_maps(config)) == {
        "input", "conv", "dense", "diagonal", "input (changes)", "dense (changes)"}
    changes = np.diff(counts, axis=2, prepend=0)
    assert (found["input (changes)"] == np.bitwise_count(
        signed_digits(changes, 8)).sum(axis=(1, 2, 3))).all()
    assert (replayed(config, found) == sum(found[name] for name in (
        "input (changes)", "conv", "dense (changes)", "dense", "diagonal"))).all()
