"""Time-steps: against a simulation neuron by neuron, and what the theorems promise."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir import artifact
from gen.ir.layers import INPUT, Neurons, Pool, Readout
from gen.ir.network import Network
from gen.ir.stepping import arrived
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics, Membrane
from hw.neuron import State
from tests import networks
from tests.networks import SPIKING, STEPPING


def stepped(dynamics, seed):
    return networks.stepping(dynamics, seed=seed)


def inputs(network, count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, network.input_levels + 1, (count, *network.input_shape))


def settled(network):
    """The quantised network: the same, but neurons fire after all the charge has arrived."""
    awake = sum(network.dynamics.awake)
    layers = tuple(
        replace(layer, initial=layer.initial + awake * layer.bias, bias=0 * layer.bias,
                dynamics=None) if layer.synapses else layer for layer in network.layers)
    return replace(network, layers=layers, input_levels=awake * network.input_levels,
                   pixel_max=awake * network.pixel_max, samples=None)


def quantised(trace):
    """Counts of the layers."""
    return {name: counts for name, counts in trace.counts.items() if name != INPUT}


class Neuron:
    """docs/methods.md, 8, for one neuron."""

    def __init__(self, initial, threshold, membrane):
        self.v, self.threshold, self.spikes = initial, threshold, 0
        self.initial, self.silent = initial, False
        self.membrane, self.spent = membrane, 0

    def restart(self):
        self.silent, self.v = self.v <= 0, self.initial

    def spiking(self, charge, begins):
        """The same for a neuron with a membrane that is not plain."""
        if not begins:
            for k in self.membrane.leak:
                self.v += -(self.v // 2 ** k) if k >= 0 else self.v // 2 ** -k
            self.v -= self.spent
        self.v += charge
        spike = self.v > self.threshold if self.membrane.strict else self.v >= self.threshold
        self.spent = spike * self.threshold * self.membrane.delayed
        if spike and self.membrane.reset == "zero":
            self.v = 0
        elif not self.membrane.delayed:
            self.v -= spike * self.threshold
        return int(spike)

    def step(self, charge, most, signed, burst, phases):
        self.v += charge
        for weight in [1 << phase for phase in range(phases)][::-1]:
            if self.v >= weight * self.threshold:
                return weight
        y = 0
        free = not phases and not self.silent and (most is None or self.spikes < most)
        if free and self.v >= self.threshold:
            y = min(self.v // self.threshold, burst)
        elif signed and self.v < 0 and self.spikes > 0:
            y = -1
        self.v -= y * self.threshold
        self.spikes += y
        return y


def simulated(network, image):
    """Trains of a sample, layer by layer, one neuron after the other."""
    dynamics, values = network.dynamics, {}
    if dynamics.events:
        values[INPUT] = arrived(image[None], dynamics)[:, 0]
    for layer in network.layers[:-1]:
        shape = network.shapes[layer.name]
        train = np.zeros((dynamics.timesteps, *shape), dtype=int)
        if layer.synapses:
            for place in np.ndindex(shape):
                neuron = Neuron(int(layer.initial[place[0]]), int(layer.threshold[place[0]]),
                                layer.dynamics.membrane)
                elapsed = 0
                for t, awake in enumerate(dynamics.awake):
                    elapsed += awake
                    if t == dynamics.probe > 0:
                        neuron.restart()
                    charge = awake * int(layer.bias[place[0]])
                    for synapses in layer.synapses:
                        source = values[synapses.source][t] if synapses.source in values else \
                            image * awake
                        charge += int(synapses.charge(source[None])[0][place])
                    if layer.dynamics.membrane != Dynamics(1).membrane:
                        train[t][place] = neuron.spiking(charge, t == 0)
                        continue
                    most = {None: None, "levels": layer.levels, "elapsed": elapsed}[dynamics.bound]
                    train[t][place] = neuron.step(charge, most, dynamics.signed,
                                                  dynamics.burst, dynamics.phases)
        else:
            counts = np.cumsum(values[layer.source], axis=0)
            made = [replace(layer).run([each[None]])[0] for each in counts]
            train = np.diff(made, axis=0, prepend=np.zeros_like(made[:1]))
        values[layer.name] = train
    values.pop(INPUT, None)
    return values


@pytest.mark.parametrize("name", STEPPING)
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 200), marks=pytest.mark.slow)])
def test_equals_a_simulation_neuron_by_neuron(name, seeds):
    seen = set()
    for seed in seeds:
        network = stepped(STEPPING[name], seed)
        counts = inputs(network, 2, seed)
        trace = network.run(counts)
        for n, image in enumerate(counts):
            for layer, train in simulated(network, image).items():
                assert np.array_equal(trace.trains[layer][:, n], train), layer
                assert np.array_equal(trace.counts[layer][n],
                                      train[STEPPING[name].probe:].sum(axis=0))
                seen |= set(np.unique(train))
    assert {0, 1} <= seen
    assert (-1 in seen) == (STEPPING[name].signed and STEPPING[name].timesteps > 2)


SPIKING_NETWORKS = {name: partial(networks.stepping, dynamics, ahead=1)
                    for name, dynamics in SPIKING.items()} | {"each": networks.spiking}


@pytest.mark.parametrize("name", SPIKING_NETWORKS)
def test_spiking_networks_equal_a_simulation_neuron_by_neuron(name):
    """Leaks, resets and comparisons of all kinds, and events."""
    seen = set()
    for seed in range(2):
        network = SPIKING_NETWORKS[name](seed=seed)
        counts = inputs(network, 2, seed)
        trace = network.run(counts)
        for n, image in enumerate(counts):
            for layer, train in simulated(network, image).items():
                assert np.array_equal(trace.trains[layer][:, n], train), layer
                seen |= set(np.unique(train))
        assert np.array_equal(trace.counts[INPUT], counts)
    assert {0, 1} <= seen


def test_membranes_differ():
    """Each kind makes other spikes."""
    trains = {}
    for name, dynamics in SPIKING.items():
        steps = replace(dynamics, wake=6, sleep=0, events=0)
        network = networks.stepping(steps, seed=1, ahead=1)
        trains[name] = network.run(inputs(network, 20, 1)).trains["fourth"].tobytes()
    kinds = {dynamics.membrane for dynamics in SPIKING.values()}
    # Without a leak nothing comes between a reset and a delayed one.
    assert trains["delayed alone"] == trains["plain events"]
    assert len(set(trains.values())) == len(kinds) - 1


def test_a_delayed_reset_follows_the_leak():
    """A potential of 8 leaks by a quarter, and loses the threshold after that, or before."""
    values = {}
    for delayed in (False, True):
        dynamics = Dynamics(2, membrane=Membrane((2,), delayed=delayed))
        layer = Neurons("a", (Synapses(INPUT, np.ones((1, 1, 1, 1), np.int64)),),
                        np.array([8]), np.array([4]), 1, dynamics=dynamics)
        program = layer.schedule([networks.TRAIN])
        _, state = program.run([0] * len(program.steps), 8, 4)
        values[delayed] = int(state.potential)
    assert values == {False: 8 - 4 - 1, True: 8 - 2 - 4}


def test_a_train_of_events_has_as_many_bits_as_time_steps():
    network = networks.stepping(SPIKING["counts"])
    assert (network.input_levels, network.levels[INPUT], network.spans[INPUT]) == (255, 12, (0, 3))
    counts = np.full((1, 2, 4, 4), 0b01_10_00_11)
    assert arrived(counts, network.dynamics)[:, 0, 0, 0, 0].tolist() == [1, 2, 0, 3]
    with pytest.raises(NetworkError, match=r"^an input of 4 time-steps with up to 3 spikes each "
                                           r"has pixels and counts up to 255, not 255 and 15$"):
        replace(network, input_levels=15)
    with pytest.raises(NetworkError, match=r"has no time-steps to choose"):
        network.checked(3)
    with pytest.raises(NetworkError, match=r"^stepping is defined by its time-steps, and approx"):
        network.quantised(counts)


@pytest.mark.parametrize("name", STEPPING)
def test_logits_after_each_step(name):
    network = stepped(STEPPING[name], 5)
    trace = network.run(inputs(network, 3, 5))
    readout, dynamics = network.readout, network.dynamics
    (bundle,) = readout.synapses
    total = readout.initial[None].repeat(3, axis=0)
    for t, awake in enumerate(dynamics.awake):
        charge = bundle.charge(trace.trains[bundle.source][t]).reshape(3, -1)
        if t >= dynamics.probe:
            total = total + charge + awake * readout.bias
        assert np.array_equal(trace.steps[t], total)
    assert np.array_equal(trace.logits, total)
    maps = [replace(networks.TRAIN, timesteps=dynamics.timesteps)]
    program = readout.schedule(maps)
    charge = bundle.charge(trace.counts[bundle.source])
    initial, bias = readout.initial[:, None, None], readout.bias[:, None, None]
    _, state = program.run([charge, *[0] * (len(program.steps) - 1)], initial, 1, bias)
    assert np.array_equal(trace.logits, state.potential.reshape(3, -1))


def test_a_shorter_run_is_the_beginning_of_a_longer_one():
    network = stepped(STEPPING["cif"], 5)
    counts = inputs(network, 3, 5)
    whole = network.run(counts)
    for steps in range(1, network.timesteps + 1):
        trace = network.run(counts, timesteps=steps)
        assert np.array_equal(trace.logits, whole.steps[steps - 1])
        assert len(trace.steps) == steps
        for name, train in trace.trains.items():
            assert np.array_equal(train, whole.trains[name][:steps])
            assert np.array_equal(trace.counts[name], train.sum(axis=0))
            # A short train travels in the place of the last time-steps of a long one.
            low, high = network.spans[name]
            width = steps * (high.bit_length() + (-low).bit_length())
            assert trace.maps[name].max() < 1 << width
            assert np.array_equal(network.quiet(trace)[name] if name in network.quiet(trace)
                                  else ~train[-1].any(axis=(1, 2, 3)),
                                  ~train[-1].any(axis=(1, 2, 3)))
    probed = stepped(STEPPING["srp"], 5)
    with pytest.raises(NetworkError, match=r"has no time-steps to choose, as every run takes 7: "):
        probed.run(inputs(probed, 3, 5), timesteps=6)
    assert probed.checked(7) == 7
    for wrong in (0, 2, 1.0):
        with pytest.raises(NetworkError, match=r"^linear has no time-steps to choose, as every run "
                                               r"takes 1: leave --timesteps out$"):
            networks.linear().checked(wrong)
    for wrong in (0, 8, 2.0):
        with pytest.raises(NetworkError, match=rf"runs 1 to 7 time-steps, not {wrong}$"):
            network.run(counts, timesteps=wrong)


def test_rounds_half_up_for_every_threshold():
    for threshold in range(1, 200):
        x = np.arange(-3 * threshold, 3 * threshold + 1)
        assert np.array_equal((x + (threshold >> 1)) // threshold,
                              np.floor(x / threshold + 0.5).astype(int)), threshold


def steps_to_quiet(depth, levels):
    """docs/methods.md, 8: with all the input's charge in the first step."""
    return levels + (depth - 1) * (levels - 1) + 1


def test_spikes_that_are_taken_back_make_the_quantised_network():
    """ST-BIF, until quiet."""
    for seed in range(200):
        rng = random.Random(seed)
        levels, depth = rng.choice([1, 2, 3, 4, 7]), 4
        steps = steps_to_quiet(depth, levels)
        network = networks.stepping(Dynamics(1, steps - 1, signed=True, bound="levels"), seed=seed,
                                    levels=levels)
        counts = inputs(network, 4, seed)
        trace, ann = network.run(counts), settled(network).run(counts)
        assert all(np.all(quiet) for quiet in network.quiet(trace).values())
        for name, wanted in quantised(ann).items():
            assert np.array_equal(trace.counts[name], wanted), (seed, name)
        assert np.array_equal(trace.logits, ann.logits)


def test_wake_and_sleep_make_the_quantised_network():
    """CIF: with enough sleep exactly, without it not."""
    errors = 0
    for seed in range(200):
        rng = random.Random(seed)
        levels, depth = rng.choice([1, 2, 4, 8]), 4
        awake = Dynamics(levels, 0, signed=True, bound="elapsed")
        for dynamics in (awake, replace(awake, sleep=(depth - 1) * (levels - 1) + 1)):
            network = networks.stepping(dynamics, seed=seed, levels=levels)
            counts = inputs(network, 4, seed)
            trace, ann = network.run(counts), settled(network).run(levels * counts)
            wrong = [name for name, wanted in quantised(ann).items()
                     if not np.array_equal(trace.counts[name], wanted)]
            if dynamics.sleep:
                assert not wrong
                assert np.array_equal(trace.logits, ann.logits)
                assert all(np.all(quiet) for quiet in network.quiet(trace).values())
            errors += bool(wrong)
            if wrong:
                first = network.quiet(trace)
                assert not all(np.all(quiet) for quiet in first.values())
    assert errors > 20


def test_one_step_of_bursts_makes_the_quantised_network():
    """A group of as many neurons as there are levels."""
    for seed in range(200):
        levels = random.Random(seed).choice([1, 2, 3, 4, 5, 8, 13])
        network = networks.stepping(Dynamics(1, burst=levels), seed=seed, levels=levels)
        counts = inputs(network, 4, seed)
        trace, ann = network.run(counts), settled(network).run(counts)
        assert all(np.array_equal(trace.counts[name], ann.counts[name]) for name in quantised(ann))
        assert np.array_equal(trace.logits, ann.logits)


def test_several_cycles_count_as_one_that_is_longer():
    for seed in range(20):
        network = networks.stepping(Dynamics(3, 9, 2, signed=True, bound="elapsed"), seed=seed,
                                    levels=6)
        counts = inputs(network, 3, seed)
        trace, ann = network.run(counts), settled(network).run(6 * counts)
        assert all(np.array_equal(trace.counts[name], ann.counts[name]) for name in quantised(ann))


def test_the_first_layer_of_plain_neurons_is_exact():
    """QCFS with as many steps as levels; the layers behind are not, and that is told."""
    errors = 0
    for seed in range(200):
        levels = random.Random(seed).choice([1, 2, 4, 8])
        network = networks.stepping(Dynamics(levels), seed=seed, levels=levels)
        counts = inputs(network, 4, seed)
        trace, ann = network.run(counts), settled(network).run(levels * counts)
        first = network.layers[0].name
        assert np.array_equal(trace.counts[first], ann.counts[first])
        errors += any(not np.array_equal(trace.counts[name], ann.counts[name])
                      for name in quantised(ann))
    assert errors > 40


@pytest.mark.parametrize("name", [*STEPPING, *SPIKING_NETWORKS])
def test_potentials_stay_in_their_range(name, monkeypatch):
    seen, fire = [], State.fire
    seeds = 200 if name in STEPPING else 20

    def note(potential):
        seen.append((potential.min(axis=(0, 2, 3)), potential.max(axis=(0, 2, 3))))

    def watched(self, fires, rows):
        if fires:
            note(self.potential)
        result = fire(self, fires, rows)
        note(self.potential)
        return result

    monkeypatch.setattr(State, "fire", watched)
    for seed in range(seeds):
        network = (stepped(STEPPING[name], seed) if name in STEPPING else
                   SPIKING_NETWORKS[name](seed=seed))
        counts = inputs(network, 4, seed)
        trace = network.run(counts)
        values = trace.counts | trace.trains | {INPUT: arrived(counts, network.dynamics)}
        for layer in network.neurons:
            seen.clear()
            layer.run([values[s] for s in layer.sources])
            low, high = layer.schedule().potential_range(
                *layer.potential_range([network.levels[s] for s in layer.sources]),
                layer.threshold)
            assert len(seen) >= network.dynamics.timesteps
            assert all(np.all(least >= low) for least, _ in seen)
            assert all(np.all(most <= high) for _, most in seen)


def test_artifact(tmp_path):
    network = networks.stepping(Dynamics(4, 3, signed=True, bound="elapsed"), seed=1)
    artifact.save(network, tmp_path / "n.npz")
    again = artifact.load(tmp_path / "n.npz")
    assert again.digest == network.digest
    assert again.dynamics == network.dynamics
    counts = inputs(network, 3, 1)
    assert np.array_equal(again.run(counts).steps, network.run(counts).steps)
    spiking = networks.spiking()
    artifact.save(spiking, tmp_path / "s.npz")
    again = artifact.load(tmp_path / "s.npz")
    assert again.digest == spiking.digest
    assert [layer.dynamics for layer in again.layers if layer.synapses] == [
        layer.dynamics for layer in spiking.layers if layer.synapses]
    others = {networks.stepping(Dynamics(4, sleep, signed=True, bound="elapsed"), seed=1).digest
              for sleep in (2, 3)}
    assert len(others | {settled(network).digest}) == 3


def one(name, source, dynamics, **options):
    return Neurons(name, (Synapses(source, np.ones((2, 2, 1, 1), np.int64)),), np.zeros(2, int),
                   np.ones(2, int), 3, dynamics=dynamics, **options)


def end(source, dynamics):
    return Readout("out", (Synapses(source, np.ones((2, 2, 1, 1), np.int64)),), np.zeros(2, int),
                   dynamics=dynamics)


@pytest.mark.parametrize("layers, message", [
    ((one("a", INPUT, Dynamics(2)), end("a", Dynamics(3))),
     "out: its time-steps are not those of a"),
    ((one("a", INPUT, None), end("a", Dynamics(3))), "out: its time-steps are not those of a"),
    ((Pool("p", INPUT, "max", (1, 1), (1, 1)), one("a", "p", Dynamics(2)), end("a", Dynamics(2))),
     "p: pools the input, which a network with time-steps can't; use a convolution"),
])
def test_networks_that_contradict_themselves(layers, message):
    with pytest.raises(NetworkError, match=f"^{message}$"):
        Network("n", (2, 1, 1), 3, 3, layers)


def test_a_bias_needs_time_steps():
    with pytest.raises(NetworkError, match=r"^a: without time-steps the bias is part of the init"):
        one("a", INPUT, None, bias=np.ones(2, int))
    with pytest.raises(NetworkError, match=r"^a: bias must be 2 integers$"):
        one("a", INPUT, Dynamics(2), bias=np.ones(3, int))
