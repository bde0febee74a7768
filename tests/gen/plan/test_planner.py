import math
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

import boards
from gen.data.datasets import load
from gen.errors import DataError, FitError
from gen.ir import shipped
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.plan import planner, slicing
from gen.plan.cycles import row_clocks
from gen.plan.mapping import map_config, map_network
from gen.plan.planner import OBJECTIVES, plan
from gen.plan.room import excess
from gen.plan.workload import Calibration, Workload, calibrate, sample_clocks, sample_counts
from hw.dynamics import Dynamics
from tests import networks
from tests.hw.cases import NETWORKS, mapped, network
from tests.networks import readout

BOARD = boards.find("arty-a7")


def smaller(**budget):
    return replace(BOARD, budget=replace(BOARD.budget, **budget))


def choose(net, board=BOARD, **options):
    return plan(net, board, **options).options


def slowest(net, config):
    return Workload(net).slowest(config)


def test_samples_that_travel_with_a_network_are_preferred():
    net = network("conv")
    images = np.full((3, *net.input_shape), net.pixel_max)
    assert (sample_counts(replace(net, samples=images)) == net.input_levels).all()
    assert sample_counts(net).shape == (2, *net.input_shape)


def test_a_calibration_set():
    net = replace(shipped.find("digits"), samples=None)
    images = load("digits").train_images
    for calibration in (Calibration(200), Calibration(200, "digits")):
        workload = calibrate(net, calibration)
        assert (workload.counts == net.encode(images[:200])).all()
        assert workload.source == "200 training images of digits"
    assert calibrate(net, Calibration(9999)).source == f"{len(images):,} training images of digits"
    assert calibrate(net).source == "2 random samples"
    assert calibrate(replace(net, samples=images[:3])).source == (
        "3 samples that travel with the network")
    with pytest.raises(DataError, match=r"^case names no data set to calibrate with: say which "
                                        r"\(--dataset\)$"):
        calibrate(network("conv"), Calibration(1))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("code", ["phase", "rate"])
def test_a_workload_has_the_clocks_of_the_formulas(name, code):
    net, inputs, trace, _, _ = mapped(name)
    workload = Workload(net, inputs)
    for lanes, replicas in ((1, 1), (2, 2), (3, 1), (100, 3)):
        shares = {layer.name: min(lanes, layer.channels) for layer in net.layers
                  if layer.synapses}
        config = map_config(net, lanes=shares, code=code, replicas={
            name: min(replicas, net.shapes[name][1]) for name in shares})
        clocks = sample_clocks(config, trace, inputs)
        assert workload.all_clocks(config) == pytest.approx(
            {name: values.mean() for name, values in clocks.items()})
        slowest = max(clocks, key=lambda name: clocks[name].mean())
        assert workload.slowest(config) == pytest.approx(clocks[slowest].mean())
        assert clocks[workload.bottleneck(config)].mean() == workload.slowest(config)
        assert workload.latency(config) >= max(clocks[name].mean() for name in clocks)


@pytest.mark.parametrize("name", ["residual", "pools"])
def test_only_the_slowest_layer_gets_a_lane_a_channel(name):
    net = network(name)
    chosen = choose(net)
    config = map_config(net, **chosen)
    widest = map_config(net, lanes={core.name: core.channels for core in config.cores})
    assert slowest(net, config) <= 1.01 * slowest(net, widest)
    assert sum(chosen["lanes"].values()) < sum(core.channels for core in config.cores)
    assert set(chosen["replicas"].values()) == {1}


@pytest.mark.parametrize("name", ["residual", "pools"])
def test_replicas_keep_an_interval_that_lanes_do_not(name):
    net = network(name)
    faster = round(plan(net, BOARD).interval * 2 / 3)
    found = plan(net, BOARD, interval=faster, objective="smallest")
    assert found.interval <= faster
    assert any(core.replicas > 1 for core in found.config.cores)
    assert choose(net, interval=faster) == found.options


def test_objectives_are_better_at_what_they_are_for():
    net = network("residual")
    workload = Workload(net)
    plans = {objective: plan(net, BOARD, objective=objective, workload=workload)
             for objective in OBJECTIVES}
    intervals = {objective: workload.slowest(found.config) for objective, found in plans.items()}
    shortest = min(workload.latency(found.config) for found in plans.values())
    assert intervals["throughput"] <= 1.02 * min(intervals.values())
    assert workload.latency(plans["latency"].config) == shortest
    assert plans["smallest"].needs.luts == min(found.needs.luts for found in plans.values())
    assert plans["throughput"].needs.luts > 1.5 * plans["smallest"].needs.luts


def test_no_layer_is_faster_than_the_pipeline_can_use():
    net = network("residual")
    workload = Workload(net)
    found = plan(net, BOARD, objective="throughput", workload=workload)
    for core in found.config.cores:
        if core.replicas > 1:
            fewer = map_config(net, lanes=found.options["lanes"], replicas=found.options[
                "replicas"] | {core.name: core.replicas - 1})
            assert workload.slowest(fewer) > workload.slowest(found.config)


def test_less_budget_means_fewer_lanes():
    net = network("residual")
    faster = round(plan(net, BOARD).interval / 2)
    ample = plan(net, BOARD, interval=faster)
    scant = plan(net, smaller(luts=ample.needs.luts), interval=faster)
    assert ample.interval <= faster < scant.interval
    assert scant.needs.luts <= 0.9 * ample.needs.luts
    least = plan(net, BOARD, objective="smallest")
    # Where nothing fits, the build says what is missing. The search begins elsewhere, and may end
    # in another mapping that is about as small. If it were hopeless, there would be no search.
    scarce = smaller(luts=round(least.needs.cells / 0.9 / 1.1))
    assert plan(net, scarce).needs.luts == pytest.approx(least.needs.luts, rel=0.02)


def test_given_lanes_are_kept():
    net = network("residual")
    name = next(layer.name for layer in net.layers if layer.synapses)
    for objective in (None, *OBJECTIVES):
        assert choose(net, objective=objective, lanes={name: 2})["lanes"][name] == 2
    with pytest.raises(FitError, match=r"^lanes: there is no layer with synapses 'nobody'"):
        choose(net, lanes={"nobody": 2})


def test_what_does_not_fit_is_said_with_figures():
    net = network("residual")
    with pytest.raises(FitError, match=r"^\S+ does not fit arty-a7 \(\S+\): by prediction, its "
                                       r"smallest mapping needs [\d,]+ LUTs of 2,610 that can be "
                                       r"used; weights of fewer bits, or a larger board \("):
        plan(net, smaller(luts=2900), objective="smallest")
    with pytest.raises(FitError, match=r"can't keep 1 clock an image: by prediction it takes \d+"):
        plan(net, BOARD, objective="smallest", interval=1)
    with pytest.raises(FitError, match=r"^the objective throughput takes the shortest interval"):
        plan(net, BOARD, objective="throughput", interval=100)


@pytest.mark.parametrize("shape, classes, message", [
    ((5, 256, 256), 2, "an input of 65,536 words and 2 logits don't fit the link's 16-bit"),
    ((1, 2, 2), 60_000, "an input of 1 words and 60,000 logits don't fit the link's 16-bit"),
])
def test_what_the_link_has_no_addresses_for(shape, classes, message):
    rng = np.random.default_rng(0)
    net = Network("vast", shape, 63, 255, (
        Pool("pool", INPUT, "sum", shape[1:], shape[1:]),
        readout(rng, "pool", (classes, shape[0], 1, 1))))
    for interval in (None, 1000):
        with pytest.raises(FitError, match=rf"^vast fits no board: {message} addresses; a smaller "
                                           rf"input, fewer levels of it \(--input-levels\) or "
                                           rf"fewer answers in a sample would help$"):
            plan(net, BOARD, interval=interval)


def test_counts_of_a_network_with_time_steps_have_no_code():
    network = networks.stepping(Dynamics(4))
    with pytest.raises(FitError, match=r"^stepping fires in time-steps, so its counts have no "
                                       r"code; leave --code out$"):
        plan(network, BOARD, code="rate")


def test_trains_of_more_bits_than_a_number_has():
    """Their clocks are counted as those of others."""
    clocks = []
    for steps, kind in ((24, object), (4, np.int64)):
        network = networks.stepping(Dynamics(steps), seed=1)
        train = network.run(networks.counts_for(network, 3)).maps["mean"]
        assert train.dtype == kind
        core = map_config(network).cores[2]
        clocks.append(row_clocks(core, [train]))
        for other in ((object,) if kind is object else (object, np.uint64)):
            assert np.array_equal(row_clocks(core, [train.astype(other)]), clocks[-1])
    assert np.all(clocks[0] > clocks[1])


def test_clocks_of_slices_depend_on_the_words_of_the_sources():
    """Whatever was asked of the workload before."""
    network = networks.stepping(Dynamics(32), seed=1)
    workload = Workload(network)
    clocks = []
    for lanes in (1, 4, 1):
        config = map_config(network, lanes={"first": lanes}, slice_steps=2)
        clocks.append(workload.all_clocks(config))
        assert clocks[-1] == Workload(network).all_clocks(config)
    assert clocks[0] == clocks[2] != clocks[1]


def test_slices_are_as_long_as_the_objective_wants():
    network = networks.stepping(Dynamics(6))
    workload = Workload(network)

    def merits(slicings):
        with mock.patch.object(planner, "slicings", return_value=slicings):
            return [value(plan(network, BOARD, objective=objective, workload=workload))
                    for objective, value in (
                        ("latency", lambda found: workload.latency(found.config)),
                        ("smallest", lambda found: found.needs.cells),
                        ("throughput", lambda found: found.interval))]

    each = np.array([merits([steps]) for steps in (6, 1)])
    assert merits([6, 1]) == each.min(axis=0).tolist()


@pytest.mark.parametrize("burst, side, slicings", [
    (3, 2, [6, 3, 2]), (7, 2, [4, 2, 1]), (8, 4, [1]), (9, 4, None)])
def test_slices_have_no_more_spikes_than_the_encoder_looks_at(burst, side, slicings):
    """Sums of 12, 28, 128 and 144 spikes in each of six time-steps."""
    dynamics, rng = Dynamics(6, burst=burst), np.random.default_rng(0)
    layer = networks.neurons(rng, "a", networks.synapses(rng, INPUT, (2, 1, 1, 1)))
    out = readout(rng, "sums", (3, 2, 4 // side, 4 // side))
    network = Network("bursts", (1, 4, 4), 3, 3, (
        replace(layer, dynamics=dynamics), Pool("sums", "a", "sum", (side,) * 2, (side,) * 2),
        replace(out, dynamics=dynamics)))
    if slicings is None:
        with pytest.raises(FitError, match=r"^sums sends up to 144 spikes in a time-step, and 128 "
                           r"are the most that the array takes: let neurons send fewer, or sum "
                           r"fewer of them$"):
            plan(network, BOARD)
    else:
        assert slicing.slicings(network) == slicings


def test_default_slices_are_short():
    """They take less, and clocks that are about the same."""
    network = networks.stepping(Dynamics(16))
    found = plan(network, BOARD)
    assert found.options["slice_steps"] < 16
    with mock.patch.object(planner, "slicings", return_value=[16]):
        whole = plan(network, BOARD)
    assert found.needs.cells < 0.9 * whole.needs.cells
    assert found.interval <= 1.02 * whole.interval


def test_spike_memories_are_as_deep_as_their_block_rams():
    """Where layers then wait clearly less for each other."""
    network, board = shipped.find("cifar-10"), boards.find("arty-a7-100")
    deep = plan(network, board, interval=20_000)
    with mock.patch.object(planner, "_CLEARLY", math.inf):
        shallow = plan(network, board, interval=20_000)
    assert deep.interval < 0.99 * shallow.interval
    assert deep.needs.brams == shallow.needs.brams
    assert deep.needs.cells < 1.01 * shallow.needs.cells
    assert deep.options | {"rows": {}} == shallow.options | {"rows": {}}
    assert map_network(network, **deep.options)[0] == deep.config


@pytest.mark.parametrize("objective", [None, "smallest"])
def test_an_interval_that_replicas_keep(objective):
    """The busiest replica of each image is slower than the replicas are from image to image."""
    found = plan(shipped.find("mnist"), BOARD, interval=1800, objective=objective)
    assert found.interval <= 1800
    assert not excess(BOARD, found.needs)


def test_trains_of_a_network_with_events_are_whole():
    """The host sends them so."""
    network = networks.stepping(Dynamics(20, events=1))
    assert slicing.slicings(network) == [20]
    assert {layer.sources[0].map.slices for layer in map_config(network).layers} == {1}
    with pytest.raises(FitError, match=r"^mean sends up to 4 spikes in each of 24 time-steps, and "
                                       r"8 are the most that the array takes together of a "):
        with mock.patch.object(slicing, "_MOST_SPIKES", 8):
            slicing.slicings(networks.stepping(Dynamics(24, events=1)))
