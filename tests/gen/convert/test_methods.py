"""Published methods on a trained network: exact where they are, and as inexact as they are."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from gen.convert.methods import METHODS, depth_of, enough_steps, quiet_steps, stepped
from gen.data.datasets import load
from gen.errors import ConversionError
from gen.ir import artifact, declared, shipped
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


def drawn(seed):
    """A network of convolutions, a sum and a maximum pooling, and input counts."""
    levels = random.Random(seed).choice([1, 2, 3, 4, 8])
    network = networks.convolutional(size=7, levels=levels, seed=seed)
    return network, networks.counts_for(network, 2, seed), levels


@pytest.mark.parametrize("method", ["qcfs", "threshold-balance"])
def test_random_networks_are_exact_in_their_first_layer(method):
    errors = 0
    for seed in range(200):
        network, counts, levels = drawn(seed)
        made = stepped(network, method)
        assert made.dynamics == Dynamics(levels)
        trace, ann = made.run(counts), network.run(counts)
        assert np.array_equal(trace.counts["conv1"], ann.counts["conv1"])
        errors += not np.array_equal(trace.counts["conv2"], ann.counts["conv2"])
    assert errors > 40


@pytest.mark.parametrize("floor", [frozenset(), frozenset({"conv1", "conv2"})])
@pytest.mark.parametrize("method", ["casc", "st-bif"])
def test_random_networks_are_exact_when_quiet(method, floor):
    """And no neuron spikes after the proven number of steps, whether they round or not."""
    for seed in range(200):
        network, counts, levels = drawn(seed)
        steps = enough_steps(levels, depth_of(network))
        made = stepped(network, method, floor=floor)
        assert made.dynamics.timesteps == steps == levels + levels - 1
        more = {"timesteps": steps + 1} if method == "st-bif" else {"sleep": levels}
        longer = stepped(network, method, floor=floor, **more)
        trace, ann = longer.run(counts, timesteps=steps), network.run(counts)
        assert all(quiet.all() for quiet in longer.quiet(longer.run(counts)).values())
        assert np.array_equal(made.run(counts).logits, trace.logits)
        assert same(trace, ann)
        assert np.array_equal(trace.logits, ann.logits)


@pytest.mark.parametrize("method", ["qcfs", "threshold-balance", "casc", "st-bif"])
def test_the_quantised_network_of_a_stepped_one(method):
    """Whatever the time-steps are, it is the network that was there before."""
    for seed in range(200):
        network, counts, levels = drawn(seed)
        steps = {"qcfs": {"timesteps": 1 + seed % 9}, "casc": {"timesteps": 2 * levels, "sleep": 1}}
        made = stepped(network, method, **steps.get(method, {}))
        assert np.array_equal(made.quantised(counts).counts["conv2"],
                              network.run(counts).counts["conv2"])
    assert network.quantised(counts).logits is not None


@pytest.mark.parametrize("method, options, message", [
    ("qcsf", {}, "there is no method 'qcsf'"),
    ("qcfs", {"sleep": 3}, "qcfs has no steps of sleep; casc has"),
    ("qcfs", {"timesteps": 0}, "there must be at least 1 time-step, not 0"),
    ("threshold-balance", {"sleep": 3}, "threshold-balance has no steps of sleep; casc has"),
    ("threshold-balance", {"timesteps": 4},
     "threshold-balance has as many time-steps as the neurons have levels, 3, not 4"),
    ("casc", {"timesteps": 4},
     "casc is awake for as many time-steps as the neurons have levels, 3, or a multiple of them, "),
    ("st-bif", {"sleep": 2}, "st-bif has no steps of sleep of its own; give the time-steps"),
    ("casc", {"burst": 3}, "casc has no --burst; it is for group and burst"),
    ("qcfs", {"probe": 3}, "qcfs has no --probe; it is for srp"),
    ("srp", {"sleep": 3}, "srp has no steps of sleep; casc has"),
    ("srp", {"probe": 62}, "srp: there are 65 time-steps; 64 are the most"),
    ("group", {"sleep": 3}, "group has no steps of sleep; casc has"),
    ("one-spike", {"sleep": 3}, "one-spike has no steps of sleep; casc has"),
    ("one-spike", {"timesteps": 16}, ("neurons of 3 levels take 16 phases; 15 are the most: take "
     "fewer levels, or --timesteps 15")),
    ("srp", {"probe": 0}, "srp needs at least 1 step that probes (--probe); without it is qcfs"),
    ("burst", {"sleep": 3}, "burst has no steps of sleep; casc has"),
    ("group", {"burst": 2},
     "group: the spikes of a time-step, 2, must divide the levels of the neurons, 3; choose other"),
    ("burst", {}, "burst: the spikes of a time-step, 5, must divide the levels of the neurons, 3"),
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
    assert set(METHODS) == {"qcfs", "srp", "threshold-balance", "group", "burst", "one-spike",
                            "casc", "st-bif"}


def test_a_group_is_the_quantised_network_in_one_step(digits):
    network, images, ann = digits
    made = stepped(network, "group")
    assert made.dynamics == Dynamics(1, burst=3)
    trace = made.run(made.encode(images))
    assert same(trace, ann)
    assert np.array_equal(trace.logits, ann.logits)


def test_a_group_of_one_is_a_neuron(digits):
    network = digits[0]
    assert stepped(network, "group", burst=1).digest == stepped(network, "qcfs").digest


@pytest.mark.parametrize("timesteps, phases, accuracy", [(None, 3, 0.8), (2, 2, 0.6)])
def test_one_spike_is_the_nearest_power_of_two(timesteps, phases, accuracy, digits):
    network, images, _ = digits
    made = stepped(network, "one-spike", timesteps=timesteps)
    assert made.dynamics == Dynamics(1, phases=phases)
    trace = made.run(made.encode(images))
    first = network.layers[0]
    value = (first.charge([trace.counts["input"]]) + (first.initial - (first.threshold >> 1))[
        :, None, None]) / first.threshold[:, None, None]
    weights = np.array([0.5, *[1 << k for k in range(phases)]])
    nearest = weights[np.abs(value[..., None] - weights).argmin(axis=-1)] // 1
    # The thresholds are rounded up, less than 1 for each unit of the spike's weight.
    apart = np.abs(value[..., None] - 0.75 * weights[1:]) * first.threshold[:, None, None, None]
    clear = (apart > weights[1:]).all(axis=-1)
    assert np.array_equal(trace.counts[first.name][clear], nearest[clear])
    assert clear.mean() > 0.9
    labels = load("digits").test_labels[:150]
    assert (trace.logits.argmax(axis=1) == labels).mean() > accuracy


def test_one_spike_of_neurons_with_different_levels():
    network = networks.residual()
    made = stepped(network, "one-spike")
    assert made.dynamics == Dynamics(1, phases=4)
    counts = made.run(networks.counts_for(network, 20)).counts
    assert set(np.unique(np.concatenate([counts[layer.name].ravel() for layer in made.neurons]))
               ) == {0, 1, 2, 4, 8}


def test_srp_silences_what_is_left_without_charge(digits):
    network, images, ann = digits
    made, counts = stepped(network, "srp"), network.encode(images)
    assert made.dynamics == Dynamics(3, probe=4)
    probed, longer, trace = (each.run(counts) for each in (
        made, stepped(network, "qcfs", timesteps=4), stepped(network, "qcfs")))
    for layer in made.neurons:
        assert np.array_equal(probed.trains[layer.name][:4], longer.trains[layer.name])
    first = probed.counts["conv1"] != trace.counts["conv1"]
    assert first.mean() < 0.01
    assert not probed.counts["conv1"][first].any()
    wrong = [sum(((each.counts[layer.name] > 0) & (ann.counts[layer.name] == 0)).sum()
                 for layer in network.neurons) for each in (probed, trace)]
    assert wrong[0] < wrong[1] / 2
    labels = load("digits").test_labels[:150]
    assert (probed.logits.argmax(axis=1) == labels).mean() > 0.95


def test_methods_that_a_file_may_name_are_those_that_there_are():
    assert set(declared.METHODS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_network_says_of_its_method_is_kept(method, digits, tmp_path):
    made = stepped(digits[0], method, burst=3 if method == "burst" else None)
    artifact.save(made, tmp_path / "net.npz")
    assert artifact.load(tmp_path / "net.npz").metadata == made.metadata
    assert made.metadata["method"] == method


@pytest.mark.parametrize("dynamics", [
    Dynamics(1, 20, signed=True, bound="elapsed"), Dynamics(5, 20, signed=True, bound="elapsed"),
    Dynamics(2, 20, signed=True, bound="levels"),
    Dynamics(3, 20, 2, signed=True, bound="elapsed"), Dynamics(3), Dynamics(3, bound="elapsed")])
def test_time_steps_that_are_not_exact(dynamics, digits):
    """Neurons of 3 levels that become quiet, with other counts than those of the quantised
    network."""
    network, images, _ = digits
    made = replace(network, layers=tuple(
        layer.timed(dynamics, 3, half=True) for layer in network.layers))
    trace = made.run(network.encode(images))
    assert made.charged is made.exact(trace) is None
    assert (trace.logits != made.quantised(network.encode(images)).logits).any()


def test_what_is_exact(digits):
    network, images, _ = digits
    counts = network.encode(images)
    wanted = network.run(counts).logits
    for method, sleep, least in (("casc", 0, 3), ("st-bif", None, 1)):
        made = stepped(network, method, sleep=sleep)
        assert made.charged == least
        exact = made.exact(made.run(counts))
        assert np.array_equal(made.run(counts).logits[exact], wanted[exact])
        assert not made.exact(made.run(counts, timesteps=least))[
            (made.run(counts, timesteps=least).logits != wanted).any(axis=1)].any()
    made = stepped(network, "casc")
    assert made.exact(made.run(counts)).all()
    assert not made.exact(made.run(counts, timesteps=2)).any()


def test_more_steps_of_a_group_are_finer(digits):
    network, images, _ = digits
    trace = stepped(network, "group", timesteps=8).run(network.encode(images))
    counts = np.unique(np.concatenate([trace.counts[layer.name].ravel()
                                       for layer in network.neurons]))
    assert counts.min() == 0
    assert 20 < counts.max() <= 24
    labels = load("digits").test_labels[:150]
    assert (trace.logits.argmax(axis=1) == labels).mean() > 0.95


def test_a_burst_rounds_down(digits):
    """The first layer, to which all comes in equal shares."""
    network, images, _ = digits
    made = stepped(network, "burst", burst=3)
    assert made.dynamics == Dynamics(1, burst=3)
    trace = made.run(made.encode(images))
    first = network.layers[0]
    charge = first.charge([trace.counts["input"]]) + (first.initial - (first.threshold >> 1))[
        :, None, None]
    assert np.array_equal(trace.counts[first.name],
                          np.clip(charge // first.threshold[:, None, None], 0, 3))
    labels = load("digits").test_labels[:150]
    finer = stepped(network, "burst", burst=3, timesteps=16).run(network.encode(images))
    assert (finer.logits.argmax(axis=1) == labels).mean() > 0.95
