"""What the table of costs is measured on, and that contents of memories are written once."""

import re

import numpy as np
import pytest

from bench import scale

ROW = re.compile(r"    \S+ ?\[\d+\] = \d+'h[0-9a-f]+;\n")


@pytest.mark.parametrize("kind", scale.NETWORKS)
@pytest.mark.parametrize("weights", [100_000, 300_000, 1_000_000])
def test_networks_are_of_the_size_that_is_asked_for(kind, weights):
    assert scale.NETWORKS[kind](weights).weight_count == pytest.approx(weights, rel=0.03)


def test_only_the_rows_of_memories_grow_with_the_weights(tmp_path):
    length = {}
    for weights in (20_000, 80_000):
        row = scale.run("verilog", "mlp", weights, tmp_path)
        text = (tmp_path / "top.v").read_text()
        assert row["bytes"] == len(text)
        assert row["seconds"] > 0
        assert row["megabytes"] > 10
        rows = sum(map(len, ROW.findall(text)))
        length[weights] = rows, len(text) - rows
    (few, rest), (many, more) = length.values()
    assert 2 < many / few < 4  # the memories of spikes don't grow
    assert more < 1.2 * rest


def test_a_case_makes_what_its_stage_needs():
    row = scale.measure({"kind": "mlp", "about": 2_000, "stage": "read"})
    assert row["weights"] == pytest.approx(2_000, rel=0.2)
    assert row["seconds"] > 0
    assert row["megabytes"] > 10
    assert "bytes" not in row


@pytest.mark.parametrize("kind", scale.NETWORKS)
def test_neurons_of_random_networks_fire(kind):
    """Neither all of them nor none: the network is like a trained one."""
    network = scale.NETWORKS[kind](20_000)
    rng = np.random.default_rng(1)
    counts = rng.integers(0, network.input_levels, (4, *network.input_shape), endpoint=True)
    trace = network.run(counts)
    for layer in network.neurons:
        assert 0.1 < (trace.counts[layer.name] > 0).mean() < 0.9, layer.name
