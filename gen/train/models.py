"""Architectures of ``python -m gen train``: a batch norm and a :class:`Qcfs` after each layer."""

from collections.abc import Callable

import torch
from torch import nn

from gen.convert.qcfs import Qcfs

__all__ = ["MODELS", "cnn", "mlp", "resnet"]

_POOLS: dict[str, type[nn.AvgPool2d | nn.MaxPool2d]] = {
    "average": nn.AvgPool2d, "max": nn.MaxPool2d}


def cnn(shape: tuple[int, int, int], classes: int, *, channels: tuple[tuple[int, ...], ...],
        hidden: tuple[int, ...], levels: int, pool: str = "average",
        dropout: float = 0.0) -> nn.Sequential:
    """3x3 convolutions in stages, then linear layers.

    Parameters
    ----------
    shape : ``(C, H, W)`` of an image
    classes : number of scores
    channels : channels of the convolutions of each stage; each stage ends in a pooling by 2
    hidden : widths of the linear layers before the read-out
    levels : greatest spike count of a neuron
    pool : ``average`` or ``max``
    dropout : share of the linear layers' spikes that training drops
    """
    model = nn.Sequential()
    fan, height, width = shape
    count = 0
    for k, stage in enumerate(channels, start=1):
        for wide in stage:
            count += 1
            model.add_module(f"conv{count}", nn.Conv2d(fan, wide, 3, padding=1, bias=False))
            model.add_module(f"norm{count}", nn.BatchNorm2d(wide))
            model.add_module(f"spike{count}", Qcfs(levels))
            fan = wide
        model.add_module(f"pool{k}", _POOLS[pool](2))
        height, width = height // 2, width // 2
    return _head(model, fan * height * width, classes, hidden, levels, dropout)


def mlp(shape: tuple[int, int, int], classes: int, *, hidden: tuple[int, ...], levels: int,
        dropout: float = 0.0) -> nn.Sequential:
    """Linear layers only. The parameters are those of :func:`cnn`."""
    return _head(nn.Sequential(), shape[0] * shape[1] * shape[2], classes, hidden, levels, dropout)


def resnet(shape: tuple[int, int, int], classes: int, *, channels: tuple[tuple[int, ...], ...],
           levels: int) -> nn.Sequential:
    """A 3x3 convolution, residual blocks in stages, the average of each map, and the read-out.

    Parameters
    ----------
    shape, classes, levels : as of :func:`cnn`
    channels : channels of the blocks of each stage; the first block of each stage but the first
        halves the map, and the first convolution has the channels of the first block
    """
    model = nn.Sequential()
    fan = channels[0][0]
    model.add_module("conv", nn.Conv2d(shape[0], fan, 3, padding=1, bias=False))
    model.add_module("norm", nn.BatchNorm2d(fan))
    model.add_module("spike", Qcfs(levels))
    height, width = shape[1:]
    for k, stage in enumerate(channels, start=1):
        for n, wide in enumerate(stage, start=1):
            stride = 2 if n == 1 and k > 1 else 1
            model.add_module(f"block{k}_{n}", _Block(fan, wide, stride, levels))
            fan, height, width = wide, -(-height // stride), -(-width // stride)
    model.add_module("pool", nn.AvgPool2d((height, width)))
    return _head(model, fan, classes, (), levels, 0.0)


class _Block(nn.Module):
    """Two 3x3 convolutions, and a connection around them: the input itself, or a 1x1 convolution of
    it if the number of channels or the size of the map changes."""

    def __init__(self, fan: int, wide: int, stride: int, levels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan, wide, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.spike1 = Qcfs(levels)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or fan != wide:
            self.around = nn.Sequential(nn.Conv2d(fan, wide, 1, stride, bias=False),
                                        nn.BatchNorm2d(wide))
        self.spike2 = Qcfs(levels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` values of spikes -> those of the block."""
        inner = self.spike1(self.norm1(self.conv1(x)))
        return self.spike2(self.norm2(self.conv2(inner)) + self.around(x))


def _head(model: nn.Sequential, fan: int, classes: int, hidden: tuple[int, ...],
          levels: int, dropout: float) -> nn.Sequential:
    model.add_module("flatten", nn.Flatten())
    for k, wide in enumerate(hidden, start=1):
        model.add_module(f"fc{k}", nn.Linear(fan, wide, bias=False))
        model.add_module(f"norm_fc{k}", nn.BatchNorm1d(wide))
        model.add_module(f"spike_fc{k}", Qcfs(levels))
        model.add_module(f"dropout{k}", nn.Dropout(dropout))
        fan = wide
    model.add_module("readout", nn.Linear(fan, classes))
    return model


MODELS: dict[str, Callable[..., nn.Sequential]] = {"cnn": cnn, "mlp": mlp, "resnet": resnet}
"""The architectures by name."""
