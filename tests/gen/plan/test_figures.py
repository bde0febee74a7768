from dataclasses import replace

import numpy as np
import pytest

from gen.ir import shipped
from gen.plan.figures import fit
from gen.plan.workload import Calibration
from tests.hw.cases import network


def test_the_calibration_set_decides():
    net = shipped.find("digits")
    dark = replace(net, samples=np.zeros_like(net.samples))
    assert fit(dark, board="arty-a7")["layers"][1]["spikes"] == 0
    calibrated = fit(dark, board="arty-a7", calibration=Calibration(100))
    assert calibrated["images"] == 100
    assert calibrated["layers"][1]["spikes"] > 0
    assert calibrated["layers"] == fit(net, board="arty-a7",
                                       calibration=Calibration(100))["layers"]


def test_the_plan_as_a_table():
    net = network("residual")
    result = fit(net, board="arty-a7", objective="latency")
    names = [layer["name"] for layer in result["layers"]]
    assert names == ["input", *(layer.name for layer in net.layers)]
    slowest = max(result["layers"], key=lambda layer: layer["clocks"])
    assert result["bottleneck"] == slowest["name"]
    assert result["interval_cycles"] == pytest.approx(slowest["clocks"], rel=0.1)
    assert result["images_per_second"] == pytest.approx(1e8 / result["interval_cycles"], rel=0.01)
    assert result["calibration"] == "2 random samples"
    assert result["images"] == 2
    assert len({frozenset(layer) for layer in result["layers"]}) == 1
    cores = [layer for layer in result["layers"] if layer["kind"] == "core"]
    assert all(0 < layer["utilisation"] <= 1 and layer["replicas"] > 0 for layer in cores)
    assert [layer["lanes"] is None for layer in result["layers"]] == [
        layer["kind"] != "core" for layer in result["layers"]]
    assert sum(layer["luts"] or 0 for layer in result["layers"]) < result["luts"]
    assert result["cells"] <= result["cell_limit"] < result["budget"]["luts"]
    assert {memory["name"] for layer in cores for memory in layer["memories"]} >= {
        "weights", "parameters", "counts", "occupancy", "table"}
