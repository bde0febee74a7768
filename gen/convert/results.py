"""The results of a module, as its read-out has them."""

from dataclasses import dataclass

import torch

from .final import FINAL, OVER_CLASSES
from .terms import Form

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """One of a module's results.

    Members
    -------
    name : its key or its place; empty if it is the only one
    shape : ``(C, H, W)``
    form : axes that it has in PyTorch
    function : what makes it of its scores, one of :data:`.final.FINAL`, or nothing
    """

    name: str
    shape: tuple[int, int, int]
    form: Form
    function: str = ""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"the result {self.name!r}" if self.name else "the result"

    @property
    def positions(self) -> tuple[int, ...]:
        """The sizes of its axes without those of the samples and of the channels."""
        sizes = dict(zip("CHW", self.shape, strict=True))
        return tuple(sizes[axis] for axis in self.form.layout if axis in ("H", "W"))

    @property
    def has_classes(self) -> bool:
        """Whether the greatest channel of each position can name a class."""
        apart = "C" in self.form.layout or self.shape[1:] == (1, 1)
        return apart and self.shape[0] > 1

    @property
    def names_classes(self) -> bool:
        """Whether it is that of a classifier as far as one can tell: several channels of one
        position, or a softmax over them."""
        return self.has_classes and (self.shape[1:] == (1, 1) or self.function in OVER_CLASSES)

    def of(self, scores: torch.Tensor) -> torch.Tensor:
        """The result for scores ``(N, C, H, W)``, of that shape."""
        return FINAL[self.function](scores) if self.function else scores
