from dataclasses import replace

import numpy as np
import pytest

from gen.ir.beats import pack, to_ints
from gen.ir.layers import INPUT
from gen.ir.network import Network
from gen.plan.mapping import map_network
from hw.array import Array
from tests import networks

from .cases import NETWORKS, logits, mapped
from .streams import STALLS, run


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", NETWORKS)
def test_array_computes_the_logits(name, code, stalls):
    _, inputs, trace, config, image = mapped(name, code, samples=3)
    dut = Array(config, image)
    beats = to_ints(pack(inputs, config.input).reshape(len(inputs) * config.input.beats, -1))
    received, _ = run(dut, [(dut.i, beats)], [(dut.o, len(inputs) * config.readout.groups)],
                      stalls=stalls)
    assert (logits(config.readout, received) == trace.logits).all()


@pytest.mark.parametrize("height, kernel, padding", [(1, 3, 1), (1, 5, 2), (2, 7, 3), (3, 7, 3)])
@pytest.mark.parametrize("width", [1, 2])
def test_windows_that_are_taller_than_the_map(height, kernel, padding, width):
    """With the smallest ring."""
    rng = np.random.default_rng(0)
    rows = height + 2 * padding - kernel + 1
    network = Network("tall", (2, height, width), 5, 5, (
        networks.neurons(rng, "a", networks.synapses(rng, INPUT, (4, 2, 1, 1))),
        networks.neurons(rng, "b", networks.synapses(
            rng, "a", (3, 4, kernel, 1), padding=(padding, 0))),
        networks.readout(rng, "b", (4, 3, rows, width))))
    config, image = map_network(network)
    first, tall, out = config.layers
    config = replace(config, layers=(first, tall.with_rows([tall.sources[0].least_rows]), out))
    counts = rng.integers(0, 6, (8, 2, height, width))
    beats = to_ints(pack(counts, config.input).reshape(8 * config.input.beats, -1))
    dut = Array(config, image)
    received, _ = run(dut, [(dut.i, beats)], [(dut.o, 8 * out.groups)], stalls="none")
    assert (logits(config.readout, received) == network.run(counts).logits).all()


@pytest.mark.parametrize("name, stalls", [
    ("cif", "none"), ("st-bif", "output"), pytest.param("cif", "output", marks=pytest.mark.slow),
    pytest.param("st-bif", "none", marks=pytest.mark.slow)])
def test_array_knows_which_layers_are_quiet(name, stalls):
    """In short and long runs, once with as many samples as the array may have."""
    network = networks.stepping(networks.STEPPING[name], seed=1)
    rng, quiet = np.random.default_rng(5), []
    for timesteps in (1, 5, network.timesteps):
        config, image = map_network(network, lanes={"first": 3, "second": 2},
                                    replicas={"second": 2})
        many = config.in_flight if timesteps == 1 else 4
        counts = rng.integers(0, network.input_levels + 1, (many, *network.input_shape))
        counts[rng.random(many) < 0.4] = 0
        assert [core.name for core in config.settling] == [
            layer.name for layer in network.neurons]
        dut = Array(config, image)
        beats = to_ints(pack(counts, config.input).reshape(many * config.input.beats, -1))
        received, _ = run(dut, [(dut.i, beats)], [(dut.o, many * config.readout.groups)],
                          stalls=stalls, constants=[(dut.timesteps, timesteps)],
                          along=[dut.quiet], convert=False)
        trace = network.run(counts, timesteps=timesteps)
        assert (logits(config.readout, [beat for beat, _ in received]) == trace.logits).all()
        groups = config.readout.groups
        for k, layer in enumerate(network.quiet(trace).values()):
            assert [bits >> k & 1 for _, bits in received[groups - 1::groups]] == layer.tolist()
            quiet += layer.tolist()
    assert 0.1 < np.mean(quiet) < 0.9
