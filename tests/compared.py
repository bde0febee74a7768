"""Conversions compared with what they were made of."""

import numpy as np
import torch

from gen.convert.conversion import to_quantised

__all__ = ["compared", "images"]


def images(shape, number=24, seed=1):
    """Images of independent pixels, 0..1."""
    return np.random.default_rng(seed).random((number, *shape), dtype=np.float32)


def compared(model, shape, levels=63, **options):
    """Convert a module, and compare every count of the integers with the quantised module's.

    Returns
    -------
    The network in integers, the lowered module, and the mean error of the scores, relative to the
    deviation of the module's.
    """
    quantised, lowered, _ = to_quantised(model.eval(), images(shape), levels=levels, **options)
    network = quantised.eval().to_network("net")
    counts = np.random.default_rng(2).integers(0, 256, (8, *network.input_shape))
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
        wanted = model(lowered.real(torch.from_numpy(counts / 255).float().reshape(8, *shape)))
    for layer, value in trace.counts.items():
        assert np.array_equal(value, theirs[layer].numpy()), layer
    scores = torch.from_numpy(trace.logits) * quantised.logit_step
    ((result, part),) = lowered.parted(scores.float())
    own = result.of(part)
    return network, lowered, float((own.reshape(wanted.shape) - wanted).abs().mean() / wanted.std())
