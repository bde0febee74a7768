"""Images as a module takes them: real numbers, made of integers when they are needed."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["Images", "Pixels"]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images that are kept as integers, which take a quarter of the memory, and become real numbers
    in 0..1 a few at a time.

    Parameters
    ----------
    raw : ``(N, ...)`` integers in ``0..pixel_max``
    pixel_max : the integer that stands for 1
    """

    raw: np.ndarray
    pixel_max: int

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the integers."""
        return self.raw.shape

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.raw[part] / np.float32(self.pixel_max)


Images: TypeAlias = np.ndarray | Pixels
"""``(N, ...)`` real numbers."""
