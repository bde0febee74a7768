"""Synthesis figures: counted right, cached by content, and pure."""

import json

import pytest

from gen.errors import BuildError
from gen.synth import Resources, count, require_pure, synthesise

XILINX = "synth_xilinx -family xc7 -flatten"
ECP5 = "synth_ecp5"

ADDER = """
module top(input clk, input [7:0] a, output reg [7:0] y);
  always @(posedge clk) y <= y + a;
endmodule
"""
MULTIPLIER = """
module top(input clk, input [7:0] a, input [7:0] b, output reg [15:0] y);
  always @(posedge clk) y <= a * b;
endmodule
"""
LATCH = """
module top(input g, input [3:0] a, output reg [3:0] y);
  always @* if (g) y = a;
endmodule
"""
MEMORY = """
module top(input clk, input [9:0] address, output reg [35:0] y);
  reg [35:0] memory[0:1023];
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) memory[i] = i * 12345;
  always @(posedge clk) y <= memory[address];
endmodule
"""


def run(tmp_path, verilog, command=XILINX):
    (tmp_path / "top.v").write_text(verilog)
    return synthesise(tmp_path, ["top.v"], top="top", command=command)


@pytest.mark.parametrize("cells, resources", [
    ({},                                                 Resources(0, 0, 0, 0, 0)),
    ({"LUT1": 1, "LUT6": 2, "INV": 1, "MUXF7": 9},       Resources(4, 0, 0, 0, 0)),
    ({"FDRE": 1, "FDSE": 2, "FDCE": 3, "FDPE_1": 4},     Resources(0, 10, 0, 0, 0)),
    ({"RAM32M": 2, "RAM64X1D": 1, "SRL16E": 3},          Resources(13, 0, 0, 0, 0)),
    ({"RAMB36E1": 2, "RAMB18E1": 1},                     Resources(0, 0, 2.5, 0, 0)),
    ({"DSP48E1": 1, "LDCE": 2, "$_DLATCH_P_": 1},        Resources(0, 0, 0, 1, 3)),
    ({"LUT4": 1, "CCU2C": 2, "TRELLIS_FF": 5},           Resources(5, 5, 0, 0, 0)),
    ({"TRELLIS_DPR16X4": 1, "DP16KD": 3},                Resources(6, 0, 3, 0, 0)),
    ({"MULT18X18D": 1, "ALU54B": 1, "MULT9X9D": 1},      Resources(0, 0, 0, 3, 0)),
])
def test_count(cells, resources):
    assert count(cells) == resources


@pytest.mark.parametrize("command", [XILINX, ECP5])
def test_adder(tmp_path, command):
    resources = run(tmp_path, ADDER, command)
    assert (resources.ffs, resources.brams, resources.dsps, resources.latches) == (8, 0, 0, 0)
    assert 8 <= resources.luts <= 16
    require_pure(resources, "adder")


@pytest.mark.parametrize("command", [XILINX, ECP5])
def test_multiplier(tmp_path, command):
    with pytest.raises(BuildError, match=r"^multiplier must have no DSP block, but synthesis found "
                                         r"1 DSP block; this is a defect of the gateware$"):
        require_pure(run(tmp_path, MULTIPLIER, command), "multiplier")


def test_latch(tmp_path):
    with pytest.raises(BuildError, match=r"^storage must have no latch, but synthesis found "
                                         r"4 latches; this is a defect of the gateware$"):
        require_pure(run(tmp_path, LATCH), "storage")


def test_latch_refused_by_yosys(tmp_path):
    with pytest.raises(BuildError, match=r"^Yosys failed: ERROR: Latch inferred"):
        run(tmp_path, LATCH, ECP5)


def test_block_ram(tmp_path):
    assert run(tmp_path, MEMORY).brams == 1


def test_cached(tmp_path, monkeypatch):
    resources = run(tmp_path, ADDER)
    monkeypatch.setattr("gen.synth._run", lambda *_: pytest.fail("synthesised again"))
    assert run(tmp_path, ADDER) == resources
    with pytest.raises(pytest.fail.Exception):
        run(tmp_path, ADDER.replace("+", "-"))


def test_damaged_cache(tmp_path):
    resources = run(tmp_path, ADDER)
    for text in ("", "{}", "[]", json.dumps({"key": 1, "resources": {}})):
        (tmp_path / "synth.json").write_text(text)
        assert run(tmp_path, ADDER) == resources


def test_not_verilog(tmp_path):
    with pytest.raises(BuildError, match=r"^Yosys failed: .*ERROR: syntax error"):
        run(tmp_path, "module top(")
