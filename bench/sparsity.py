"""When it pays to skip rows of zero weights.

A layer of a shipped network is pruned by magnitude, without training, and mapped with several
numbers of lanes. A row is skipped if the weights of all lanes are zero, so many lanes skip few.
"""

from dataclasses import replace

import numpy as np

from gen.ir import shipped
from gen.plan.mapping import map_config
from gen.plan.weights import live_rows
from gen.plan.workload import Workload

from . import keys
from .benchmark import Benchmark

LAYER, LANES, SHARES = "conv2", (1, 2, 4, 8, 16, 32), (0.7, 0.9)


def _pruned(synapses, share):
    smallest = np.abs(synapses.weights).argsort(axis=None)[:int(share * synapses.weights.size)]
    weights = synapses.weights.copy()
    weights.flat[smallest] = 0
    return replace(synapses, weights=weights)


def pruned(network, share):
    """The network with this share of the weights of each layer set to zero, the smallest."""
    return replace(network, layers=tuple(
        replace(layer, synapses=tuple(_pruned(synapses, share) for synapses in layer.synapses))
        if layer.synapses else layer for layer in network.layers))


def measure(case):
    """For each number of lanes ``zero``, the share of the rows that are zero; ``clocks`` an image
    of the layer, and ``all`` if no row is skipped."""
    network, rows = pruned(shipped.find(case["network"]), case["pruned"]), []
    workload = Workload(network)
    layer = next(layer for layer in network.layers if layer.name == LAYER)
    for lanes in LANES:
        config = map_config(network, lanes={LAYER: lanes})
        core = next(core for core in config.cores if core.name == LAYER)
        live = live_rows(layer, core.sources, core.lanes, dense=2)
        adding = sum(spikes.bit_count() for group in live for spikes in group)
        rows.append({"lanes": lanes, "zero": 1 - adding / core.weight_rows,
                     "all": workload.clocks(config, replace(core, live=None)),
                     "clocks": workload.clocks(config, replace(core, live=live))})
    return {"layer": LAYER, "rows": rows}


BENCHMARK = Benchmark("sparsity", [{"network": "mnist", "pruned": share} for share in SHARES],
                      measure, keys.PLAN)
