"""Architectures of ``python -m gen train``: a batch norm and an activation after each layer."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.recurrent import Recurrent

__all__ = ["MODELS", "Activation", "cnn", "mlp", "resnet", "rnn"]

Activation: TypeAlias = Callable[[], nn.Module]
"""Makes an activation."""

_POOLS: dict[str, type[nn.AvgPool2d | nn.MaxPool2d]] = {
    "average": nn.AvgPool2d, "max": nn.MaxPool2d}


def cnn(shape: tuple[int, int, int], classes: int, *, channels: tuple[tuple[int, ...], ...],
        hidden: tuple[int, ...], activation: Activation, pool: str = "average",
        dropout: float = 0.0, norm: bool = True) -> nn.Sequential:
    """3x3 convolutions in stages, then linear layers.

    Parameters
    ----------
    shape : ``(C, H, W)`` of an image
    classes : number of scores
    channels : channels of the convolutions of each stage; each stage ends in a pooling by 2
    hidden : widths of the linear layers before the read-out
    activation : after each layer but the last
    pool : ``average`` or ``max``
    dropout : share of the linear layers' spikes that training drops
    norm : whether there are batch norms; otherwise the layers have biases
    """
    model = nn.Sequential()
    fan, height, width = shape
    count = 0
    for k, stage in enumerate(channels, start=1):
        for wide in stage:
            count += 1
            model.add_module(f"conv{count}", nn.Conv2d(fan, wide, 3, padding=1, bias=not norm))
            if norm:
                model.add_module(f"norm{count}", nn.BatchNorm2d(wide))
            model.add_module(f"spike{count}", activation())
            fan = wide
        model.add_module(f"pool{k}", _POOLS[pool](2))
        height, width = height // 2, width // 2
    return _head(model, fan * height * width, classes, hidden, activation, dropout, norm)


def mlp(shape: tuple[int, int, int], classes: int, *, hidden: tuple[int, ...],
        activation: Activation, dropout: float = 0.0, norm: bool = True) -> nn.Sequential:
    """Linear layers only. The parameters are those of :func:`cnn`."""
    return _head(nn.Sequential(), shape[0] * shape[1] * shape[2], classes, hidden, activation,
                 dropout, norm)


def resnet(shape: tuple[int, int, int], classes: int, *, channels: tuple[tuple[int, ...], ...],
           activation: Activation, norm: bool = True) -> nn.Sequential:
    """A 3x3 convolution, residual blocks in stages, the average of each map, and the read-out.

    Parameters
    ----------
    shape, classes, activation, norm : as of :func:`cnn`
    channels : channels of the blocks of each stage; the first block of each stage but the first
        halves the map, and the first convolution has the channels of the first block
    """
    model = nn.Sequential()
    fan = channels[0][0]
    model.add_module("conv", nn.Conv2d(shape[0], fan, 3, padding=1, bias=not norm))
    model.add_module("norm", nn.BatchNorm2d(fan) if norm else nn.Identity())
    model.add_module("spike", activation())
    height, width = shape[1:]
    for k, stage in enumerate(channels, start=1):
        for n, wide in enumerate(stage, start=1):
            stride = 2 if n == 1 and k > 1 else 1
            model.add_module(f"block{k}_{n}", _Block(fan, wide, stride, activation, norm))
            fan, height, width = wide, -(-height // stride), -(-width // stride)
    model.add_module("pool", nn.AvgPool2d((height, width)))
    return _head(model, fan, classes, (), activation, 0.0, norm)


class _Block(nn.Module):
    """Two 3x3 convolutions, and a connection around them: the input itself, or a 1x1 convolution of
    it if the number of channels or the size of the map changes."""

    def __init__(self, fan: int, wide: int, stride: int, activation: Activation,
                 norm: bool) -> None:
        super().__init__()
        norms = nn.BatchNorm2d if norm else nn.Identity
        self.conv1 = nn.Conv2d(fan, wide, 3, stride, padding=1, bias=not norm)
        self.norm1 = norms(wide)
        self.spike1 = activation()
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=not norm)
        self.norm2 = norms(wide)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or fan != wide:
            self.around = nn.Sequential(nn.Conv2d(fan, wide, 1, stride, bias=not norm),
                                        norms(wide))
        self.spike2 = activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` values of spikes -> those of the block."""
        inner = self.spike1(self.norm1(self.conv1(x)))
        return self.spike2(self.norm2(self.conv2(inner)) + self.around(x))


def rnn(shape: tuple[int, int, int], classes: int, *, hidden: tuple[int, ...],
        activation: Activation, front: tuple[tuple[int, int, int], ...] = (),
        diagonal: bool = False, dropout: float = 0.0, norm: bool = True) -> nn.Sequential:
    """Recurrent layers over the rows of a map, and a read-out of the last row.

    Parameters
    ----------
    shape, classes, activation, norm : as of :func:`cnn`
    hidden : widths of the recurrent layers
    front : channels, kernel and stride of causal convolutions over time before them
    diagonal : whether each neuron sees only its own spikes (IndRNN)
    dropout : share of the last row's spikes that training drops
    """
    model = nn.Sequential()
    fan, _, width = shape
    layers = [(f"conv{k}", *each) for k, each in enumerate(front, start=1)]
    layers += [(f"rnn{k}", wide, 1, 1) for k, wide in enumerate(hidden, start=1)]
    for name, wide, kernel, stride in layers:
        if kernel > 1:
            model.add_module(f"before_{name}", _Before(kernel - 1))
        model.add_module(name, nn.Conv2d(fan, wide, (kernel, width), (stride, 1), bias=not norm))
        if norm:
            model.add_module(f"norm_{name}", nn.BatchNorm2d(wide))
        spikes = activation()
        if name.startswith("rnn"):
            spikes = Recurrent(wide, spikes, diagonal=diagonal)
        model.add_module(f"spike_{name}", spikes)
        fan, width = wide, 1
    model.add_module("last", _Last())
    model.add_module("dropout", nn.Dropout(dropout))
    return _head(model, fan, classes, (), activation, 0.0, norm)


class _Before(nn.Module):
    """Rows of zeros before the first one, so that a convolution sees no later row."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` -> ``(N, C, rows + H, W)``."""
        return F.pad(x, (0, 0, self.rows, 0))


class _Last(nn.Module):
    """The last row of a map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, H, W)`` -> ``(N, C, 1, W)``."""
        return x[:, :, -1:]


def _head(model: nn.Sequential, fan: int, classes: int, hidden: tuple[int, ...],
          activation: Activation, dropout: float, norm: bool) -> nn.Sequential:
    model.add_module("flatten", nn.Flatten())
    for k, wide in enumerate(hidden, start=1):
        model.add_module(f"fc{k}", nn.Linear(fan, wide, bias=not norm))
        if norm:
            model.add_module(f"norm_fc{k}", nn.BatchNorm1d(wide))
        model.add_module(f"spike_fc{k}", activation())
        model.add_module(f"dropout{k}", nn.Dropout(dropout))
        fan = wide
    model.add_module("readout", nn.Linear(fan, classes))
    return model


MODELS: dict[str, Callable[..., nn.Sequential]] = {
    "cnn": cnn, "mlp": mlp, "resnet": resnet, "rnn": rnn,
    "indrnn": partial(rnn, diagonal=True), "crnn": rnn}
"""The architectures by name."""
