"""Images as sequences. The elements are the rows of the result, ``(N, features, elements, 1)``."""

import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

__all__ = ["Reading", "permuted", "pixels", "rows"]

# An array of numpy's, or a tensor of PyTorch's, which is not needed here.
_Array = TypeVar("_Array", bound=Any)


@dataclass(frozen=True, eq=False)
class Reading:
    """How a grey image is read.

    Parameters
    ----------
    order : ``(features, elements)``, the number of each pixel, counted row by row
    height, width : of the image
    """

    order: np.ndarray
    height: int
    width: int

    def read(self, images: _Array) -> _Array:
        """``(N, 1, height, width)`` images -> ``(N, features, elements, 1)`` sequences."""
        return images.reshape(len(images), -1)[:, self.order][..., None]

    def images(self, sequences: _Array) -> _Array:
        """``(N, features, elements, 1)`` sequences -> ``(N, 1, height, width)`` images."""
        back = np.argsort(self.order, axis=None)
        return sequences.reshape(len(sequences), -1)[:, back].reshape(
            len(sequences), 1, self.height, self.width)


def rows(height: int, width: int) -> Reading:
    """Row by row: a feature for each column."""
    return Reading(np.arange(height * width).reshape(height, width).T, height, width)


def pixels(height: int, width: int) -> Reading:
    """Pixel by pixel, in the order of the rows."""
    return Reading(np.arange(height * width)[None], height, width)


def permuted(height: int, width: int) -> Reading:
    """As :func:`pixels`, in an order that is always the same, and looks random: that of the SHA-256
    digests of the pixels' numbers."""
    order = sorted(range(height * width), key=lambda k: hashlib.sha256(str(k).encode()).digest())
    return Reading(np.array([order]), height, width)
