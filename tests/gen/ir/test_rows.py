"""Neurons whose time-steps are rows, against loops over time-steps and neurons."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir import artifact
from gen.ir.blocks import block
from gen.ir.reference import torch_run
from hw.dynamics import Dynamics, Lasting, Membrane
from tests.sequences import LEAKS, random_lasting


def step_by_step(layer, charge):
    """Spikes of one sample, ``(C, T, W)``, of ``charge`` from below, in Python's integers."""
    membrane, (channels, rows, width) = layer.lasting.membrane, charge.shape
    spikes = np.zeros(charge.shape, int)
    v, i = (np.zeros((channels, width), int).tolist() for _ in range(2))
    fired = np.zeros((channels, width), bool)
    for t in range(rows):
        before = spikes[:, t - 1] if t else np.zeros((channels, width), int)
        for c in range(channels):
            theta = int(layer.threshold[c])
            for x in range(width):
                if membrane.reset == "zero" and fired[c, x]:
                    v[c][x] = 0
                if membrane.reset == "subtract" and not membrane.delayed and fired[c, x]:
                    v[c][x] -= theta
                if t:
                    for k in membrane.leak:
                        v[c][x] += -(v[c][x] >> k) if k >= 0 else v[c][x] >> -k
                if membrane.delayed and fired[c, x]:
                    v[c][x] -= theta
                arrived = int(charge[c, t, x])
                for own in layer.recurrent:
                    wide = own.weights.shape[1] == 1
                    arrived += (int(own.weights[c, 0, 0, 0]) * int(before[c, x]) if wide else
                                sum(int(w) * int(s) for w, s in zip(
                                    own.weights[c, :, 0, 0], before[:, x], strict=True)))
                if layer.lasting.current is not None:
                    for k in layer.lasting.current * (t > 0):
                        i[c][x] += -(i[c][x] >> k) if k >= 0 else i[c][x] >> -k
                    arrived = i[c][x] = i[c][x] + arrived
                v[c][x] += arrived
        for c in range(channels):
            for x in range(width):
                fired[c, x] = v[c][x] >= layer.threshold[c] + membrane.strict
                spikes[c, t, x] = fired[c, x]
    return spikes


@pytest.mark.parametrize("seed", range(30))
def test_every_spike(seed):
    rng = np.random.default_rng(seed)
    network = random_lasting(rng)
    inputs = rng.integers(0, network.input_levels + 1, (3, *network.input_shape))
    trace, reference = network.run(inputs), torch_run(network, inputs)
    values = {"input": inputs}
    for layer in network.neurons:
        charge = layer.charge([values[s] for s in layer.sources if s != layer.name])
        for sample, spikes in zip(charge, trace.counts[layer.name], strict=True):
            assert np.array_equal(step_by_step(layer, sample + layer.initial[:, None, None]),
                                  spikes)
        values[layer.name] = trace.counts[layer.name]
        assert np.array_equal(reference[layer.name], trace.counts[layer.name])
    assert np.array_equal(reference["out"].reshape(trace.logits.shape), trace.logits)


@pytest.mark.parametrize("leak", LEAKS, ids=str)
@pytest.mark.parametrize("delayed", [False, True])
def test_no_potential_leaves_its_bounds(leak, delayed):
    """Of charges that are as extreme as they may be, for a long time."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        network = random_lasting(rng, membrane=Membrane(leak, delayed=delayed), elements=200)
        layer = network.neurons[0]
        least, most = layer.potential_range([network.levels[s] for s in layer.sources])
        schedule = layer.schedule()
        for share in (0, 0.5, 1):
            state = None
            for _ in range(200):
                low, high = layer.initial, layer.initial
                for synapses in layer.synapses:
                    down, up = synapses.charge_range(network.levels[synapses.source])
                    low, high = low + down, high + up
                charge = np.where(rng.random(layer.channels) < share, low, high) - layer.initial
                held, current = (0, 0) if state is None else (state.held, state.current)
                current = current + charge + layer.initial
                for now in (current, held + current):
                    assert (now >= least).all()
                    assert (now <= most).all()
                _, state = schedule.run([charge, 0], layer.initial, layer.threshold, before=state)


def test_spikes_depend_on_the_rows_before():
    rng = np.random.default_rng(4)
    network = random_lasting(rng, elements=12)
    inputs = rng.integers(0, network.input_levels + 1, (4, *network.input_shape))
    name = network.neurons[0].name
    other = inputs.copy()
    other[:, :, :3] = 0
    spikes, others = (network.run(x).counts[name] for x in (inputs, other))
    assert not np.array_equal(spikes[:, :, 3:], others[:, :, 3:])
    other = inputs.copy()
    other[:, :, 6:] = 0
    assert np.array_equal(network.run(other).counts[name][:, :, :6], spikes[:, :, :6])


def test_a_file_keeps_them(tmp_path):
    network = random_lasting(np.random.default_rng(1))
    artifact.save(network, tmp_path / "a.npz")
    again = artifact.load(tmp_path / "a.npz")
    assert again.digest == network.digest
    assert again.neurons[0].lasting == network.neurons[0].lasting
    first, *others = network.layers
    changed = replace(first, lasting=replace(first.lasting, rows=first.lasting.rows + 1))
    assert replace(network, layers=(changed, *others)).digest != network.digest


@pytest.mark.parametrize("change, message", [
    ({"levels": 3}, "spike once in each, not 3 times"),
    ({"dynamics": Dynamics(4)}, "its time-steps are the rows of its map, and it can't have others"),
    ({"lasting": Lasting(Membrane(), 1)}, "rows, and potentials that last for 1$"),
    ({"lasting": Lasting(Membrane(), 1 << 60)}, "potentials need more than 53 bits")])
def test_what_can_not_be(change, message):
    network = random_lasting(np.random.default_rng(2), elements=5, own=False)
    first, *others = network.layers
    with pytest.raises(NetworkError, match=message):
        replace(network, layers=(replace(first, **change), *others), samples=None)


def test_blocks_of_a_sequence_are_refused():
    network = random_lasting(np.random.default_rng(2), elements=6)
    with pytest.raises(NetworkError, match=r"^layer0: its time-steps are the rows of its map, wh"):
        block(network, 2)


_LEAK = {"membrane": {"leak": [3]}}


@pytest.mark.parametrize("facts", [
    {}, _LEAK, _LEAK | {"rows": 3, "current": [99]}, _LEAK | {"rows": 3, "current": 1},
    _LEAK | {"rows": "3"}, _LEAK | {"rows": 3, "more": 1}, None, [],
    {"membrane": {"leak": [40]}, "rows": 3}], ids=str)
def test_facts_of_a_file_that_are_none(facts):
    first = random_lasting(np.random.default_rng(2)).layers[0]
    described, arrays = first.described()
    with pytest.raises(NetworkError, match=f"^{first.name}: "):
        type(first).restored(described | {"lasting": facts}, arrays.__getitem__)
