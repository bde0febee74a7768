"""Ordinary networks, from PyTorch to every spike of their Verilog."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import boards
from gen.build.planning import design_for
from gen.convert.conversion import to_quantised
from gen.verify.rtl import verify
from tests.gen.convert.test_ordinary import images, trained
from tests.ordinary import ORDINARY

QUICK = ("upsample",)
"""Those that `make test` verifies."""


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ORDINARY])
def test_every_spike_of_the_verilog_is_right(name):
    make, shape = ORDINARY[name]
    quantised, _, _ = to_quantised(trained(make, shape), images(shape), levels=7)
    with torch.no_grad():
        network = quantised.eval().to_network("net")
    pixels = np.random.default_rng(3).integers(0, 256, (3, *network.input_shape))
    design = design_for(replace(network, samples=pixels), boards.find("arty-a7-100"))
    result = verify(design, pixels)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["images"] == 3
