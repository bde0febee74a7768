"""Architectures of ``python -m gen train``: a batch norm and a :class:`Qcfs` after each layer."""

from collections.abc import Callable

from torch import nn

from gen.convert.qcfs import Qcfs

__all__ = ["MODELS", "cnn", "mlp"]

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


MODELS: dict[str, Callable[..., nn.Sequential]] = {"cnn": cnn, "mlp": mlp}
"""The architectures by name."""
