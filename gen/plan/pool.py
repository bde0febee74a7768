"""A pooling in gateware: it has no lanes and no contents, and takes the same time always."""

import math

import numpy as np

from hw.config import PoolConfig

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


class Flow:
    def __init__(self, pool, streams):
        self._pool, self._walked = pool, np.zeros(streams)

    def send(self, pipeline, index, came, clocks, words):
        source = self._pool.source
        height, width = source.positions
        beats = width * source.map.chunks
        work = beats * math.prod(source.kernel)
        gone, done = work - math.prod(source.kernel), []
        for row in range(height):
            walked = np.maximum(self._walked, pipeline.needed(self._pool, row, came)) + work
            done.append(pipeline.send_row(index, row, beats, walked + _FILL, gone))
            self._walked = np.maximum(walked, done[-1] - _FILL)
        pipeline.release(index, self._walked)
        return done


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
