"""Trains as the maps between layers have them."""

from collections.abc import Mapping

import numpy as np

from gen.ir.layers import INPUT
from gen.ir.network import Trace
from hw.config import ArrayConfig
from hw.maps import MapConfig

__all__ = ["travelling"]

# Bits that a number of numpy has for a train.
_WIDTH = 62


def _encoded(train: np.ndarray, fmap: MapConfig) -> np.ndarray:
    """``(T, N, C, H, W)`` spikes of each time-step -> ``(N, C, H, W)`` trains, see
    :class:`hw.maps.MapConfig`."""
    result = np.zeros(train.shape[1:], dtype=np.int64 if fmap.bits <= _WIDTH else object)
    for fired in train.astype(result.dtype):
        result = result << fmap.levels.bit_length() | fired * (fired > 0)
        result = result << (-fmap.low).bit_length() | -fired * (fired < 0)
    return result


def travelling(trace: Trace, config: ArrayConfig) -> Mapping[str, np.ndarray]:
    """What travels between the layers of an array, by layer and :data:`gen.ir.layers.INPUT`:
    ``(N, C, H, W)`` counts, or trains.

    Parameters
    ----------
    trace : of the network that the array computes
    """
    maps = {INPUT: config.input, **{layer.name: layer.out for layer in config.layers}}
    return {name: _encoded(trace.trains[name], maps[name]) if name in trace.trains else counts
            for name, counts in trace.counts.items()}
