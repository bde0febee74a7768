"""Independent sequences side by side."""

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir.interleaved import apart, interleave, together
from gen.ir.layers import INPUT
from gen.ir.network import Network
from hw.dynamics import Dynamics
from tests.networks import STEPPING, neurons, readout, stepping, synapses
from tests.sequences import last, layered, random_sequence, recurrent


@pytest.mark.parametrize("seed", range(60))
def test_no_sequence_sees_another(seed):
    rng = np.random.default_rng(seed)
    count, images = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    while True:
        network = random_sequence(rng)
        try:
            beside = interleave(network, count)
            break
        except NetworkError:
            continue
    inputs = rng.integers(0, network.input_levels + 1, (images, *network.input_shape))
    samples = together(inputs, count)
    assert samples.shape[0] == -(-images // count)
    logits = apart(beside.run(samples).logits, count, images)
    assert np.array_equal(logits, network.run(inputs).logits)


def test_weights_are_those_of_one():
    network = layered()
    assert interleave(network, 5).weight_count == network.weight_count
    assert interleave(network, 5).shapes["dense"] == (9, 7, 5)
    assert interleave(network, 1) is network


def test_windows_that_would_see_two():
    rng = np.random.default_rng(0)
    network = Network("a", (1, 5, 4), 3, 3, (
        recurrent(rng, "rnn", synapses(rng, INPUT, (2, 1, 1, 2))), last(rng, "rnn", 3, (2, 5, 3))))
    with pytest.raises(NetworkError, match="rnn: sequences can't be interleaved, because its "
                                           "window looks at 2 of 4 columns of input"):
        interleave(network, 2)
    padded = Network("a", (1, 5, 1), 3, 3, (
        neurons(rng, "conv", synapses(rng, INPUT, (2, 1, 1, 3), padding=(0, 1))),
        readout(rng, "conv", (3, 2, 5, 1))))
    with pytest.raises(NetworkError, match="looks at 3 of 1 columns"):
        interleave(padded, 2)
    with pytest.raises(NetworkError, match="1 sequence or more can be interleaved, not 0"):
        interleave(layered(), 0)


def test_time_steps_are_not_interleaved():
    network = stepping(STEPPING["cif"], levels=4)
    assert isinstance(network.dynamics, Dynamics)
    with pytest.raises(NetworkError):
        interleave(network, 2)
