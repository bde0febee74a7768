import random

import numpy as np
import pytest

from gen.build.verilog import component_verilog
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.mapping import map_config
from hw.layers import CoreConfig
from hw.select import Select, command_layout

from .cases import mapped
from .stepping import SLICED, named
from .streams import STALLS, run


def expected_commands(core, dut, windows, timesteps):
    """Commands of the model in the shape of the layout. The array's tests check the corners."""
    height, width = core.sources[0].positions
    positions = height * width
    for number, window in enumerate(windows):
        commands = dut.model(window, timesteps)
        for k, (group, _, tap, plane, double, last) in enumerate(commands):
            yield {"index": group * core.taps + (tap or 0),
                       "step": len(core.scan.charges) - 1 - plane,
                       "empty": int(tap is None), "double": int(double), "last": int(last),
                       "descend": int(k == len(commands) - 1 and number % width == width - 1),
                       "finish": int(number % positions == positions - 1)}


def begun(fmap, slice_index, plane, timesteps):
    """Whether a plane of a slice may have spikes in a run of so many time-steps."""
    if fmap.code != "train":
        return True
    number = slice_index * fmap.slice_steps + plane // (fmap.levels - fmap.low) - fmap.missing
    return number >= fmap.timesteps - (timesteps or fmap.timesteps)


def check(core, seed, stalls, timesteps=None):
    """Commands of random windows, and the clocks that they take."""
    rng = random.Random(seed)
    count = 2 * core.sources[0].positions[0] * core.sources[0].positions[1] + 1
    density = [rng.choice([0, 0.1, 0.5, 1]) for _ in range(count)]
    windows = [[[[sum((rng.random() < chance) << k for k in range(source.map.one_slice.planes)
                      if begun(source.map, slice_index, k, timesteps)) for _ in range(source.taps)]
                 for slice_index in range(source.map.slices)] for source in core.sources]
               for chance in density]
    dut = Select(core)
    expected = list(expected_commands(core, dut, windows, timesteps))
    repeats = [core.groups if source.map.slices > 1 else 1 for source in core.sources]
    received, clocks = run(
        dut, [(i, [taps for window in windows for taps in window[s] * repeats[s]])
              for s, i in enumerate(dut.i)],
        [(dut.o, len(expected))], stalls=stalls,
        constants=[(dut.timesteps, timesteps)] if timesteps else [])
    layout = command_layout(core)
    received = [{field: layout.from_bits(bits)[field] for field in expected[0]}
                for bits in received]
    assert received == expected
    if stalls == "none":
        # The last plane of a slice takes a clock, even without a command.
        silent = core.slices > 1
        assert clocks <= len(expected) + len(windows) * core.groups * core.slices * (1 + silent) + 3


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name,code,layer", [
    ("conv", "phase", 0), ("depthwise", "phase", 0), ("residual", "phase", 2),
    ("residual", "rate", 2), ("linear", "phase", 0), ("pools", "rate", 3)])
def test_select_equals_model(name, code, layer, stalls):
    _, _, _, config, _ = mapped(name, code)
    core = config.layers[layer]
    assert isinstance(core, CoreConfig)
    check(core, name, stalls)


@pytest.mark.parametrize("stalls", ["none", "both"])
@pytest.mark.parametrize("kinds", [("image",), ("train",), ("image", "train")])
@pytest.mark.parametrize("name", ["if", "alone", "cif", "st-bif", *SLICED])
def test_each_step_ends(name, kinds, stalls):
    check(named(name, kinds, side=3, kernel=2), name, stalls)


@pytest.mark.parametrize("kinds", [("train",), ("image", "train")])
@pytest.mark.parametrize("name", SLICED)
def test_a_readout_looks_at_the_time_steps_that_count(name, kinds):
    check(named(name, kinds, None, side=3, kernel=2), name, "both")


@pytest.mark.parametrize("stalls", ["none", "both"])
@pytest.mark.parametrize("kinds", [("train",), ("image", "train")])
@pytest.mark.parametrize("name, timesteps", [
    *[(name, timesteps) for name in ("cif", "st-bif") for timesteps in (1, 2, 6)],
    ("two slices", 3), ("two slices", 10), ("two slices", 14), ("three slices", 11),
    ("pairs", 4), ("single steps", 3)])
def test_a_short_run_has_fewer_steps(name, timesteps, kinds, stalls):
    check(named(name, kinds, side=3, kernel=2), name, stalls, timesteps)


def test_verilog_grows_with_the_window_and_not_with_its_square():
    def size(side):
        def synapses(source, *shape):
            return (Synapses(source, np.ones(shape, np.int64)),)
        network = Network("windows", (1, 9, 9), 15, 255, (
            Neurons("conv", synapses(INPUT, 1, 1, side, side), np.zeros(1, np.int64),
                    np.full(1, 5), 3),
            Readout("out", synapses("conv", 2, 1, 10 - side, 10 - side), np.zeros(2, np.int64))))
        core = map_config(network).layers[0]
        assert core.taps == side * side
        return len(component_verilog(Select(core), "select"))

    assert size(8) < 6 * size(4)
