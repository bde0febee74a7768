"""The program of a layer: its semantics against the formula, and what follows from it."""

import numpy as np
import pytest

from hw.maps import MapConfig
from hw.schedule import Charge, settle


def source(code="phase", levels=3):
    return MapConfig(5, 4, 4, levels, 2, code)


CASES = [(levels, code) for levels in (1, 2, 3, 5, 7, 12) for code in ("phase", "rate")]


@pytest.mark.parametrize("levels, code", CASES)
def test_settle_is_the_quantised_activation(levels, code):
    schedule = settle([source()], levels, code)
    charge = np.arange(-200, 200)[:, None]
    threshold = np.array([1, 3, 7, 16])
    counts = schedule.run([charge], 5, threshold)
    assert np.array_equal(counts, np.clip((charge + 5) // threshold, 0, levels))
    assert schedule.run([-200], 5, 3) == 0
    assert schedule.run([int(1e6)], 5, 3) == levels


def test_a_readout_keeps_its_potentials():
    schedule = settle([source()], None)
    assert schedule.run([7], -9, 1) == -2
    assert [operation.final for operation in schedule.operations] == [True]
    assert schedule.potential_range(3, 9, 1) == (3, 9)


@pytest.mark.parametrize("levels, code", CASES)
def test_nothing_that_is_compared_leaves_the_range(levels, code):
    schedule = settle([source()], levels, code)
    low, high = schedule.potential_range(-50, 90, 7)
    seen = []
    for charge in range(-50, 91):
        rows, potential = schedule.parameters(0, 7), charge
        for operation in schedule.operations:
            total = potential + rows[operation.row]
            potential = total if total >= 0 or not operation.fire else potential
            seen += [total, potential]
    assert low == min(*seen, *schedule.parameters(0, 7))
    assert high == max(seen)


def test_charges_of_mixed_codes():
    def charges(*sources):
        return settle(sources, 3).charges
    assert charges(source(levels=7)) == (
        Charge((2,), True), Charge((1,), True), Charge((0,), True))
    assert charges(source("rate")) == (Charge((2,), True), Charge((1,)), Charge((0,)))
    assert charges(source(levels=7), source("rate", levels=2)) == (
        Charge((2, None), True), Charge((1, None), True), Charge((0, 1), True),
        Charge((None, 0)))


def test_operations():
    phase = settle([source()], 5)
    assert [(o.row, o.fire, o.first, o.final) for o in phase.operations] == [
        (0, False, False, False), (1, True, True, False), (2, True, False, False),
        (3, True, False, True)]
    rate = settle([source()], 3, "rate")
    assert [o.row for o in rate.operations] == [0, 1, 1, 1]
    assert len(rate.rows) == 2


def test_idle_clocks_are_those_between_spikes_and_after_them():
    schedule = settle([source(levels=31)], 3)
    for events, clocks in (((0, 0, 0, 0, 0), 0), ((0, 2, 0, 0, 1), 2), ((1, 0, 0, 0, 0), 3),
                           ((0, 0, 0, 0, 4), 0), ((1, 1, 1, 1, 0), 0)):
        assert schedule.idle_clocks(events) == clocks
    array = np.array([[0, 1], [2, 0], [0, 0]])
    assert schedule.idle_clocks(array).tolist() == [0, 1]
