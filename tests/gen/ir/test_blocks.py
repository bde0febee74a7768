"""Networks that take a sequence block by block."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir import shipped
from gen.ir.blocks import answering, block, least_block
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.ir.reference import torch_run
from gen.plan.mapping import map_network
from hw.dynamics import Dynamics
from tests.networks import linear, neurons, readout, synapses
from tests.sequences import causal, last, layered, random_blocks, recurrence, recurrent


def test_an_answer_is_that_of_a_network_for_so_many_elements():
    inputs = np.random.default_rng(0).integers(0, 8, (4, 3, 12, 1))
    answers = answering(recurrence(5), 2, 6).run(inputs).logits
    assert answers.shape == (4, 4, 6, 1)
    for k in range(6):
        elements = 2 * (k + 1)
        alone = recurrence(elements).run(inputs[:, :, :elements]).logits
        assert np.array_equal(answers[:, :, k, 0], alone)


def test_one_block():
    network = layered()
    inputs = np.random.default_rng(0).integers(0, 8, (4, *network.input_shape))
    assert np.array_equal(answering(network, 7, 1).run(inputs).logits, network.run(inputs).logits)
    assert np.array_equal(block(network, 7).run(inputs).logits, network.run(inputs).logits)


@pytest.mark.parametrize("seed", range(30))
def test_pytorch_agrees_on_every_answer(seed):
    rng = np.random.default_rng(seed)
    network, rows = random_blocks(rng)
    network = answering(network, rows, int(rng.integers(1, 6)))
    inputs = rng.integers(0, network.input_levels + 1, (3, *network.input_shape))
    assert np.array_equal(torch_run(network, inputs)["out"].reshape(
        3, *network.logit_shape), network.run(inputs).logits)


@pytest.mark.parametrize("seed", range(30))
def test_the_first_block_is_the_beginning_of_every_sequence(seed):
    rng = np.random.default_rng(seed)
    network, rows = random_blocks(rng)
    whole, first = answering(network, rows, 4), block(network, rows)
    inputs = rng.integers(0, network.input_levels + 1, (3, *whole.input_shape))
    many, one = whole.run(inputs), first.run(inputs[:, :, :rows])
    for name, counts in one.counts.items():
        assert np.array_equal(many.counts[name][:, :, :counts.shape[2]], counts)
    answers = many.logits.reshape(3, network.classes, 4, -1)[:, :, 0]
    assert np.array_equal(answers, one.logits.reshape(3, network.classes, -1))


def test_the_last_elements_of_a_window_that_slides():
    """A read-out of several elements looks at as many, also of earlier blocks."""
    rng = np.random.default_rng(0)
    network = Network("slides", (2, 4, 1), 7, 7, (
        recurrent(rng, "rnn", synapses(rng, INPUT, (3, 2, 1, 1))),
        readout(rng, "rnn", (4, 3, 4, 1))))
    inputs = rng.integers(0, 8, (2, 2, 9, 1))
    trace = answering(network, 1, 9).run(inputs)
    states = np.pad(trace.counts["rnn"], [(0, 0), (0, 0), (3, 0), (0, 0)])
    (bundle,) = network.readout.synapses
    for k in range(9):
        assert np.array_equal(trace.logits[:, :, k, 0], network.readout.initial + np.einsum(
            "ncyx,ocyx->no", states[:, :, k:k + 4], bundle.weights))


def test_the_shortest_block():
    rng = np.random.default_rng(0)
    assert least_block(recurrence(5)) == 1
    strided = Network("strided", (1, 24, 1), 3, 3, (
        neurons(rng, "conv", causal(rng, INPUT, (2, 1, 4, 1), stride=2)),
        Pool("pool", "conv", "max", (3, 1), (3, 1)),
        recurrent(rng, "rnn", synapses(rng, "pool", (2, 2, 1, 1))),
        last(rng, "rnn", 3, (2, 4, 1))))
    assert least_block(strided) == 6
    assert least_block(shipped.find("mnist-rows-rnn")) == 1


RNG = np.random.default_rng(0)


def _acausal():
    return Network("a", (1, 6, 1), 3, 3, (
        neurons(RNG, "conv", synapses(RNG, INPUT, (2, 1, 3, 1), padding=(1, 0))),
        last(RNG, "conv", 3, (2, 6, 1))))


def _averaged():
    return Network("a", (1, 6, 1), 3, 3, (
        recurrent(RNG, "rnn", synapses(RNG, INPUT, (2, 1, 1, 1))),
        Pool("all", "rnn", "sum", (6, 1), (1, 1)), readout(RNG, "all", (3, 2, 1, 1))))


def _early():
    out = last(RNG, "rnn", 3, (2, 6, 1))
    (bundle,) = out.synapses
    return Network("a", (1, 6, 1), 3, 3, (
        recurrent(RNG, "rnn", synapses(RNG, INPUT, (2, 1, 1, 1))),
        replace(out, synapses=(replace(bundle, padding=(-4, 0), below=-1),))))


@pytest.mark.parametrize("make, rows, message", [
    (_acausal, 2, "conv: can't take .* block by block: its window over input looks at 3 elements "),
    (_averaged, 2, "all: can't take a sequence block by block: its window over rnn looks at 6 "),
    (_early, 2, "out: .* its window over rnn does not end with the last element"),
    (linear, 1, "fc1: .* does not end|fc1: .* looks at 3 elements"),
    (recurrence, 0, "a block of sequence must have 1 to 5 elements, as its sequences have, not 0"),
    (recurrence, 6, "must have 1 to 5 elements, as its sequences have, not 6"),
    (lambda: Network("plain", (2, 4, 1), 3, 3, (
        neurons(RNG, "fc", synapses(RNG, INPUT, (2, 2, 1, 1))), last(RNG, "fc", 3, (2, 4, 1)))), 1,
     "plain has no layer that looks back"),
    (lambda: Network("strided", (1, 8, 1), 3, 3, (
        neurons(RNG, "conv", causal(RNG, INPUT, (2, 1, 4, 1), stride=4)),
        last(RNG, "conv", 3, (2, 2, 1)))), 6,
     "conv: .* moves by 4 of 6 rows; blocks must be a multiple"),
])
def test_networks_that_can_not(make, rows, message):
    network = make(5) if make is recurrence else make()
    with pytest.raises(NetworkError, match=message):
        block(network, rows)


def test_a_read_out_alone_looks_back():
    rng = np.random.default_rng(0)
    network = Network("alone", (3, 6, 1), 7, 7, (readout(rng, INPUT, (4, 3, 6, 1)),))
    config, image = map_network(network, stream=2)
    assert config.readout.sources[0].past == 4
    assert len(image) == 2


def test_time_steps_can_not():
    rng = np.random.default_rng(0)
    options = {"dynamics": Dynamics(2)}
    layer = replace(neurons(rng, "fc", synapses(rng, INPUT, (2, 2, 1, 1))), **options)
    network = Network("steps", (2, 1, 1), 3, 3, (
        layer, replace(readout(rng, "fc", (3, 2, 1, 1)), **options)))
    with pytest.raises(NetworkError, match="steps has time-steps; only networks in the schedule"):
        block(network, 1)
