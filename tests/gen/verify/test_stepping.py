"""Networks that fire in every time-step, through the emitted Verilog: every spike of every step."""

import numpy as np
import pytest

import boards
from gen.build.planning import design_for
from gen.plan.mapping import map_network
from gen.verify.rtl import compare, verify
from hw.dynamics import Dynamics
from tests import networks
from tests.networks import SPIKING, STEPPING


@pytest.mark.parametrize("name, timesteps", [
    ("cif", 3), *[pytest.param(*each, marks=pytest.mark.slow)
                  for each in (
                      ("if", None), ("if", 1), ("cif", None), ("st-bif", None), ("srp", None),
                      ("one spike", None), ("burst", None), ("burst", 2), ("group", None))]])
def test_every_spike(name, timesteps):
    network = networks.stepping(STEPPING[name], seed=3)
    images = np.random.default_rng(0).integers(0, 4, (5, *network.input_shape))
    found = verify(design_for(network, boards.find("arty-a7")), images,
                   timesteps=timesteps)
    assert found["mismatches"] == 0
    assert found["spikes"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", SPIKING)
def test_every_spike_of_networks_that_spike_already(name):
    network = networks.stepping(SPIKING[name], seed=3, ahead=1)
    counts = networks.counts_for(network, 8)
    config, image = map_network(network, lanes={"first": 3, "third": 2}, slice_steps=2)
    assert config.input.slices == 1
    for timesteps in {None, None if network.dynamics.whole else 3}:
        found = compare(config, image, counts, network.run(counts, timesteps=timesteps))
        assert found["mismatches"] == 0
        assert found["spikes"] > 0


def test_quiet_layers():
    """The array tells which of them are quiet, and a wrong one is found."""
    network = networks.settling()
    config, image = map_network(network, lanes={"fc1": 4, "fc2": 3, "out": 2})
    counts = networks.counts_for(network, 6)
    trace = network.run(counts)
    assert not trace.quiet("fc1")[[1, 4, 5]].any()
    found = compare(config, image, counts, trace)
    assert found["mismatches"] == 0
    assert found["spikes"] == 6 * (7 + 6 + 4 + 2)
    # What travels between the layers stays the same.
    trace.trains["fc1"][-1] = 0
    found = compare(config, image, counts, trace)
    assert found["mismatches"] >= 3
    assert found["first_mismatch"] == {"layer": "fc1 is quiet", "sample": 4, "channel": 0, "y": 0,
                                       "x": 0, "expected": 1, "got": 0}


@pytest.mark.parametrize("timesteps", [pytest.param(40, marks=pytest.mark.slow), 17])
def test_every_spike_of_long_trains(timesteps):
    """Three slices of 14 time-steps; the short run begins within the second."""
    network = networks.stepping(Dynamics(1, 39, signed=True, bound="levels"), seed=3)
    config, image = map_network(network, lanes={"first": 4, "second": 2})
    assert {layer.out.slices for layer in config.layers[:-1]} == {3}
    counts = np.random.default_rng(0).integers(0, 4, (4, *network.input_shape))
    trace = network.run(counts, timesteps=timesteps)
    found = compare(config, image, counts, trace)
    assert found["mismatches"] == 0
    assert found["spikes"] > 0
