"""What is predicted of samples that follow each other, against the array in Verilator."""

import numpy as np
import pytest

from gen.plan.mapping import map_config, map_network
from gen.plan.workload import Workload
from gen.verify.simulation import stream
from tests import networks, sequences


def varied(network, share):
    """Counts of 300 samples of which some have few spikes and others many; ``share`` is the
    greatest one of counts that are not 0."""
    counts = networks.counts_for(network, 300)
    rng = np.random.default_rng(1)
    return counts * (rng.random(counts.shape) < share * rng.random((300, 1, 1, 1)))


# A wide layer that takes little longer than its pixels waits for them.
ARRIVAL = networks.linear(shape=(640, 1, 1), hidden=16), {"fc1": 16, "out": 5}, {}, 0.3
# What a replica has too much to do in one sample, another one has in the next.
REPLICAS = (networks.convolutional(), {"conv1": 5, "conv2": 7, "out": 10},
            {"conv1": 2, "conv2": 2}, 1.2)
RESIDUAL = (networks.residual(), {"stem": 6, "deep": 6, "add1": 6, "down": 8, "out": 4},
            {"stem": 3}, 1.2)


# The long way lags behind by more than two maps.
SKIPPING = (networks.skipping(3, 4),
            {layer.name: 1 for layer in networks.skipping(3, 4).layers}, {}, 1.2)


# A layer that waits for itself in every row.
RECURRENT = (sequences.recurrence(40), {"rnn": 4, "out": 4}, {}, 0.6)


@pytest.mark.parametrize("network, lanes, replicas, share", [
    ARRIVAL, RECURRENT, *(pytest.param(*case, marks=pytest.mark.slow)
               for case in (REPLICAS, RESIDUAL, SKIPPING))])
def test_the_clocks_of_a_simulation(network, lanes, replicas, share, tmp_path_factory):
    config, image = map_network(network, lanes=lanes, replicas=replicas)
    counts = varied(network, share)
    run = stream(config, image, counts, alone=100, jobs=1)
    paced, alone = (Workload(network, counts[which]) for which in (run.paced, run.alone))
    assert paced.interval(config) == pytest.approx(run.interval, rel=0.03)
    assert alone.latency(config) == pytest.approx(run.latency.mean(), rel=0.03)


def test_waiting_is_not_working():
    """Why the clocks of the slowest layer are not enough."""
    for (network, lanes, replicas, share), waits in ((ARRIVAL, True), (REPLICAS, False)):
        config = map_config(network, lanes=lanes, replicas=replicas)
        workload = Workload(network, varied(network, share))
        ratio = workload.interval(config) / workload.slowest(config)
        assert ratio > 1.1 if waits else ratio < 0.99


def test_streams_beside_each_other_are_one_after_the_other(monkeypatch):
    network, lanes, replicas, share = ARRIVAL
    config = map_config(network, lanes=lanes, replicas=replicas)
    workload = Workload(network, varied(network, share))
    many = workload.interval(config)
    monkeypatch.setattr("gen.plan.workload._STREAM", 300)
    assert workload.interval(config) == pytest.approx(many, rel=0.01)
