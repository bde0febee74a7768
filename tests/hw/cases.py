"""Small layers with everything that can be awkward about one, with random integers."""

import numpy as np

from gen.ir.beats import unpack_logits
from gen.ir.layers import INPUT, Neurons, Pool
from gen.ir.network import Network
from gen.plan.mapping import map_network
from tests.networks import neurons, readout, synapses


def _single(rng, shape, levels, bundle, out_levels):
    layer = neurons(rng, "layer", bundle, levels=out_levels)
    size = layer.out_shape([shape])[1:]
    return Network("case", shape, levels, levels,
                   (layer, readout(rng, "layer", (5, layer.channels, *size))))


def network(name, seed=0):
    rng = np.random.default_rng(seed)
    match name:
        case "linear":
            return _single(rng, (70, 1, 1), 3, synapses(rng, INPUT, (12, 70, 1, 1)), 3)
        case "picture":
            return _single(rng, (1, 5, 5), 15, synapses(rng, INPUT, (6, 1, 5, 5), bits=8), 7)
        case "conv":
            return _single(rng, (3, 6, 5), 7,
                           synapses(rng, INPUT, (7, 3, 3, 3), padding=(1, 1)), 5)
        case "strided":
            return _single(rng, (2, 7, 8), 1,
                           synapses(rng, INPUT, (4, 2, 3, 2), stride=(2, 3), padding=(1, 0)), 1)
        case "pointwise":
            return _single(rng, (40, 3, 3), 3, synapses(rng, INPUT, (8, 40, 1, 1), bits=2), 6)
        case "depthwise":
            return _single(rng, (6, 5, 5), 3,
                           synapses(rng, INPUT, (6, 1, 3, 3), padding=(1, 1), groups=6), 3)
        case "masked":
            return _single(rng, (64, 3, 4), 3,
                           synapses(rng, INPUT, (64, 1, 3, 3), padding=(1, 1), groups=64), 3)
        case "mobile":  # depthwise with wide lanes, with a multiplier, and an identity
            first = neurons(rng, "first", synapses(rng, INPUT, (8, 3, 1, 1)), levels=3)
            deep = neurons(rng, "deep", synapses(rng, "first", (16, 1, 3, 3), padding=(1, 1),
                                                 groups=8), levels=5)
            point = neurons(rng, "point", synapses(rng, "deep", (8, 16, 1, 1)),
                            synapses(rng, "first", (8, 1, 1, 1), groups=8, bits=9), levels=3)
            return Network("case", (3, 4, 5), 3, 3,
                           (first, deep, point, readout(rng, "point", (5, 8, 4, 5))))
        case "lifted":  # potentials are positive, and the greatest threshold is beyond them
            bundle = synapses(rng, INPUT, (4, 2, 2, 2), bits=2)
            layer = Neurons("layer", (bundle,), np.full(4, 20), np.array([10, 4, 9, 3]), 5)
            return Network("case", (2, 4, 4), 1, 1, (layer, readout(rng, "layer", (5, 4, 3, 3))))
        case "grouped":
            return _single(rng, (8, 4, 4), 3, synapses(rng, INPUT, (12, 4, 2, 2), groups=2), 3)
        case "residual":
            first = neurons(rng, "first", synapses(rng, INPUT, (6, 2, 3, 3), padding=(1, 1)),
                            levels=3)
            second = neurons(rng, "second",
                             synapses(rng, "first", (6, 6, 3, 3), padding=(1, 1)),
                             synapses(rng, "first", (6, 1, 1, 1), groups=6, bits=6), levels=7)
            third = neurons(rng, "third", synapses(rng, "second", (8, 6, 3, 3), stride=(2, 2)),
                            synapses(rng, "first", (8, 6, 1, 1), stride=(3, 3)), levels=3)
            return Network("case", (2, 5, 5), 7, 7,
                           (first, second, third, readout(rng, "third", (5, 8, 2, 2))))
        case "pools":
            first = neurons(rng, "first", synapses(rng, INPUT, (5, 1, 3, 3), padding=(1, 1)),
                            levels=3)
            return Network("case", (1, 8, 8), 3, 3, (
                first, Pool("largest", "first", "max", (3, 3), (2, 2), (1, 1)),
                Pool("mean", "largest", "sum", (2, 2), (2, 2)),
                neurons(rng, "second", synapses(rng, "mean", (9, 5, 1, 1)), levels=4),
                Pool("all", "second", "sum", (2, 2), (1, 1)), readout(rng, "all", (5, 9, 1, 1))))
    raise ValueError(f"name must be a case, not {name!r}")


LAYERS = ["linear", "picture", "conv", "strided", "pointwise", "depthwise", "masked", "grouped",
          "lifted"]
"""Networks of one layer and a read-out."""

NETWORKS = ["residual", "mobile", "pools"]


LANES = {"masked": {"layer": 32}, "mobile": {"first": 4, "deep": 8, "point": 8}}
"""Of cases that need certain lanes, or else have no masked rows."""


def mapped(name, code="phase", *, seed=0, samples=4, lanes=3, replicas=None):
    """``(network, inputs, trace, config, image)`` of a case, for random inputs that are sparse in
    places."""
    net = network(name, seed)
    rng = np.random.default_rng(seed + 1)
    shape = (samples, *net.input_shape)
    inputs = rng.integers(0, net.input_levels + 1, shape) * (rng.random(shape) < 0.4)
    inputs[1:2] = 0
    inputs[2:3] = net.input_levels
    layers = LANES.get(name) or {
        layer.name: min(lanes + k, layer.channels) for k, layer in enumerate(net.layers)
        if layer.synapses}
    config, image = map_network(net, lanes=layers, replicas=replicas, code=code)
    return net, inputs, net.run(inputs), config, image


def logits(readout, payloads):
    """Payloads of the read-out, as integers, -> ``(N, *logit_shape)``."""
    words = [[value >> k & 0xFFFFFFFF for k in range(0, readout.beat_bits, 32)]
             for value in payloads]
    return unpack_logits(np.array(words, dtype="<u4").reshape(-1, readout.beats, len(words[0])),
                         readout)
