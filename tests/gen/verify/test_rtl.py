import dataclasses
import re

import numpy as np
import pytest

import boards
from gen.build.planning import design_for
from gen.errors import DataError, SimulationError
from gen.ir.network import Network
from gen.plan.mapping import map_network
from gen.verify import rtl as module
from gen.verify.rtl import choose_images, compare, verify
from hw.config import MemoryImage
from tests import networks

LANES = {"fc1": 4, "out": 3}
NETWORK = networks.linear()
COUNTS = networks.counts_for(NETWORK, 8)


def flip(image, name, row, bit):
    """The memory contents with one bit wrong."""
    memory = image[name]
    rows = list(memory.rows)
    rows[row] ^= 1 << bit
    return image | {name: MemoryImage(memory.width, tuple(rows))}


def compared(trace=None, corrupt=lambda config, image: image):
    config, image = map_network(NETWORK, lanes=LANES)
    return compare(config, corrupt(config, image), COUNTS, trace or NETWORK.run(COUNTS))


def test_agrees():
    result = compared()
    assert result["mismatches"] == 0
    assert result["first_mismatch"] is None
    assert result["images"] == 8
    assert result["spikes"] == 8 * (11 + 5)
    assert result["clocks"] > 8 * 18
    assert result["clocks_per_second"] > 0


def test_wrong_weight_bit():
    # The first row holds the weights from the first input to the first group of channels.
    def corrupt(config, image):
        bits = config.layers[0].weight_bits
        return flip(image, "l0_fc1.weights", 0, 2 * bits + bits - 1)

    result = compared(corrupt=corrupt)
    assert result["mismatches"] > 0
    assert {k: result["first_mismatch"][k] for k in ("layer", "channel", "y", "x")} == {
        "layer": "fc1", "channel": 2, "y": 0, "x": 0}


def test_wrong_threshold_bit():
    # A group has three rows: the initial potential, twice the threshold, the threshold.
    def corrupt(config, image):
        bits = config.layers[0].membrane_bits
        return flip(image, "l0_fc1.parameters", 3 + 2, 1 * bits + bits - 1)

    result = compared(corrupt=corrupt)
    assert result["mismatches"] > 0
    assert result["first_mismatch"]["layer"] == "fc1"
    assert result["first_mismatch"]["channel"] == 4 + 1


def test_wrong_expectation():
    trace = NETWORK.run(COUNTS)
    true = int(trace.counts["fc1"][3, 7, 0, 0])
    trace.counts["fc1"][3, 7, 0, 0] = true ^ 1
    result = compared(trace)
    assert result["mismatches"] == 1
    assert result["first_mismatch"] == {"layer": "fc1", "sample": 3, "channel": 7, "y": 0, "x": 0,
                                        "expected": true ^ 1, "got": true}


def test_wrong_expected_logit():
    trace = NETWORK.run(COUNTS)
    true = int(trace.logits[5, 4])
    trace.logits[5, 4] = -true - 1
    result = compared(trace)
    assert result["mismatches"] == 1
    assert result["first_mismatch"] == {"layer": "out", "sample": 5, "channel": 4, "y": 0, "x": 0,
                                        "expected": -true - 1, "got": true}


@pytest.mark.parametrize("name, what", [("row_clocks", "rows"), ("row_events", "events")])
def test_more_work_than_there_is_in_the_samples(monkeypatch, name, what):
    right = getattr(module, name)

    def wrong(core, counts, **options):
        return right(core, counts, **options) + (core.name == "out")

    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(SimulationError, match=rf"^out had \d+ {what}, and its samples have \d+$"):
        compared()


def test_replicas_together():
    network = networks.convolutional()
    counts = networks.counts_for(network, 4)
    config, image = map_network(network, lanes={"conv1": 5, "conv2": 7, "out": 10},
                                replicas={"conv1": 3, "conv2": 2})
    result = compare(config, image, counts, network.run(counts))
    assert result["mismatches"] == 0, result["first_mismatch"]


def test_skipped_rows():
    """Also words of which no spike counts, but that double the potential or end a sample."""
    network = networks.pruned(networks.convolutional(), 0.8)
    counts = networks.counts_for(network, 3)
    config, image = map_network(network, lanes={"conv1": 3, "conv2": 3, "out": 3})
    assert all(core.live is not None for core in config.cores)
    result = compare(config, image, counts, network.run(counts))
    assert result["mismatches"] == 0, result["first_mismatch"]


def test_hang_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "patience", lambda config: 2)
    with pytest.raises(SimulationError, match=r"^the array hangs: nothing moved for 2 clocks, and "
                                              r"fc1 is at beat 0 of sample 0$"):
        compared()


def test_verify():
    images = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 3))
    result = verify(design_for(NETWORK, boards.find("arty-a7"), lanes=LANES), images)
    assert (result["images"], result["mismatches"]) == (2, 0)


def test_images_that_the_network_carries():
    samples = np.random.default_rng(0).integers(0, 256, (3, 2, 3, 3))
    images, source = images_of(dataclasses.replace(NETWORK, samples=samples), count=2)
    assert source == "network"
    assert (images == samples[:2]).all()


def images_of(network=NETWORK, *, count=4, dataset=None, file=None):
    return choose_images(network, count, 0, dataset, None, file)


def test_images_of_a_data_set():
    digits = Network("digits-like", (1, 8, 8), 3, 16, networks.linear(shape=(1, 8, 8)).layers,
                     {"dataset": "digits"})
    images, source = images_of(digits)
    assert images.shape == (4, 1, 8, 8)
    assert source == "digits"


def test_images_of_a_file(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((6, 2, 3, 3), dtype=np.uint8))
    images, source = images_of(file=tmp_path / "x.npy")
    assert images.shape == (4, 2, 3, 3)
    assert source == str(tmp_path / "x.npy")


def test_damaged_file(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: is not an .npy file of numbers"):
        images_of(file=path)


@pytest.mark.parametrize("images", [0, -1])
def test_no_images(images):
    with pytest.raises(DataError, match=f"^images must be at least 1, not {images}$"):
        images_of(count=images)


def test_a_test_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "TESTS", (*module.TESTS, "another"))
    with pytest.raises(SimulationError, match=r"^5 of the testbench's 6 tests came to an end "
                                              r"\(log: .*verify\.log\)$"):
        compared()


def test_random_images_where_there_are_no_others(caplog):
    images, source = images_of()
    assert source == "random"
    assert images.shape == (4, 2, 3, 3)
    assert caplog.messages == ["linear carries no images: random ones are used"]


def test_a_data_set_that_was_asked_for_is_not_replaced():
    with pytest.raises(DataError, match=r"^there is no data set 'nonsense'; known are "):
        images_of(dataset="nonsense")
