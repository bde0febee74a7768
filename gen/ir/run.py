"""Run a network on images, in integers."""

from pathlib import Path

import numpy as np

from gen.data.datasets import load, read_array
from gen.errors import DataError
from gen.system.progress import bar

from .batches import batches
from .logits import predicted
from .network import Network
from .pixels import pixels_of
from .spikes import neuron_spikes

__all__ = ["run"]


def run(network: Network, *, images_file: str | Path | None = None, dataset: str | None = None,
        data_dir: str | Path | None = None, limit: int | None = None,
        progress: bool = True) -> dict:
    """Predictions and spikes of a network on an image file or on the test images of a data set.

    Parameters
    ----------
    images_file : ``.npy`` file of raw images, in a shape that :meth:`Network.shaped` takes
    dataset, data_dir : see :func:`gen.data.datasets.load`; by default the data set that the
        network was trained on
    limit : only the first images
    progress : show a bar on standard error

    Returns
    -------
    ``network``, ``images``; ``accuracy`` (None without labels); ``spikes``, the mean number for an
    image of all neurons of each layer; ``rates``, the same for a neuron; ``images_exact``, those
    whose logits are those of the quantised network because all neurons are quiet (``None`` if they
    need never become so); ``predictions``.

    Raises
    ------
    DataError
        If the images can't be read, there are none, or no data set is known.
    NetworkError
        If the network does not take the images.
    """
    images, labels, source = _inputs(network, images_file, dataset, data_dir)
    images = images[:limit]
    if not len(images):
        raise DataError(f"{source} has no images")
    spikes, logits, exact = _totals(network, images, progress)
    predictions = predicted(logits)
    correct = None if labels is None else predictions == labels[:limit]
    return {
        "network": network.name,
        "images": len(images),
        "accuracy": None if correct is None else float(correct.mean()),
        "spikes": {name: total / len(images) for name, total in spikes.items()},
        "rates": {name: total / len(images) / int(np.prod(network.shapes[name]))
                  for name, total in spikes.items()},
        "images_exact": exact,
        "predictions": predictions.tolist(),
    }


def _inputs(network, images_file, dataset, data_dir):
    """Images, labels or ``None``, and where they come from."""
    if images_file is not None:
        return pixels_of(network, read_array(images_file)), None, images_file
    dataset = dataset or network.metadata.get("dataset")
    if dataset is None:
        raise DataError(f"{network.name} does not say what it was trained on; give images or "
                        f"--dataset")
    data = load(dataset, data_dir)
    return data.test_images, data.test_labels, dataset


def _totals(network, images, progress):
    """Spikes of each layer over all images, logits, and how many images are exact or ``None``."""
    spikes = dict.fromkeys((name for name in network.levels), 0)
    logits, exact = [], None
    for part in bar(batches(network, len(images)), desc="run", unit="batch",
                    disable=not progress):
        counts = network.encode(images[part])
        trace = network.run(counts)
        for name, values in neuron_spikes(network, trace, counts).items():
            spikes[name] += int(values.sum())
        logits.append(trace.logits)
        exact = network.count_exact(trace, exact)
    return spikes, np.concatenate(logits), exact
