"""The emitted Verilog of whole networks, every beat of every layer (see gen/verify/testbench.py).

Each case runs without stalls, with stalls on the input, on the output and on both, and is reset in
the middle of samples. It runs twice, the second time with neurons that seldom fire.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import boards
from gen.build.planning import design_for
from gen.ir import shipped
from gen.ir.layers import Neurons
from gen.plan.mapping import map_config, map_network
from gen.verify.rtl import choose_images, compare, verify
from hw.dynamics import Dynamics
from tests import networks, sequences
from tests.hw import cases

CASES = {
    "linear": (networks.linear(hidden=20, seed=7), {"lanes": {"fc1": 7, "out": 2}}),
    "one-lane": (networks.linear(), {"lanes": {"fc1": 1, "out": 1}, "code": "rate"}),
    "convolutional": (networks.convolutional(), {"lanes": {"conv1": 2, "conv2": 4, "out": 4}}),
    "rate": (networks.convolutional(size=7, levels=5),
             {"lanes": {"conv1": 5, "conv2": 3}, "code": "rate"}),
    "residual": (networks.residual(seed=19),
                 {"lanes": {"stem": 4, "deep": 3, "add1": 6, "out": 3}}),
    "masked": (cases.network("mobile", seed=3), {"lanes": cases.LANES["mobile"]}),
    "residual-rate": (networks.residual(size=4, seed=24),
                      {"lanes": {"stem": 2, "down": 8}, "code": "rate"}),
}

_CIF = networks.stepping(networks.STEPPING["cif"], seed=97, ahead=2)
_BURSTS = networks.stepping(Dynamics(3, burst=5, probe=2), seed=9, ahead=1)
_LANES = {"first": 3, "second": 4, "third": 2, "fourth": 3, "out": 2}

STEPPING = {"stepping": (_CIF, {"lanes": _LANES}),
            "slices": (_CIF, {"lanes": _LANES, "slice_steps": 2}),
            "bursts": (_BURSTS, {"lanes": _LANES}),
            "spiking": (networks.spiking(), {"lanes": _LANES})}
"""Networks that fire in every time-step: of seven steps, whole and in slices of two, where spikes
are taken back; of three steps with up to five spikes each, after two that only probe; and of six,
with leaks and resets of all kinds, on events."""

_LAYERED = {"conv": 4, "dense": 5, "diagonal": 8, "out": 3}

CHANGES = {"conv": ["input"], "dense": ["conv", "dense"], "diagonal": ["diagonal"]}
"""Sources whose changes are sent: the only one of a layer, all of them, and one of two."""

SEQUENCES = {"recurrent": (sequences.layered(), {"lanes": _LAYERED}),
             "changes": (sequences.layered(), {"lanes": _LAYERED, "differential": CHANGES})}
"""Networks whose layers receive what they have sent, as counts and as changes."""

SUBJECTS = CASES | STEPPING | SEQUENCES

IMAGES = 64
"""Layers with one position need so many for each bit of a weight and a threshold to matter."""


CHOICE = 2000
"""Images that half of those with time-steps are chosen from."""


def _images(network, number):
    """Input counts of images of all kinds, from dark to as bright as can be."""
    counts = networks.counts_for(network, number)
    rng = np.random.default_rng(1)
    share = rng.random((number, 1, 1, 1))
    counts[1::4] *= (rng.random(counts.shape) < share ** 2)[1::4]
    counts[2::4] = np.where(rng.random(counts.shape) < share, network.input_levels, 0)[2::4]
    return counts


@cache
def stimuli(case, variant):
    """Input counts of a case. With time-steps half of them are chosen so that neurons do in each
    step what they can: images of one colour make those of a window do the same. Among the others
    are dark ones, which leave neurons quiet."""
    network, *_ = mapped(case, variant)
    if network.dynamics is None:
        return _images(network, IMAGES)
    counts = _images(network, CHOICE)
    counts[3::4] = counts[3::4, :, :1, :1]
    half = IMAGES // 2
    return np.concatenate([networks.telling(network, counts, half), counts[:half]])


def runs(case):
    """Time-steps of the runs of a case: all of them, and fewer, unless it has none or probes."""
    dynamics = SUBJECTS[case][0].dynamics
    return (None, 5, 3) if dynamics is not None and not dynamics.whole else (None,)


ALIKE = ("rate", "residual-rate", "slices", "changes")
"""Cases that the quick run has in one variant: they differ little from those before them."""

VARIANTS = ("lively", "quiet")
"""Initial potentials: those of the case, or so low that many words have no spikes. With time-steps
they differ by so much that neurons fire early in one variant and late in the other."""


@cache
def mapped(case, variant):
    """``(network, config, image)`` of a case. The variants differ in the image alone, so a layer
    whose lower potentials would need another bit stays as it is."""
    network, options = SUBJECTS[case]
    config = map_config(network, **options)
    for layer in network.layers if variant == "quiet" else ():
        if isinstance(layer, Neurons):
            initial = -(layer.threshold >> 1 if layer.dynamics is None else 2 * layer.threshold)
            lower = replace(network, layers=tuple(
                replace(layer, initial=initial) if each is layer else each
                for each in network.layers))
            if map_config(lower, **options) == config:
                network = lower
    return network, *map_network(network, **options)


@pytest.mark.parametrize("case", SUBJECTS)
def test_every_word_is_empty_somewhere(case):
    """What is wrong with the choice among words shows in windows where few of them have spikes."""
    network, config, _ = mapped(case, "quiet")
    sent = network.run(stimuli(case, "quiet")).maps
    full = [layer.name for layer in config.layers[:-1]
            if any(sent[layer.name][:, first:first + layer.out.word].any(axis=1).all()
                   for first in range(0, layer.out.channels, layer.out.word))]
    # The potentials of add1 would need another bit.
    assert full == {"residual": ["add1", "down", "mean"]}.get(case, [])


@pytest.mark.parametrize("case", SUBJECTS)
def test_every_neuron_is_put_to_the_test(case):
    """A channel that never fires, or always as much, would hide what is wrong with it."""
    network, config, _ = mapped(case, "lively")
    trace = network.run(stimuli(case, "lively"))
    for layer in config.cores[:-1]:
        counts = trace.counts[layer.name]
        assert (counts.max(axis=(0, 2, 3)) > counts.min(axis=(0, 2, 3))).all(), layer.name


@pytest.mark.parametrize("options", [
    {"stream": 2}, {"interleaved": 3}, {"stream": 1, "interleaved": 2},
    {"differential": CHANGES, "stream": 2},
    pytest.param({"differential": CHANGES, "interleaved": 2}, marks=pytest.mark.slow)], ids=str)
def test_sequences_in_blocks_and_side_by_side(options):
    """Every state and every answer, with resets in the middle of sequences."""
    network = sequences.layered()
    design = design_for(network, boards.find("arty-a7"), lanes=_LAYERED, **options)
    images = np.random.default_rng(0).integers(0, 256, (48, *network.input_shape))
    result = verify(design, images)
    assert result["mismatches"] == 0
    assert result["images"] == 48


@pytest.mark.parametrize("case", STEPPING)
def test_neurons_do_in_each_step_what_they_can(case):
    """A number of spikes that a channel never sends in a time-step would hide what is wrong with
    it."""
    each = [mapped(case, variant)[0].run(stimuli(case, variant)).trains for variant in VARIANTS]
    trains = [np.concatenate(variants, axis=1) for variants in zip(*(
        trains.values() for trains in each), strict=True)]
    shown = [(train == number).any(axis=(1, 3, 4))
             for train in trains for number in range(train.min(), train.max() + 1)]
    # In the first step no spike is taken back; the first layer is charged by the same in each step.
    assert np.mean(np.concatenate(shown, axis=1)) > 0.8


@pytest.mark.parametrize("case", [case for case in STEPPING if STEPPING[case][0].dynamics.signed])
def test_every_layer_is_quiet_sometimes(case):
    each = []
    for variant in VARIANTS:
        network, *_ = mapped(case, variant)
        each += [network.quiet(network.run(stimuli(case, variant), timesteps=timesteps))
                 for timesteps in runs(case)]
    for layer in network.neurons:
        assert any(0.05 < np.mean(quiet[layer.name]) < 0.95 for quiet in each)


def agrees(case, variant, timesteps):
    network, config, image = mapped(case, variant)
    counts = stimuli(case, variant)
    trace = network.run(counts, timesteps=timesteps)
    result = compare(config, image, counts, trace)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["spikes"] == trace.logits.size + sum(
        trace.counts[layer.name].size for layer in config.layers[:-1]) + (
            len(config.settling) * len(counts))


@pytest.mark.parametrize("case, timesteps, variant", [
    pytest.param(case, timesteps, variant, marks=[pytest.mark.slow] if (
        case == "bursts" or (variant == "quiet" and case in ALIKE)) else [])
    for variant in VARIANTS for case in SUBJECTS for timesteps in runs(case)])
def test_random_network(case, timesteps, variant):
    agrees(case, variant, timesteps)


def test_digits():
    network = shipped.find("digits")
    images, source = choose_images(network, 8, 0, None, None, None)
    result = verify(design_for(network, boards.find("arty-a7")), images)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert source == "digits"
