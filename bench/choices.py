"""The measurements behind two choices.

What do replicas of a layer share, output rows or samples? And where is pooled: by adding counts
before the next layer, or by sending it every spike? Both follow from the spikes of the first test
images of each network's data set.
"""

import numpy as np

from gen.data.datasets import load
from gen.ir import shipped
from gen.plan.mapping import map_config
from gen.plan.workload import Workload
from hw.layers import CoreConfig, PoolConfig

from . import keys
from .benchmark import Benchmark

IMAGES = 256


def sharing(workload, config, core, replicas):
    """What ``replicas`` of a core cost if they share rows, and if they share samples.

    Returns clocks a sample of either, clocks that a sample spends in the layer, and bits of the
    queues that put the results in order.
    """
    rows = workload.rows(config, core)
    busiest = np.max([rows[:, k::replicas].sum(axis=1) for k in range(replicas)], axis=0)
    height, width = core.sources[0].positions
    row = width * core.position_beats * core.out.beat_bits
    return {
        "rows": (busiest.mean(), busiest.mean(), replicas * row),
        "samples": (rows.sum(axis=1).mean() / replicas, rows.sum(axis=1).mean(),
                    replicas * row * height),
    }


def replicas(workload, config):
    """A row for each layer and number of replicas: clocks of a sample, and in the layer, if rows
    are shared or samples, what is lost by the former, and Kb of the queues."""
    for core in config.cores:
        if core.out_rows < 2:
            continue
        for number in (2, 4, 7):
            if number > core.out_rows:
                continue
            cost = sharing(workload, config, core, number)
            (rows, stay, bits), (samples, whole, more) = cost["rows"], cost["samples"]
            yield {"layer": core.name, "replicas": number,
                   "rows": float(rows), "samples": float(samples),
                   "lost": float(1 - samples / rows),
                   "rows_in_layer": float(stay), "samples_in_layer": float(whole),
                   "rows_kb": bits / 1024, "samples_kb": more / 1024}


def coverage(source):
    """How many windows each place of a map is in, ``(H, W)``."""
    height, width = source.map.height, source.map.width
    (py, px), (ky, kx) = source.padding, source.kernel
    count = np.zeros((height + 2 * py, width + 2 * px), dtype=np.int64)
    for y in range(source.positions[0]):
        for x in range(source.positions[1]):
            top, left = y * source.stride[0], x * source.stride[1]
            count[top:top + ky, left:left + kx] += 1
    return count[py:py + height, px:px + width]


def pooling(workload, config, index):
    """Rows that a layer adds for a sample behind its sum pooling: ``(with the counts added before,
    with every spike sent, narrow additions of the pooling)``."""
    core = config.layers[index]
    (source,) = core.sources
    pool = config.layers[source.layer]
    counts = workload.sources(config, core)[0]
    (before,) = workload.sources(config, pool)
    (ky, kx), (sy, sx) = pool.source.kernel, pool.source.stride
    windows = np.lib.stride_tricks.sliding_window_view(
        np.bitwise_count(before).astype(np.int64), (ky, kx), axis=(2, 3))[:, :, ::sy, ::sx]
    weight = coverage(source) * core.groups
    added = (np.bitwise_count(counts).astype(np.int64) * weight).sum(axis=(1, 2, 3)).mean()
    sent = (windows.sum(axis=(4, 5)) * weight).sum(axis=(1, 2, 3)).mean()
    height, width = pool.source.positions
    return added, sent, height * width * pool.out.chunks * ky * kx


def poolings(workload, config):
    """A row for each layer behind a sum pooling: rows that it adds for a sample, with the counts
    ``added`` before or every spike ``sent``."""
    for index, core in enumerate(config.layers):
        if not isinstance(core, CoreConfig) or len(core.sources) != 1:
            continue
        pool = config.layers[core.sources[0].layer] if core.sources[0].layer >= 0 else None
        if not isinstance(pool, PoolConfig) or pool.kind != "sum" or any(pool.source.padding):
            continue
        added, sent, narrow = pooling(workload, config, index)
        yield {"layer": core.name, "added": float(added), "sent": float(sent),
               "ratio": float(sent / added), "narrow": narrow}


def measure(case):
    """``replicas`` and ``poolings``, rows each, with a lane a channel."""
    network = shipped.find(case["network"])
    config = map_config(network, lanes={
        layer.name: layer.channels for layer in network.layers if layer.synapses})
    images = load(network.metadata["dataset"]).test_images[:IMAGES]
    workload = Workload(network, network.encode(images))
    return {"replicas": list(replicas(workload, config)),
            "poolings": list(poolings(workload, config))}


BENCHMARK = Benchmark(
    "choices", [{"network": name} for name in ("digits", "mnist", "fashion-mnist")], measure,
    keys.PLAN)
