"""Images as sequences. The elements are the rows of the result, ``(N, features, elements, 1)``."""

import hashlib

import numpy as np

__all__ = ["permuted", "pixels", "rows"]


def rows(images: np.ndarray) -> np.ndarray:
    """``(N, 1, H, W)`` images, row by row: ``(N, W, H, 1)``."""
    return np.ascontiguousarray(images.transpose(0, 3, 2, 1))


def pixels(images: np.ndarray) -> np.ndarray:
    """``(N, 1, H, W)`` images, pixel by pixel, in the order of the rows: ``(N, 1, H * W, 1)``."""
    return images.reshape(len(images), 1, -1, 1)


def permuted(images: np.ndarray) -> np.ndarray:
    """As :func:`pixels`, in an order that is always the same, and looks random: that of the SHA-256
    digests of the pixels' numbers."""
    sequence = pixels(images)
    order = sorted(range(sequence.shape[2]),
                   key=lambda k: hashlib.sha256(str(k).encode()).digest())
    return sequence[:, :, order]
