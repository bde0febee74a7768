"""Recurrent layers against a model that has nothing but loops over elements and neurons."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir import artifact
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.reference import torch_run
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics
from tests.networks import synapses
from tests.sequences import delayed, last, random_sequence, recurrence, recurrent


def element_by_element(network, inputs):
    """``h_k = clip(floor((v0 + W x_k + U h_{k-1}) / theta), 0, levels)``, in Python's integers.

    Returns
    -------
    States ``(N, elements, hidden)`` and logits.
    """
    rnn, out = network.layers
    weights, own = (s.weights[:, :, 0, 0].tolist() for s in rnn.synapses)
    states, logits = [], []
    for sample in inputs[:, :, :, 0].transpose(0, 2, 1).tolist():
        h, states_of = [0] * rnn.channels, []
        for x in sample:
            h = [min(max((v0 + sum(a * b for a, b in zip(w, x, strict=True))
                          + sum(a * b for a, b in zip(u, h, strict=True))) // theta, 0),
                     rnn.levels)
                 for v0, theta, w, u in zip(rnn.initial.tolist(), rnn.threshold.tolist(), weights,
                                            own, strict=True)]
            states_of.append(h)
        states.append(states_of)
        logits.append([v0 + sum(a * b for a, b in zip(w, h, strict=True)) for v0, w in zip(
            out.initial.tolist(), out.synapses[0].weights[:, :, 0, 0].tolist(), strict=True)])
    return np.array(states), np.array(logits)


@pytest.mark.parametrize("seed", range(5))
def test_every_state_of_a_long_sequence(seed):
    network = recurrence(800, seed=seed)
    inputs = np.random.default_rng(seed).integers(0, 8, (3, 3, 800, 1))
    trace = network.run(inputs)
    states, logits = element_by_element(network, inputs)
    assert np.array_equal(trace.counts["rnn"][:, :, :, 0].transpose(0, 2, 1), states)
    assert np.array_equal(trace.logits, logits)
    assert len(np.unique(states)) > 8


@pytest.mark.parametrize("seed", range(200))
def test_pytorch_agrees_on_every_state(seed):
    rng = np.random.default_rng(seed)
    network = random_sequence(rng)
    inputs = rng.integers(0, network.input_levels + 1, (3, *network.input_shape))
    trace, results = network.run(inputs), torch_run(network, inputs)
    for name, counts in trace.counts.items():
        assert np.array_equal(results[name], counts), name
    assert np.array_equal(results["out"].reshape(trace.logits.shape), trace.logits)


def differentially(layer, inputs):
    """States of a layer that gets the differences of elements, and is never reset: the potential
    adds up what changes (docs/methods.md, 15)."""
    (own,), charge = layer.recurrent, layer.charge([np.diff(inputs, axis=2, prepend=0)])
    states, potential = np.zeros(charge.shape, np.int64), layer.initial[:, None, None]
    for k in range(charge.shape[2]):
        changes = np.diff(states, axis=2, prepend=0)
        potential = potential + charge[:, :, [k]] + own.row_charge(changes, k)
        fired = np.clip(potential // layer.threshold[:, None, None], 0, layer.levels)
        # What is to come is no change yet.
        states[:, :, k:] = fired
    return states


@pytest.mark.parametrize("seed", range(200))
def test_differences_give_the_same_states(seed):
    rng = np.random.default_rng(seed)
    hidden = int(rng.integers(1, 9))
    network = recurrence(30, hidden=hidden, levels=int(rng.integers(1, 64)), seed=seed,
                         kernel=int(rng.integers(1, 3)), lag=int(rng.integers(1, 4)),
                         groups=int(rng.choice([1, hidden])))
    inputs = rng.integers(0, 8, (3, 3, 30, 1))
    states = network.run(inputs).counts["rnn"]
    assert np.array_equal(differentially(network.layers[0], inputs), states)


def test_elements_do_not_depend_on_later_ones():
    network = recurrence(9)
    inputs = np.random.default_rng(0).integers(0, 8, (2, 3, 9, 1))
    other = inputs.copy()
    other[:, :, 5:] = 7 - other[:, :, 5:]
    states, others = (network.run(x).counts["rnn"] for x in (inputs, other))
    assert np.array_equal(states[:, :, :5], others[:, :, :5])
    assert not np.array_equal(states[:, :, 5:], others[:, :, 5:])


def test_spikes_within_the_same_element_would_be_something_else():
    """The fixed point ``h = Q(W x + U h)`` is no recurrence (docs/methods.md, 15)."""
    network = recurrence(20)
    rnn, _ = network.layers
    feedforward, own = rnn.synapses
    inputs = np.random.default_rng(1).integers(0, 8, (8, 3, 20, 1))
    charge, h = feedforward.charge(inputs), np.zeros((8, 6, 20, 1), np.int64)
    here = replace(own, padding=(0, 0), below=0)
    for _ in range(200):
        potential = rnn.initial[:, None, None] + charge + here.charge(h)
        h = np.clip(potential // rnn.threshold[:, None, None], 0, rnn.levels)
    assert not np.array_equal(network.run(inputs).counts["rnn"], h)


def test_file_keeps_a_recurrent_network(tmp_path):
    network = recurrence(5, lag=2)
    artifact.save(network, tmp_path / "a.npz")
    again = artifact.load(tmp_path / "a.npz")
    assert again.digest == network.digest
    assert [s.below for s in again.layers[0].synapses] == [None, -2]


def test_other_lags_have_other_digests():
    assert recurrence(5, lag=2).digest != recurrence(5).digest


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("own, message", [
    (Synapses("rnn", np.ones((2, 2, 1, 1), np.int64)), "one element later"),
    (Synapses("rnn", np.ones((2, 2, 3, 1), np.int64), padding=(2, 0), below=0),
     "one element later"),
    (Synapses("rnn", np.ones((2, 2, 1, 1), np.int64), stride=(2, 1), padding=(1, 0), below=-1),
     "one element later"),
    (Synapses("rnn", np.ones((2, 2, 1, 1), np.int64), padding=(1, 0), below=0),
     "different shapes"),
    (Synapses("rnn", np.ones((2, 3, 1, 1), np.int64), padding=(1, 0), below=-1),
     "2 channels"),
])
def test_recurrence_that_is_none_is_refused(own, message):
    with pytest.raises(NetworkError, match=message):
        Network("a", (2, 4, 1), 3, 3, (
            Neurons("rnn", (synapses(RNG, INPUT, (2, 2, 1, 1)), own), np.zeros(2, np.int64),
                    np.ones(2, np.int64), 3), last(RNG, "rnn", 2, (2, 4, 1))))


def test_layer_of_nothing_but_itself_is_refused():
    with pytest.raises(NetworkError, match="nothing but its own spikes"):
        Neurons("rnn", (delayed(RNG, "rnn", 2),), np.zeros(2, np.int64), np.ones(2, np.int64), 3)


def test_layer_that_nobody_else_reads_is_refused():
    with pytest.raises(NetworkError, match="nothing uses the spikes of 'rnn'"):
        Network("a", (2, 4, 1), 3, 3, (
            recurrent(RNG, "rnn", synapses(RNG, INPUT, (2, 2, 1, 1))),
            last(RNG, INPUT, 2, (2, 4, 1))))


def test_recurrent_readout_is_refused():
    with pytest.raises(NetworkError, match="can't be recurrent"):
        Readout("out", (synapses(RNG, INPUT, (2, 2, 1, 1)), delayed(RNG, "out", 2)),
                np.zeros(2, np.int64))


def test_padding_beyond_the_map_is_refused():
    rnn = recurrent(RNG, "rnn", synapses(RNG, INPUT, (2, 2, 1, 1)), lag=1 << 30)
    with pytest.raises(NetworkError, match="rows of padding are more"):
        Network("a", (2, 4, 1), 3, 3, (rnn, last(RNG, "rnn", 2, (2, 4, 1))))


@pytest.mark.parametrize("options, message", [
    ({"padding": (-1, 0)}, "padding must be a pair"), ({"padding": (0, -1)}, "padding must be"),
    ({"padding": (-1, -1), "below": 0}, "padding must be"),
    ({"padding": (0, 0), "below": 0.5}, "below must be an integer"),
    ({"padding": (0, 0), "below": True}, "below must be an integer")])
def test_odd_padding_is_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        synapses(RNG, INPUT, (2, 2, 1, 1), **options)


def test_time_steps_are_refused():
    with pytest.raises(NetworkError, match="can't have time-steps"):
        recurrent(RNG, "rnn", synapses(RNG, INPUT, (2, 2, 1, 1))).timed(Dynamics(3), 3, True)
