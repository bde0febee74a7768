"""The convolutions that charge membranes, and the axes that PyTorch has for their maps."""

from dataclasses import dataclass
from enum import Enum

import torch
from torch.nn import functional as F

__all__ = ["Form", "Term"]


class Form(Enum):
    """The axes that PyTorch has for a map ``(C, H, W)``. Rows are the elements of a sequence.

    An axis is one of the samples (``N``) or of the map, or several of the map one in the other.
    Axes that are missing have the size 1.
    """

    MAP = "a map of (C, H, W)", ("N", "C", "H", "W")
    VECTOR = "flattened", ("N", "CHW")
    CHANNELS = "a sequence of (channels, elements)", ("N", "C", "H")
    ELEMENTS = "a sequence of (elements, features)", ("N", "H", "C")
    FLATTENED = "a flattened sequence of (elements, features)", ("N", "HC")
    LEADING = "a sequence of (elements, samples, features)", ("H", "N", "C")
    COLUMNS = "one row of a map, (C, W)", ("N", "C", "W")
    PLANE = "one channel of a map, (H, W)", ("N", "H", "W")
    SINGLE = "one value a sample", ("N",)

    @property
    def label(self) -> str:
        """What a tensor is, without the axis of the samples."""
        return self.value[0]

    @property
    def layout(self) -> tuple[str, ...]:
        """What each axis is: letters of ``NCHW``."""
        return self.value[1]

    @property
    def axes(self) -> int:
        """The number of axes, with that of the samples."""
        return len(self.layout)

    def as_map(self, x: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """A tensor of this form as ``(N, C, H, W)``."""
        sizes = dict(zip("NCHW", (-1, *shape), strict=True))
        # Those that are missing come last.
        order = "".join(dict.fromkeys("".join(self.layout) + "NCHW"))
        return x.reshape([sizes[axis] for axis in order]).permute(
            [order.index(axis) for axis in "NCHW"])


@dataclass(frozen=True)
class Term:
    """One convolution of one map.

    Members
    -------
    path : of the module whose convolution it is
    source : the layer that sends the counts
    step : the layer whose step the counts have
    factor : of the map, see :class:`Map`
    weight : ``(O, I / groups, KY, KX)`` real numbers
    stride, padding, below : see :class:`gen.ir.synapses.Synapses`
    groups : as in ``torch.nn.Conv2d``
    wide : whether weights are not trained and have as many bits as they need: those of residual
        connections and of constants
    identity : whether this is the diagonal of a residual connection
    unit : ``(O,)``: the weights of each output channel are whole multiples of it; or None
    """

    path: str
    source: str
    step: str
    factor: float
    weight: torch.Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    wide: bool = False
    identity: bool = False
    below: int | None = None
    unit: torch.Tensor | None = None

    def convolved(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The convolution of ``(N, C, H, W)`` values with weights like :attr:`weight`."""
        if self.below is None:
            return F.conv2d(x, weight, None, self.stride, self.padding, 1, self.groups)
        above, beside = self.padding
        x = F.pad(x, (beside, beside, max(0, above), max(0, self.below)))
        x = x[:, :, max(0, -above):x.shape[2] - max(0, -self.below)]
        return F.conv2d(x, weight, None, self.stride, 0, 1, self.groups)
