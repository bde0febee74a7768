"""Spikes as they travel: how the counts of a network are replayed between its layers."""

import numpy as np

from hw.config import ArrayConfig
from hw.maps import MapConfig

from .network import Trace

__all__ = ["map_spikes", "replayed", "sample_spikes"]


def map_spikes(fmap: MapConfig, counts: np.ndarray) -> np.ndarray:
    """Spikes of each sample, ``(N,)``, as which the counts ``(N, ...)`` of a map are replayed.

    In phase code they are the set bits of the counts, in rate code the counts themselves.
    """
    spikes = np.bitwise_count(counts) if fmap.code == "phase" else counts
    return spikes.reshape(len(counts), -1).sum(axis=1, dtype=np.int64)


def sample_spikes(config: ArrayConfig, trace: Trace, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Layer name -> spikes of each sample, for a trace of ``Network.run`` on ``inputs``.

    ``"input"`` stands for the pixels. The read-out has none.
    """
    spikes = {"input": map_spikes(config.input, inputs)}
    for layer in config.layers[:-1]:
        spikes[layer.name] = map_spikes(layer.out, trace.counts[layer.name])
    return spikes


def replayed(config: ArrayConfig, spikes: dict[str, np.ndarray]) -> np.ndarray:
    """Spikes of each sample that neurons receive, ``(N,)``. Each map that a layer with synapses
    reads counts once. A pooling adds counts without replaying them.

    Parameters
    ----------
    spikes : what :func:`sample_spikes` returns
    """
    names = ["input", *(layer.name for layer in config.layers)]
    read = {source.layer for core in config.cores for source in core.sources}
    return np.sum([spikes[names[index + 1]] for index in read], axis=0)
