"""Leaks by shifts."""

import numpy as np
import pytest

from gen.convert.spiking.leaks import common, shifts, spoken
from gen.errors import ConversionError
from hw.dynamics import Membrane


@pytest.mark.parametrize("decay, leak", [
    (1.0, ()), (0.0, (0,)), (0.5, (1,)), (0.75, (2,)), (0.875, (3,)), (0.9, (3, -5)),
    (0.9375, (4,)), (0.8, (2, -4)), (0.936, (4,))])
def test_shifts(decay, leak):
    assert shifts(decay) == leak


def test_two_shifts_come_close():
    for decay in np.linspace(0.5, 1, 300):
        near = 0.032 if decay < 0.75 else 0.012 if decay < 0.9 else 0.0075
        assert abs(Membrane(shifts(decay)).decay - decay) < near, decay


def test_spoken():
    assert spoken(()) == "no leak"
    assert spoken((3, -5)) == "V -= V >> 3, V += V >> 5"


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_what_is_no_decay(decay):
    with pytest.raises(ConversionError, match=r"^the decay must lie in 0..1, not "):
        shifts(decay)


def test_a_layer_has_one_decay():
    assert common(np.array([0.5, 0.5]), "a") == 0.5
    with pytest.raises(ConversionError, match=r"^a: its neurons decay to 0.5 to 0.6 in a time-"):
        common(np.array([0.5, 0.6]), "a")
