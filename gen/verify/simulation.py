"""Whole data sets through the Verilated array, with a harness in C++: no Python per clock."""

import csv
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gen.build.design import Design
from gen.build.verilog import array_verilog
from gen.data.datasets import load
from gen.errors import DataError, SimulationError
from gen.ir import beats
from gen.ir.batches import batches
from gen.ir.logits import accuracy, predicted
from gen.ir.network import Network
from gen.ir.spikes import replayed, sample_spikes
from gen.plan.workload import Workload
from gen.system import processes
from gen.system.files import replacing
from gen.system.progress import bar
from hw.config import ArrayConfig, MemoryImage

from .feed import feed_verilog
from .verilator import patience, verilate

__all__ = ["Occupancy", "Run", "array_utilisation", "expected", "simulate", "stream", "test_set",
           "write_images"]

log = logging.getLogger(__name__)

_HARNESS = Path(__file__).parent / "harness" / "simulate.cpp"

# Samples are packed so many at a time, to save memory.
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Occupancy:
    """How the lanes were occupied over a few samples in steady state.

    Parameters
    ----------
    width : clocks of a bin
    shares : core name -> ``(bins,)`` share of the clocks in which its lanes added a row, the mean
        over its replicas
    completed : clocks, from the first bin, in which a sample's last logits came
    """

    width: int
    shares: dict[str, np.ndarray]
    completed: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """What :func:`stream` measured. Clocks of a sample count from its first input beat.

    Parameters
    ----------
    logits : ``(N, *logit_shape)``, see :class:`gen.ir.network.Network`
    alone : ``(N,)`` whether the sample was alone in the array, or followed by others at once
    outputs : ``(N, layers, 2)`` clocks of the first and the last beat that each layer made of it
    intervals : ``(N,)`` clocks since the last logits of the sample before; 0 for a sample that was
        alone or the first of a process, where this would be no interval
    busy : core name -> share of the clocks in which its lanes added a row, in steady state;
        ``None`` if too few samples went back to back for that
    beats : layer name -> clocks of all the beats that it made of the first sample
    occupancy : of the lanes over time; ``None`` as ``busy``
    seconds : wall time of the simulation, without compiling
    """

    logits: np.ndarray
    alone: np.ndarray
    outputs: np.ndarray
    intervals: np.ndarray
    busy: dict[str, float] | None
    beats: dict[str, np.ndarray]
    occupancy: Occupancy | None
    seconds: float

    @property
    def latency(self) -> np.ndarray:
        """Clocks from the first input beat to the last logits, of the samples that went alone."""
        return self.outputs[self.alone, -1, 1]

    @property
    def paced(self) -> np.ndarray:
        """``(N,)`` whether there is an interval before a sample."""
        return self.intervals > 0

    @property
    def interval(self) -> float | None:
        """Mean clocks from one sample to the next, back to back; ``None`` of fewer than two."""
        return float(self.intervals[self.paced].mean()) if self.paced.any() else None


def _words(bits):
    return -(-bits // 32)


def _header(config, input_bits):
    values = {
        "INPUT_BEATS": config.input.beats, "INPUT_WORDS": _words(input_bits),
        "LOGIT_BEATS": config.readout.beats, "LOGIT_WORDS": _words(config.readout.beat_bits),
        "CORES": sum(core.replicas for core in config.cores), "LAYERS": len(config.layers),
        "LAYER_BEATS": f"{{{', '.join(str(layer.beats) for layer in config.layers)}}}",
    }
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


def _write_inputs(path, config, counts, begins):
    with replacing(path) as draft, draft.open("wb") as file:
        for start in range(0, len(counts), _BATCH):
            beats.pack_input(counts[start:start + _BATCH], config, begins=begins).tofile(file)


def _shares(count, jobs, alone):
    """``(first, count, alone)`` of each job, none empty; at most half of a share goes alone."""
    jobs = min(jobs, count)
    bounds = [count * job // jobs for job in range(jobs + 1)]
    return [(low, high - low, min(-(-alone // jobs), (high - low + 1) // 2))
            for low, high in itertools.pairwise(bounds)]


def _follow(children, lines, shown):
    """Wait until all children have ended. They share the pipe that ``lines`` come from."""
    for line in lines:
        word, _, sample = line.strip().rpartition(" ")
        if word == "hang":
            raise SimulationError(f"the array hangs: the logits of sample {sample} do not come")
        shown.update(int(sample))
    for child in children:
        if child.wait():
            raise SimulationError(f"the simulator ended with status {child.returncode}")


def _execute(commands, total):
    """Run the harness processes side by side, with a progress bar for all."""
    reader, writer = os.pipe()
    with (open(reader, encoding="ascii") as lines, processes.group() as start,
          bar(total=total, unit="image", desc="simulate") as shown):
        try:
            children = [start(command, stdout=writer) for command in commands]
        finally:
            os.close(writer)
        _follow(children, lines, shown)


def _read(path, config, count, alone):
    """Results of one harness process; see gen/verify/harness/simulate.cpp for the format."""
    readout, replicas = config.readout, sum(core.replicas for core in config.cores)
    record = np.dtype([("first", "<u8"), ("outputs", "<u8", (len(config.layers), 2)),
                       ("logits", "<u4", readout.beats * _words(readout.beat_bits))])
    beats_of = [layer.beats for layer in config.layers]
    with open(path, "rb") as file:
        samples = np.fromfile(file, record, count)
        beats_at = np.fromfile(file, "<i8", sum(beats_of))
        clocks, *busy = np.fromfile(file, "<i8", 1 + replicas).tolist()
        began, width, bins = np.fromfile(file, "<i8", 3).tolist()
        shares = np.fromfile(file, "<i8", bins * replicas).reshape(bins, replicas) / width
    logits = beats.unpack_logits(samples["logits"].reshape(count, readout.beats, -1), readout)
    first, outputs = samples["first"].astype(np.int64), samples["outputs"].astype(np.int64)
    completed = outputs[:, -1, 1]
    intervals = np.diff(completed, prepend=0)
    intervals[:alone + 1] = 0
    per_layer = np.split(beats_at - first[0], np.cumsum(beats_of)[:-1])
    return {
        "logits": logits, "alone": np.arange(count) < alone,
        "outputs": outputs - first[:, None, None], "intervals": intervals,
        "clocks": clocks, "busy": np.array(busy),
        "beats": {layer.name: clocks for layer, clocks in zip(
            config.layers, per_layer, strict=True)},
        "occupancy": _occupancy(config, width, shares[:-1], completed - began),
    }


def _occupancy(config, width, shares, completed):
    """The occupancy in whole bins, or ``None`` if there are none."""
    if not len(shares):
        return None
    within = (completed >= 0) & (completed < width * len(shares))
    return Occupancy(width, _by_core(config, shares), completed[within])


def stream(config: ArrayConfig, image: dict[str, MemoryImage], counts: np.ndarray, *,
           alone: int = 100, jobs: int | None = None, timesteps: int | None = None,
           seen: ArrayConfig | None = None,
           progress: Callable[[str], None] | None = None) -> Run:
    """Send input counts through the Verilated array.

    Parameters
    ----------
    config, image : what :func:`gen.plan.mapping.map_network` returns
    counts : ``(N, C, H, W)`` input counts
    alone : how many samples are sent one at a time, to measure the latency, but at most half; the
        others follow each other without a pause
    jobs : processes that share the samples; by default one for each core of the machine
    timesteps : of the run, by default all that the array has
    seen : see :func:`gen.verify.rtl.compare`
    progress : called with one line before a compilation starts

    Raises
    ------
    SimulationError
        If the simulator can't be built or the array hangs; the message names the sample.
    """
    seen, begins = seen or config, config.continues
    executable = verilate(array_verilog(config, image) + feed_verilog(config), "feed", _HARNESS,
                          headers={"shape.h": _header(seen, config.input_bits)}, progress=progress)
    config = seen
    shares = _shares(len(counts), jobs or os.cpu_count(), alone)
    with processes.scratch() as directory:
        inputs = directory / "inputs.bin"
        _write_inputs(inputs, config, counts, begins)
        outputs = [inputs.with_name(f"outputs-{first}.bin") for first, _, _ in shares]
        began = time.perf_counter()
        _execute([list(map(str, (executable, inputs, output, *share, patience(config),
                                 timesteps or config.timesteps)))
                  for output, share in zip(outputs, shares, strict=True)], len(counts))
        seconds = time.perf_counter() - began
        results = [_read(output, config, count, alone)
                   for output, (_, count, alone) in zip(outputs, shares, strict=True)]
    return _merge(config, results, seconds)


def _merge(config, results, seconds):
    def joined(name):
        return np.concatenate([result[name] for result in results])

    clocks = sum(result["clocks"] for result in results)
    busy = clocks and _by_core(config, sum(result["busy"] for result in results) / clocks)
    return Run(
        logits=joined("logits"), alone=joined("alone"), outputs=joined("outputs"),
        intervals=joined("intervals"),
        busy={name: float(share) for name, share in busy.items()} if clocks else None,
        beats=results[0]["beats"], occupancy=results[0]["occupancy"], seconds=seconds)


def _by_core(config, shares):
    """``(..., replicas of all cores)`` -> core name -> ``(...)`` means over its replicas."""
    ends = np.cumsum([core.replicas for core in config.cores])
    return {core.name: part.mean(axis=-1) for core, part in zip(
        config.cores, np.split(shares, ends[:-1], axis=-1), strict=True)}


def array_utilisation(config: ArrayConfig, busy: dict[str, float]) -> float:
    """Share of the clocks in which a lane adds, over all lanes of the array.

    Parameters
    ----------
    busy : core name -> share of the clocks in which its lanes add
    """
    lanes = {core.name: core.lanes * core.replicas for core in config.cores}
    return sum(busy[name] * number for name, number in lanes.items()) / sum(lanes.values())


def expected(network: Network, config: ArrayConfig, counts: np.ndarray, *,
             timesteps: int | None = None,
             progress: Callable[[Iterable[slice]], Iterable[slice]] = iter
             ) -> tuple[np.ndarray, dict[str, np.ndarray], int | None]:
    """Logits of :meth:`Network.run` and spikes of each layer, in batches.

    Parameters
    ----------
    timesteps : of the run, by default all

    Returns
    -------
    ``(N, *logit_shape)`` logits; what :func:`gen.ir.spikes.sample_spikes` returns; and how many
    samples :meth:`Network.exact` says are exact, or ``None``
    """
    parts, exact = [], None
    for part in progress(batches(network, len(counts))):
        inputs = counts[part]
        trace = network.run(inputs, timesteps=timesteps)
        parts.append((trace.logits, sample_spikes(config, trace, inputs)))
        exact = network.count_exact(trace, exact)
    logits, spikes = zip(*parts, strict=True)
    return np.concatenate(logits), {
        name: np.concatenate([part[name] for part in spikes]) for name in spikes[0]}, exact


def write_images(path: str | os.PathLike, config: ArrayConfig, run: Run,
                 spikes: dict[str, np.ndarray], labels: np.ndarray, logits: np.ndarray) -> None:
    """Write what is known about each image as CSV, a line an image.

    ``latency_cycles`` is the latency of an image that was alone. ``interval_cycles`` are the clocks
    since the image before it was done, if they went back to back. A column that was not measured is
    empty. ``NAME_first`` and ``NAME_last`` are the clocks of a layer's first and last output, from
    the first input beat.

    Parameters
    ----------
    spikes : what :func:`gen.ir.spikes.sample_spikes` returns
    labels, logits : true classes, and logits of the network in integers
    """
    times = [f"{layer.name}_{which}" for layer in config.layers for which in ("first", "last")]
    total, predictions = replayed(config, spikes), predicted(run.logits)
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "label", "prediction", "mismatches", "input_spikes", "spikes",
                        "latency_cycles", "interval_cycles", *times])
        for k, outputs in enumerate(run.outputs):
            table.writerow([
                k, labels[k], predictions[k], np.sum(run.logits[k] != logits[k]),
                spikes["input"][k], total[k], outputs[-1, 1] if run.alone[k] else "",
                run.intervals[k] or "", *outputs.ravel().tolist()])


def test_set(network: Network, *, dataset: str | None = None,
             data_dir: str | os.PathLike | None = None, limit: int | None = None
             ) -> tuple[np.ndarray, np.ndarray]:
    """Test images of a data set, and their labels.

    Parameters
    ----------
    dataset, data_dir : see :func:`gen.data.datasets.load`; by default what the network's metadata
        name
    limit : only so many images

    Raises
    ------
    DataError
        If the network names no data set, or its data is missing.
    """
    dataset = dataset or network.metadata.get("dataset")
    if dataset is None:
        raise DataError(f"{network.name} names no data set: say which (--dataset)")
    if limit is not None and limit < 1:
        raise DataError(f"limit must be at least 1, not {limit!r}")
    data = load(dataset, data_dir)
    return data.test_images[:limit], data.test_labels[:limit]


def simulate(design: Design, images: np.ndarray, labels: np.ndarray, *, jobs: int | None = None,
             timesteps: int | None = None, images_out: str | os.PathLike | None = None) -> dict:
    """Run images through the Verilog of a design's array.

    Parameters
    ----------
    images, labels : raw, see :func:`test_set`
    jobs, timesteps : see :func:`stream`
    images_out : a file for what is known about each image, see :func:`write_images`

    Returns
    -------
    ``images``; ``accuracy`` of the simulated logits and ``accuracy_reference`` of
    :meth:`Network.run`; ``mismatches``, logits that differ; ``images_exact``, those whose logits
    are those of the quantised network (``None`` if they need not be, see :meth:`Network.exact`);
    ``cycles_mean`` and ``cycles_max``, clocks from first beat to last logits of the samples that
    are alone in the array, the first ones of each process, ``latency_images`` in all;
    ``interval_cycles``, clocks an image when they follow each other without a pause,
    ``bottleneck``, the layer that sets this interval; ``cycles_mean_predicted`` and
    ``interval_cycles_predicted``, what :class:`gen.plan.workload.Workload` says of the same images;
    ``layer_cycles``, layer -> clocks of its ``first`` and ``last`` output of a sample that is
    alone; ``lane_utilisation``, layer -> share of the clocks in which its lanes add a row, in
    steady state, and ``array_utilisation``, the same over all lanes; ``spikes``, layer -> spikes an
    image that it sends; ``images_per_second`` of wall time, without compiling.
    """
    network, config, images = design.seen(images)
    timesteps = network.checked(timesteps)
    counts = network.encode(images)
    run = stream(design.config, design.image, counts, jobs=jobs, timesteps=timesteps, seen=config,
                 progress=log.info)
    reference, spikes, exact = expected(network, config, counts, timesteps=timesteps,
                                        progress=partial(bar, desc="reference", unit="batch"))
    if images_out is not None:
        write_images(images_out, config, run, spikes, labels, reference)
    first, last = run.outputs[run.alone].mean(axis=0).T.tolist()
    short = config.shortened(timesteps)
    paced = counts[run.paced] if run.paced.any() else counts
    workload = Workload(network, paced, timesteps=timesteps)
    return {
        "images": len(labels),
        "accuracy": accuracy(design.apart(run.logits, len(labels)), labels),
        "accuracy_reference": accuracy(design.apart(reference, len(labels)), labels),
        "mismatches": int(np.sum(run.logits != reference)),
        "images_exact": exact,
        "cycles_mean": float(run.latency.mean()),
        "cycles_max": int(run.latency.max()),
        "cycles_mean_predicted": Workload(
            network, counts[run.alone], timesteps=timesteps).latency(short),
        "latency_images": len(run.latency),
        "interval_cycles": run.interval,
        "interval_cycles_predicted": workload.interval(short),
        "bottleneck": workload.bottleneck(short),
        "layer_cycles": {layer.name: {"first": first[k], "last": last[k]}
                         for k, layer in enumerate(config.layers)},
        "lane_utilisation": run.busy,
        "array_utilisation": run.busy and array_utilisation(config, run.busy),
        "spikes": {name: float(number.mean()) for name, number in spikes.items()},
        "images_per_second": len(labels) / run.seconds,
    }
