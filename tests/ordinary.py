"""Small networks of the kinds that people have, as they would write them."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["ORDINARY", "REFUSED"]


class Block(nn.Module):
    """A residual block whose shortcut has no weights: option A of ResNet's paper."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.more = outside - inside

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            half = self.more // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half), "constant", 0)
        return F.relu(out + x)


class ResNetA(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.layers = nn.Sequential(Block(4, 4, 1), Block(4, 8, 2))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.layers(F.relu(self.bn(self.stem(x))))
        x = F.avg_pool2d(x, x.size()[3])
        return self.fc(x.view(x.size(0), -1))


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, inside, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inside, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1(x)), self.relu(self.expand3(x))], 1)


class LeNetTanh(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 3)
        self.pool = nn.AvgPool2d(2)
        self.fc1, self.fc2 = nn.Linear(24, 12), nn.Linear(12, 10)

    def forward(self, x):
        x = self.pool(torch.tanh(self.conv1(x)))
        x = self.pool(torch.tanh(self.conv2(x)))
        return self.fc2(torch.tanh(self.fc1(torch.flatten(x, 1))))


def small(*layers, features=None):
    """A convolutional network around some layers that keep 6 channels of 8x8."""
    tail = [nn.Flatten(), nn.Linear(features or 6 * 64, 5)]
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), *layers, *tail)


def ds_cnn():
    def separable(stride):
        return [nn.Conv2d(8, 8, 3, stride, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(
        nn.Conv2d(1, 8, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Dropout(0.2), *separable(1), *separable(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 12))


def ecg():
    return nn.Sequential(
        nn.Conv1d(1, 4, 5), nn.ReLU(), nn.MaxPool1d(5, 2), nn.Conv1d(4, 6, 5), nn.ReLU(),
        nn.MaxPool1d(5, 2), nn.Flatten(), nn.Linear(6 * 41, 8), nn.ReLU(), nn.Linear(8, 5))


def autoencoder():
    sizes = [640, 128, 8, 128, 640]
    layers = []
    for k, (i, o) in enumerate(pairwise(sizes)):
        layers += [nn.Linear(i, o)]
        if k < 3:
            layers += [nn.BatchNorm1d(o), nn.ReLU()]
    return nn.Sequential(*layers)


ORDINARY = {
    "option A": (ResNetA, (3, 8, 8)),
    "fire": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), Fire(6, 3, 4),
                                   nn.MaxPool2d(2), Fire(8, 3, 4), nn.AdaptiveAvgPool2d(1),
                                   nn.Flatten(), nn.Linear(8, 5)), (3, 13, 13)),
    "relu6": (lambda: small(nn.BatchNorm2d(6), nn.ReLU6()), (2, 8, 8)),
    "leaky": (lambda: small(nn.LeakyReLU(0.1)), (2, 8, 8)),
    "lenet tanh": (LeNetTanh, (1, 16, 16)),
    "hardtanh": (lambda: small(nn.Hardtanh(0, 1)), (2, 8, 8)),
    "dilation": (lambda: small(nn.ReLU(), nn.Conv2d(6, 6, 3, padding=2, dilation=2), nn.ReLU()),
                 (2, 8, 8)),
    "ecg": (ecg, (1, 187)),
    "transposed at the end": (lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)), (1, 8, 8)),
    "map": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(4, 3, 3, padding=1)), (1, 8, 8)),
    "upsample": (lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)), (1, 8, 8)),
    "gelu": (lambda: small(nn.GELU()), (2, 8, 8)),
    "softmax": (lambda: nn.Sequential(small(nn.ReLU()), nn.Softmax(dim=1)), (2, 8, 8)),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm2d(2), small(nn.ReLU())), (2, 8, 8)),
    "norm after relu": (lambda: small(nn.ReLU(), nn.BatchNorm2d(6),
                                      nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()), (2, 8, 8)),
    "autoencoder": (autoencoder, (640,)),
    "ds-cnn": (ds_cnn, (1, 49, 10)),
    "adaptive": (lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(36, 5)), (1, 6, 6)),
    "two convolutions": (lambda: small(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(),
                                       nn.Conv2d(6, 6, 3), nn.Conv2d(6, 4, 1), nn.ReLU(),
                                       features=4 * 36), (2, 8, 8)),
    "zero padding": (lambda: small(nn.ReLU(), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(6, 4, 3, 2),
                                   nn.ReLU(), features=4 * 16), (2, 8, 8)),
    "even same": (lambda: small(nn.ReLU(), nn.Conv2d(6, 6, 4, padding="same"), nn.ReLU()),
                  (2, 8, 8)),
    "prelu": (lambda: small(nn.PReLU(6)), (2, 8, 8)),
    "relu at the end": (lambda: nn.Sequential(small(nn.ReLU()), nn.ReLU()), (2, 8, 8)),
    "weight norm": (lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(12, 10)), nn.ReLU(), nn.Linear(10, 4)),
        (12,)),
}
"""Name -> what makes a network that converts, and the shape of a sample."""

REFUSED = {
    "lstm": (lambda: nn.Sequential(nn.LSTM(4, 6, batch_first=True)), (7, 4),
             "use nn.RNN"),
    "layer norm": (lambda: small(nn.LayerNorm([6, 8, 8]), nn.ReLU()), (2, 8, 8),
                   "train with BatchNorm"),
    "divisors": (lambda: small(nn.ReLU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False),
                               features=6 * 16), (2, 8, 8), "count_include_pad must be True"),
    "reflection": (lambda: small(nn.ReLU(), nn.ReflectionPad2d(1), nn.Conv2d(6, 6, 3), nn.ReLU()),
                   (2, 8, 8), "train with zero padding"),
}
"""Name -> the same of a network that does not convert, and what the message says."""
