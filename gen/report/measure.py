"""The measured figures of a page: taken once from the simulated array, and kept with the build."""

import functools
import hashlib
import json
import logging
import os
from pathlib import Path

import numpy as np

from gen.build.design import require_emitted
from gen.data.datasets import load
from gen.errors import DataError
from gen.ir.logits import accuracy, predicted
from gen.ir.spikes import replayed
from gen.plan.workload import Workload
from gen.system.files import read_text, write_text
from gen.verify.rtl import compare
from gen.verify.simulation import array_utilisation, expected, stream

from .directory import Built
from .steps import steps

__all__ = ["CACHE", "measure"]

log = logging.getLogger(__name__)

CACHE = "report.json"

# Images that are sent one at a time, for the latency; at most half of all.
_ALONE = 200

# Images without labels are sent again until so many have been sent, for a steady state.
_ENOUGH = 128

# Images whose every spike is compared, under back-pressure.
_VERIFIED = 4

# Random images for a network that carries none.
_RANDOM = 16

# Bins of time in the figures.
_BINS, _RASTER_BINS = 240, 720


def measure(built: Built, *, dataset: str | None = None,
            data_dir: str | os.PathLike | None = None, limit: int | None = None,
            jobs: int | None = None) -> dict:
    """Simulate and verify a build, or take what an earlier call found for the same input.

    Parameters
    ----------
    dataset, data_dir : whose test images to run, see :func:`gen.data.datasets.load`; by default the
        images that travel with the network, else random ones
    limit : only so many images
    jobs : see :func:`gen.verify.simulation.stream`

    Returns
    -------
    A JSON object.
    """
    images, labels, source = _images(built.network, dataset, data_dir)
    images, labels = images[:limit], None if labels is None else labels[:limit]
    key = _key(built, images, labels)
    cache = built.directory / CACHE
    if (kept := _kept(cache, key)) is not None:
        return kept
    found = _measure(built, images, labels, source, jobs)
    write_text(cache, json.dumps({"key": key, "measured": found}) + "\n")
    return found


def _images(network, dataset, data_dir):
    """Images, labels or ``None``, and where they come from."""
    if dataset is not None:
        data = load(dataset, data_dir)
        return data.test_images, data.test_labels, dataset
    if network.samples is not None and len(network.samples):
        return network.samples, None, "network"
    rng = np.random.default_rng(0)
    shape = (_RANDOM, *network.input_shape)
    pixels = rng.integers(0, network.pixel_max, shape, endpoint=True)
    return pixels * (rng.random(shape) < 0.25), None, "random"


def _key(built, images, labels):
    """Hash of all that the figures depend on: the array, the images, and this program."""
    sha = hashlib.sha256(f"{built.manifest.digest} {images.shape} {images.dtype}".encode())
    sha.update(np.ascontiguousarray(images).tobytes())
    sha.update(b"" if labels is None else np.ascontiguousarray(labels).tobytes())
    sha.update(_program())
    return sha.hexdigest()


@functools.cache
def _program():
    root = Path(__file__).parents[2]
    sha = hashlib.sha256()
    for path in sorted([*root.glob("hw/*.py"), *root.glob("gen/**/*.py"),
                        *root.glob("gen/**/*.cpp")]):
        sha.update(path.read_bytes())
    return sha.digest()


def _kept(cache, key):
    try:
        kept = json.loads(read_text(cache))
        return kept["measured"] if kept["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _measure(built, images, labels, source, jobs):
    distinct = len(images)
    if not distinct:
        raise DataError(f"{source} has no images")
    network, config, images = built.design.seen(images)
    times = 1 if labels is not None else -(-_ENOUGH // len(images))
    counts = np.tile(network.encode(images), (times, 1, 1, 1))
    require_emitted(built.design, built.directory)
    log.info("simulating %d images ...", len(counts))
    jobs = jobs or min(os.cpu_count() or 1, max(1, len(counts) // 100))
    array = built.config, built.design.image
    run = stream(*array, counts, jobs=jobs, alone=min(_ALONE, distinct), seen=config,
                 progress=log.info)
    logits, spikes, _ = expected(network, config, counts)
    # The prediction of the interval is for the images that were sent back to back.
    paced = counts[run.paced] if run.paced.any() else counts
    few = counts[:_VERIFIED]
    log.info("comparing every spike of %d images ...", len(few))
    verified = compare(*array, few, network.run(few), seen=config)
    first, last = run.outputs[run.alone].mean(axis=0).T
    return {
        "source": source, "images": len(counts), "times": times,
        "accuracy": None if labels is None else accuracy(
            built.design.apart(run.logits, distinct), labels),
        "logits": int(logits.size), "mismatches": int(np.sum(run.logits != logits)),
        "verified": {name: verified[name]
                     for name in ("images", "spikes", "mismatches", "first_mismatch")},
        "interval": run.interval,
        "latency": {"images": len(run.latency), "mean": float(run.latency.mean()),
                    "min": int(run.latency.min()), "max": int(run.latency.max())},
        **_predicted(network, config, paced, counts[run.alone]),
        "busy": run.busy, "array": run.busy and array_utilisation(config, run.busy),
        "alone": {layer.name: [float(first[k]), float(last[k])]
                  for k, layer in enumerate(config.layers)},
        "points": np.stack([replayed(config, spikes)[run.alone], run.latency], axis=1).tolist(),
        "spikes": {name: float(number.mean()) for name, number in spikes.items()},
        "occupancy": run.occupancy and _occupancy(run.occupancy),
        "raster": _raster(network, config, counts[:1], run.beats),
        "steps": steps(network, counts[:distinct], labels),
        "picture": {
            "pixels": images[0].tolist(),
            "prediction": int(predicted(built.design.apart(run.logits[:1], 1))[0]),
            "label": None if labels is None else int(labels[0]),
            "spikes": {name: int(number[0]) for name, number in spikes.items()},
        },
    }


def _predicted(network, config, paced, alone):
    """Predictions for the images that were sent back to back, and for those that were alone.

    Returns
    -------
    ``predicted``, layer -> clocks that it needs for an image; ``bottleneck``, the layer that needs
    most; ``predicted_interval``; ``predicted_adds``, core -> clocks in which its lanes add;
    ``predicted_latency``.
    """
    work = Workload(network, paced)
    return {
        "predicted": work.all_clocks(config), "bottleneck": work.bottleneck(config),
        "predicted_interval": work.interval(config),
        "predicted_adds": {core.name: work.adds(config, core) / core.replicas
                           for core in config.cores},
        "predicted_latency": Workload(network, alone).latency(config),
    }


def _occupancy(occupancy):
    """The occupancy in at most :data:`_BINS` bins."""
    (bins,) = {len(shares) for shares in occupancy.shares.values()}
    merged = -(-bins // _BINS)
    whole = bins // merged * merged
    return {
        "width": occupancy.width * merged,
        "shares": {name: shares[:whole].reshape(-1, merged).mean(axis=1).round(4).tolist()
                   for name, shares in occupancy.shares.items()},
        "completed": [clock for clock in occupancy.completed.tolist()
                      if clock < whole * occupancy.width],
    }


def _raster(network, config, counts, beats):
    """When which channel of a layer sent a count that is not 0, or a train with spikes, for one
    sample.

    Returns
    -------
    ``clocks`` to the last logits; for each layer but the read-out its ``name``, its ``channels``,
    and ``runs``, each a channel and the clocks from which and until which it sent.
    """
    trace = network.run(counts)
    end = int(beats[config.readout.name][-1]) + 1
    width = -(-end // _RASTER_BINS)
    layers = []
    for layer in config.layers[:-1]:
        out = layer.out
        values = trace.maps[layer.name][0].transpose(1, 2, 0).reshape(-1, out.channels)
        fired = np.zeros((end // width + 2, out.channels), dtype=np.int8)
        position, channel = np.nonzero(values)
        chunk = position * out.chunks + channel // out.word
        at = beats[layer.name][chunk * out.slices + out.slices - 1] // width
        fired[at + 1, channel] = 1
        edges = np.diff(fired, axis=0, append=0)
        runs = []
        for number in range(out.channels):
            begin, until = (np.flatnonzero(edges[:, number] == sign) for sign in (1, -1))
            runs += [[number, int(low) * width, int(high) * width]
                     for low, high in zip(begin, until, strict=True)]
        layers.append({"name": layer.name, "channels": out.channels, "runs": runs})
    return {"clocks": end, "layers": layers}
