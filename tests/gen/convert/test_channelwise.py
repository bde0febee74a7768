"""Activations with a step for each channel."""

import pytest
import torch
from torch import nn

from gen.convert.foreign import Activation
from gen.convert.lower import lower
from gen.errors import ConversionError
from tests.compared import compared

torch.set_num_threads(1)


class Act(nn.Module):
    """Steps between 1/40 and 1/10, and rounding as it is told."""

    def __init__(self, shape, levels=15, shift=0.5):
        super().__init__()
        self.thresh = nn.Parameter(levels * torch.rand(shape).add(0.3).mul(0.08))
        self.levels, self.shift = levels, shift

    def forward(self, z):
        step = self.thresh / self.levels
        if step.numel() > 1:
            step = step.reshape(-1, *[1] * (z.dim() - 2))
        return (z / step + self.shift).floor().clamp(0, self.levels) * step


ACT = Activation("Act", "thresh/levels", "levels")


@pytest.mark.parametrize("shape", [(1, 6, 1, 1), (6, 1, 1), (6,), (1,), ()], ids=str)
@pytest.mark.parametrize("shift", [0.5, 0.0])
def test_steps_of_channels(shape, shift):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), Act(shape, shift=shift), nn.Conv2d(6, 6, 3, groups=3),
                          Act((6,), shift=shift), nn.Flatten(), nn.Linear(96, 9),
                          Act((9,), shift=shift), nn.Linear(9, 3))
    named = Activation("Act", "thresh/levels", "levels", floor=not shift)
    network, lowered, error = compared(model, (1, 8, 8), activation=named)
    assert [layer.name for layer in network.layers] == ["0", "2", "5", "7"]
    assert {layer.levels for layer in lowered.neurons} == {15}
    assert error < 0.15


def test_one_that_two_layers_share():
    torch.manual_seed(0)
    act = Act((4,))
    model = nn.Sequential(nn.Conv2d(1, 4, 3), act, nn.Conv2d(4, 4, 3), act, nn.Flatten(),
                          nn.Linear(64, 3))
    *_, error = compared(model, (1, 8, 8), activation=ACT)
    assert error < 0.15


def test_after_a_maximum():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), Act((4,)), nn.Flatten(),
                          nn.Linear(36, 3))
    network, _, error = compared(model, (1, 8, 8), activation=ACT)
    assert [layer.label for layer in network.layers] == ["neurons", "max pool", "readout"]
    assert error < 0.1


@pytest.mark.parametrize("change, message", [
    ({"thresh": torch.rand(5)}, r"^1 \(Act\): can't be computed \(RuntimeError: The size of te"),
    ({"thresh": torch.rand(2, 2)}, r"^1 \(Act\): attribute 'thresh' must be one number, or one fo"),
    ({"thresh": torch.tensor([1.0, 1, 0, 1])}, "^1: the step 'thresh/levels' must be positive, no"),
    ({"levels": torch.tensor([3, 3, 4, 3])}, "^1: the levels 'levels' must be one number for all "),
])
def test_steps_that_fit_nothing(change, message):
    act = Act((4,))
    for name, value in change.items():
        setattr(act, name, nn.Parameter(value) if name == "thresh" else value)
    with pytest.raises(ConversionError, match=message):
        lower(nn.Sequential(nn.Conv2d(1, 4, 3), act), (1, 8, 8), ACT)


def test_channels_that_come_last():
    class Last(Act):
        def forward(self, z):
            return super().forward(z.transpose(1, 2)).transpose(1, 2)

    model = nn.Sequential(nn.Linear(5, 4), Last((4,)), nn.Linear(4, 2))
    with pytest.raises(ConversionError, match=r"^1: has 4 steps for values of \(6, 4\); it"):
        lower(model, (6, 5), Activation("Last", "thresh/levels", "levels"))


def test_steps_that_are_read_wrongly():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Act((4,)), nn.Conv2d(4, 4, 3), Act((4,)))
    with pytest.raises(ConversionError, match=r"^1: this activation is not step \* clip.* differ"):
        compared(model, (1, 8, 8), activation=Activation("Act", "thresh", "levels"))
