"""Which numbers, shapes and names a network may have, and how pixels become counts."""

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from gen.errors import NetworkError

__all__ = ["EXACT", "check_levels", "check_pixels", "check_values", "encode", "frozen",
           "require_length", "require_name", "require_padding", "require_pair",
           "require_positive"]

# Why every number fits 64 bits, and the 53 that float64 holds exactly. A Network is refused unless
#
#   (a)  pixel_max (2 input_levels + 1) < 2^53
#   (b)  the counts of every map are at most 2^24, and a map has at most 2^28 of them
#   (c)  in every layer with synapses  max |initial| + w max |bias| + sum over its bundles of
#        w' levels max_o sum_i |W_oi|  < 2^53
#   (d)  in every layer of neurons  threshold max(levels, greatest) < 2^53
#
# In (c), w is the number of wake steps whose charge adds up (Dynamics.charged), w' is w for the
# input, which charges in each of them, and 1 for spikes, and levels bounds the sum of a neuron's
# spikes at any time. Without time-steps w is 1, and there is no bias apart from the initial
# potential. In (d), greatest is the number of spikes in a time-step (Dynamics.greatest).
#
# Then, with all of it computed in int64, or in float64 by BLAS and by torch:
#
# * encoding computes 2 pixel input_levels + pixel_max, which is at most the left side of (a);
# * a sum of the counts of a map, whether in a pooling's window or over the whole map, is at most
#   2^52 by (b), and stays below 2^63 over 2^11 samples;
# * a charge is a sum of terms W n with 0 <= n <= levels, w' times. Every partial sum of them, in
#   any order, of one bundle or of all, with the initial potential and the biases or without, is at
#   most the left side of (c) in magnitude: so are charges, potentials and logits;
# * a threshold that phase code shifts by at most floor(log2 levels), or a burst or a phase by
#   greatest, is at most the left side of (d); a potential less that is above -2^54, so that a
#   membrane has at most 55 bits;
# * the sides themselves are computed in Python's integers, from sums of |W| <= 2^15, which only
#   2^48 weights could bring above 63 bits.
EXACT = 1 << 53
"""Bound of the integers that float64 holds exactly."""

_MAX_LEVELS = 1 << 24
_MAX_VALUES = 1 << 28

# Networks' names appear in tables, in Verilog and in names of files.
_LONGEST = 64


def frozen(array: ArrayLike, name: str) -> np.ndarray:
    """A read-only copy of integers, in 64 bits.

    Parameters
    ----------
    name : of the array, for the message

    Raises
    ------
    NetworkError
        If they are no integers, or 64 bits can't hold them.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{name} must be integers, not {array.dtype}")
    if array.dtype == np.uint64 and array.max(initial=0) >> np.uint64(63):
        raise NetworkError(f"{name} must be integers of 64 bits, signed, not {array.max()}")
    array = np.array(array, dtype=np.int64, order="C")
    array.setflags(write=False)
    return array


def require_length(name: str, what: str, most: int) -> None:
    """Refuse a name of more than ``most`` characters."""
    if len(name) > most:
        raise NetworkError(f"{what} must have at most {most} characters, not {len(name):,}: "
                           f"{name[:20]!r}...")


def require_pair(value: object, name: str, least: int) -> None:
    """Refuse a value that is no pair of integers of at least ``least``."""
    if (not isinstance(value, tuple) or len(value) != 2
            or not all(type(v) is int and v >= least for v in value)):
        raise NetworkError(f"{name} must be a pair of integers of at least {least}, not {value!r}")


def require_padding(padding: object, below: object, name: str) -> None:
    """Refuse padding that is no pair of integers, the second at least 0, or an odd one below."""
    if (not isinstance(padding, tuple) or len(padding) != 2
            or not all(type(v) is int for v in padding) or padding[1] < 0
            or (below is None and padding[0] < 0)):
        raise NetworkError(f"{name}: padding must be a pair of integers of at least 0, not "
                           f"{padding!r}")
    if below is not None and type(below) is not int:
        raise NetworkError(f"{name}: below must be an integer or None, not {below!r}")


def require_positive(value: object, name: str) -> None:
    """Refuse a value that is no positive integer."""
    if type(value) is not int or value < 1:
        raise NetworkError(f"{name} must be a positive integer, not {value!r}")


def check_levels(levels: int, name: str) -> None:
    """Refuse a greatest count that is no integer in 1..2^24."""
    require_positive(levels, name)
    if levels > _MAX_LEVELS:
        raise NetworkError(f"{name} must be at most {_MAX_LEVELS}, not {levels}")


def check_pixels(input_levels: int, pixel_max: int) -> None:
    """Refuse a greatest count and a greatest pixel for which :func:`encode` is not exact."""
    check_levels(input_levels, "input_levels")
    require_positive(pixel_max, "pixel_max")
    if pixel_max * (2 * input_levels + 1) >= EXACT:
        raise NetworkError(f"pixel_max must be less than {-(-EXACT // (2 * input_levels + 1))} "
                           f"with {input_levels} input levels, not {pixel_max}")


def encode(pixels: ArrayLike, *, input_levels: int, pixel_max: int) -> np.ndarray:
    """Raw pixels to counts: ``round(pixel * input_levels / pixel_max)``, half up.

    Parameters
    ----------
    pixels : integers in ``0..pixel_max``, of any shape
    input_levels, pixel_max : positive, see :func:`check_pixels`

    Raises
    ------
    NetworkError
        If the pixels, the levels or the greatest pixel are out of range.
    """
    check_pixels(input_levels, pixel_max)
    pixels = np.asarray(pixels)
    if pixels.dtype.kind not in "iu":
        raise NetworkError(f"images must be integers in 0..{pixel_max}, not {pixels.dtype}")
    if pixels.size and (pixels.min() < 0 or pixels.max() > pixel_max):
        raise NetworkError(f"pixels must lie in 0..{pixel_max}, not {pixels.min()}.."
                           f"{pixels.max()}")
    return (2 * input_levels * pixels.astype(np.int64) + pixel_max) // (2 * pixel_max)


def check_values(name: str, shape: tuple[int, ...]) -> None:
    """Refuse the shape of a map of more than 2^28 values."""
    if prod(shape) > _MAX_VALUES:
        raise NetworkError(f"{name}: a map must have at most {_MAX_VALUES} values, not {shape}")


def require_name(name: str) -> str:
    """A network's name as it is, if it can be one.

    Raises
    ------
    NetworkError
        If it is anything but letters, digits, ``-`` and ``_``, or has more than 64 characters.
    """
    if (not isinstance(name, str) or not name
            or not name.replace("-", "").replace("_", "").isalnum()):
        raise NetworkError(f"a network's name must be letters, digits, '-' and '_', not {name!r}")
    require_length(name, "a network's name", _LONGEST)
    return name
