"""How an input is drawn: as planes of rows and columns."""

from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

__all__ = ["Picture", "picture_of"]


@dataclass(frozen=True)
class Picture:
    """The pixels of an input ``(C, H, W)`` in planes, rows and columns.

    Parameters
    ----------
    shape : of the input
    planes, height, width : of the picture
    sequence : whether its rows are the elements of a sequence, and its columns their channels
    """

    shape: tuple[int, int, int]
    planes: int
    height: int
    width: int
    sequence: bool = False

    def to_input(self, pixels: list[int]) -> np.ndarray:
        """Input ``(C, H, W)`` of the pixels of a picture, flat."""
        values = np.array(pixels)
        if self.sequence:
            return values.reshape(self.height, self.width).T[:, :, None]
        return values.reshape(self.shape)

    def to_pixels(self, image: list[int]) -> list[int]:
        """Inverse of :meth:`to_input`, of a flat input."""
        values = np.array(image).reshape(self.shape)
        return (values[:, :, 0].T if self.sequence else values).ravel().tolist()


def picture_of(shape: tuple[int, int, int]) -> Picture:
    """How an input is drawn.

    A sequence of vectors has a row for each element. A vector, or a sequence of single values, is
    the rectangle of so many pixels that is closest to a square. Anything else has a plane for each
    channel.

    Parameters
    ----------
    shape : ``(C, H, W)``
    """
    channels, height, width = shape
    size = prod(shape)
    if size in shape:
        rows = next(rows for rows in range(isqrt(size), 0, -1) if size % rows == 0)
        return Picture(shape, 1, rows, size // rows)
    if width == 1:
        return Picture(shape, 1, height, channels, sequence=True)
    return Picture(shape, channels, height, width)
