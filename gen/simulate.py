"""Whole data sets through the Verilated array, with a harness in C++: no Python per clock."""

import logging
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import boards

from . import beats
from .build import design_for
from .data import load
from .errors import DataError, SimulationError
from .feed import feed_verilog
from .verilator import patience, verilate
from .verilog import array_verilog

__all__ = ["Run", "simulate", "stream"]

log = logging.getLogger(__name__)

_HARNESS = Path(__file__).parent / "harness" / "simulate.cpp"

# Input beats are packed for so many samples at a time, to save memory.
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Run:
    """What :func:`stream` measured.

    Parameters
    ----------
    logits : ``(N, classes)``
    latency : clocks from the first input beat of a sample, sent alone, to its last logits
    interval : clocks from one sample to the next, sent back to back; ``None`` of fewer than two
    busy : layer -> share of the clocks in which its lanes added a weight row, back to back
    seconds : wall time of the simulation, without compiling
    """

    logits: np.ndarray
    latency: np.ndarray
    interval: float | None
    busy: dict[str, float]
    seconds: float


def _words(bits):
    return -(-bits // 32)


def _header(config):
    values = {
        "INPUT_BEATS": config.input.beats, "INPUT_WORDS": _words(config.input.beat_bits),
        "LOGIT_BEATS": config.readout.groups, "LOGIT_WORDS": _words(config.readout.logit_bits),
        "CORES": sum(core.replicas for core in config.cores),
    }
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


def _write_inputs(path, config, counts):
    with path.open("wb") as file:
        for start in range(0, len(counts), _BATCH):
            beats.pack_input(counts[start:start + _BATCH], config).tofile(file)


def _shares(count, jobs, alone):
    """``(first, count, alone)`` of each job, none empty; at most half of a share goes alone."""
    jobs = min(jobs, count)
    bounds = [count * job // jobs for job in range(jobs + 1)]
    return [(low, high - low, min(-(-alone // jobs), (high - low + 1) // 2))
            for low, high in zip(bounds, bounds[1:], strict=False)]


def _follow(processes, lines, bar):
    """Until all processes have ended: they share the pipe that ``lines`` come from."""
    for line in lines:
        word, _, sample = line.strip().rpartition(" ")
        if word == "hang":
            raise SimulationError(f"the array hangs: the logits of sample {sample} do not come")
        bar.update(int(sample))
    for process in processes:
        if process.wait():
            raise SimulationError(f"the simulator ended with status {process.returncode}")


def _execute(commands, total):
    """Run the harness processes side by side, with a progress bar for all."""
    reader, writer = os.pipe()
    processes = []
    try:
        with open(reader) as lines, tqdm(total=total, unit="image", desc="simulate") as bar:
            try:
                processes += [subprocess.Popen(command, stdout=writer) for command in commands]
            finally:
                os.close(writer)
            _follow(processes, lines, bar)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _read(path, config, count, alone):
    """Results of one harness process; see gen/harness/simulate.cpp for the format."""
    readout = config.readout
    words = readout.groups * _words(readout.logit_bits)
    record = np.dtype([("first", "<u8"), ("last", "<u8"), ("logits", "<u4", words)])
    samples = np.fromfile(path, record, count)
    clocks, *busy = np.fromfile(path, "<u8", offset=count * record.itemsize).tolist()
    logits = samples["logits"].reshape(count, readout.groups, -1)
    latency = (samples["last"] - samples["first"])[:alone].astype(np.int64)
    return beats.unpack_logits(logits, readout), latency, samples["last"][alone:], clocks, busy


def stream(config, image, counts, *, build_dir, alone=100, jobs=None, progress=None):
    """Send input counts through the Verilated array.

    Parameters
    ----------
    config, image : what :func:`gen.mapping.map_network` returns
    counts : ``(N, C, H, W)`` input counts
    build_dir : where compiled simulators are kept
    alone : how many samples, but at most half, are sent one at a time, to measure the latency; the
        others follow each other without a pause
    jobs : processes that share the samples; by default one for each core of the machine
    progress : called with one line before a compilation starts

    Raises
    ------
    SimulationError
        If the simulator can't be built or the array hangs; the message names the sample.
    """
    executable = verilate(array_verilog(config, image) + feed_verilog(config), "feed", _HARNESS,
                          build_dir, headers={"shape.h": _header(config)}, progress=progress)
    shares = _shares(len(counts), jobs or os.cpu_count(), alone)
    with tempfile.TemporaryDirectory() as directory:
        inputs = Path(directory) / "inputs.bin"
        _write_inputs(inputs, config, counts)
        outputs = [inputs.with_name(f"outputs-{first}.bin") for first, _, _ in shares]
        began = time.perf_counter()
        _execute([list(map(str, (executable, inputs, output, *share, patience(config))))
                  for output, share in zip(outputs, shares, strict=True)], len(counts))
        seconds = time.perf_counter() - began
        results = [_read(output, config, count, alone)
                   for output, (_, count, alone) in zip(outputs, shares, strict=True)]
    return _merge(config, results, seconds)


def _merge(config, results, seconds):
    logits, latency, last, clocks, busy = zip(*results, strict=True)
    intervals = [int(ends[-1] - ends[0]) / (len(ends) - 1) for ends in last if len(ends) > 1]
    total = max(sum(clocks), 1)
    return Run(
        logits=np.concatenate(logits), latency=np.concatenate(latency),
        interval=sum(intervals) / len(intervals) if intervals else None,
        busy=_shares_by_core(config, np.sum(busy, axis=0) / total), seconds=seconds)


def _shares_by_core(config, shares):
    """A share for each replica of each core -> core name -> mean over its replicas."""
    ends = np.cumsum([core.replicas for core in config.cores])
    return {core.name: float(part.mean()) for core, part in zip(
        config.cores, np.split(shares, ends[:-1]), strict=True)}


def simulate(network, *, dataset=None, data_dir=None, limit=None, board="arty-a7", lanes=None,
             interval=None, code="phase", jobs=None, build_dir=None):
    """Run a data set's test images through the Verilog that ``build`` makes for a board.

    Parameters
    ----------
    network : :class:`gen.network.Network`
    dataset, data_dir : see :func:`gen.data.load`; by default what the network's metadata name
    limit : only so many images
    board, lanes, interval, code : see :func:`gen.build.build`
    jobs, build_dir : see :func:`stream`

    Returns
    -------
    ``images``; ``accuracy`` of the simulated logits and ``accuracy_reference`` of
    :meth:`Network.run`; ``mismatches``, logits that differ; ``cycles_mean`` and ``cycles_max``, the
    latency of a sample that is alone in the array (its first input beat to its last logits, in
    clocks), over the first samples of each process, ``latency_images`` in all;
    ``interval_cycles``, clocks an image when they follow each other without a pause;
    ``lane_utilisation``, layer -> share of these clocks in which its lanes add;
    ``images_per_second`` of wall time, without compiling.
    """
    dataset = dataset or network.metadata.get("dataset")
    if dataset is None:
        raise DataError(f"{network.name} names no data set: say which (--dataset)")
    data = load(dataset, data_dir)
    if limit is not None and limit < 1:
        raise DataError(f"limit must be at least 1, not {limit!r}")
    images, labels = data.test_images[:limit], data.test_labels[:limit]
    counts = network.encode(images)
    design = design_for(network, board=boards.find(board), lanes=lanes, interval=interval,
                        code=code)
    run = stream(design.config, design.image, counts, jobs=jobs, progress=log.info,
                 build_dir=build_dir or Path("build") / "verilator")
    reference = network.predict(images, progress=partial(tqdm, desc="reference", unit="batch"))
    return {
        "images": len(images),
        "accuracy": float(np.mean(run.logits.argmax(axis=1) == labels)),
        "accuracy_reference": float(np.mean(reference.argmax(axis=1) == labels)),
        "mismatches": int(np.sum(run.logits != reference)),
        "cycles_mean": float(run.latency.mean()),
        "cycles_max": int(run.latency.max()),
        "latency_images": len(run.latency),
        "interval_cycles": run.interval,
        "lane_utilisation": run.busy,
        "images_per_second": len(images) / run.seconds,
    }
