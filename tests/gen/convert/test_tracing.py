"""Modules whose control flow asks for shapes, not for values."""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.lower import lower
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)

SHAPE = (2, 8, 8)


def checked(forward):
    @functools.wraps(forward)
    def inner(self, *args, **kwargs):
        assert args[0].dim() == 4
        return forward(self, *args, **kwargs)
    return inner


def opaque(forward):
    def inner(self, *args, **kwargs):
        return forward(self, *args, **kwargs)
    return inner


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(256, 3)

    def forward(self, x):
        return self.fc(self.conv(x).relu().flatten(1))


class Batches(Net):
    def forward(self, x):
        y = self.conv(x).relu()
        return self.fc((y * 1.0 if x.shape[0] > 1 else y).flatten(1))


class Rows(Net):
    def forward(self, x):
        y = self.conv(x).relu()
        rows = [y[:, :, k:k + 1] for k in range(y.size(2))]
        return self.fc(torch.cat(rows[:4] * 2, 1).flatten(1))


class Unpacked(Net):
    def forward(self, x):
        y = self.conv(x).relu()
        samples, *rest = y.shape
        if y.size()[3] != 8 or y.ndim != 4:
            raise ValueError("must have 8 columns")
        return self.fc(y.view(samples, rest[0] * rest[1] * rest[2]))


class Padded(Net):
    def forward(self, x):
        height, _ = x.shape[-2:]
        y = self.conv(F.pad(x, (0, 0, 0, -height % 5))).relu()
        return self.fc(y[:, :, :height].flatten(1))


class Many(Net):
    def forward(self, *given, **named):
        (x,) = given
        return super().forward(x * named["scale"] if named.get("scale") else x)


class Checked(Net):
    forward = checked(Net.forward)


class Opaque(Net):
    forward = opaque(Net.forward)


class Shuffled(Net):
    def forward(self, x):
        samples, _, height, width = x.shape
        y = self.conv(x).relu().reshape(samples, 2, 2, height, width)
        return self.fc(y.transpose(1, 2).reshape(samples, -1))


class Shortcut(Net):
    def forward(self, x):
        y = self.conv(x).relu()
        return self.fc(torch.cat((y[:, :2], torch.zeros_like(y[:, 2:])), 1).flatten(1))


@pytest.mark.parametrize("kind", [Batches, Rows, Unpacked, Padded, Many, Checked, Opaque, Shuffled,
                                  Shortcut])
def test_converts(kind):
    torch.manual_seed(0)
    *_, error = compared(kind(), SHAPE)
    assert error < 0.06


def test_a_branch_that_samples_decide_is_compared():
    class Other(Batches):
        def forward(self, x):
            return super().forward(x * 2 if x.shape[0] > 1 else x)

    with pytest.raises(ConversionError, match="the module itself gives other scores than its lay"):
        compared(Other(), SHAPE)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.norm(x)
        return x.relu() if x.sum() > 0 else x


def test_the_part_and_the_line_are_named():
    line = Branching.forward.__code__.co_firstlineno + 2
    message = (rf"^torch\.fx can't trace 1\.0 \(Branching\) \(TraceError: .*, "
               rf"test_tracing\.py:{line}\); ")
    with pytest.raises(ConversionError, match=message):
        lower(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Sequential(Branching())), SHAPE)
