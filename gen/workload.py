"""What a network has to do on a set of samples, for any number of lanes and replicas.

The network is run once; clocks of a trial mapping then follow from the formulas of
:mod:`gen.cycles`, so that thousands of mappings can be compared.
"""

import math

import numpy as np

from hw.config import CoreConfig, PoolConfig

from .cycles import gathering_clocks, layer_clocks, row_clocks

__all__ = ["Workload", "sample_counts"]

# Clocks from a window to the first addition, and from the last one to the beat: the stages of
# select, fetch, queue, encoder and lanes. A pooling has fewer.
_FILL, _POOL_FILL = 10, 2


def sample_counts(network, limit=None):
    """Input counts that stand for the network's data: images that travel with it, at most
    ``limit``, or two random ones, sparse as pictures are."""
    if network.samples is not None and len(network.samples):
        return network.encode(network.samples[:limit])
    rng = np.random.default_rng(0)
    shape = (2, *network.input_shape)
    return rng.integers(0, network.input_levels + 1, shape) * (rng.random(shape) < 0.25)


class Workload:
    """The spikes of some samples.

    Parameters
    ----------
    network : :class:`gen.network.Network`
    counts : ``(N, C, H, W)`` input counts; by default those of :func:`sample_counts`
    """

    def __init__(self, network, counts=None):
        self.network = network
        self.counts = sample_counts(network) if counts is None else counts
        self._trace = network.run(self.counts)
        self._rows = {}

    def sources(self, config, layer):
        """Counts of each source of a layer, ``(N, C, H, W)``."""
        inputs = self.counts.reshape(len(self.counts), config.input.channels, config.input.height,
                                     config.input.width)
        return [inputs if source.layer < 0 else
                self._trace.counts[config.layers[source.layer].name] for source in layer.sources]

    def rows(self, config, core, *, idle=True):
        """Clocks of each output row of a core with one replica, ``(N, OY)``; see
        :func:`gen.cycles.row_clocks`."""
        whole = (1 << core.taps) - 1
        dense = all(mask == whole for mask in core.masks)
        # Where every group of lanes sees every word, all groups take as long as one.
        key = (core.name, core.code, idle, *(source.map.code for source in core.sources),
               *(() if dense else (core.masks, *(s.map.word for s in core.sources))))
        if key not in self._rows:
            self._rows[key] = row_clocks(core, self.sources(config, core), idle=idle) / (
                core.groups if dense else 1)
        return self._rows[key] * (core.groups if dense else 1)

    def clocks(self, config, layer):
        """Mean clocks a sample of a layer; see :func:`gen.cycles.layer_clocks`."""
        if isinstance(layer, PoolConfig):
            return float(layer_clocks(layer, self.sources(config, layer))[0])
        rows, replicas = self.rows(config, layer), layer.replicas
        turns = -(-rows.shape[1] // replicas)
        gathering = turns * max(map(gathering_clocks, layer.sources))
        shares = [rows[:, k::replicas].sum(axis=1) for k in range(replicas)]
        return float(np.maximum(np.max(shares, axis=0), gathering).mean())

    def all_clocks(self, config):
        """Layer name -> mean clocks a sample; ``"input"`` stands for the arrival of the sample."""
        return {"input": float(config.input.beats),
                **{layer.name: self.clocks(config, layer) for layer in config.layers}}

    def interval(self, config):
        """Mean clocks from one sample to the next: those of the slowest layer."""
        return max(self.all_clocks(config).values())

    def adds(self, config, core):
        """Mean rows that a core adds for a sample, over all its replicas: of weights, of initial
        potentials and of thresholds."""
        return float(self.rows(config, core, idle=False).sum(axis=1).mean())

    def latency(self, config):
        """Mean clocks from the first beat of a sample alone in the array to its last logits.

        Rows are followed through the layers: a row of a layer begins when the last row of the
        layer before it that its windows look at is there.
        """
        return float(self._last_logits(config).mean())

    def _last_logits(self, config):
        samples = len(self.counts)
        arrivals = {-1: np.arange(1, config.input.height + 1) * float(
            config.input.width * config.input.chunks) * np.ones((samples, 1))}
        for index, layer in enumerate(config.layers):
            follow = self._core_rows if isinstance(layer, CoreConfig) else self._pool_rows
            arrivals[index] = follow(config, layer, arrivals)
        return arrivals[len(config.layers) - 1][:, -1]

    @staticmethod
    def _needed(source, row, arrivals):
        """When the last row is there that an output row looks at, ``(N,)``."""
        edge = row * source.stride[0] - source.padding[0] + source.kernel[0]
        return arrivals[source.layer][:, max(1, min(edge, source.map.height)) - 1]

    def _core_rows(self, config, core, arrivals):
        rows, replicas = self.rows(config, core), core.replicas
        gathering = max(map(gathering_clocks, core.sources))
        first = max(math.prod(s.kernel) * s.map.chunks for s in core.sources)
        lanes = [np.zeros(len(rows)) for _ in range(replicas)]
        windows = [np.zeros(len(rows)) for _ in range(replicas)]
        done = []
        for row in range(rows.shape[1]):
            k = row % replicas
            needed = np.max([self._needed(s, row, arrivals) for s in core.sources], axis=0)
            begin = np.maximum(windows[k], needed)
            windows[k] = begin + gathering
            lanes[k] = np.maximum(np.maximum(lanes[k], begin + first) + rows[:, row],
                                  windows[k])
            done.append(lanes[k] + _FILL)
        return np.maximum.accumulate(np.stack(done, axis=1), axis=1)

    def _pool_rows(self, config, pool, arrivals):
        source = pool.source
        height, width = source.positions
        row_time = width * source.kernel[0] * source.kernel[1] * source.map.chunks
        free, done = np.zeros(len(self.counts)), []
        for row in range(height):
            free = np.maximum(free, self._needed(source, row, arrivals)) + row_time
            done.append(free + _POOL_FILL)
        return np.stack(done, axis=1)
