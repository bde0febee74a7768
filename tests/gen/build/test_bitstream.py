"""Bitstreams of the open boards, by the tools that come from PyPI."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import boards
from gen.build.builder import build
from gen.build.toolchain import find
from gen.errors import BuildError, FitError
from gen.ir import shipped
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.figures import fit
from tests.nextpnr import filled

# The iCEBreaker is too small for the digits' CNN (docs/boards.md).
OPEN = [(board, "digits-mlp" if board.name == "icebreaker" else "digits")
        for board in boards.BOARDS if board.family.name != "7-series"]


def tiny():
    """Four pixels, two hidden neurons, two classes."""
    rng = np.random.default_rng(1)
    first = Synapses(source=INPUT, weights=rng.integers(-7, 8, (2, 1, 2, 2)), bits=4)
    second = Synapses(source="hidden", weights=rng.integers(-7, 8, (2, 2, 1, 1)), bits=4)
    return Network("tiny", (1, 2, 2), 3, 255, (
        Neurons("hidden", (first,), rng.integers(0, 9, 2), np.full(2, 9), 3),
        Readout("readout", (second,), rng.integers(-5, 6, 2))))


def read(out, name):
    return json.loads((out / name).read_text())


def counter(design):
    """A design that is quick to build, and whose adder sets the clock."""
    return (f"module top(input clk, input rst, input rx, output tx); reg [95:0] n; assign tx = ^n; "
            f"always @(posedge clk) n <= rst ? {design.clock.hz} : n + rx; endmodule\n")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("gen.build.design.Design.verilog", counter)


@pytest.fixture(scope="module")
def hurried(tmp_path_factory):
    """A build that was asked for a clock beyond reach."""
    out = tmp_path_factory.mktemp("hurried")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gen.build.design.Design.verilog", counter)
        return out, build(tiny(), board="ice40-hx8k", out=out, clock_hz=250e6)


class TestMissedClock:
    def test_built_for_one_it_meets(self, hurried):
        out, result = hurried
        timing, manifest = read(out, "timing.json"), read(out, "manifest.json")
        assert (timing["toolchain"], timing["asked_hz"]) == ("icestorm", 250_000_000)
        assert 24e6 < timing["clock_hz"] <= timing["fmax_hz"] < 250e6
        assert result["clock_hz"] == manifest["clock_hz"] == timing["clock_hz"]
        assert result["fmax_hz"] == timing["fmax_hz"]
        assert sum(hop["delay_ns"] for hop in timing["critical_path"]) == pytest.approx(
            1e9 / timing["fmax_hz"], rel=0.01)
        assert f"n <= rst ? {timing['clock_hz']} :" in (out / "top.v").read_text()

    def test_all_of_it_is_cached(self, hurried, quick, monkeypatch, caplog):
        """Also that the clock asked for was missed."""
        out, result = hurried
        monkeypatch.setattr("gen.build.synthesis._run", lambda *_: pytest.fail("synthesised again"))
        monkeypatch.setattr("gen.build.bitstream._run", lambda *_: pytest.fail("placed again"))
        with caplog.at_level("INFO"):
            assert build(tiny(), board="ice40-hx8k", out=out, clock_hz=250e6) == result
        assert {"Yosys: cached", "icestorm: cached"} <= set(caplog.messages)
        assert any(" MHz on ice40-hx8k: built again for " in line for line in caplog.messages)

    def test_reproducible(self, hurried, quick, tmp_path):
        """The same bits from nothing, when asked for the clock that was found."""
        out, result = hurried
        again = build(tiny(), board="ice40-hx8k", out=tmp_path, clock_hz=result["clock_hz"] + 1)
        assert again["clock_hz"] == result["clock_hz"]
        for name in ("board.bin", "netlist.json", "top.v", "board.v"):
            assert (tmp_path / name).read_bytes() == (out / name).read_bytes()

    def test_no_clock_that_is_slow_enough(self, quick, tmp_path, monkeypatch):
        """After some attempts the figure is the error."""
        monkeypatch.setattr("gen.build.builder._ATTEMPTS", 1)
        with pytest.raises(BuildError, match=r"^the design misses its clock, says the report of "
                                             r"icestorm: [\d.]+ MHz of 249 MHz; "):
            build(tiny(), board="ice40-hx8k", out=tmp_path, clock_hz=250e6)
        assert not (tmp_path / "board.bin").exists()
        assert not (tmp_path / "manifest.json").exists()


class TestNoRoom:
    """nextpnr itself, but for the seeds with which it is made to give up."""

    @pytest.fixture
    def gives_up(self, monkeypatch, tmp_path, quick):
        def with_seeds(*seeds, saying="Unable to find legal placement for all cells"):
            script = tmp_path / "nextpnr"
            script.write_text(
                f'#!/bin/sh\necho "$SEED" >> {tmp_path}/seeds\n'
                f'case "$SEED" in {"|".join(map(str, seeds))})\n'
                f'echo "ERROR: {saying}" >&2; exit 125;; esac\nexec {real} "$@"\n')
            script.chmod(0o755)
            monkeypatch.setenv("NEXTPNR_ICE40", str(script))
        real = find("nextpnr-ice40")
        return with_seeds

    def test_next_seed(self, gives_up, tmp_path, caplog):
        gives_up(1, 2)
        with caplog.at_level("INFO"):
            build(tiny(), board="ice40-hx8k", out=tmp_path / "out")
        assert read(tmp_path / "out", "timing.json")["seed"] == 3
        assert [line for line in caplog.messages if "seed" in line] == [
            f"icestorm: no places for all cells with seed {seed}: trying the next seed"
            for seed in (1, 2)]

    def test_none_of_them(self, gives_up, tmp_path):
        gives_up(1, 2, 3, 4)
        with pytest.raises(FitError) as caught:
            build(tiny(), board="icebreaker", out=tmp_path / "out")
        assert re.match(
            r"tiny finds no room on icebreaker \(iCE40UP5K-SG48\): it fills \d+ logic cells of "
            r"5,280, 0 block RAMs of 30; fewer lanes \(--lanes, --interval, --objective "
            r"smallest\), weights of fewer bits, or a larger board \(ice40-hx8k\) would help "
            r"\(icestorm.sh failed with status 125: ERROR: Unable to find legal placement for all "
            r"cells \(log: ",
            str(caught.value))
        assert not (tmp_path / "out" / "board.bin").exists()

    @pytest.mark.parametrize("saying", [
        "Failed to expand region (0, 0) |_> (25, 31) of 6121 ICESTORM_LCs",
        "Unable to place cell 'a', no BELs remaining to implement cell type 'ICESTORM_LC'"])
    def test_more_cells_than_places_is_no_matter_of_luck(self, gives_up, saying, tmp_path):
        gives_up(1, saying=saying)
        with pytest.raises(FitError, match=f"^tiny finds no room on .*{re.escape(saying)}"):
            build(tiny(), board="ice40-hx8k", out=tmp_path / "out")
        assert (tmp_path / "seeds").read_text() == "1\n"


@pytest.mark.parametrize("board, magic", [("ice40-hx8k", b"\xff\x00\x00\xff\x7e\xaa"),
                                          ("ulx3s-85f", b"\xff\x00Part")])
def test_tiny(board, magic, tmp_path):
    """A whole device, link and array, at the board's clock."""
    result = build(tiny(), board=board, out=tmp_path)
    timing = read(tmp_path, "timing.json")
    assert result["clock_hz"] == timing["clock_hz"] == boards.find(board).clock_hz
    assert timing["clock_hz"] <= timing["fmax_hz"]
    assert Path(result["bitstream"]).read_bytes().startswith(magic)


@pytest.mark.slow
@pytest.mark.parametrize("board, name", OPEN, ids=lambda value: getattr(value, "name", value))
def test_digits(board, name, tmp_path):
    """Also that as many logic cells are filled as was predicted, and counted after synthesis."""
    network = shipped.find(name)
    result = build(network, board=board.name, out=tmp_path)
    timing = read(tmp_path, "timing.json")
    assert timing["clock_hz"] <= timing["fmax_hz"]
    assert timing["asked_hz"] == board.clock_hz
    assert read(tmp_path, "manifest.json")["bitstream"] in result["bitstream"]
    cells = filled(board.family.name, timing["used"])
    assert result["cells"] == pytest.approx(cells, rel=0.02)
    assert fit(network, board=board.name)["cells"] == pytest.approx(cells, rel=0.1)
    assert cells <= board.budget.luts
