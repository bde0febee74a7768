import pytest
import torch
from torch import nn

from gen.convert.uniform import Uniform, mark, unit_of

HALVES = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5, 9.0])


@pytest.mark.parametrize("options, counts", [
    ({}, [0, 0, 0, 2, 2, 3]),
    ({"even": False}, [0, 0, 1, 2, 3, 3]),
    ({"floor": True}, [0, 0, 0, 1, 2, 3]),
    ({"symmetric": True}, [-2, 0, 0, 2, 2, 3]),
])
def test_rounding(options, counts):
    assert (Uniform(0.25, 3, **options)(HALVES / 4) * 4).tolist() == counts


def test_it_shows_what_it_does():
    assert repr(Uniform(0.25, 3, symmetric=True)) == "Uniform(step=0.25, levels=3, even, symmetric)"


def test_units_are_remembered():
    layer = nn.Linear(2, 3)
    assert unit_of(layer) is None
    mark(layer, torch.ones(3, dtype=torch.float64))
    assert unit_of(layer).tolist() == [1, 1, 1]
    assert set(layer.state_dict()) == {"weight", "bias"}
