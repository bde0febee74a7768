"""Images as a module takes them: real numbers, made of integers when they are needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

__all__ = ["Images", "Pixels", "Scaled"]


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


@dataclass(frozen=True, eq=False)
class Scaled:
    """Images that become what the module is given a few at a time.

    Parameters
    ----------
    images : values of 0..1
    scale : makes of them what the module is given
    """

    images: "Images"
    scale: Callable[[torch.Tensor], torch.Tensor]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images."""
        return self.images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> np.ndarray:
        values = np.array(self.images[part], dtype=np.float32)
        return self.scale(torch.from_numpy(values)).numpy()


Images: TypeAlias = np.ndarray | Pixels | Scaled
"""``(N, ...)`` real numbers."""
