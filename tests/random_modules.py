"""Random modules of what the front end takes."""

import random

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["SHAPE", "RandomModule"]

SHAPE = (3, 6, 6)

_SMALL = 4096
"""Values of a map that are not exceeded."""


class _Refused(Exception):
    """A step does not fit the values that there are."""


class RandomModule(nn.Module):
    """A chain of random steps, which may look back at earlier values, and a linear layer.

    Parameters
    ----------
    seed : of the steps, and of their weights
    """

    def __init__(self, seed):
        super().__init__()
        self._random = random.Random(seed)
        torch.manual_seed(seed)
        self.layers, self._steps = nn.ModuleList(), []
        self.eval()
        values = [torch.rand(2, *SHAPE)]
        wanted = self._random.randrange(3, 9)
        while len(self._steps) < wanted:
            kind = self._random.choice(_KINDS)
            made = len(self.layers)
            try:
                step = kind(self, values)
                with torch.no_grad():
                    value = step(values)
            except (_Refused, RuntimeError):
                del self.layers[made:]
                continue
            if value[0].numel() <= _SMALL and min(value.shape) > 0:
                self._steps.append(step)
                values.append(value)
        self.head = nn.Linear(values[-1][0].numel(), 4)
        self.eval()

    def forward(self, x):
        """Scores ``(N, 4)``."""
        values = [x]
        for step in self._steps:
            values.append(step(values))
        return self.head(values[-1].flatten(1))

    def pick(self, *choices):
        """One of some choices."""
        return self._random.choice(choices)

    def layer(self, module):
        """A step that applies a module."""
        k = len(self.layers)
        self.layers.append(module.eval())
        return lambda values: self.layers[k](values[-1])


def _conv(net, values):
    channels, pick = values[-1].shape[1], net.pick
    groups = pick(1, 1, 2, channels)
    out = pick(4, 6, 8) if groups != channels else channels
    if channels % groups or out % groups:
        raise _Refused
    return net.layer(nn.Conv2d(channels, out, pick(1, 2, 3, (1, 3)), stride=pick(1, 1, 2),
                               padding=pick(0, 0, 1, 2), dilation=pick(1, 1, 2), groups=groups))


def _transposed(net, values):
    channels, pick = values[-1].shape[1], net.pick
    groups = pick(1, 1, 2)
    if channels % groups:
        raise _Refused
    return net.layer(nn.ConvTranspose2d(channels, 4, pick(2, 3, 4), stride=pick(1, 2),
                                        padding=pick(0, 1), groups=groups))


def _norm(net, values):
    norm = nn.BatchNorm2d(values[-1].shape[1])
    norm.running_mean.normal_(0, 0.3)
    norm.running_var.uniform_(0.5, 1.5)
    norm.weight.data.normal_(0.8, 0.4)
    norm.bias.data.normal_(0, 0.3)
    return net.layer(norm)


def _activation(net, values):
    return net.pick(
        lambda values: values[-1].relu(), lambda values: F.relu6(values[-1]),
        lambda values: F.leaky_relu(values[-1], 0.2), lambda values: values[-1].clamp(0.1, 0.7),
        lambda values: F.hardtanh(values[-1], -0.4, 0.6), lambda values: torch.tanh(values[-1]),
        lambda values: F.hardsigmoid(values[-1]), lambda values: F.silu(values[-1]),
        net.layer(nn.PReLU(values[-1].shape[1])))


def _pool(net, values):
    kernel, stride, padding = net.pick(2, 3), net.pick(1, 2), net.pick(0, 1)
    pool = net.pick(F.max_pool2d, F.avg_pool2d)
    return lambda values: pool(values[-1], kernel, stride, padding)


def _adaptive(net, values):
    size = net.pick(1, 2, 3, 6)
    return lambda values: F.adaptive_avg_pool2d(values[-1], size)


def _pad(net, values):
    sides = tuple(net.pick(0, 0, 1, 2, -1) for _ in range(4)) + net.pick((), (0, 2), (1, 0))
    return lambda values: F.pad(values[-1], sides)


def _slice(net, values):
    first, step, row, rows = (net.pick(0, 1), net.pick(1, 1, 2), net.pick(0, 1), net.pick(1, 2))
    return net.pick(lambda values: values[-1][:, first::step],
                    lambda values: values[-1][:, :, row::rows, first::step])


def _joined(net, values):
    k = net.pick(*range(len(values)))
    return net.pick(lambda values: torch.cat((values[-1], values[k]), 1),
                    lambda values: values[-1] + values[k],
                    lambda values: values[-1] - 0.5 * values[k],
                    lambda values: torch.cat((values[-1], 0.1 - 0.5 * values[-1]), 1))


def _scaled(net, values):
    gain, shift = net.pick(0.5, -0.7, 2), net.pick(0, 0.3, -0.2)
    return lambda values: values[-1] * gain + shift


def _enlarged(net, values):
    scale = net.pick(2, (1, 2), 3)
    return net.pick(lambda values: F.interpolate(values[-1], scale_factor=scale),
                    lambda values: F.pixel_shuffle(values[-1], 2))


def _shuffled(net, values):
    return lambda values: F.channel_shuffle(values[-1], 2)


def _coded(net, values):
    """A map, by way of a vector: its activation comes before or after it is a map again."""
    size = net.pick((2, 3, 3), (4, 2, 4), (6, 1, 1), (1, 5, 4))
    code, width = values[-1][0].numel(), size[0] * size[1] * size[2]
    layers = [nn.Flatten(), nn.Linear(code, width), nn.Unflatten(1, size)]
    if net.pick(True, False):
        layers.insert(2, net.pick(nn.ReLU(), nn.Tanh()))
    return net.layer(nn.Sequential(*layers))


_KINDS = [_conv, _conv, _conv, _transposed, _norm, _norm, _activation, _activation, _activation,
          _pool, _pool, _adaptive, _pad, _slice, _joined, _joined, _scaled, _enlarged, _shuffled,
          _coded]
