"""The program of a layer: its semantics against the formula, and what follows from it."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from hw.dynamics import Dynamics, Membrane
from hw.maps import MapConfig
from hw.neuron import Leak, State
from hw.programs import settle, step
from hw.schedule import Charge
from tests.networks import MEMBRANES

from .stepping import DYNAMICS, stepping


def source(code="phase", levels=3):
    return MapConfig(5, 4, 4, levels, 2, code)


def counted(schedule, charge, initial, threshold):
    (fired,), _ = schedule.run([charge], initial, threshold)
    return schedule.clip(fired)


CASES = [(levels, code) for levels in (1, 2, 3, 5, 7, 12) for code in ("phase", "rate")]


@pytest.mark.parametrize("levels, code", CASES)
def test_settle_is_the_quantised_activation(levels, code):
    schedule = settle([source()], levels, code)
    charge = np.arange(-200, 200)[:, None]
    threshold = np.array([1, 3, 7, 16])
    counts = counted(schedule, charge, 5, threshold)
    assert np.array_equal(counts, np.clip((charge + 5) // threshold, 0, levels))
    assert counted(schedule, -200, 5, 3) == 0
    assert counted(schedule, int(1e6), 5, 3) == levels


def test_a_readout_keeps_its_potentials():
    schedule = settle([source()], None)
    assert schedule.run([7], -9, 1)[1].potential == -2
    assert [operation.until for operation in schedule.operations] == [None]
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


TRAIN = {low: MapConfig(5, 4, 4, 1, 2, "train", 7, low) for low in (0, -1)}


def reference(charges, image, initial, threshold, bias, dynamics, levels):
    """A neuron as docs/methods.md has it, time-step by time-step: spikes of each."""
    potential, spikes, elapsed, silent = initial, [], 0, False
    for number, charge in enumerate(charges):
        turn = (number - dynamics.probe) % (dynamics.wake + dynamics.sleep)
        if awake := number < dynamics.probe or turn < dynamics.wake:
            elapsed += 1
        if number == dynamics.probe > 0:
            silent, potential = potential <= 0, initial
        potential += charge + awake * (image + bias)
        most = {None: math.inf, "levels": levels, "elapsed": elapsed}[dynamics.bound]
        if potential >= threshold and sum(spikes) < most and not silent:
            spikes.append(min(potential // threshold, dynamics.burst))
        elif potential < 0 and sum(spikes) > 0 and dynamics.signed:
            spikes.append(-1)
        else:
            spikes.append(0)
        potential -= spikes[-1] * threshold
    return spikes, potential


@pytest.mark.parametrize("image, train", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dynamics", [
    Dynamics(7), Dynamics(7, bound="levels"), Dynamics(5, 2, signed=True, bound="elapsed"),
    Dynamics(1, 6, signed=True, bound="levels"), Dynamics(1, 6),
    Dynamics(2, 1, 2, signed=True, bound="elapsed"), Dynamics(5, 2, burst=2),
    Dynamics(4, probe=3), Dynamics(2, 1, 2, burst=3, probe=1)])
def test_step_is_the_neuron_of_the_methods(dynamics, image, train):
    low = -int(dynamics.signed)
    schedule = step([source(levels=7)] * image + [TRAIN[low]] * train, 3, dynamics)
    assert (schedule.levels, schedule.low, schedule.timesteps) == (
        dynamics.burst, low, dynamics.timesteps)
    rng = random.Random(str(dynamics))
    seen = set()
    for _ in range(200):
        charges = [train * rng.randrange(-9, 12) for _ in range(dynamics.timesteps)]
        constant = image * rng.randrange(-5, 9)
        initial, threshold, bias = rng.randrange(-4, 5), rng.randrange(1, 12), rng.randrange(-3, 4)
        planes = [charge.planes[0] for charge in schedule.steps[0].charges]
        given = list(charges)
        if dynamics.probe:
            given.insert(dynamics.probe, 0)
        if not schedule.steps[0].fires:
            given.insert(0, constant)
        elif image:
            given[0] += constant
        assert not image or planes[:3] == [2, 1, 0]
        spikes, state = schedule.run(given, initial, threshold, bias)
        expected, potential = reference(charges, constant, initial, threshold, bias, dynamics, 3)
        assert spikes == expected
        assert state.potential == potential
        seen.update(expected)
    most = dynamics.burst
    assert seen == set(range(low, most + 1)) or (not train and seen == set(range(most + 1)))


@pytest.mark.parametrize("name", MEMBRANES)
def test_no_potential_that_is_compared_leaves_its_range_whatever_the_membrane(name):
    """Between leaks and resets, too."""
    membrane = MEMBRANES[name]
    schedule = step([TRAIN[0]], 3, Dynamics(7, membrane=membrane))
    rng = random.Random(name)
    for _ in range(300):
        initial, threshold = rng.randrange(-9, 10), rng.randrange(1, 12)
        charges = [rng.randrange(-20, 21) * bool(each.charges) for each in schedule.steps]
        low = sum(c for c in charges if c < 0) + min(initial, 0) - threshold * membrane.delayed
        high = sum(c for c in charges if c > 0) + max(initial, 0)
        rows, state = schedule.parameters(initial, threshold), State()
        least, most = schedule.potential_range(low, high, threshold)
        for each, charge in zip(schedule.steps, charges, strict=True):
            state.potential += charge
            for add in each.adds:
                state.add([add], rows)
                assert each.charges or least <= state.potential <= most
            for fire in each.fires:
                assert least <= state.potential + rows[fire.row] <= state.potential <= most
            state.fire(each.fires, rows)


def test_a_leak_comes_a_clock_after_what_changes_the_potential():
    def operations(membrane):
        program = step([TRAIN[0]], 3, Dynamics(2, membrane=membrane)).operations
        return [("fire" if o.fire else "reset" if o.reset else "add" if o.row is not None else
                 "nothing" if o.leak is None else o.leak) for o in program]

    assert operations(Membrane((2,))) == ["add", "fire", "nothing", 2, "add", "fire"]
    assert operations(Membrane((2, -3), delayed=True)) == [
        "add", "fire", 2, "nothing", -3, "reset", "add", "fire"]
    assert operations(Membrane((0,), "zero")) == [
        "add", "fire", "reset", "nothing", 0, "add", "fire"]
    assert step([TRAIN[0]], 3, Dynamics(2, membrane=Membrane((2,)))).additions == 5


@pytest.mark.parametrize("leak", [(k, j) for k in range(1, 5) for j in range(-6, 7)
                                  if j and (j > 0 or -j >= k)] + [(k,) for k in range(5)])
def test_a_leak_never_makes_a_potential_greater_nor_turns_its_sign(leak):
    potential = np.arange(-300, 301)
    state = State(potential)
    state.add([Leak(k) for k in leak], [])
    assert (np.abs(state.potential) <= np.abs(potential)).all()
    assert (state.potential * potential >= 0).all()
    large = State(1 << 40)
    large.add([Leak(k) for k in leak], [])
    assert large.potential / (1 << 40) == pytest.approx(Membrane(leak).decay, abs=1e-9)


@pytest.mark.parametrize("arguments, message", [
    ({"leak": [2]}, r"leak must be at most two shifts of 1 to 15, or 0 alone, not \[2\]"),
    ({"leak": (2, 0)}, r"leak must be at most two shifts of 1 to 15, or 0 alone, not \(2, 0\)"),
    ({"leak": (16,)}, r"leak must be at most two shifts of 1 to 15, or 0 alone, not \(16,\)"),
    ({"leak": (-3,)}, (r"leak must make potentials less, and \(-3,\) may not: the second shift "
                       r"must be the greater one if it adds")),
    ({"leak": (3, -2)}, r"leak must make potentials less, and \(3, -2\) may not: .*"),
    ({"reset": "hard"}, "reset must be 'subtract' or 'zero', not 'hard'"),
    ({"strict": 1}, "strict must be true or false, not 1"),
    ({"reset": "zero", "delayed": True},
     "a reset to zero that is delayed is one that is not; leave it out"),
])
def test_membranes_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Membrane(**arguments)


@pytest.mark.parametrize("most", range(1, 65))
def test_a_burst_has_as_many_spikes_as_the_potential_has_thresholds(most):
    schedule = step([TRAIN[0]], 3, Dynamics(1, burst=most))
    (only,) = schedule.steps
    assert len(only.fires) == most.bit_length()
    threshold = np.array([1, 3, 8])
    charge = np.arange(-20, 8 * (most + 3))[:, None]
    (fired,), state = schedule.run([charge], 0, threshold)
    assert np.array_equal(fired, np.clip(charge // threshold, 0, most))
    assert np.array_equal(state.potential, charge - fired * threshold)


def test_one_spike_has_the_weight_of_the_highest_threshold_that_is_reached():
    schedule = step([source()], 3, Dynamics(1, phases=4))
    assert (schedule.code, schedule.levels, schedule.bound) == ("phase", 8, 1)
    assert not schedule.clips
    threshold = np.array([1, 3, 8])
    charge = np.arange(-20, 100)[:, None]
    (fired,), _ = schedule.run([charge], 4, threshold, 2)
    wanted = [[max((w for w in (1, 2, 4, 8) if int(c) + 6 >= w * t), default=0) for t in threshold]
              for (c,) in charge]
    assert np.array_equal(fired, wanted)
    assert step([source()], None, Dynamics(1, phases=4)).run([7], 4, 1, 2)[1].potential == 13


def test_a_burst_needs_a_threshold_for_each_number_of_spikes_alone():
    schedule = step([TRAIN[0]], 3, Dynamics(2, burst=5))
    assert [(fire.row, fire.value) for fire in schedule.steps[0].fires] == [(1, 3), (2, 1), (2, 1)]
    assert [row.threshold for row in schedule.rows] == [0, -3, -1, 0]
    assert schedule.tallied
    assert not step([TRAIN[0]], 3, Dynamics(2, burst=7)).tallied


@pytest.mark.parametrize("image, train", [(True, False), (False, True), (True, True)])
def test_a_readout_sums_all_time_steps(image, train):
    dynamics = Dynamics(2, 1, 2)
    map_ = MapConfig(5, 4, 4, 1, 2, "train", 6)
    schedule = step([source(levels=7)] * image + [map_] * train, None, dynamics)
    given = [0] * len(schedule.steps)
    given[0] += 5 * image
    given[schedule.arrivals[-1]] += 40 * train
    _, state = schedule.run(given, 100, 1, 3)
    assert state.potential == 100 + 4 * 3 + 4 * 5 * image + 40 * train


def test_what_a_probe_charges_a_readout_with_is_forgotten():
    dynamics = Dynamics(2, 1, probe=3)
    map_ = MapConfig(5, 4, 4, 1, 2, "train", 6)
    program = step([map_], None, dynamics)
    assert [charge.planes for charge in program.charges] == [(3,), (4,), (5,)]
    assert program.run([40, 0], 100, 1, 3)[1].potential == 100 + 2 * 3 + 40
    assert (program.timed, program.timesteps) == (False, 1)
    assert not step([map_], 3, dynamics).timed
    with_image = step([source(levels=7), map_], None, dynamics)
    assert with_image.run([5, 40, 0], 100, 1, 3)[1].potential == 100 + 2 * (5 + 3) + 40


def test_planes_of_a_train():
    schedule = step([MapConfig(5, 4, 4, 2, 2, "train", 3, -1)], 3, Dynamics(2, 1))
    assert [[(charge.planes, charge.subtract) for charge in each.charges]
            for each in schedule.steps] == [
        [((0,), False), ((1,), False), ((2,), True)], [((3,), False), ((4,), False), ((5,), True)],
        [((6,), False), ((7,), False), ((8,), True)]]
    assert schedule.ends == {2, 5, 8}
    value = 0
    for fired in (2, -1, 1):
        value = replace(schedule, levels=2, low=-1).encode(fired, value)
    assert value == 0b100_001_010


@pytest.mark.parametrize("wrong, message", [
    ({"wake": 0}, "wake must be an integer of at least 1, not 0"),
    ({"wake": 2.0}, "wake must be an integer of at least 1, not 2.0"),
    ({"wake": 60, "sleep": 5}, "there are 65 time-steps; 64 are the most"),
    ({"wake": 4, "bound": "most"}, "bound must be None, 'levels' or 'elapsed', not 'most'"),
    ({"wake": 4, "signed": True}, "neurons that take spikes back need a bound"),
    ({"wake": 4, "burst": 0}, "burst must be an integer of at least 1, not 0"),
    ({"wake": 4, "burst": 65}, "there are 65 spikes in a time-step; 64 are the most"),
    ({"wake": 4, "probe": 2, "bound": "levels"}, "neurons with a bound are not probed"),
    ({"wake": 1, "probe": -1}, "probe must be an integer of at least 0, not -1"),
    ({"wake": 60, "probe": 5}, "there are 65 time-steps; 64 are the most"),
    ({"wake": 1, "probe": 1, "phases": 2},
     "phases are those of a single time-step, with one spike"),
    ({"wake": 1, "phases": 16}, "there are 16 phases; 15 are the most"),
    ({"wake": 1, "phases": -1}, "phases must be an integer of at least 0, not -1"),
    ({"wake": 2, "phases": 3}, "phases are those of a single time-step, with one spike"),
    ({"wake": 1, "phases": 3, "burst": 2},
     "phases are those of a single time-step, with one spike"),
    ({"wake": 4, "burst": 2, "membrane": MEMBRANES["leak"]},
     ("neurons that leak, or have another reset or comparison, spike once in a time-step, without "
      "a bound")),
    ({"wake": 4, "membrane": (2,)}, r"membrane must be a Membrane, not \(2,\)"),
    ({"wake": 4, "events": 2}, "events must be one less than a power of two, not 2"),
    ({"wake": 4, "sleep": 1, "events": 1}, "an input that is a train arrives in wake steps alone"),
    ({"wake": 4, "burst": 2, "bound": "levels"},
     "neurons with a bound spike once in a time-step"),
])
def test_dynamics_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Dynamics(**wrong)


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
    assert [(o.row, o.fire is not None, o.first, o.until) for o in phase.operations] == [
        (0, False, False, 0), (1, True, True, 0), (2, True, False, 0),
        (3, True, False, None)]
    rate = settle([source()], 3, "rate")
    assert [o.row for o in rate.operations] == [0, 1, 1, 1]
    assert len(rate.rows) == 2


def test_idle_clocks_are_those_between_spikes_and_after_them():
    schedule = settle([source(levels=31)], 3)
    for events, clocks in (((0, 0, 0, 0, 0), 0), ((0, 2, 0, 0, 1), 2), ((1, 0, 0, 0, 0), 3),
                           ((0, 0, 0, 0, 4), 0), ((1, 1, 1, 1, 0), 0)):
        assert schedule.idle_clocks(events) == clocks
    array = np.array([[0, 1], [2, 0], [0, 0], [0, 0], [0, 3]])
    assert schedule.idle_clocks(array).tolist() == [2, 3]


def test_an_empty_charge_that_ends_a_step_costs_no_clock():
    schedule = step([MapConfig(5, 4, 4, 1, 2, "train", 2, -1)], 3,
                    Dynamics(2, signed=True, bound="elapsed"))
    assert schedule.ends == {1, 3}
    for events, clocks in (((0, 0, 0, 0), 1), ((1, 0, 0, 2), 1), ((0, 1, 1, 0), 0),
                           ((1, 1, 1, 1), 0)):
        assert schedule.idle_clocks(events) == clocks


@pytest.mark.parametrize("kinds", [("image",), ("train",), ("image", "train")])
@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("name", DYNAMICS)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(name, levels, kinds):
    dynamics = DYNAMICS[name]
    program = stepping(dynamics, kinds, levels).schedule
    arguments = [np.random.default_rng(0).integers(low, high, 50) for low, high in (
        (-9, 9), (1, 12), (-5, 5))]
    for timesteps in range(dynamics.shortest, dynamics.timesteps + 1):
        short = program.shortened(timesteps)
        fires = [each for each in short.steps if each.fires]
        assert levels is None or len(fires) == timesteps
        assert short.steps[-1].fires or levels is None
        assert short.charges == program.charges
        assert short.rows == program.rows
        assert len(short.arrivals) == len([k for k in program.arrivals
                                           if program.steps[k].number < timesteps])
        if levels is not None:
            count = len(short.steps)
            charges = np.random.default_rng(1).integers(-20, 20, (len(program.steps), 50))
            pairs = zip(short.run(charges[:count], *arguments)[0],
                        program.run(charges, *arguments)[0], strict=False)
            assert all(np.array_equal(*pair) for pair in pairs)
    assert program.shortened(dynamics.timesteps) == program
    assert program.timed == (sum(dynamics.awake) > 1 if levels is None
                             else dynamics.timesteps > 1) * (not dynamics.whole)


@pytest.mark.parametrize("kinds", [("image",), ("train",), ("image", "train")])
@pytest.mark.parametrize("name", DYNAMICS)
def test_a_readout_takes_the_bias_as_often_as_it_is_awake(name, kinds):
    dynamics = DYNAMICS[name]
    program = stepping(dynamics, kinds, None).schedule
    image, train = 7 * ("image" in kinds), 11 * ("train" in kinds)
    for timesteps in range(dynamics.shortest, dynamics.timesteps + 1):
        short = program.shortened(timesteps)
        # All charge of the trains arrives with the last charge.
        charges = [0] * len(short.steps)
        charges[0] += image
        charges[short.arrivals[-1]] += train
        awake = sum(dynamics.awake[dynamics.probe:timesteps])
        assert short.run(charges, 5, 1, 3)[1].potential == 5 + train + awake * (image + 3)
