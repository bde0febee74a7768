import numpy as np
import pytest

from gen.ir.beats import pack, to_ints
from gen.ir.layers import INPUT
from gen.ir.network import Network
from gen.plan.cycles import gathering_clocks
from gen.plan.mapping import map_network
from gen.plan.workload import layer_clocks
from hw.core import Core
from hw.dynamics import Dynamics
from tests.networks import counts_for, neurons, pruned, readout, stepping
from tests.sequences import causal

from .cases import LAYERS, mapped, network
from .streams import STALLS, run


def ints(counts, fmap):
    return to_ints(pack(counts, fmap).reshape(len(counts) * fmap.beats, -1))


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", LAYERS)
def test_core_fires_what_the_network_fires(name, code, stalls):
    _, inputs, trace, config, image = mapped(name, code)
    layer = config.layers[0]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    expected = ints(trace.counts["layer"], layer.out)
    inputs = inputs.reshape(len(inputs), *(getattr(config.input, axis)
                                           for axis in ("channels", "height", "width")))
    received, _, _ = run(dut, [(dut.i0, ints(inputs, config.input))], [(dut.o, len(expected))],
                         stalls=stalls, pulses=[dut.busy])
    assert received == expected


@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", LAYERS)
def test_core_takes_the_clocks_of_the_formula(name, code):
    _, inputs, _trace, config, image = mapped(name, code, samples=10)
    layer = config.layers[0]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    inputs = inputs.reshape(len(inputs), *(getattr(config.input, axis)
                                           for axis in ("channels", "height", "width")))
    count = len(inputs) * layer.out.beats
    _, _busy, clocks = run(dut, [(dut.i0, ints(inputs, config.input))], [(dut.o, count)],
                          pulses=[dut.busy], convert=False)
    formula = layer_clocks(layer, [inputs]).sum()
    start = config.input.beats + layer.sources[0].taps + 12
    assert formula <= clocks <= 1.03 * formula + start


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", ["conv", "pointwise", "grouped"])
def test_skipped_rows_take_the_clocks_of_the_formula(name, code, share):
    case = pruned(network(name), share)
    counts = counts_for(case, 10)
    config, image = map_network(case, lanes={"layer": 3}, code=code)
    layer = config.layers[0]
    assert layer.live is not None
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    expected = ints(case.run(counts).counts["layer"], layer.out)
    inputs = counts.reshape(len(counts), *(getattr(config.input, axis)
                                           for axis in ("channels", "height", "width")))
    received, clocks = run(dut, [(dut.i0, ints(inputs, config.input))], [(dut.o, len(expected))],
                           convert=False)
    assert received == expected
    formula = layer_clocks(layer, [inputs]).sum()
    start = config.input.beats + layer.sources[0].taps + 12
    # Reading and adding take turns at being the slower one, which the formula only has in the mean.
    assert 0.97 * formula <= clocks <= 1.04 * formula + start


@pytest.mark.parametrize("share", [0, 0.9])
@pytest.mark.parametrize("sources", [["input"], ["input", "conv"], ["conv"]], ids=str)
def test_changes_take_the_clocks_of_the_formula(sources, share):
    """Of a convolution that gets both, or only one of its two sources, as changes; dense, and with
    rows of zeros that are skipped."""
    rng = np.random.default_rng(2)
    shape = (4, 12, 2)
    conv = causal(rng, INPUT, (6, 4, 3, 1))
    both = neurons(rng, "both", causal(rng, "conv", (8, 6, 2, 1)), causal(rng, INPUT, (8, 4, 1, 1)))
    case = Network("case", shape, 15, 15, (
        neurons(rng, "conv", conv, levels=7), both, readout(rng, "both", (3, 8, 12, 2))))
    case = pruned(case, share)
    config, image = map_network(case, lanes={"both": 3}, differential={"both": sources})
    layer = config.layers[1]
    assert (layer.live is not None) == (share > 0)
    counts = rng.integers(0, 16, (8, *shape)) * (rng.random((8, *shape)) < 0.4)
    trace = case.run(counts)
    received = [trace.counts["conv"], counts]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    streams = [(i, ints(own, source.arriving))
               for i, own, source in zip(dut.i, received, layer.sources, strict=True)]
    expected = ints(trace.counts["both"], layer.out)
    fired, clocks = run(dut, streams, [(dut.o, len(expected))], convert=False)
    assert fired == expected
    formula = layer_clocks(layer, received).sum()
    assert 0.96 * formula <= clocks <= 1.04 * formula + config.input.beats + 40


@pytest.mark.parametrize("dynamics, lanes", [
    (Dynamics(1, 39, signed=True, bound="levels"), {"first": 4, "second": 2}),
    (Dynamics(1, 39), {"first": 1, "second": 2})], ids=["lanes", "gathering"])
def test_slices_take_the_clocks_of_the_formula(dynamics, lanes):
    """The lanes, or else the gathering of the windows, take the longest. Three slices."""
    network = stepping(dynamics, seed=3)
    config, image = map_network(network, lanes=lanes)
    layer, rng = config.layers[1], np.random.default_rng(0)
    shape = (2, *network.input_shape)
    counts = rng.integers(0, 4, shape) * (rng.random(shape) < 0.3)
    trace = network.run(counts)
    sources = [trace.maps["first"], trace.maps["first"], counts]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    expected = ints(trace.maps["second"], layer.out)
    received, clocks = run(dut, [(i, ints(values, source.map)) for i, values, source in zip(
        dut.i, sources, layer.sources, strict=True)], [(dut.o, len(expected))], convert=False)
    assert received == expected
    formula = layer_clocks(layer, sources).sum()
    gathering = gathering_clocks(layer.sources[0], layer.groups) * layer.out_rows * len(counts)
    assert (formula == gathering) == (lanes["first"] == 1)
    start = layer.sources[0].map.beats + layer.sources[0].taps + 12
    assert formula <= clocks <= 1.03 * formula + start
