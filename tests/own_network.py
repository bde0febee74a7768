"""A network as a user might bring it: residual blocks with depthwise convolutions, plain ReLU in
front, trained elsewhere. The tests convert this file."""

import torch
from torch import nn

from gen.convert.qcfs import Qcfs


class Block(nn.Module):
    """Depthwise and pointwise convolution around an identity."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = Qcfs(3)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act2 = Qcfs(7)

    def forward(self, x):
        y = self.act1(self.bn1(self.depthwise(x)))
        return self.act2(self.bn2(self.pointwise(y)) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block1 = Block(8)
        self.pool = nn.MaxPool2d(2)
        self.block2 = Block(8)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.pool(self.block1(self.stem(x)))
        return self.fc(torch.flatten(self.mean(self.block2(x)), 1))


def build():
    return Net()
