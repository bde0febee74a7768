import re

import numpy as np
import pytest

from gen import simulate as module
from gen.errors import DataError, SimulationError
from gen.mapping import map_network
from gen.network import Network
from gen.simulate import simulate, stream
from tests import networks


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory):
    return tmp_path_factory.getbasetemp() / "verilator"


def streamed(build_dir, network, lanes, images=40, **options):
    config, image = map_network(network, lanes=lanes)
    counts = networks.counts_for(network, images)
    run = stream(config, image, counts, build_dir=build_dir, **options)
    assert (run.logits == network.run(counts).logits).all()
    return config, run


# Ports of up to 32 bits, of up to 64 and above are different types in C++.
@pytest.mark.parametrize("network, lanes, least, most", [
    (networks.linear(), {"fc1": 4, "out": 2}, 1, 32),
    (networks.linear(), {"fc1": 5, "out": 5}, 33, 64),
    (networks.convolutional(), {"conv1": 5, "conv2": 3, "out": 10}, 65, 1000),
])
def test_logits_and_clocks(build_dir, network, lanes, least, most):
    config, run = streamed(build_dir, network, lanes, alone=10, jobs=2)
    assert least <= config.readout.logit_bits <= most
    assert run.latency.shape == (10,)
    assert run.latency.min() >= config.input.beats + config.readout.groups - 1
    assert config.input.beats <= run.interval <= run.latency.max()
    assert run.busy.keys() == lanes.keys()
    assert all(0 < share <= 1 for share in run.busy.values())


@pytest.mark.parametrize("images, jobs", [(1, 4), (3, 2), (40, 1)])
def test_any_number_of_images_and_jobs(build_dir, images, jobs):
    _, run = streamed(build_dir, networks.linear(), {"fc1": 4, "out": 2}, images, jobs=jobs)
    assert len(run.logits) == images
    assert len(run.latency) == {1: 1, 3: 2, 40: 20}[images]


def test_latency_does_not_depend_on_who_shares_the_work(build_dir):
    lanes = {"fc1": 4, "out": 2}
    _, one = streamed(build_dir, networks.linear(), lanes, jobs=1, alone=20)
    assert len(one.latency) == 20
    _, two = streamed(build_dir, networks.linear(), lanes, jobs=2, alone=20)
    assert (two.latency[:10] == one.latency[:10]).all()


def test_hang_names_the_sample(build_dir, monkeypatch):
    monkeypatch.setattr(module, "patience", lambda config: 3)
    with pytest.raises(SimulationError, match=r"^the array hangs: the logits of sample 0 do not "
                                              r"come$"):
        streamed(build_dir, networks.linear(), {"fc1": 4, "out": 2}, jobs=1)


def test_crash_is_an_error(monkeypatch):
    with pytest.raises(SimulationError, match=r"^the simulator ended with status 3$"):
        module._execute([["sh", "-c", "echo 1; exit 3"]], 2)


def test_simulate(build_dir):
    layers = networks.linear(shape=(1, 8, 8), hidden=6, classes=10).layers
    network = Network("digits-like", (1, 8, 8), 3, 16, layers, {"dataset": "digits"})
    result = simulate(network, limit=60, lanes={"fc1": 3, "out": 5}, build_dir=build_dir)
    assert result["images"] == 60 and result["mismatches"] == 0
    assert result["accuracy"] == result["accuracy_reference"]
    assert 0 < result["cycles_mean"] <= result["cycles_max"]
    assert 0 < result["interval_cycles"] <= result["cycles_max"]
    assert result["latency_images"] == 30
    assert result["lane_utilisation"].keys() == {"fc1", "out"}
    assert result["images_per_second"] > 0


def test_a_network_without_a_data_set():
    message = re.escape("linear names no data set: say which (--dataset)")
    with pytest.raises(DataError, match=f"^{message}$"):
        simulate(networks.linear())


@pytest.mark.parametrize("limit", [0, -5])
def test_limit(limit):
    with pytest.raises(DataError, match=f"^limit must be at least 1, not {limit}$"):
        simulate(networks.linear(), dataset="digits", limit=limit)


def test_shares_cover_everything():
    for count, jobs in [(1, 1), (1, 8), (7, 3), (10, 10), (100, 7)]:
        shares = module._shares(count, jobs, 5)
        assert all(1 <= alone <= (size + 1) // 2 for _, size, alone in shares)
        covered = np.concatenate([np.arange(first, first + size) for first, size, _ in shares])
        assert covered.tolist() == list(range(count))
