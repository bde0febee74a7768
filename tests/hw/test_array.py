import numpy as np
import pytest

from gen.plan.mapping import map_network
from gen.verify.beats import pack, to_ints
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
