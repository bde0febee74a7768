"""What the table of costs is measured on, and that contents of memories are written once."""

import re

import pytest

from bench import scale

ROW = re.compile(r"    \S+ ?\[\d+\] = \d+'h[0-9a-f]+;\n")


@pytest.mark.parametrize("kind", scale.NETWORKS)
@pytest.mark.parametrize("weights", scale.SIZES)
def test_networks_are_of_the_size_that_is_asked_for(kind, weights):
    assert scale.NETWORKS[kind](weights).weight_count == pytest.approx(weights, rel=0.03)


def test_only_the_rows_of_memories_grow_with_the_weights(tmp_path):
    length = {}
    for weights in (20_000, 80_000):
        row = scale.measure("verilog", "mlp", weights, tmp_path)
        text = (tmp_path / "top.v").read_text()
        assert row["bytes"] == len(text) and row["seconds"] > 0 and row["megabytes"] > 10
        rows = sum(map(len, ROW.findall(text)))
        length[weights] = rows, len(text) - rows
    (few, rest), (many, more) = length.values()
    assert 2 < many / few < 4  # the memories of spikes don't grow
    assert more < 1.2 * rest


def test_table():
    rows = [{"network": "mlp", "weights": 1000, "stage": "mapping", "seconds": 0.04,
             "elapsed": 1, "megabytes": 50},
            {"network": "mlp", "weights": 1000, "stage": "verilog", "seconds": 1.25,
             "elapsed": 1, "megabytes": 1200, "bytes": 2_340_000}]
    assert scale.table(rows, ["mapping", "verilog"]).splitlines() == [
        ("| network | weights | mapping: s | mapping: MB | elaboration and Verilog: s "
         "| elaboration and Verilog: MB | MB of Verilog |"),
        "|---|--:|--:|--:|--:|--:|--:|",
        "| mlp | 1,000 | 0.0 | 50 | 1.2 | 1,200 | 2.3 |"]
