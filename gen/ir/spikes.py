"""Spikes as they travel: how the counts and the trains of a network are replayed between its
layers."""

import numpy as np

from hw.config import ArrayConfig
from hw.maps import MapConfig

from .network import Network, Trace

__all__ = ["map_spikes", "most_spikes", "neuron_spikes", "replayed", "sample_spikes"]


def map_spikes(fmap: MapConfig, values: np.ndarray) -> np.ndarray:
    """Spikes of each sample, ``(N,)``, as which a map is replayed.

    In phase code they are the set bits of the counts, in rate code the counts themselves, and of a
    train those of all its time-steps, whether they add charge or take it back.

    Parameters
    ----------
    values : ``(N, ...)``, what travels: counts, or trains (see ``Trace.maps``)
    """
    if fmap.code == "train":
        # A mask may be wider than what is kept in few bits.
        trains = values if values.dtype == object else values.astype(np.int64)
        spikes = sum(_field(fmap, trains, number, sign) for number in range(fmap.timesteps)
                     for sign in (1, -1) if fmap.units(sign))
    else:
        spikes = np.bitwise_count(values) if fmap.code == "phase" else values
    return spikes.reshape(len(values), -1).sum(axis=1, dtype=np.int64)


def _field(fmap, trains, number, sign):
    """Spikes of one sign in a time-step of trains."""
    offset, width, _ = fmap.train_field(fmap.train_plane(number, sign, 0))
    return (trains >> offset & (1 << width) - 1).astype(np.int64)


def most_spikes(fmap: MapConfig) -> int:
    """The most spikes as which a value of a map is replayed. In a time-step they all add charge, or
    all take it back."""
    if fmap.code == "train":
        return fmap.timesteps * max(fmap.levels, -fmap.low)
    return fmap.planes


def neuron_spikes(network: Network, trace: Trace, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Layer name -> spikes of each neuron, or of each count of a pooling, ``(N, C, H, W)``, for a
    trace of ``network.run`` on ``inputs``, however they travel.

    ``"input"`` stands for the pixels, whose counts are their spikes. The read-out has none.
    """
    spikes = trace.counts | {name: np.abs(train).sum(axis=0) for name, train in
                             trace.trains.items()}
    if network.dynamics is not None and network.dynamics.phases:
        # A count says in which phase the only spike comes.
        spikes = {name: np.bitwise_count(counts) for name, counts in spikes.items()}
    return spikes | {"input": inputs}


def sample_spikes(config: ArrayConfig, trace: Trace, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Layer name -> spikes of each sample, for a trace of ``Network.run`` on ``inputs``.

    ``"input"`` stands for the pixels. The read-out has none.
    """
    spikes = {"input": map_spikes(config.input, inputs)}
    for layer in config.layers[:-1]:
        spikes[layer.name] = map_spikes(layer.out, trace.maps[layer.name])
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
