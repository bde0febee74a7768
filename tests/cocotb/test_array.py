"""The emitted Verilog of whole networks, every beat of every layer (see gen/verify/testbench.py).

Each case runs without stalls, with stalls on the input, on the output and on both, and is reset in
the middle of samples. It runs twice, the second time with neurons that seldom fire.
"""

from dataclasses import replace

import numpy as np
import pytest

import boards
from gen.build.design import design_for
from gen.ir import shipped
from gen.ir.layers import Neurons
from gen.plan.mapping import map_config, map_network
from gen.verify.rtl import choose_images, compare, verify
from tests import networks
from tests.hw import cases

CASES = {
    "linear":        (networks.linear(hidden=20, seed=7), {"fc1": 7, "out": 2}, "phase"),
    "one-lane":      (networks.linear(), {"fc1": 1, "out": 1}, "rate"),
    "convolutional": (networks.convolutional(), {"conv1": 2, "conv2": 4, "out": 4}, "phase"),
    "rate":          (networks.convolutional(size=7, levels=5), {"conv1": 5, "conv2": 3}, "rate"),
    "residual":      (networks.residual(seed=19), {"stem": 4, "deep": 3, "add1": 6, "out": 3},
                      "phase"),
    "masked":        (cases.network("mobile", seed=3), cases.LANES["mobile"], "phase"),
    "residual-rate": (networks.residual(size=4, seed=24), {"stem": 2, "down": 8}, "rate"),
}

IMAGES = 64
"""Layers with one position need so many for each bit of a weight and a threshold to matter."""


def stimuli(network):
    """Input counts of images of all kinds, from dark to as bright as can be."""
    counts = networks.counts_for(network, IMAGES)
    rng = np.random.default_rng(1)
    share = rng.random((IMAGES, 1, 1, 1))
    counts[1::4] *= (rng.random(counts.shape) < share ** 2)[1::4]
    counts[2::4] = np.where(rng.random(counts.shape) < share, network.input_levels, 0)[2::4]
    return counts


VARIANTS = ("lively", "quiet")
"""Initial potentials: those of the case, or so low that many words have no spikes."""


def mapped(case, variant):
    """``(network, config, image)`` of a case. The variants differ in the image alone, so a layer
    whose lower potentials would need another bit stays as it is."""
    network, lanes, code = CASES[case]
    config = map_config(network, lanes=lanes, code=code)
    for layer in network.layers if variant == "quiet" else ():
        if isinstance(layer, Neurons):
            lower = replace(network, layers=tuple(
                replace(layer, initial=-(layer.threshold >> 1)) if each is layer else each
                for each in network.layers))
            if map_config(lower, lanes=lanes, code=code) == config:
                network = lower
    return network, *map_network(network, lanes=lanes, code=code)


@pytest.mark.parametrize("case", CASES)
def test_every_word_is_empty_somewhere(case):
    """What is wrong with the choice among words shows in windows where few of them have spikes."""
    network, config, _ = mapped(case, "quiet")
    counts = network.run(stimuli(network)).counts
    full = [layer.name for layer in config.layers[:-1]
            if any(counts[layer.name][:, first:first + layer.out.word].any(axis=1).all()
                   for first in range(0, layer.out.channels, layer.out.word))]
    # The potentials of add1 would need another bit.
    assert full == (["add1", "down", "mean"] if case == "residual" else [])


@pytest.mark.parametrize("case", CASES)
def test_every_neuron_is_put_to_the_test(case):
    """A channel that never fires, or always as much, would hide what is wrong with it."""
    network, _, _ = CASES[case]
    trace = network.run(stimuli(network))
    for layer in map_network(network)[0].cores[:-1]:
        counts = trace.counts[layer.name]
        assert (counts.max(axis=(0, 2, 3)) > counts.min(axis=(0, 2, 3))).all(), layer.name


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", CASES)
def test_random_network(case, variant):
    network, config, image = mapped(case, variant)
    counts = stimuli(network)
    trace = network.run(counts)
    result = compare(config, image, counts, trace)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["spikes"] == trace.logits.size + sum(
        trace.counts[layer.name].size for layer in config.layers[:-1])


def test_digits():
    network = shipped.find("digits")
    images, source = choose_images(network, 8, 0, None, None, None)
    result = verify(design_for(network, boards.find("arty-a7")), images)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert source == "digits"
