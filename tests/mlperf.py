"""The four networks of MLPerf Tiny (https://github.com/mlcommons/tiny, v1.0), written down anew."""

from itertools import pairwise

from torch import nn

__all__ = ["NETWORKS"]


class Residual(nn.Module):
    """ResNet-8's block: two convolutions beside the identity, or beside a 1x1 convolution."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1), nn.BatchNorm2d(outside), nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1), nn.BatchNorm2d(outside))
        self.beside = nn.Conv2d(inside, outside, 1, stride) if stride > 1 else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.body(x) + self.beside(x))


def resnet8():
    """Image classification, CIFAR-10."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU(), Residual(16, 16, 1),
        Residual(16, 32, 2), Residual(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(64, 10))


def separable(inside, outside, stride):
    """A depthwise and a pointwise convolution."""
    return [nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False),
            nn.BatchNorm2d(inside), nn.ReLU(),
            nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]


def ds_cnn():
    """Keyword spotting, 49 spectra of 10 coefficients."""
    return nn.Sequential(
        nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, 64, (10, 4), 2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Dropout(0.2), *(layer for _ in range(4) for layer in separable(64, 64, 1)),
        nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(1))


def mobilenet(classes=2, stem=2):
    """Visual wake words: MobileNetV1 of a quarter of the width, 96x96.

    ``stem`` is the stride of the first convolution; that of 1 suits 32x32.
    """
    widths = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    blocks = [layer for (i, o), s in zip(pairwise(widths), strides, strict=True)
              for layer in separable(i, o, s)]
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1) if stem == 2 else 1), nn.Conv2d(3, 8, 3, stem, bias=False),
        nn.BatchNorm2d(8), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(256, classes), nn.Softmax(1))


def autoencoder():
    """Anomaly detection, five spectra of 128 coefficients."""
    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    layers = []
    for inside, outside in pairwise(sizes[:-1]):
        layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


NETWORKS = {"resnet-8": (resnet8, (3, 32, 32)), "ds-cnn": (ds_cnn, (1, 49, 10)),
            "mobilenet": (mobilenet, (3, 96, 96)), "autoencoder": (autoencoder, (640,))}
"""Name -> what makes the network, and the shape of a sample."""
