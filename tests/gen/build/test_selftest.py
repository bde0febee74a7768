"""Builds that test themselves and may be loaded, through synthesis."""

from dataclasses import replace

import numpy as np
import pytest

from gen.build.builder import build
from tests.networks import linear


@pytest.mark.parametrize("reloadable", [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_synthesis(reloadable, tmp_path):
    """Words that are never written are a ROM, others memories that can be written."""
    network = linear()
    network = replace(network, samples=np.zeros((2, *network.input_shape), np.int64))
    built = build(network, board="ulx3s-85f", out=tmp_path, selftests=2, reloadable=reloadable,
                  clock_hz=25e6)
    assert (built["dsps"], built["latches"]) == (0, 0)
    assert "o_passed" not in (tmp_path / "board.v").read_text()
    assert ".passed(" in (tmp_path / "board.v").read_text()
