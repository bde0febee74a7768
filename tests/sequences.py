"""Small networks for sequences, with random weights. Rows of their maps are the elements."""

import numpy as np

from gen.errors import FitError, NetworkError
from gen.ir.blocks import block
from gen.ir.layers import INPUT, Neurons, Pool
from gen.ir.network import Network
from gen.plan.mapping import map_config
from hw.dynamics import Lasting, Membrane

from .networks import neurons, readout, synapses

__all__ = ["LEAKS", "causal", "delayed", "every", "last", "layered", "random_blocks",
           "random_changes", "random_lasting", "random_sequence", "recurrence", "recurrent"]

LEAKS = [(), (1,), (3,), (2, 4), (3, -5), (0,)]
"""Of membranes."""


def delayed(rng, name, channels, *, kernel=1, groups=1, lag=1, bits=4):
    """Synapses of a layer to itself, so many elements later."""
    above = lag + kernel - 1
    return synapses(rng, name, (channels, channels // groups, kernel, 1), groups=groups, bits=bits,
                    padding=(above, 0), below=-lag)


def causal(rng, source, shape, *, stride=1, **options):
    """A convolution over time that sees no later element than its own."""
    return synapses(rng, source, shape, stride=(stride, 1), padding=(shape[2] - 1, 0), below=0,
                    **options)


def recurrent(rng, name, *bundles, levels=7, **options):
    return neurons(rng, name, *bundles,
                   delayed(rng, name, bundles[0].out_channels, **options), levels=levels)


def last(rng, source, classes, shape):
    """A read-out of the last element."""
    channels, elements, width = shape
    out = readout(rng, source, (classes, channels, 1, width))
    (bundle,) = out.synapses
    return type(out)("out", (type(bundle)(source, bundle.weights, padding=(1 - elements, 0),
                                          bits=bundle.bits, below=0),), out.initial)


def every(rng, source, classes, shape):
    """A read-out after every element."""
    channels, _, width = shape
    return readout(rng, source, (classes, channels, 1, width))


def recurrence(elements, *, fan=3, hidden=6, levels=15, seed=0, **options):
    """A recurrent layer, and a read-out of the last element."""
    rng = np.random.default_rng(seed)
    layer = recurrent(rng, "rnn", synapses(rng, INPUT, (hidden, fan, 1, 1)), levels=levels,
                      **options)
    return Network("sequence", (fan, elements, 1), 7, 7,
                   (layer, last(rng, "rnn", 4, (hidden, elements, 1))))


def layered(*, seed=0):
    """A causal convolution, a dense recurrent layer, a diagonal one with a lag of 2, and a read-out
    of the last element."""
    rng = np.random.default_rng(seed)
    return Network("layered", (3, 7, 1), 7, 255, (
        neurons(rng, "conv", causal(rng, INPUT, (6, 3, 3, 1)), levels=3),
        recurrent(rng, "dense", synapses(rng, "conv", (9, 6, 1, 1))),
        recurrent(rng, "diagonal", synapses(rng, "dense", (8, 9, 1, 1)), levels=3, groups=8, lag=2),
        last(rng, "diagonal", 5, (8, 7, 1))))


def random_sequence(rng):
    """Up to three layers, each a causal convolution, a recurrent layer or a pooling over time, and
    a read-out of the last element, of each, of all of them, or of their sum. Redrawn if something
    does not fit."""
    while True:
        elements, width = int(rng.integers(1, 12)), int(rng.choice([1, 1, 1, 2, 3]))
        shape = now = (int(rng.integers(1, 6)), elements, width)
        levels, layers, source = int(rng.integers(1, 16)), [], INPUT
        try:
            for k in range(int(rng.integers(1, 4))):
                layers.append(_random_layer(rng, f"layer{k}", source, now))
                source, now = f"layer{k}", layers[-1].out_shape([now] * sum(
                    name == source for name in layers[-1].sources))
            network = Network("sequence", shape, levels, levels,
                              (*layers, *_random_end(rng, source, now)))
        except NetworkError:
            continue
        if max(network.levels.values()) <= 200 and any(
                layer.name in layer.sources for layer in layers):
            return network


def random_blocks(rng):
    """Such a network that takes a sequence block by block, and the rows of a block."""
    while True:
        network, rows = random_sequence(rng), int(rng.integers(1, 9))
        try:
            block(network, rows)
        except NetworkError:
            continue
        return network, rows


def random_changes(rng, network):
    """Some of the sources of each layer that it can get changes of, by its name."""
    found = {}
    for layer in network.layers:
        for name in dict.fromkeys(layer.sources):
            try:
                map_config(network, differential={layer.name: [name]})
            except FitError:
                continue
            if rng.random() < 0.6:
                found.setdefault(layer.name, []).append(name)
    return found


def random_lasting(rng, *, membrane=None, elements=None, own=None, current=None):
    """Up to three layers of neurons whose time-steps are rows, which may be recurrent, densely or
    each by itself, and the spikes of the last one added up."""
    elements = elements or int(rng.integers(1, 12))
    width, fan = int(rng.choice([1, 1, 2])), int(rng.integers(1, 6))
    layers, source, levels = [], INPUT, int(rng.integers(1, 4))
    for k in range(int(rng.integers(1, 4))):
        name, out = f"layer{k}", int(rng.integers(1, 9))
        bundles = [synapses(rng, source, (out, fan, 1, 1), bits=int(rng.integers(3, 7)))]
        if own or (own is None and rng.random() < 0.7):
            bundles.append(delayed(rng, name, out, groups=int(rng.choice([1, out])),
                                   bits=int(rng.integers(3, 7))))
        layers.append(Neurons(
            name, tuple(bundles), rng.integers(-2, 4, out), rng.integers(4, 40, out), 1,
            lasting=Lasting(membrane or random_membrane(rng), elements + int(rng.integers(3)),
                            random_current(rng) if current is None else current)))
        source, fan = name, out
    return Network("lasting", (layers[0].synapses[0].weights.shape[1], elements, width), levels,
                   levels, (*layers, Pool("all", source, "sum", (elements, 1), (1, 1)),
                            readout(rng, "all", (3, fan, 1, width))))


def random_current(rng):
    """No synaptic current, or one with a leak of any kind."""
    return LEAKS[rng.integers(len(LEAKS))] if rng.random() < 0.5 else None


def random_membrane(rng):
    """Leaks, resets and comparisons of all kinds."""
    reset = str(rng.choice(["subtract", "zero"]))
    return Membrane(LEAKS[rng.integers(len(LEAKS))], reset, bool(rng.integers(2)),
                    reset == "subtract" and bool(rng.integers(2)))


def _random_layer(rng, name, source, shape):
    channels, kernel = shape[0], int(rng.integers(1, 4))
    kind = rng.random()
    if kind < 0.15:
        stride = int(rng.integers(1, kernel + 1))
        return Pool(name, source, str(rng.choice(["sum", "max"])), (kernel, 1), (stride, 1))
    options = {"groups": int(rng.choice([1, channels])), "bits": int(rng.integers(2, 9))}
    out = options["groups"] * int(rng.integers(1, 4))
    across = int(rng.choice([1, shape[2]]))
    bundles = [causal(rng, source, (out, channels // options["groups"], kernel, across),
                      stride=int(rng.choice([1, 1, 2])), **options)]
    if rng.random() < 0.2:
        bundles *= 2
    if kind < 0.35:
        return neurons(rng, name, *bundles, levels=int(rng.integers(1, 9)))
    return recurrent(rng, name, *bundles, levels=int(rng.integers(1, 64)),
                     kernel=int(rng.choice([1, 1, 2])), lag=int(rng.choice([1, 1, 1, 2, 3])),
                     groups=int(rng.choice([1, out])), bits=int(rng.integers(2, 9)))


def _random_end(rng, source, shape):
    classes = int(rng.integers(1, 6))
    kind = rng.random()
    if kind < 0.3:
        return (last(rng, source, classes, shape),)
    if kind < 0.5:
        return (every(rng, source, classes, shape),)
    if kind < 0.75:
        return (readout(rng, source, (classes, *shape)),)
    return (Pool("all", source, "sum", (shape[1], 1), (1, 1)),
            readout(rng, "all", (classes, shape[0], 1, shape[2])))
