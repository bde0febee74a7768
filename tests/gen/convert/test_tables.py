"""What is supported is said by the tables that decide."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from gen.convert.lower import lower
from gen.convert.operators import Operators
from gen.convert.tables import FUNCTIONS, METHODS, SUPPORTED, layer_of, operator_of
from gen.errors import ConversionError

PAGE = Path(__file__).parents[3] / "docs/own-network.md"


def test_the_page_has_the_list():
    (said,) = re.findall(r"<!-- supported -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert " ".join(said.split()).lower() == f"{SUPPORTED}.".lower()


def test_every_entry_has_an_operator():
    for name in {*FUNCTIONS.values(), *METHODS.values()}:
        assert callable(getattr(Operators, name)), name


@pytest.mark.parametrize("module, stem", [
    (nn.Conv2d(1, 1, 1), "Conv1d/2d"), (nn.ReLU6(), "ReLU6"), (nn.ZeroPad2d(1), "ZeroPad1d/2d"),
    (nn.SyncBatchNorm(1), "SyncBatchNorm"), (nn.RNN(1, 1), "RNN"), (nn.Dropout3d(), "Dropout1d/")])
def test_modules_with_an_operator_are_named(module, stem):
    assert layer_of(module) or operator_of(module)
    assert stem in SUPPORTED


@pytest.mark.parametrize("module", [nn.Conv3d(1, 1, 1), nn.Fold(4, 2), nn.Hardshrink()], ids=str)
def test_another_module_is_answered_with_the_list(module):
    assert not layer_of(module)
    assert not operator_of(module)
    with pytest.raises(ConversionError, match=r"type of module is not supported; supported are Ad"):
        lower(nn.Sequential(module), (1, 4, 4))


def test_another_function_is_answered_with_the_list():
    class Net(nn.Module):
        def forward(self, x):
            return torch.sin(x)

    with pytest.raises(ConversionError, match=r"^function 'sin' .*: supported are .*, zeros_like$"):
        lower(Net(), (1, 4, 4))


def test_a_cell_outside_a_loop():
    with pytest.raises(ConversionError, match="must be called for each element of a sequence"):
        Operators(None, (2, 3, 1)).module(nn.RNNCell(2, 2), "cell", None)
