"""A pooling in gateware: it has no lanes and no contents, and takes the same time always."""

import math

import numpy as np

from hw.config import PoolConfig

from . import flow
from .parts import Part, address_bits, spike_memory, walk_features

__all__ = ["NAME", "Flow", "clocks", "configure", "memories", "memory_bits", "parts",
           "word_limits"]

NAME = "pool"

# Clocks from the last count of a window to the beat.
_FILL = 6


def configure(layer, port, sources, lanes, replicas, code):
    (source,) = sources
    return PoolConfig(layer.name, port, source, layer.kind)


def memories(layer, pool):
    return {}


def memory_bits(layer, levels, code):
    return 0


def clocks(pool, samples, rows):
    return np.full(samples, _reads(pool) * pool.source.map.chunks)


def _reads(pool):
    """Windows, times the places in each."""
    return math.prod(pool.source.positions) * math.prod(pool.source.kernel)


def word_limits(pool, interval, words):
    return [min(words, interval / _reads(pool))]


class Flow(flow.Flow):
    def __init__(self, pool, streams):
        source = pool.source
        super().__init__(source.positions[0], streams, [[flow.SpikeMemory(source, streams)]])
        self._reads = math.prod(source.kernel)
        self._beats = source.positions[1] * source.map.chunks
        self._walked = np.zeros(streams)

    def move(self):
        (memory,) = self.looking
        walked = np.maximum(self._walked, self.needed()) + self._beats * self._reads
        self.send_row(self._beats, walked + _FILL, (self._beats - 1) * self._reads)
        self._walked = np.maximum(walked, self.sent - _FILL)
        memory.release(self._walked)


def parts(pool):
    source, fmap = pool.source, pool.source.map
    height, width = source.positions
    (ky, kx), out = source.kernel, pool.out
    features = {"one": 1, "counts": fmap.beat_bits, "results": out.beat_bits,
                "compared": fmap.beat_bits * (pool.kind == "max"),
                **walk_features((height, width, fmap.chunks, ky, kx), address_bits(source),
                                (fmap.height, fmap.width))}
    yield Part("pool", pool.name, features)
    yield spike_memory(pool, source, 1, occupancy=False)
