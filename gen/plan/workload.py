"""The work of a network on a set of samples, for any number of lanes and replicas.

The network runs once. The clocks of a trial mapping then follow from the formulas of
:mod:`gen.plan.cycles`, so thousands of mappings can be compared.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gen.data.datasets import load
from gen.errors import DataError
from gen.ir.batches import batches
from gen.ir.network import Network, Trace
from hw.config import ArrayConfig
from hw.layers import CoreConfig, LayerConfig

from .cycles import row_clocks, row_words, window_clocks
from .kinds import kind
from .pipeline import Pipeline

__all__ = ["Calibration", "Workload", "calibrate", "layer_clocks", "sample_clocks",
           "sample_counts"]

# Samples that follow each other in a stream. The number of streams follows from it.
_STREAM = 32


@dataclass(frozen=True)
class Calibration:
    """Images whose spikes decide lanes and replicas.

    Parameters
    ----------
    images : number of training images, from the first on
    dataset : name of the images' data set; by default the one that the network was trained on
    data_dir : folder of the data set's files
    """

    images: int
    dataset: str | None = None
    data_dir: str | os.PathLike | None = None


def calibrate(network: Network, calibration: Calibration | None = None) -> "Workload":
    """The :class:`Workload` of a calibration set, or of :func:`sample_counts` if there is none.

    Raises
    ------
    DataError
        If neither the network nor the calibration names a data set, or the data is missing.
    """
    if calibration is None:
        return Workload(network)
    name = calibration.dataset or network.metadata.get("dataset")
    if name is None:
        raise DataError(f"{network.name} names no data set to calibrate with: say which "
                        f"(--dataset)")
    images = load(name, calibration.data_dir).train_images[:calibration.images]
    return Workload(network, network.encode(images), f"{len(images):,} training images of {name}")


def sample_counts(network: Network) -> np.ndarray:
    """``(N, C, H, W)`` input counts that represent the network's data: the images that travel with
    it, or two random images that are as sparse as pictures."""
    images = _travelling(network)
    if images is not None:
        return network.encode(images)
    rng = np.random.default_rng(0)
    shape = (2, *network.input_shape)
    return rng.integers(0, network.input_levels + 1, shape) * (rng.random(shape) < 0.25)


class Workload:
    """The spikes of some samples.

    Parameters
    ----------
    counts : ``(N, C, H, W)`` input counts; by default those of :func:`sample_counts`
    source : a description of the samples
    timesteps : of the run, by default all; what is asked is then asked of a configuration that is
        ``shortened`` to them
    """

    def __init__(self, network: Network, counts: np.ndarray | None = None, source: str = "", *,
                 timesteps: int | None = None) -> None:
        self.network = network
        if counts is None:
            counts = sample_counts(network)
            source = f"{len(counts)} " + ("samples that travel with the network"
                                          if _travelling(network) is not None else
                                          "random samples")
        self.counts, self.source = _compact(counts), source
        traces = (network.run(batch, timesteps=timesteps) for batch in self._batches(self.counts))
        parts = [{name: _compact(part) for name, part in trace.maps.items()} for trace in traces]
        self._counts = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._rows: dict[tuple, np.ndarray] = {}

    def sources(self, config: ArrayConfig, layer: LayerConfig) -> list[np.ndarray]:
        """Counts of each source of a layer, ``(N, C, H, W)``."""
        inputs = self.counts.reshape(len(self.counts), config.input.channels, config.input.height,
                                     config.input.width)
        return [inputs if source.layer < 0 else
                self._counts[config.layers[source.layer].name] for source in layer.sources]

    def _batches(self, counts):
        """``(N, ...)`` in parts."""
        return [counts[part] for part in batches(self.network, len(counts))]

    def _by_row(self, config, core, count, **options):
        """The result of ``count``, a function of :mod:`gen.plan.cycles`, for each output row of a
        core, ``(N, OY)``."""
        whole = (1 << core.taps) - 1
        dense = core.live is None and core.masks.count(whole) == len(core.masks)
        words = tuple(source.map.word for source in core.sources)
        # If every group of lanes adds every row, all groups take as long as one, and clocks don't
        # depend on which spikes share a word, but for those that gathering a window takes.
        key = (core.name, core.schedule, count, *options.values(),
               *((source.map.code, source.map.slices, source.lanes is None)
                 for source in core.sources),
               *(() if dense and count is row_clocks and not core.masked else words),
               *(() if dense else (core.masks, core.live)))
        if key not in self._rows:
            group = replace(core, masks=(whole,)) if dense else core
            self._rows[key] = np.concatenate([count(group, part, **options) for part in zip(
                *map(self._batches, self.sources(config, core)), strict=True)])
        return self._rows[key] * (core.groups if dense else 1)

    def rows(self, config: ArrayConfig, core: CoreConfig, *, idle: bool = True,
             window: float | None = None) -> np.ndarray:
        """Clocks that the lanes of a core work on each output row, ``(N, OY)``; see
        :func:`gen.plan.cycles.row_clocks`."""
        if core.slices > 1 and window is None:
            window = window_clocks(core)
        return self._by_row(config, core, row_clocks, idle=idle,
                            window=window if core.slices > 1 else None)

    def clocks(self, config: ArrayConfig, layer: LayerConfig) -> float:
        """Mean clocks that a layer works on a sample; see :func:`layer_clocks`."""
        return float(kind(layer).clocks(layer, len(self.counts), partial(self.rows, config)).mean())

    def all_clocks(self, config: ArrayConfig) -> dict[str, float]:
        """Layer name -> mean clocks a sample; ``"input"`` stands for the arrival of the sample."""
        return {"input": float(config.input.beats),
                **{layer.name: self.clocks(config, layer) for layer in config.layers}}

    def slowest(self, config: ArrayConfig) -> float:
        """Mean clocks that the slowest layer works on a sample."""
        return max(self.all_clocks(config).values())

    def bottleneck(self, config: ArrayConfig) -> str:
        """Name of the slowest layer, or ``"input"``."""
        clocks = self.all_clocks(config)
        return max(clocks, key=clocks.__getitem__)

    def adds(self, config: ArrayConfig, core: CoreConfig) -> float:
        """Mean number of rows that all replicas of a core together add for a sample: of weights, of
        initial potentials and of thresholds."""
        return float(self.rows(config, core, idle=False).sum(axis=1).mean())

    def interval(self, config: ArrayConfig) -> float:
        """Mean clocks from one sample to the next. This is more than :meth:`slowest`: different
        samples are slow in different layers, so layers wait for each other.

        Several streams send samples one after the other without a pause. Each stream begins with
        samples of another stream, which fill all memories of the array.
        """
        samples = len(self.counts)
        streams = -(-samples // _STREAM)
        length, start = -(-samples // streams), 2 * len(config.layers) + 1
        order = np.arange(-start, length) + length * np.arange(streams)[:, None]
        finished = np.stack(self._finished(config, order % samples), axis=1)
        return float(np.diff(finished[:, start - 1:], axis=1)[order[:, start:] < samples].mean())

    def latency(self, config: ArrayConfig) -> float:
        """Mean clocks from the first beat of a sample to its last logits, alone in the array."""
        (finished,) = self._finished(config, np.arange(len(self.counts))[:, None])
        return float(finished.mean())

    def _finished(self, config, order):
        """When the last logits of successive samples arrive: ``(streams,)`` for each column of
        ``order``, which holds the numbers of the samples."""
        clocks = {core.name: self.rows(config, core) for core in config.cores}
        words = {core.name: self._by_row(config, core, row_words) for core in config.cores}
        pipeline = Pipeline(config, len(order))
        return [pipeline.send({name: rows[column] for name, rows in clocks.items()},
                              {name: rows[column] for name, rows in words.items()})
                for column in order.T]


def layer_clocks(layer: LayerConfig, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Clocks that a layer works on each sample, ``(N,)``.

    Parameters
    ----------
    counts : counts of each source, ``(N, C, H, W)``
    """
    return kind(layer).clocks(layer, len(counts[0]), lambda core: row_clocks(core, counts))


def sample_clocks(config: ArrayConfig, trace: Trace, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Layer name -> clocks that it works on each sample, ``(N,)``. ``"input"`` stands for the
    arrival of the sample, a beat a clock.

    Parameters
    ----------
    trace : of :meth:`gen.ir.network.Network.run` on ``inputs``
    inputs : ``(N, C, H, W)`` counts
    """
    clocks = {"input": np.full(len(inputs), config.input.beats)}
    for layer in config.layers:
        counts = [inputs if source.layer < 0 else trace.maps[config.layers[source.layer].name]
                  for source in layer.sources]
        clocks[layer.name] = layer_clocks(layer, counts)
    return clocks


def _travelling(network: Network) -> np.ndarray | None:
    """The images that travel with a network, or None if there are none."""
    return None if network.samples is None or len(network.samples) == 0 else network.samples


def _compact(counts):
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))
