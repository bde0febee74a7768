"""Random modules convert exactly, or are refused with a reason."""

import re

import pytest
import torch

from gen.errors import ConversionError
from tests.compared import compared
from tests.random_modules import SHAPE, RandomModule

torch.set_num_threads(1)

SEEDS = 50

MISREAD = re.compile("something else|other scores|can't take|gives the shape|can't be computed|"
                     r"\n|can't trace")
"""What a module that PyTorch computes is not refused with."""


@pytest.mark.parametrize("seeds", [
    range(SEEDS), pytest.param(range(SEEDS, 600), marks=pytest.mark.slow)], ids=["few", "many"])
def test_random_modules(seeds):
    converted, misread = 0, {}
    for seed in seeds:
        try:
            *_, error = compared(RandomModule(seed), SHAPE, levels=255)
        except ConversionError as refused:
            if MISREAD.search(str(refused)):
                misread[seed] = str(refused)
        except Exception as mistake:
            raise AssertionError(f"seed {seed}: {mistake}") from mistake
        else:
            assert error < 0.35, f"seed {seed}"
            converted += 1
    assert not misread
    assert converted > len(seeds) / 3
