"""What masked rows and a parameter memory of identities save.

A depthwise layer with masked rows adds for all lanes in one clock a word; without them it takes a
clock a spike. An identity of a residual connection has wide weights. In the parameter memory they
do not widen the weight memory. Both networks have random weights and see images of Fashion-MNIST
that travel with the shipped network.
"""

from dataclasses import replace

import numpy as np

from gen.ir import shipped
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.mapping import map_config
from gen.plan.workload import Workload

from . import keys
from .benchmark import Benchmark
from .random_networks import random_neurons, random_readout, random_synapses

IMAGES = "fashion-mnist"
LANES = 32
IDENTITY_BITS = 12


def _neurons(rng, name, *bundles):
    return random_neurons(rng, name, *bundles, levels=3)


def _conv(rng, source, out, inner, kernel, *, groups=1, stride=1):
    return random_synapses(rng, source, (out, inner // groups, kernel, kernel), bits=4,
                           stride=(stride, stride), padding=(kernel // 2,) * 2, groups=groups)


def mobile(rng, name, shape, levels, pixel_max):
    """3x3 depthwise and 1x1 pointwise, 16, 32 and 64 channels."""
    layers, source, now = [_neurons(rng, "stem", _conv(rng, INPUT, 16, shape[0], 3))], "stem", 16
    for k, (out, stride) in enumerate([(32, 2), (64, 2), (64, 1)], 1):
        layers.append(_neurons(rng, f"depth{k}", _conv(rng, source, now, now, 3, groups=now,
                                                       stride=stride)))
        layers.append(_neurons(rng, f"point{k}", _conv(rng, f"depth{k}", out, now, 1)))
        source, now = f"point{k}", out
    layers.append(Pool("mean", source, "sum", (7, 7), (7, 7)))
    layers.append(random_readout(rng, "mean", now))
    return Network(name, shape, levels, pixel_max, tuple(layers))


def residual(rng, name, shape, levels, pixel_max):
    """Weights of 4 bits and an identity of 12."""
    identity = Synapses("stem", np.full((32, 1, 1, 1), 1 << IDENTITY_BITS - 2), groups=32,
                        bits=IDENTITY_BITS)
    return Network(name, shape, levels, pixel_max, (
        _neurons(rng, "stem", _conv(rng, INPUT, 32, shape[0], 3, stride=2)),
        _neurons(rng, "first", _conv(rng, "stem", 32, 32, 3)),
        _neurons(rng, "second", _conv(rng, "first", 32, 32, 3), identity),
        Pool("mean", "second", "sum", (14, 14), (14, 14)),
        random_readout(rng, "mean", 32)))


def _unmasked(core):
    """The core with a row of weights for each channel of a word, all of one width."""
    sources = tuple(replace(source, lanes=None, fixed=False) for source in core.sources)
    return replace(core, sources=sources)


def measure(case):
    """``clocks`` of each depthwise layer with masked rows, and ``spikes``: those without; ``adds``:
    the share of the clocks in which lanes add; bits of the ``memory`` of the residual network's
    weights, and of one that is as ``wide`` as the identity."""
    images = shipped.find(case["network"])
    facts = images.input_shape, images.input_levels, images.pixel_max
    counts, rng = images.encode(images.samples), np.random.default_rng(0)
    network = mobile(rng, "mobile", *facts)
    config = map_config(network, lanes={layer.name: min(LANES, layer.channels)
                                        for layer in network.layers if layer.synapses})
    before = replace(config, layers=tuple(
        _unmasked(layer) if layer.name.startswith("depth") else layer for layer in config.layers))
    workload, rows = Workload(network, counts), []
    for core, plain in zip(config.layers, before.layers, strict=True):
        if core.name.startswith("depth"):
            clocks = workload.clocks(config, core)
            rows.append({"layer": core.name, "channels": core.channels, "clocks": clocks,
                         "spikes": workload.clocks(before, plain),
                         "adds": workload.adds(config, core) / clocks})
    config = map_config(residual(rng, "residual", *facts),
                        lanes=dict.fromkeys(("stem", "first", "second"), LANES))
    second = next(core for core in config.cores if core.name == "second")
    wide = replace(_unmasked(second), weight_bits=IDENTITY_BITS)
    return {"layers": rows, "memory": second.lanes * second.weight_bits * second.weight_rows,
            "wide": wide.lanes * wide.weight_bits * wide.weight_rows}


BENCHMARK = Benchmark("masked", [{"network": IMAGES}], measure,
                      (*keys.PLAN, "bench/random_networks.py"))
