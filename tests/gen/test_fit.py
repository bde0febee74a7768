from dataclasses import replace

import numpy as np
import pytest

import boards
from gen.cycles import sample_clocks
from gen.fit import choose, interval, sample_counts
from gen.mapping import map_network
from tests.hw.cases import NETWORKS, mapped, network

BUDGET = boards.find("arty-a7").budget


def test_samples_that_travel_with_a_network_are_preferred():
    net = network("conv")
    images = np.full((3, *net.input_shape), net.pixel_max)
    assert (sample_counts(replace(net, samples=images)) == net.input_levels).all()
    assert sample_counts(net).shape == (2, *net.input_shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_interval_is_that_of_the_slowest_layer(name):
    net, inputs, trace, config, _ = mapped(name)
    clocks = sample_clocks(config, trace, inputs)
    assert interval(net, config, inputs) == round(max(c.mean() for c in clocks.values()))
    assert (clocks["input"] == config.input.beats).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_slowest_layer_gets_a_lane_a_channel(name):
    net = network(name)
    chosen = choose(net, BUDGET)
    config, _ = map_network(net, **chosen)
    widest, _ = map_network(net, lanes={core.name: core.channels for core in config.cores})
    assert interval(net, config) <= 1.1 * interval(net, widest)
    assert sum(chosen["lanes"].values()) < sum(core.channels for core in config.cores)
    assert set(chosen["replicas"].values()) == {1}


@pytest.mark.parametrize("name", NETWORKS)
def test_replicas_keep_a_pace_that_lanes_do_not(name):
    net = network(name)
    alone, _ = map_network(net, **choose(net, BUDGET))
    pace = interval(net, alone) // 2
    config, _ = map_network(net, **choose(net, BUDGET, interval=pace))
    assert interval(net, config) <= 1.4 * pace
    assert any(core.replicas > 1 for core in config.cores)


def test_less_budget_means_fewer_lanes():
    net = network("residual")
    ample = choose(net, BUDGET)["lanes"]
    scant = choose(net, replace(BUDGET, luts=4500))["lanes"]
    assert sum(scant.values()) < sum(ample.values())
    assert set(choose(net, replace(BUDGET, luts=1))["lanes"].values()) == {1}
