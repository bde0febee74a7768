"""Published methods on a trained network: exact where they are, and as inexact as they are."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gen.convert.methods import METHODS, quiet_steps, stepped
from gen.data.datasets import load
from gen.errors import ConversionError
from gen.ir import shipped
from hw.dynamics import Dynamics
from tests import networks


@pytest.fixture(scope="module")
def digits():
    """The network, test images, and what the quantised network makes of them."""
    network, images = shipped.find("digits"), load("digits").test_images[:150]
    return network, images, network.run(network.encode(images))


def same(trace, ann):
    return all(np.array_equal(trace.counts[name], ann.counts[name]) for name in trace.trains)


@pytest.mark.parametrize("method, steps", [("casc", 7), ("st-bif", 7)])
def test_exact_when_all_are_quiet(method, steps, digits):
    network, images, ann = digits
    made = stepped(network, method)
    trace = made.run(made.encode(images))
    assert made.dynamics.timesteps == steps
    assert all(quiet.all() for quiet in made.quiet(trace).values())
    assert same(trace, ann)
    assert np.array_equal(trace.logits, ann.logits)
    assert quiet_steps(made, images) == (5, 1.0)


def test_too_little_sleep_is_told(digits):
    network, images, ann = digits
    made = stepped(network, "casc", sleep=0)
    trace = made.run(made.encode(images))
    assert not same(trace, ann)
    assert quiet_steps(made, images)[1] < 0.5
    quiet = np.all(list(made.quiet(trace).values()), axis=0)
    exact = (trace.logits == ann.logits).all(axis=1)
    assert not quiet.all()
    assert exact[quiet].all()


def test_qcfs_has_the_unevenness_error_of_its_neuron(digits):
    network, images, ann = digits
    made = stepped(network, "qcfs")
    assert made.dynamics == Dynamics(3)
    trace = made.run(made.encode(images))
    assert np.array_equal(trace.counts["conv1"], ann.counts["conv1"])
    assert not np.array_equal(trace.counts["conv2"], ann.counts["conv2"])
    labels = load("digits").test_labels[:150]
    accuracy = [(steps.argmax(axis=1) == labels).mean()
                for steps in stepped(network, "qcfs", timesteps=16).run(
                    network.encode(images)).steps]
    assert accuracy[0] < accuracy[1] < accuracy[2] - 0.02
    assert min(accuracy[2:]) > 0.95


def test_the_first_step_is_that_of_any_number_of_steps(digits):
    network, images, _ = digits
    counts = network.encode(images)
    one, many = (stepped(network, "qcfs", timesteps=steps).run(counts).steps for steps in (1, 8))
    assert np.array_equal(one[0], many[0])


def test_several_cycles_are_finer(digits):
    network, images, _ = digits
    made = stepped(network, "casc", timesteps=6)
    assert made.dynamics == Dynamics(3, 4, 2, signed=True, bound="elapsed")
    trace = made.run(made.encode(images))
    assert max(int(trace.counts[layer.name].max()) for layer in made.neurons) == 6


@pytest.mark.parametrize("method, options, message", [
    ("qcsf", {}, "there is no method 'qcsf'"),
    ("qcfs", {"sleep": 3}, "qcfs has no steps of sleep; casc has"),
    ("casc", {"timesteps": 4},
     "casc is awake for as many time-steps as the neurons have levels, 3, or a multiple of them, "),
    ("st-bif", {"sleep": 2}, "st-bif has no steps of sleep of its own; give the time-steps"),
    ("qcfs", {"timesteps": 65}, "qcfs: there are 65 time-steps; 64 are the most"),
    ("casc", {"timesteps": 30, "sleep": 60}, "casc: there are 630 time-steps; 64 are the most"),
])
def test_numbers_that_do_not_suit(method, options, message, digits):
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}"):
        stepped(digits[0], method, **options)


def test_networks_that_do_not_suit(digits):
    timed = stepped(digits[0], "qcfs")
    with pytest.raises(ConversionError, match=r"^digits has time-steps already$"):
        stepped(timed, "qcfs")
    with pytest.raises(ConversionError, match=r"^qcfs needs neurons that all have the same number "
                                              r"of levels, not stem 3, deep 3, add1 7, down 3$"):
        stepped(networks.residual(), "qcfs")
    with pytest.raises(ConversionError, match=r"^wide has no neurons, so it takes no time-steps$"):
        stepped(networks.wide(), "casc")
    mixed = networks.stepping(Dynamics(2))
    plain = replace(mixed, layers=tuple(
        replace(layer, dynamics=None, bias=0 * layer.bias) if layer.synapses else layer
        for layer in mixed.layers))
    with pytest.raises(ConversionError, match=r"^casc: second: charged by both the input and "):
        stepped(plain, "casc")


def test_residual_networks_with_different_levels_take_spikes_back():
    network = networks.residual()
    made = stepped(network, "st-bif")
    assert made.dynamics == Dynamics(1, 24, signed=True, bound="levels")
    counts = networks.counts_for(network, 20)
    trace, ann = made.run(counts), network.run(counts)
    assert same(trace, ann)
    assert np.array_equal(trace.logits, ann.logits)


def test_methods():
    assert set(METHODS) == {"qcfs", "casc", "st-bif"}
