"""Small networks with random weights that between them have every kind of layer."""

from dataclasses import replace
from functools import partial

import numpy as np

from gen.ir.layers import INPUT, Neurons, Pool, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics, Membrane
from hw.maps import MapConfig

__all__ = [
    "convolutional",
    "counts_for",
    "linear",
    "neurons",
    "pruned",
    "readout",
    "residual",
    "settling",
    "skipping",
    "spiking",
    "stepping",
    "synapses",
    "telling",
    "wide",
]


def synapses(rng, source, shape, *, bits=4, **options):
    """Random weights of all sizes; ``shape`` as in :class:`gen.ir.synapses.Synapses`."""
    weights = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)
    return Synapses(source, weights, bits=bits, **options)


def neurons(rng, name, *bundles, levels=3):
    """Thresholds and biases for which neurons fire between nothing and all they can."""
    channels = bundles[0].out_channels
    fan_in = sum(bundle.weights[0].size for bundle in bundles)
    threshold = rng.integers(1, 3 + 4 * int(fan_in ** 0.5), channels)
    initial = (threshold >> 1) + rng.integers(-3, 20, channels)
    return Neurons(name, bundles, initial, threshold, levels)


def readout(rng, source, shape):
    return Readout("out", (synapses(rng, source, shape),), rng.integers(-30, 30, shape[0]))


def linear(*, shape=(2, 3, 3), hidden=11, classes=5, bits=4, seed=0):
    """Two linear layers."""
    rng = np.random.default_rng(seed)
    return Network("linear", shape, 3, 255, (
        neurons(rng, "fc1", synapses(rng, INPUT, (hidden, *shape), bits=bits)),
        readout(rng, "fc1", (classes, hidden, 1, 1))))


def convolutional(*, size=9, levels=3, seed=1):
    """Strides, paddings, both pools, odd sizes, and more channels than a lane group or word."""
    rng = np.random.default_rng(seed)
    pooled = (size + 1) // 2 // 2
    return Network("convolutional", (1, size, size), 7, 255, (
        neurons(rng, "conv1", synapses(rng, INPUT, (5, 1, 3, 3), padding=(1, 1), stride=(2, 2)),
                 levels=levels),
        Pool("pool1", "conv1", "sum", (2, 2), (2, 2)),
        neurons(rng, "conv2", synapses(rng, "pool1", (7, 5, 2, 3), padding=(1, 1)),
                 levels=levels),
        Pool("pool2", "conv2", "max", (3, 3), (1, 1), (1, 1)),
        readout(rng, "pool2", (10, 7, pooled + 1, pooled))))


def residual(*, size=6, seed=2):
    """A depthwise and a grouped convolution, a residual sum with a projection, a global pool."""
    rng = np.random.default_rng(seed)
    eye = np.eye(6, dtype=np.int64).reshape(6, 6, 1, 1)
    return Network("residual", (3, size, size), 15, 255, (
        neurons(rng, "stem", synapses(rng, INPUT, (6, 3, 3, 3), padding=(1, 1))),
        neurons(rng, "deep", synapses(rng, "stem", (6, 1, 3, 3), padding=(1, 1), groups=6)),
        neurons(rng, "add1", synapses(rng, "deep", (6, 3, 1, 1), groups=2),
                 Synapses("stem", 3 * eye, bits=4), levels=7),
        neurons(rng, "down", synapses(rng, "add1", (8, 6, 3, 3), padding=(1, 1), stride=(2, 2)),
                 synapses(rng, "add1", (8, 6, 1, 1), bits=6, stride=(2, 2))),
        Pool("mean", "down", "sum", (size // 2, size // 2), (1, 1)),
        readout(rng, "mean", (4, 8, 1, 1))))


def skipping(height, length, *, seed=0):
    """A residual connection across ``length`` convolutions of three rows, one column wide."""
    rng = np.random.default_rng(seed)

    def conv(source, kernel):
        return synapses(rng, source, (8, 8, kernel, 1), padding=(kernel // 2, 0))

    path = [neurons(rng, f"l{k}", conv(f"l{k - 1}" if k else "stem", 3)) for k in range(length)]
    return Network("skipping", (8, height, 1), 3, 3, (
        neurons(rng, "stem", conv(INPUT, 3)), *path,
        neurons(rng, "sum", conv(path[-1].name, 1), conv("stem", 1)),
        readout(rng, "sum", (3, 8, height, 1))))


def wide():
    """Logits of more than 32 bits, of either sign, and pixels of 24."""
    rng = np.random.default_rng(5)
    top = 1 << 23
    return Network("wide", (2, 3, 3), top - 1, top, (
        Readout("out", (synapses(rng, INPUT, (5, 2, 3, 3), bits=8),),
                np.array([0, 1 << 40, -(1 << 40), 5 << 31, 7])),))


def pruned(network, share, *, seed=0):
    """The network with a share of its weights set to zero at random, and all weights of the first
    output channels of each layer, a third of them."""
    rng = np.random.default_rng(seed)

    def without(bundle):
        kept = rng.random(bundle.weights.shape) >= share
        kept[:len(kept) // 3] = False
        return replace(bundle, weights=bundle.weights * kept)

    return replace(network, layers=tuple(
        replace(layer, synapses=tuple(map(without, layer.synapses))) if layer.synapses else layer
        for layer in network.layers))


def counts_for(network, images, seed=0):
    """Random input counts, many of them zero."""
    rng = np.random.default_rng(seed)
    shape = (images, *network.input_shape)
    return rng.integers(0, network.input_levels + 1, shape) * (rng.random(shape) < 0.6)


def telling(network, counts, images):
    """Of input counts, so many images that make the neurons of each time-step do the most.

    They are chosen one after the other, so that each neuron sends each number of spikes in each
    time-step twice if it can. What few images show counts more.
    """
    trains = network.run(counts).trains.values()
    shows = np.concatenate([
        (train == number).swapaxes(0, 1).reshape(len(counts), -1)
        for train in trains for number in np.unique(train) if number], axis=1).astype(np.float32)
    rare = 1 / np.maximum(1, shows.sum(axis=0))
    missing, chosen = np.full(len(rare), 2, np.float32), []
    for _ in range(images):
        chosen.append((shows @ (rare * missing)).argmax())
        missing = np.maximum(0, missing - shows[chosen[-1]])
        shows[chosen[-1]] = 0
    return counts[chosen]


TRAIN = MapConfig(1, 1, 1, 1, 1, "train")

STEPPING = {
    "if": Dynamics(4), "alone": Dynamics(1), "capped": Dynamics(5, 1, bound="levels"),
    "cif": Dynamics(4, 3, signed=True, bound="elapsed"),
    "cycles": Dynamics(2, 2, 2, signed=True, bound="elapsed"),
    "st-bif": Dynamics(1, 6, signed=True, bound="levels"),
    "srp": Dynamics(4, probe=3),
    "one spike": Dynamics(1, phases=4),
    "burst": Dynamics(3, burst=5), "group": Dynamics(2, 1, burst=3),
}

MEMBRANES = {
    "leak": Membrane((2,)),
    "two leaks": Membrane((1, -3)),
    "above": Membrane(strict=True),
    "zero": Membrane((3,), reset="zero"),
    "zero above": Membrane(reset="zero", strict=True),
    "delayed": Membrane((2, 4), strict=True, delayed=True),
    "delayed alone": Membrane(delayed=True),
}
"""What SpikingJelly and snnTorch have: leaks by shifts, resets and comparisons."""

SPIKING = {name: Dynamics(5, 1, membrane=membrane) for name, membrane in MEMBRANES.items()} | {
    "events": Dynamics(6, membrane=MEMBRANES["two leaks"], events=1),
    "counts": Dynamics(4, membrane=MEMBRANES["delayed"], events=3),
    "plain events": Dynamics(7, events=1),
}
"""Networks that are spiking ones from the beginning."""


def _fires(rng, name, *bundles, levels, dynamics, ahead=0):
    """Neurons that fire in every time-step."""
    channels = bundles[0].out_channels
    threshold = rng.integers(3, 25, channels)
    initial = ahead * threshold + (threshold >> 1) + rng.integers(-2, 3, channels)
    return Neurons(name, bundles, initial, threshold, levels, dynamics=dynamics,
                   bias=rng.integers(-4, 5, channels))


def stepping(dynamics, *, seed=0, levels=3, ahead=0):
    """Two convolutions and a residual addition, pooling of both kinds, and a linear layer, that
    fire in every time-step.

    Parameters
    ----------
    ahead : spikes that a neuron's initial potential is worth: a neuron that is charged by the same
        in each step takes no spike back otherwise
    """
    rng = np.random.default_rng(seed)
    fires = partial(_fires, rng, levels=levels, dynamics=dynamics, ahead=ahead)
    first = fires("first", synapses(rng, INPUT, (4, 2, 3, 3), padding=(1, 1)))
    second = fires("second", synapses(rng, "first", (4, 4, 3, 3), padding=(1, 1)),
                   synapses(rng, "first", (4, 1, 1, 1), groups=4, bits=6),
                   synapses(rng, INPUT, (4, 2, 1, 1)))
    third = fires("third", synapses(rng, "mean", (5, 4, 2, 2)))
    fourth = fires("fourth", synapses(rng, "largest", (6, 4, 2, 2)),
                   synapses(rng, "third", (6, 5, 1, 1)))
    out = Readout("out", (synapses(rng, "fourth", (5, 6, 1, 1)),), rng.integers(-9, 10, 5),
                  dynamics=dynamics, bias=rng.integers(-4, 5, 5))
    top = (1 << dynamics.events.bit_length() * dynamics.timesteps) - 1 or 3
    return Network("stepping", (2, 4, 4), top, top, (
        first, second, Pool("mean", "second", "sum", (2, 2), (2, 2)),
        Pool("largest", "second", "max", (2, 2), (2, 2)), third, fourth, out))


def spiking(*, seed=9):
    """Like :func:`stepping`, on events, with another membrane in each layer."""
    network = stepping(Dynamics(6, events=1), seed=seed, ahead=1)
    kinds = iter(("delayed", "zero", "two leaks", "above"))
    return replace(network, layers=tuple(
        replace(layer, dynamics=replace(layer.dynamics, membrane=MEMBRANES[next(kinds)]))
        if layer in network.neurons else layer for layer in network.layers))


def settling(*, seed=50):
    """Three linear layers, small enough for any device. Neurons take spikes back, and some images
    end before they are quiet."""
    rng, dynamics = np.random.default_rng(seed), Dynamics(1, 2, signed=True, bound="levels")
    fires = partial(_fires, rng, levels=3, dynamics=dynamics)
    return Network("settling", (2, 3, 3), 3, 3, (
        fires("fc1", synapses(rng, INPUT, (7, 2, 3, 3))),
        fires("fc2", synapses(rng, "fc1", (6, 7, 1, 1))),
        Readout("out", (synapses(rng, "fc2", (4, 6, 1, 1)),), rng.integers(-9, 10, 4),
                dynamics=dynamics, bias=rng.integers(-4, 5, 4))))
