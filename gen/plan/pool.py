"""A pooling in gateware. It has no lanes and no contents, and its time does not depend on data."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gen.ir.layers import Pool
from hw.config import MemoryImage
from hw.layers import CoreConfig, PoolConfig
from hw.maps import SourceConfig

from . import flow
from .memories import Memory
from .parts import Part, address_bits, spike_memory, walk_features

__all__ = ["NAME", "Flow", "clocks", "configure", "memories", "memory_bits", "parts",
           "word_limits"]

NAME = "pool"
"""Name of the kind."""

# Clocks from the last count of a window to the beat.
_FILL = 6


def configure(layer: Pool, port: str, sources: tuple[SourceConfig, ...], levels: Sequence[int],
              lanes: dict[str, int], replicas: dict[str, int], code: str) -> PoolConfig:
    """The configuration; see :meth:`gen.plan.kinds.Kind.configure`."""
    (source,) = sources
    return PoolConfig(layer.name, port, source, layer.kind)


def memories(layer: Pool, pool: PoolConfig) -> dict[str, MemoryImage]:
    """No contents."""
    return {}


def memory_bits(layer: Pool, levels: Sequence[int], code: str) -> int:
    """No bits."""
    return 0


def clocks(pool: PoolConfig, samples: int, rows: Callable[[CoreConfig], np.ndarray]
           ) -> np.ndarray:
    """Clocks for each sample, ``(N,)``: a read of each beat at each place of each window, or, for
    the maximum of trains, as many clocks as a beat has time-steps."""
    return np.full(samples, _reads(pool) * pool.source.map.position_beats)


def _reads(pool):
    """Windows, times the clocks of each."""
    return math.prod(pool.source.positions) * _window_clocks(pool)


def _window_clocks(pool):
    """Clocks that a window takes, for each beat."""
    fmap = pool.source.map
    return math.prod(pool.source.kernel) * (
        fmap.slice_steps if pool.kind == "max" and fmap.code == "train" else 1)


def word_limits(pool: PoolConfig, interval: float, words: float) -> list[float]:
    """The most words a position: those of the pooling's own map, which has words as wide, and those
    that can be read in time."""
    return [min(words, interval / _reads(pool))]


class Flow(flow.Flow):
    """The rows that a pooling sends.

    Parameters
    ----------
    streams : number of arrays side by side
    """

    def __init__(self, pool: PoolConfig, streams: int) -> None:
        source = pool.source
        super().__init__(source.positions[0], streams, [[flow.SpikeMemory(source, streams)]])
        self._reads = _window_clocks(pool)
        self._beats = source.positions[1] * source.map.position_beats
        self._walked = np.zeros(streams)

    def move(self) -> None:
        """Send the next row."""
        (memory,) = self.looking
        walked = np.maximum(self._walked, self.needed()) + self._beats * self._reads
        self.send_row(self._beats, walked + _FILL, (self._beats - 1) * self._reads)
        self._walked = np.maximum(walked, self.sent - _FILL)
        memory.release(self._walked)


def parts(pool: PoolConfig) -> Iterator[Part]:
    """The walk with its adder or comparison, and the spike memory."""
    source, fmap = pool.source, pool.source.map
    height, width = source.positions
    (ky, kx), out = source.kernel, pool.out
    features = {"one": 1, "counts": fmap.beat_bits, "results": out.beat_bits,
                "compared": fmap.beat_bits * (pool.kind == "max") * (fmap.code != "train"),
                "steps": out.beat_bits * (fmap.code == "train") * (pool.kind == "sum"),
                "changes": fmap.word * fmap.one_slice.planes * (fmap.code == "train") * (
                    pool.kind == "max"),
                **walk_features((height, width, fmap.position_beats, ky, kx), address_bits(source),
                                (fmap.height, fmap.width))}
    yield Part("pool", pool.name, features, _carry(pool))
    yield spike_memory(pool, source, 1, occupancy=False)


def _carry(pool):
    """The memory of what the maximum of a slice goes on with."""
    fmap, places = pool.source.map, math.prod(pool.source.kernel)
    if pool.kind != "max" or fmap.slices == 1 or places == 1:
        return ()
    most = fmap.timesteps * (fmap.levels - fmap.low)
    return (Memory(fmap.word * (most.bit_length() + 1), places, False),)
