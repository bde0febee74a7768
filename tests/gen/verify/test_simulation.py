import csv
import re

import numpy as np
import pytest

import boards
from gen.build.planning import design_for
from gen.errors import DataError, SimulationError
from gen.ir.network import Network
from gen.ir.spikes import replayed, sample_spikes
from gen.plan.mapping import map_network
from gen.plan.workload import Workload
from gen.verify import simulation as module
from gen.verify.simulation import array_utilisation, simulate, stream
from tests import networks


def streamed(network, lanes, images=40, **options):
    config, image = map_network(network, lanes=lanes)
    counts = networks.counts_for(network, images)
    run = stream(config, image, counts, **options)
    assert (run.logits == network.run(counts).logits).all()
    return config, run


# Ports of up to 32 bits, of up to 64 and above are different types in C++.
@pytest.mark.parametrize("network, lanes, least, most", [
    (networks.linear(), {"fc1": 4, "out": 2}, 1, 32),
    (networks.linear(), {"fc1": 5, "out": 5}, 33, 64),
    (networks.convolutional(), {"conv1": 5, "conv2": 3, "out": 10}, 65, 1000),
])
def test_logits_and_clocks(network, lanes, least, most):
    config, run = streamed(network, lanes, alone=10, jobs=2)
    assert least <= config.readout.beat_bits <= most
    assert run.latency.shape == (10,)
    assert run.latency.min() >= config.input.beats + config.readout.groups - 1
    assert config.input.beats <= run.interval <= run.latency.max()
    assert run.busy.keys() == lanes.keys()
    assert all(0 < share <= 1 for share in run.busy.values())
    busiest = max(run.busy.values())
    assert min(run.busy.values()) <= array_utilisation(config, run.busy) <= busiest


def test_clocks_of_each_layer():
    lanes = {"conv1": 5, "conv2": 3, "out": 10}
    config, run = streamed(networks.convolutional(), lanes, alone=10, jobs=2)
    first, last = run.outputs[:, :, 0], run.outputs[:, :, 1]
    assert (run.alone.nonzero()[0] == [*range(5), *range(20, 25)]).all()
    assert (run.latency == last[run.alone, -1]).all()
    assert (first[run.alone] <= last[run.alone]).all()
    assert (first > 0).all()
    assert (np.diff(first, axis=1) > 0).all(), "a layer sends before its source does"
    assert (run.intervals > 0).sum() == 2 * (20 - 5 - 1)
    for k, layer in enumerate(config.layers):
        beats = run.beats[layer.name]
        assert len(beats) == layer.beats
        assert (np.diff(beats) > 0).all()
        assert (beats[0], beats[-1]) == tuple(run.outputs[0, k])


@pytest.mark.parametrize("network, lanes, doubled", [
    (networks.linear(), {"fc1": 4, "out": 2}, False),
    (networks.convolutional(), {"conv1": 5, "conv2": 3, "out": 10}, True),
])
def test_occupancy(network, lanes, doubled):
    config, run = streamed(network, lanes, 40, alone=2, jobs=1)
    occupancy = run.occupancy
    width = occupancy.width
    assert (width > 1) == doubled
    bins = {len(shares) for shares in occupancy.shares.values()}
    assert len(bins) == 1
    assert max(bins) < 1024
    assert all(shares.min() >= 0 and shares.max() <= 1 for shares in occupancy.shares.values())
    for name, shares in occupancy.shares.items():
        assert shares.mean() == pytest.approx(run.busy[name], abs=0.15)
    settled = min(2 * len(config.layers), 38 // 4)
    done = np.cumsum(run.intervals[2 + settled + 1:]) - 1
    assert 3 <= len(occupancy.completed) <= 4
    assert occupancy.completed.tolist() == done[:len(occupancy.completed)].tolist()


def test_steady_state_has_no_end():
    """The layer that sets the interval is as busy over few images as over many."""
    network, lanes = networks.convolutional(), {"conv1": 5, "conv2": 3, "out": 10}
    shares = {images: streamed(network, lanes, images, alone=1, jobs=1)[1].busy["conv2"]
              for images in (8, 80)}
    assert shares[8] == pytest.approx(shares[80], abs=0.03)


def test_too_few_images_for_a_pace():
    _, run = streamed(networks.linear(), {"fc1": 4, "out": 2}, 1)
    assert run.interval is None
    assert run.busy is None
    assert run.occupancy is None


def test_spikes():
    network = networks.convolutional()
    config, _ = map_network(network)
    counts = networks.counts_for(network, 3)
    trace = network.run(counts)
    spikes = sample_spikes(config, trace, counts)
    assert spikes.keys() == {"input", "conv1", "pool1", "conv2", "pool2"}
    ones = [sum(int(n).bit_count() for n in image)
            for image in trace.counts["pool1"].reshape(3, -1)]
    assert spikes["pool1"].tolist() == ones
    read = spikes["input"] + spikes["pool1"] + spikes["pool2"]
    assert (replayed(config, spikes) == read).all()
    rate, _ = map_network(network, code="rate")
    assert (sample_spikes(rate, trace, counts)["conv1"]
            == trace.counts["conv1"].sum(axis=(1, 2, 3))).all()


def test_array_utilisation_counts_lanes():
    config, _ = map_network(networks.linear(), lanes={"fc1": 3, "out": 1})
    assert array_utilisation(config, {"fc1": 1, "out": 0.2}) == pytest.approx(0.8)


def test_bottleneck():
    network = networks.linear()
    counts = networks.counts_for(network, 4)
    for lanes, name in [({"fc1": 1, "out": 5}, "fc1"), ({"fc1": 11, "out": 1}, "out")]:
        config, _ = map_network(network, lanes=lanes)
        assert Workload(network, counts).bottleneck(config) == name


@pytest.mark.parametrize("images, jobs", [(1, 4), (3, 2), (40, 1)])
def test_any_number_of_images_and_jobs(images, jobs):
    _, run = streamed(networks.linear(), {"fc1": 4, "out": 2}, images, jobs=jobs)
    assert len(run.logits) == images
    assert len(run.latency) == {1: 1, 3: 2, 40: 20}[images]


def test_latency_does_not_depend_on_who_shares_the_work():
    lanes = {"fc1": 4, "out": 2}
    _, one = streamed(networks.linear(), lanes, jobs=1, alone=20)
    assert len(one.latency) == 20
    _, two = streamed(networks.linear(), lanes, jobs=2, alone=20)
    assert (two.latency[:10] == one.latency[:10]).all()


def test_hang_names_the_sample(monkeypatch):
    monkeypatch.setattr(module, "patience", lambda config: 3)
    with pytest.raises(SimulationError, match=r"^the array hangs: the logits of sample 0 do not "
                                              r"come$"):
        streamed(networks.linear(), {"fc1": 4, "out": 2}, jobs=1)


def test_crash_is_an_error(monkeypatch):
    with pytest.raises(SimulationError, match=r"^the simulator ended with status 3$"):
        module._execute([["sh", "-c", "echo 1; exit 3"]], 2)


def test_simulate(tmp_path):
    layers = networks.linear(shape=(1, 8, 8), hidden=6, classes=10).layers
    network = Network("digits-like", (1, 8, 8), 3, 16, layers, {"dataset": "digits"})
    table = tmp_path / "images.csv"
    design = design_for(network, boards.find("arty-a7"), lanes={"fc1": 3, "out": 5})
    result = simulate(design, *module.test_set(network, limit=60), images_out=table)
    assert result["images"] == 60
    assert (result["mismatches"], result["images_exact"]) == (0, None)
    assert result["accuracy"] == result["accuracy_reference"]
    assert 0 < result["cycles_mean"] <= result["cycles_max"]
    assert 0 < result["interval_cycles"] <= result["cycles_max"]
    assert result["interval_cycles"] == pytest.approx(result["interval_cycles_predicted"], rel=0.03)
    assert result["cycles_mean"] == pytest.approx(result["cycles_mean_predicted"], rel=0.03)
    assert result["latency_images"] == 30
    assert result["bottleneck"] == "fc1"
    assert result["lane_utilisation"].keys() == result["layer_cycles"].keys() == {"fc1", "out"}
    assert result["layer_cycles"]["out"]["last"] == result["cycles_mean"]
    assert result["spikes"].keys() == {"input", "fc1"}
    assert result["images_per_second"] > 0

    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["image"]) for row in rows] == list(range(60))
    latency = [int(row["latency_cycles"]) for row in rows if row["latency_cycles"]]
    assert len(latency) == 30
    assert np.mean(latency) == result["cycles_mean"]
    intervals = [int(row["interval_cycles"]) for row in rows if row["interval_cycles"]]
    assert np.mean(intervals) == pytest.approx(result["interval_cycles"])
    assert np.mean([int(row["input_spikes"]) for row in rows]) == result["spikes"]["input"]
    total = np.mean([int(row["spikes"]) for row in rows])
    assert total == pytest.approx(result["spikes"]["input"] + result["spikes"]["fc1"])
    right = [row["label"] == row["prediction"] for row in rows]
    assert np.mean(right) == result["accuracy"]
    assert {row["mismatches"] for row in rows} == {"0"}


def test_a_network_without_a_data_set():
    message = re.escape("linear names no data set: say which (--dataset)")
    with pytest.raises(DataError, match=f"^{message}$"):
        module.test_set(networks.linear())


@pytest.mark.parametrize("limit", [0, -5])
def test_limit(limit):
    with pytest.raises(DataError, match=f"^limit must be at least 1, not {limit}$"):
        module.test_set(networks.linear(), dataset="digits", limit=limit)


def test_shares_cover_everything():
    for count, jobs in [(1, 1), (1, 8), (7, 3), (10, 10), (100, 7)]:
        shares = module._shares(count, jobs, 5)
        assert all(1 <= alone <= (size + 1) // 2 for _, size, alone in shares)
        covered = np.concatenate([np.arange(first, first + size) for first, size, _ in shares])
        assert covered.tolist() == list(range(count))
