"""What a network needs of a board at least, before a mapping is chosen."""

import dataclasses
import json
import time

import numpy as np
import pytest

import boards
from gen.build.builder import build
from gen.cli import main as cli
from gen.errors import FitError
from gen.ir.artifact import save
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.figures import fit
from gen.plan.mapping import map_network
from gen.plan.planner import plan
from gen.plan.room import memory_bits, require_memory
from tests.hw.cases import NETWORKS, network

ARTY = boards.find("arty-a7")


def wide(*, inputs, channels):
    """Random weights of two bits."""
    rng = np.random.default_rng(0)

    def synapses(source, shape):
        return Synapses(source=source, weights=rng.integers(-2, 2, (*shape, 1, 1)), bits=2)
    nothing = np.zeros(channels, dtype=np.int64)
    return Network("wide", (inputs, 1, 1), 3, 255, (
        Neurons("hidden", (synapses(INPUT, (channels, inputs)),), nothing, nothing + 3, 7),
        Readout("readout", (synapses("hidden", (2, channels)),), nothing[:2])))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("lanes", [1, 3, 100])
def test_every_mapping_stores_as_much(name, code, lanes):
    net = network(name)
    _, image = map_network(net, code=code, lanes={
        layer.name: min(lanes, layer.channels) for layer in net.layers
        if layer.synapses})
    stored = sum(memory.width * len(memory.rows) for memory in image.values())
    assert 0 < memory_bits(net, code) <= stored


def test_the_bound_is_the_devices():
    budget = ARTY.budget
    most = budget.brams * budget.bram_bits + 64 * budget.luts
    require_memory("net", ARTY, most)
    with pytest.raises(FitError, match=r"^net does not fit arty-a7 \(\S+\): it stores 3,174,401 "
                                       r"bits, which is 87 block RAMs of 50; weights of fewer "
                                       r"bits, or a larger board \(.*\) would help$"):
        require_memory("net", ARTY, most + 1)


@pytest.fixture(scope="module")
def million():
    return wide(inputs=4, channels=1_000_000)


@pytest.fixture
def moments():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 10


class TestEarly:
    """A layer of 1,000,000 channels: 97 s without a word, once."""

    def test_fit(self, million, moments):
        result = fit(million, board="arty-a7")
        assert result["fits"] is False
        assert result["layers"] == []
        assert result["luts"] is None
        assert result["reason"].startswith("wide does not fit arty-a7 (xc7a35ticsg324-1L): it ")

    def test_build(self, million, moments, tmp_path):
        with pytest.raises(FitError, match=r"^wide does not fit arty-a7 .*: it stores"):
            build(million, board="arty-a7", out=tmp_path)

    def test_by_prediction(self, moments, tmp_path):
        """A fan-in of 65,536, whose Verilog took minutes."""
        with pytest.raises(FitError, match=r": by prediction, its layers need [\d,]+ LUTs of "
                                           r"18,720 that can be used, with any mapping, and "
                                           r"store 2,097,840 bits, of which block RAMs hold "
                                           r"1,843,200; weights of fewer bits, or a larger "):
            build(wide(inputs=65_536, channels=16), board="arty-a7", out=tmp_path)

    def test_many_channels_are_planned_quickly(self):
        began = time.monotonic()
        plan(wide(inputs=1, channels=20_000), ARTY)
        assert time.monotonic() - began < 10


class TestCommand:
    @pytest.fixture
    def small(self, monkeypatch):
        """An Arty of 2,900 LUTs."""
        less = dataclasses.replace(ARTY, budget=dataclasses.replace(ARTY.budget, luts=2900))
        monkeypatch.setattr(boards, "BOARDS", (less, *boards.BOARDS[1:]))

    @pytest.fixture
    def file(self, tmp_path):
        save(network("residual"), tmp_path / "net.npz")
        return str(tmp_path / "net.npz")

    def test_what_does_not_fit_is_shown_and_said(self, small, file, capsys):
        assert cli.main(["fit", file]) == 1
        out, err = capsys.readouterr()
        assert "that can be filled  2,610" in out
        assert err.splitlines()[-1].startswith("error: case does not fit arty-a7 ")
        assert err.endswith("a larger board (arty-a7-100, nexys4-ddr, litefury, nitefury) would "
                            "help\n")

    @pytest.mark.parametrize("objective", [(), ("--objective", "smallest")])
    def test_json(self, small, file, objective, capsys):
        assert cli.main(["fit", file, "--json", *objective]) == 1
        result = json.loads(capsys.readouterr().out)
        assert result["fits"] is False
        assert result["cells"] > 2610
        assert result["layers"]
        assert result["reason"].startswith("case does not fit arty-a7 ")

    def test_what_fits(self, file, capsys):
        assert cli.main(["fit", file, "--json"]) == 0
        out, err = capsys.readouterr()
        assert '"fits": true, "reason": null' in out
        assert "error" not in err

    def test_a_pace_that_is_not_kept(self, file, capsys):
        assert cli.main(["fit", file, "--interval", "3", "--objective", "smallest"]) == 1
        assert "can't keep 3 clocks an image" in capsys.readouterr().err
