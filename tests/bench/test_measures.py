"""What is measured, on the smallest cases; and that it has all that the tables need."""

import pytest

from bench import bitstreams, choices, clocks, common, every_board, figures, gates
from bench.benchmark import label, load
from bench.every_board import alike
from gen.errors import SimulationError

KNOWN = load()


def known(benchmark, case):
    """The result that is kept."""
    return KNOWN[benchmark.name][label(case)]["result"]


def test_mismatches_are_no_figures():
    common.require_exact({"network": "mnist"}, {"mismatches": 0})
    with pytest.raises(SimulationError, match=r"^mnist: 2 mismatches: no figure of it counts$"):
        common.require_exact({"network": "mnist"}, {"mismatches": 2})


def test_boards_that_are_alike():
    names = {first.name: [board.name for board in same] for first, same in alike().items()}
    assert names["arty-a7-100"] == ["arty-a7-100", "nexys4-ddr", "litefury"]
    assert names["ulx3s-85f"] == ["ulx3s-85f", "ecpix5-85", "orangecrab-85f"]
    assert names["arty-a7"] == ["arty-a7"]


def test_tools_of_boards():
    assert common.board_tools({"board": "ulx3s-85f"}) == ("yosys", "nextpnr-ecp5", "ecppack")
    assert gates.tools({"board": "arty-a7", "level": "netlist"}) == ("yosys",)
    assert gates.tools({"board": "ice40-hx8k", "level": "bitstream"}) == (
        "yosys", "nextpnr-ice40", "icepack", "iceunpack", "icebox_vlog")


def test_options():
    assert clocks.options("default") == {}
    assert clocks.options("--interval 100") == {"interval": 100}
    assert clocks.options("--objective throughput") == {"objective": "throughput"}


def test_choices():
    (case,) = [case for case in choices.BENCHMARK.cases if case["network"] == "digits"]
    found, kept = choices.measure(case), known(choices.BENCHMARK, case)
    for what in ("replicas", "poolings"):
        assert {*map(frozenset, found[what])} == {*map(frozenset, kept[what])}
    for row in found["replicas"]:
        assert row["samples"] <= row["rows"] <= row["rows_in_layer"] <= row["samples_in_layer"]
        assert row["lost"] == 1 - row["samples"] / row["rows"]
    assert all(row["added"] < row["sent"] for row in found["poolings"])


@pytest.mark.parametrize("board, fits", [("arty-a7", True), ("icebreaker", False)])
def test_every_board(board, fits):
    case = {"network": "digits", "board": board}
    found = every_board.measure(case)
    assert found.keys() == known(every_board.BENCHMARK, case).keys()
    assert found["fits"] == fits
    assert found["cells"] is None or fits == (found["cells"] <= found["limit"])


@pytest.mark.slow
def test_figures():
    case = {"network": "digits-mlp", "board": "arty-a7"}
    row = figures.measure(case)
    assert row.keys() >= known(figures.BENCHMARK, case).keys()
    assert row["images"] == 355
    assert row["mismatches"] == row["dsps"] == row["latches"] == 0
    assert 0 < row["utilisation_array"] <= row["utilisation_bottleneck"] <= 1
    assert row["images_per_second"] == row["clock_hz"] / row["interval_cycles"]
    assert row["predicted_luts"] == pytest.approx(row["luts"], rel=0.15)


@pytest.mark.slow
def test_clocks():
    case = clocks.BENCHMARK.cases[0]
    row = clocks.measure(case)
    assert row.keys() == known(clocks.BENCHMARK, case).keys()
    assert row["kept"]
    assert row["interval_predicted"] == pytest.approx(row["interval"], rel=0.03)
    assert row["slowest"] == pytest.approx(row["interval"], rel=0.1)


@pytest.mark.slow
def test_bitstreams():
    case = {"network": "digits-mlp", "board": "icebreaker"}
    row = bitstreams.measure(case)
    assert row.keys() == known(bitstreams.BENCHMARK, case).keys()
    assert row["filled"] == pytest.approx(row["cells"], rel=0.02)
    assert row["fmax_hz"] >= row["clock_hz"]
    assert row["seconds"] > 1
