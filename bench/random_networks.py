"""Layers with random weights, for benchmarks of networks of any size."""

import numpy as np

from gen.ir.layers import Neurons, Readout
from gen.ir.synapses import Synapses

__all__ = ["random_neurons", "random_readout", "random_synapses"]


def random_synapses(rng, source, shape, *, bits, **options):
    """Synapses with any weights of ``bits`` bits."""
    most = 1 << bits - 1
    return Synapses(source, rng.integers(-most, most, shape), bits=bits, **options)


def random_neurons(rng, name, *bundles, levels):
    """Neurons that fire about as often as those of a trained network, for any weights in the first
    bundle, and few or small ones in the others."""
    fan = sum(bundle.weights[0].size for bundle in bundles)
    steps = (1 << bundles[0].bits) / 8
    threshold = np.full(bundles[0].out_channels, 1 + int(steps * fan ** 0.5))
    return Neurons(name, bundles, rng.integers(0, threshold + 1), threshold, levels)


def random_readout(rng, source, channels):
    """A read-out of ten classes, with weights of 8 bits, of a map with one position."""
    return Readout("readout", (random_synapses(rng, source, (10, channels, 1, 1), bits=8),),
                   np.zeros(10, np.int64))
