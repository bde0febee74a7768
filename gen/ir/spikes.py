"""Spikes as they travel: how the counts and the trains of a network are replayed between its
layers."""

import numpy as np

from hw.changes import Changes
from hw.config import ArrayConfig
from hw.maps import MapConfig, SourceConfig

from .network import Network, Trace

__all__ = ["held", "map_spikes", "most_spikes", "neuron_spikes", "replayed", "replayed_maps",
           "sample_spikes"]


def map_spikes(fmap: MapConfig, values: np.ndarray) -> np.ndarray:
    """Spikes of each sample, ``(N,)``, as which a map is replayed.

    In phase code they are the set bits of the counts, in rate code the counts themselves, and of a
    train those of all its time-steps, and of changes their digits, whether they add charge or take
    it back.

    Parameters
    ----------
    values : ``(N, ...)``, what travels, counts or trains (see ``Trace.maps``), or is :func:`held`
    """
    if fmap.code == "train":
        # A mask may be wider than what is kept in few bits.
        trains = values if values.dtype == object else values.astype(np.int64)
        spikes = sum(_field(fmap, trains, number, sign) for number in range(fmap.timesteps)
                     for sign in (1, -1) if fmap.units(sign))
    else:
        spikes = values if fmap.code == "rate" else np.bitwise_count(values)
    return spikes.reshape(len(values), -1).sum(axis=1, dtype=np.int64)


def _field(fmap, trains, number, sign):
    """Spikes of one sign in a time-step of trains."""
    offset, width, _ = fmap.train_field(fmap.train_plane(number, sign, 0))
    return (trains >> offset & (1 << width) - 1).astype(np.int64)


def held(source: SourceConfig, values: np.ndarray) -> np.ndarray:
    """What a source's spike memory holds of what travels to it, ``(N, C, H, W)``; changes, if it
    is a source of these. Every sample begins a sequence."""
    if not source.changes:
        return values
    rows = Changes.model(source, values.swapaxes(0, 2).astype(np.int64))
    return np.stack(rows).swapaxes(0, 2)


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

    ``"input"`` stands for the pixels. The read-out has none. Where layers get changes of a map,
    their spikes are under the name of the layer that sends it and ``" (changes)"``.
    """
    spikes = {"input": map_spikes(config.input, inputs)}
    for layer in config.layers[:-1]:
        spikes[layer.name] = map_spikes(layer.out, trace.maps[layer.name])
    for source in _changing(config):
        counts = inputs if source.layer < 0 else trace.maps[config.layers[source.layer].name]
        spikes[_replayed_as(config, source)] = map_spikes(source.map, held(source, counts))
    return spikes


def replayed_maps(config: ArrayConfig) -> dict[str, MapConfig]:
    """The maps whose spikes :func:`sample_spikes` counts, by the same names."""
    return {"input": config.input, **{layer.name: layer.out for layer in config.layers[:-1]},
            **{_replayed_as(config, source): source.map for source in _changing(config)}}


def _changing(config):
    return [source for core in config.cores for source in core.sources if source.changes]


def _replayed_as(config, source):
    name = "input" if source.layer < 0 else config.layers[source.layer].name
    return f"{name} (changes)" if source.changes else name


def replayed(config: ArrayConfig, spikes: dict[str, np.ndarray]) -> np.ndarray:
    """Spikes of each sample that neurons receive, ``(N,)``. Each map that a layer with synapses
    reads counts once; so do its changes. A pooling adds counts without replaying them.

    Parameters
    ----------
    spikes : what :func:`sample_spikes` returns
    """
    read = {_replayed_as(config, source) for core in config.cores for source in core.sources}
    return np.sum([spikes[name] for name in sorted(read)], axis=0)
