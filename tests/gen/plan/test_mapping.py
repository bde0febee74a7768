from dataclasses import replace

import numpy as np
import pytest

from gen.errors import FitError
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.mapping import flat_input, map_config, map_network, options
from gen.plan.weights import pack_rows
from gen.plan.workload import layer_clocks
from tests import networks, sequences
from tests.hw.cases import LAYERS, NETWORKS, mapped, network


def test_rows_are_packed_from_the_lowest_lane_up():
    memory = pack_rows([[1, -1, 7], [-8, 0, 2]], 4)
    assert memory.width == 12
    assert memory.rows == (0x7F1, 0x208)


def test_rows_are_taken_modulo_their_width():
    assert pack_rows([[-9]], 4).rows == (7,)


@pytest.mark.parametrize("weights,initial,threshold,levels,code,bits", [
    ([1], 0, 1, 1, "phase", 2),          # -1 .. 1
    ([1], 0, 2, 1, "phase", 2),          # -2 .. 1
    ([1], 0, 2, 3, "phase", 3),          # first compared with 4: -4 .. 1
    ([1], 0, 2, 3, "rate", 2),           # always compared with 2
    ([1], 9, 10, 5, "phase", 7),         # the threshold 40 does not fit what 9 - 40 does
    ([-8, 7], 100, 10, 1, "phase", 8),   # -10 .. 107
    ([-8, 7], -200, 56, 1, "phase", 10),  # -264 .. -193
])
def test_membranes_are_as_wide_as_they_must_be(weights, initial, threshold, levels, code, bits):
    synapses = Synapses(INPUT, np.array(weights).reshape(1, -1, 1, 1), bits=4)
    layer = Neurons("n", (synapses,), np.array([initial]), np.array([threshold]), levels)
    assert layer.membrane_bits([1], code) == bits


@pytest.mark.parametrize("name", [*LAYERS, *NETWORKS])
@pytest.mark.parametrize("code", ["phase", "rate"])
def test_memories_have_the_shapes_of_the_configuration(name, code):
    _, _, _, config, image = mapped(name, code)
    for core in config.cores:
        weights, parameters = image[f"{core.port}.weights"], image[f"{core.port}.parameters"]
        assert (weights.width, len(weights.rows)) == (core.lanes * core.weight_bits,
                                                      core.weight_rows)
        assert (parameters.width, len(parameters.rows)) == (core.lanes * core.membrane_bits,
                                                            core.parameter_rows)
    assert len(image) == 2 * len(config.cores)


@pytest.mark.parametrize("name", [*LAYERS, *NETWORKS])
def test_the_configuration_can_be_had_without_the_memories(name):
    net, _, _, config, _ = mapped(name)
    lanes = {core.name: core.lanes for core in config.cores}
    assert map_config(net, lanes=lanes) == config


def test_a_depthwise_layer_has_no_rows_for_channels_it_is_not_connected_to():
    _, _, _, config, _ = mapped("residual")
    core = config.layers[1]  # lanes for channels 0-3 and 4-5; identity from chunks 0-2 and 3-5
    assert core.masks[0] >> core.taps - 2 == 0b11
    assert core.masks[1] >> core.taps - 2 == 0b10
    assert core.weight_rows == 2 * 3 * (core.taps - 2)
    assert core.parameter_rows == 2 * len(core.schedule.rows) + 3 * 3


def test_words_that_fit_the_lanes_have_masked_rows():
    _, _, _, config, _ = mapped("mobile")
    first, deep, point, _ = config.layers
    assert not first.masked
    assert deep.masked
    assert not deep.fixed
    assert deep.sources[0].lanes == (0, 0, 1, 1, 2, 2, 3, 3)
    assert deep.weight_rows == 2 * 9, "a group of lanes sees one chunk"
    dense, identity = point.sources
    assert dense.lanes is None
    assert identity.lanes == (0, 1, 2, 3) * 2
    assert identity.fixed
    assert point.weight_bits == 4
    assert point.parameter_rows == len(point.schedule.rows) + 2
    _, _, _, other, _ = mapped("depthwise")  # six channels a word, three lanes
    assert not other.layers[0].masked


def test_masked_rows_spare_a_depthwise_layer_most_clocks():
    rng = np.random.default_rng(0)
    bundle = networks.synapses(rng, INPUT, (64, 1, 3, 3), padding=(1, 1), groups=64)
    net = Network("deep", (64, 8, 8), 7, 7, (
        networks.neurons(rng, "deep", bundle, levels=7),
        networks.readout(rng, "deep", (4, 64, 8, 8))))
    core = map_config(net, lanes={"deep": 32}).layers[0]
    rows = replace(core, sources=tuple(replace(source, lanes=None) for source in core.sources))
    counts = rng.integers(0, 8, (4, 64, 8, 8)) * (rng.random((4, 64, 8, 8)) < 0.4)
    assert core.masked
    assert not rows.masked
    assert rows.weight_rows == 32 * core.weight_rows
    assert 4 * layer_clocks(core, [counts]).mean() < layer_clocks(rows, [counts]).mean()


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("name", ["linear", "conv", "pointwise", "depthwise", "grouped"])
def test_rows_that_are_skipped_are_those_of_zeros(name, lanes):
    sparse = networks.pruned(network(name), 0.8)
    config, image = map_network(sparse, lanes={"layer": lanes})
    core = config.layers[0]
    rows, (source,) = image[f"{core.port}.weights"].rows, core.sources
    assert source.lanes is None
    live = [row != 0 for row in rows]
    assert live == [bool(spikes >> k & 1)
                    for bases, group in zip(core.row_bases, core.live, strict=True)
                    for base, spikes in zip(bases, group, strict=True) if base is not None
                    for k in range(source.map.word)]
    assert 0 < sum(live) < len(live) / 2


@pytest.mark.parametrize("share, skips", [(0.4, False), (0.6, True)])
def test_rows_are_skipped_if_most_are_zeros(share, skips):
    weights = np.ones((4, 10, 1, 1), dtype=np.int64)
    weights[:, :round(10 * share)] = 0
    layer = Readout("out", (Synapses(INPUT, weights),), np.zeros(4, dtype=np.int64))
    (core,) = map_config(Network("sparse", (10, 1, 1), 3, 3, (layer,)), lanes={"out": 2}).cores
    assert (core.live is not None) == skips


def test_a_picture_that_only_linear_layers_see_becomes_a_vector():
    net = network("picture")
    flat = flat_input(net)
    assert flat.input_shape == (25, 1, 1)
    counts = np.random.default_rng(0).integers(0, 16, (5, 1, 5, 5))
    assert (flat.run(counts.reshape(5, 25, 1, 1)).logits == net.run(counts).logits).all()
    assert flat_input(network("conv")).input_shape == (3, 6, 5)


def test_lanes_of_an_unknown_layer():
    with pytest.raises(FitError, match=r"^lanes: there is no layer with synapses 'nobody'; "
                                       "known are layer, out$"):
        map_network(network("conv"), lanes={"nobody": 3})


@pytest.mark.parametrize("lanes", [0, 8, "all"])
def test_lanes_out_of_range(lanes):
    with pytest.raises(FitError, match=r"^layer: lanes must be 1 to 7 \(its channels\), not "):
        map_network(network("conv"), lanes={"layer": lanes})


def test_ports_are_identifiers_whatever_the_layers_are_called():
    synapses = Synapses(INPUT, np.ones((1, 1, 1, 1), dtype=int))
    net = Network("n", (1, 1, 1), 1, 1, (
        Neurons("features.0 é", (synapses,), np.array([0]), np.array([1]), 1),
        Readout("--", (Synapses("features.0 é", np.ones((2, 1, 1, 1), dtype=int)),),
                np.array([0, 0]))))
    config, _ = map_network(net)
    assert [layer.port for layer in config.layers] == ["l0_features_0", "l1_layer"]


def test_ports_of_long_names_are_short():
    synapses = Synapses(INPUT, np.ones((2, 1, 1, 1), dtype=int))
    net = Network("n", (1, 1, 1), 1, 1, (Readout("x" * 128, (synapses,), np.array([0, 0])),))
    config, _ = map_network(net)
    assert [layer.port for layer in config.layers] == ["l0_" + "x" * 40]


def test_options_give_the_same_changes():
    given = {"conv": ["input"], "dense": ["conv", "dense"], "diagonal": ["diagonal"]}
    config = map_config(sequences.layered(), differential=given)
    assert options(config)["differential"] == given
    assert map_config(sequences.layered(), **options(config)) == config
    assert config.digest() != map_config(sequences.layered()).digest()


@pytest.mark.parametrize("given, message", [
    ({"nobody": ["dense"]}, "^differential: there is no layer with synapses 'nobody'"),
    ({"dense": ["nobody"]}, "^differential: dense: there is no source 'nobody'"),
    ({"out": ["diagonal"]}, "^differential: out can't get diagonal as changes: its windows begin"),
])
def test_changes_that_can_not_be(given, message):
    with pytest.raises(FitError, match=message):
        map_config(sequences.layered(), differential=given)


def test_changes_of_images_and_pools_are_refused():
    with pytest.raises(FitError, match="can't get input as changes: its windows begin"):
        map_config(networks.convolutional(), differential={"conv1": ["input"]})
    with pytest.raises(FitError, match="fc1 gets a single row of input, which has no row before"):
        map_config(networks.linear(), differential={"fc1": ["input"]})
    with pytest.raises(FitError, match="has no membranes that could keep charge"):
        map_config(networks.convolutional(), differential={"pool1": ["conv1"]})
    with pytest.raises(FitError, match="fires in time-steps, and gets no counts"):
        map_config(networks.stepping(networks.STEPPING["cif"]), differential={"first": ["input"]})
    lasting = sequences.random_lasting(np.random.default_rng(2), elements=6)
    with pytest.raises(FitError, match=r"^differential: layer0 fires in time-steps, and gets no"):
        map_config(lasting, differential={"layer0": ["input"]})
    with pytest.raises(FitError, match=r"^layer0: replicas must be 1 to 1"):
        map_config(lasting, replicas={"layer0": 2})


def test_a_layer_that_keeps_charge_has_no_replicas():
    with pytest.raises(FitError, match=r"^conv: replicas must be 1 to 1 \(it keeps charge from"):
        map_config(sequences.layered(), replicas={"conv": 2}, differential={"conv": ["input"]})
