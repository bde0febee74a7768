"""Networks that fire in every time-step, through the emitted Verilog: every spike of every step."""

import numpy as np
import pytest

import boards
from gen.build.design import design_for
from gen.verify.rtl import verify
from tests import networks
from tests.networks import STEPPING


@pytest.mark.parametrize("name, timesteps", [
    ("cif", 3), *[pytest.param(*each, marks=pytest.mark.slow)
                  for each in (
                      ("if", None), ("if", 1), ("cif", None), ("st-bif", None), ("srp", None),
                      ("one spike", None), ("burst", None), ("burst", 2), ("group", None))]])
def test_every_spike(name, timesteps):
    network = networks.stepping(STEPPING[name], seed=3)
    images = np.random.default_rng(0).integers(0, 4, (5, *network.input_shape))
    found = verify(design_for(network, boards.find("arty-a7")), images,
                   timesteps=timesteps)
    assert found["mismatches"] == 0
    assert found["spikes"] > 0
