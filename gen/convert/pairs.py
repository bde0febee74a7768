"""Counts with a sign, as pairs of neurons that have none (docs/methods.md, 16).

A count ``n`` in ``-levels..levels`` is the difference of those of two neurons, of which one is
silent. They are neighbours: channel ``c`` becomes the channels ``2 c`` and ``2 c + 1``, so that
groups of channels stay together.
"""

import numpy as np

__all__ = ["paired_potentials", "paired_weights"]


def paired_weights(weights: np.ndarray, *, source: bool, own: bool) -> np.ndarray:
    """Weights ``(O, I, KY, KX)`` for pairs.

    Parameters
    ----------
    source : whether each channel of the source is a pair: then the second has the opposite weight
    own : whether each channel of the layer is a pair: then the second has the opposite charge
    """
    if source:
        weights = _beside(weights, -weights, 1)
    return _beside(weights, -weights, 0) if own else weights


def paired_potentials(bias: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Initial potentials ``(2 C,)`` with which pairs round as one neuron with half its threshold
    and a ``bias`` would, if its counts had a sign.

    The first has half a threshold, ``theta >> 1``. For the second an exact half is rounded the
    other way, towards 0, because ``-floor(y / theta) = floor((theta - 1 - y) / theta)``.
    """
    half = theta >> 1
    return _beside(bias + half, theta - 1 - half - bias, 0)


def _beside(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    """Two arrays whose entries along an axis alternate."""
    shape = [2 * n if a == axis else n for a, n in enumerate(first.shape)]
    return np.stack((first, second), axis + 1).reshape(shape)
