"""The spikes of each layer for single images, to be drawn."""

import base64

import numpy as np

from gen.build.design import Design
from gen.ir.layers import INPUT
from gen.ir.network import Network
from gen.ir.spikes import neuron_spikes

from . import recorded

__all__ = ["answer", "described"]

_SAMPLES = 16
"""The most samples of a network that are described."""


def described(network: Network) -> dict:
    """What is the same for all images: name and shape of each ``layer`` that sends spikes, in
    their order, and raw images (``samples``), flat, in the order (C, H, W)."""
    samples = () if network.samples is None else network.samples[:_SAMPLES]
    return {"layers": [{"name": name, "shape": network.shapes[name]} for name in _sending(network)],
            "samples": [sample.ravel().tolist() for sample in samples]}


def answer(design: Design, image: list[int], timesteps: int, beats: str | None = None) -> dict:
    """What the network computes for an image.

    Parameters
    ----------
    image : raw pixels, flat, in the order (C, H, W)
    timesteps : of the run
    beats : path of what the virtual board has recorded for this image alone

    Returns
    -------
    ``logits``; for each layer the number of its ``spikes``, those of each neuron (``counts``) and,
    with time-steps, of each step (``steps``), negative where they are taken back: 16-bit integers,
    little endian, in Base64; ``beats``, how many are recorded, and the first ``difference`` from
    the network, both ``None`` without a record.

    Raises
    ------
    NetworkError
        If the network does not take the image, or not so many time-steps.
    """
    network = design.network
    counts = network.encode(np.array(image).reshape(1, *network.input_shape))
    trace = network.run(counts, timesteps=timesteps)
    spikes = neuron_spikes(network, trace, counts)
    layers = [{"spikes": int(spikes[name].sum()), "counts": _text(spikes[name][0]),
               "steps": _text(trace.trains[name][:, 0]) if name in trace.trains else None}
              for name in _sending(network)]
    said = {"logits": trace.logits[0].tolist(), "layers": layers, "beats": None, "difference": None}
    if beats is not None:
        records = recorded.read(beats)
        said["beats"] = len(records)
        said["difference"] = recorded.difference(design.config, records, trace)
    return said


def _sending(network):
    return [name for name in network.levels if name != INPUT]


def _text(values):
    return base64.b64encode(values.astype("<i2").tobytes()).decode()
