"""Spikes in no order at all: what is quiet has the counts of the quantised network.

Every bundle of synapses, and every pooling, gets the spikes of its source in its own random order
and after random delays. Neurons that may fire do so at random times, and wake steps come whenever.
"""

import random

import numpy as np
import pytest

from gen.ir.layers import INPUT
from hw.dynamics import Dynamics
from tests import networks

NETWORKS = 200


class Flight:
    """Spikes on their way from a layer to one that looks at it."""

    def __init__(self, shape):
        self.plus, self.minus = np.zeros(shape, int), np.zeros(shape, int)

    def send(self, spikes):
        self.plus += spikes > 0
        self.minus += spikes < 0

    def arrived(self, rng, share):
        plus, minus = rng.binomial(self.plus, share), rng.binomial(self.minus, share)
        self.plus -= plus
        self.minus -= minus
        return plus - minus

    @property
    def empty(self):
        return not (self.plus.any() or self.minus.any())


class Events:
    """A network of which every part works in its own time."""

    def __init__(self, network, image, seed):
        self.network, self.image = network, image
        self.rng = np.random.default_rng(seed)
        self.elapsed, self.left = 0, network.dynamics.wakes
        self.flights = {(layer.name, number, source): Flight(network.shapes[source])
                        for layer in network.layers
                        for number, source in enumerate(layer.sources) if source != INPUT}
        self.state = {layer.name: np.zeros(network.shapes[layer.name], int) + (
            layer.initial[:, None, None] if layer.synapses else 0) for layer in network.layers}
        # Of neurons the tracers; of a pooling what it has sent.
        self.sent = {layer.name: np.zeros(network.shapes[layer.name], int)
                     for layer in network.layers}
        self.seen = {layer.name: np.zeros(network.shapes[layer.sources[0]], int)
                     for layer in network.layers if not layer.synapses}

    def wake(self):
        self.elapsed, self.left = self.elapsed + 1, self.left - 1
        for layer in self.network.layers:
            if layer.synapses:
                self.state[layer.name] += layer.bias[:, None, None]
                for synapses in layer.synapses:
                    if synapses.source == INPUT:
                        self.state[layer.name] += synapses.charge(self.image[None])[0]

    def receive(self, layer, share):
        """What arrives; a pooling passes on how its result changes."""
        for number, source in enumerate(layer.sources):
            if source == INPUT:
                continue
            spikes = self.flights[layer.name, number, source].arrived(self.rng, share)
            if layer.synapses:
                self.state[layer.name] += layer.synapses[number].charge(spikes[None])[0]
            else:
                self.seen[layer.name] += spikes
                now = layer.run([self.seen[layer.name][None]])[0]
                self.send(layer, np.sign(now - self.sent[layer.name]))

    def restless(self, layer):
        potential, tracer = self.state[layer.name], self.sent[layer.name]
        most = layer.levels if self.network.dynamics.bound == "levels" else self.elapsed
        up = (potential >= layer.threshold[:, None, None]) & (tracer < most)
        return up.astype(int) - ((potential < 0) & (tracer > 0))

    def fire(self, layer, share):
        spikes = self.restless(layer) * (self.rng.random(self.state[layer.name].shape) < share)
        self.state[layer.name] -= spikes * layer.threshold[:, None, None]
        self.send(layer, spikes)

    def send(self, layer, spikes):
        self.sent[layer.name] += spikes
        for (_, _, source), flight in self.flights.items():
            if source == layer.name:
                flight.send(spikes)

    def quiet(self):
        pools = (layer for layer in self.network.layers if not layer.synapses)
        return (not self.left and all(flight.empty for flight in self.flights.values())
                and not any(self.restless(layer).any() for layer in self.network.neurons)
                and all(np.array_equal(self.sent[layer.name],
                                       layer.run([self.seen[layer.name][None]])[0])
                        for layer in pools))

    def run(self):
        while not self.quiet():
            share = self.rng.choice([0.1, 0.4, 1])
            if self.left and self.rng.random() < 0.4:
                self.wake()
            for k in self.rng.permutation(len(self.network.layers)):
                layer = self.network.layers[k]
                self.receive(layer, share)
                if layer in self.network.neurons:
                    self.fire(layer, share)


@pytest.mark.parametrize("method", ["st-bif", "casc"])
def test_any_order(method):
    """Residual additions, average and accumulated maximum pooling among the layers."""
    taken_back = 0
    for seed in range(NETWORKS):
        levels = random.Random(seed).choice([1, 2, 3, 4, 7])
        dynamics = Dynamics(1, 1, signed=True, bound="levels") if method == "st-bif" else Dynamics(
            levels, signed=True, bound="elapsed")
        network = networks.stepping(dynamics, seed=seed, levels=levels)
        image = np.random.default_rng(seed).integers(0, 4, network.input_shape)
        events = Events(network, image, seed)
        events.run()
        ann = network.quantised(image[None])
        for layer in network.layers[:-1]:
            assert np.array_equal(events.sent[layer.name], ann.counts[layer.name][0]), (
                seed, layer.name)
        out = network.readout
        assert np.array_equal(events.state[out.name].reshape(-1), ann.logits[0])
        taken_back += sum(int(network.run(image[None]).trains[layer.name].min() < 0)
                          for layer in network.neurons)
    assert taken_back > NETWORKS / 4
