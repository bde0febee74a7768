"""The measurements behind two choices: ``python bench/choices.py``.

What do replicas of a layer share, output rows or samples? And where is pooled: by adding counts
before the next layer, or by sending it every spike? Both follow from the spikes of real images (the
first test images of each network's data set, or those that travel with it).
"""

import argparse
import sys

import numpy as np

from gen.data.datasets import load
from gen.errors import DataError, SpikeloomError
from gen.ir import shipped
from gen.plan.mapping import map_config
from gen.plan.workload import Workload, sample_counts
from hw.config import CoreConfig, PoolConfig

NETWORKS = ("digits", "mnist", "fashion-mnist")
IMAGES = 256


def workload_of(network):
    try:
        images = load(network.metadata["dataset"]).test_images[:IMAGES]
    except DataError as error:
        print(f"{network.name}: {error}", file=sys.stderr)
        return Workload(network, sample_counts(network))
    return Workload(network, network.encode(images))


def sharing(workload, config, core, replicas):
    """What ``replicas`` of a core cost if they share rows, and if they share samples.

    Returns clocks a sample of either, clocks that a sample spends in the layer, and bits of the
    queues that put the results in order.
    """
    rows = workload.rows(config, core)
    busiest = np.max([rows[:, k::replicas].sum(axis=1) for k in range(replicas)], axis=0)
    height, width = core.sources[0].positions
    row = width * core.groups * core.out.beat_bits
    return {
        "rows": (busiest.mean(), busiest.mean(), replicas * row),
        "samples": (rows.sum(axis=1).mean() / replicas, rows.sum(axis=1).mean(),
                    replicas * row * height),
    }


def replicas_table(subjects):
    print("| network, layer | replicas | clocks a sample: rows | samples | share lost by rows "
          "| clocks in the layer: rows | samples | queues, Kb: rows | samples |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for network, workload, config in subjects:
        for core in config.cores:
            if core.out is None or core.out.height < 2:
                continue
            for replicas in (2, 4, 7):
                if replicas > core.out.height:
                    continue
                cost = sharing(workload, config, core, replicas)
                (a, stay, bits), (b, whole, more) = cost["rows"], cost["samples"]
                print(f"| {network.name}, {core.name} | {replicas} | {a:,.0f} | {b:,.0f} "
                      f"| {1 - b / a:.1%} | {stay:,.0f} | {whole:,.0f} "
                      f"| {bits / 1024:.1f} | {more / 1024:.1f} |")


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


def pooling_table(subjects):
    print("| network, layer behind the pooling | rows added, counts added before | rows added, "
          "every spike sent | ratio | additions of the pooling |")
    print("|---|--:|--:|--:|--:|")
    for network, workload, config in subjects:
        for index, core in enumerate(config.layers):
            if not isinstance(core, CoreConfig) or len(core.sources) != 1:
                continue
            pool = config.layers[core.sources[0].layer] if core.sources[0].layer >= 0 else None
            if not isinstance(pool, PoolConfig) or pool.kind != "sum" or any(pool.source.padding):
                continue
            added, sent, narrow = pooling(workload, config, index)
            print(f"| {network.name}, {core.name} | {added:,.0f} | {sent:,.0f} "
                  f"| {sent / added:.2f} | {narrow:,} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    subjects = []
    for name in parser.parse_args().networks:
        network = shipped.find(name)
        config = map_config(network, lanes={
            layer.name: layer.channels for layer in network.layers if hasattr(layer, "synapses")})
        subjects.append((network, workload_of(network), config))
    replicas_table(subjects)
    print()
    pooling_table(subjects)


if __name__ == "__main__":
    try:
        main()
    except SpikeloomError as error:
        sys.exit(f"error: {error}")
