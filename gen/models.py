"""What ``python -m gen train`` can train: a batch norm and a :class:`Qcfs` after each layer."""

from torch import nn

from .qcfs import Qcfs

__all__ = ["MODELS", "cnn", "mlp"]


def cnn(shape: tuple[int, int, int], classes: int, *, channels: tuple[int, ...], hidden: int,
        levels: int, dropout: float = 0.0) -> nn.Sequential:
    """3x3 convolutions, each halved by average pooling, then one hidden linear layer."""
    model = nn.Sequential()
    fan, height, width = shape
    for k, wide in enumerate(channels, start=1):
        model.add_module(f"conv{k}", nn.Conv2d(fan, wide, 3, padding=1, bias=False))
        model.add_module(f"norm{k}", nn.BatchNorm2d(wide))
        model.add_module(f"spike{k}", Qcfs(levels))
        model.add_module(f"pool{k}", nn.AvgPool2d(2))
        fan, height, width = wide, height // 2, width // 2
    return _head(model, fan * height * width, classes, (hidden,), levels, dropout)


def mlp(shape: tuple[int, int, int], classes: int, *, hidden: tuple[int, ...], levels: int,
        dropout: float = 0.0) -> nn.Sequential:
    """Linear layers only."""
    return _head(nn.Sequential(), shape[0] * shape[1] * shape[2], classes, hidden, levels, dropout)


def _head(model: nn.Sequential, fan: int, classes: int, hidden, levels: int, dropout: float):
    model.add_module("flatten", nn.Flatten())
    for k, wide in enumerate(hidden, start=1):
        model.add_module(f"fc{k}", nn.Linear(fan, wide, bias=False))
        model.add_module(f"norm_fc{k}", nn.BatchNorm1d(wide))
        model.add_module(f"spike_fc{k}", Qcfs(levels))
        model.add_module(f"dropout{k}", nn.Dropout(dropout))
        fan = wide
    model.add_module("readout", nn.Linear(fan, classes))
    return model


MODELS = {"cnn": cnn, "mlp": mlp}
