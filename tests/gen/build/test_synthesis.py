"""Synthesis figures: counted right, cached by content, and pure."""

import json

import pytest

from gen.build.synthesis import Resources, count, require_pure, synthesise
from gen.errors import BuildError

XILINX = "synth_xilinx -family xc7 -flatten"
ECP5 = "synth_ecp5"
ICE40 = "synth_ice40 -dsp"
GOWIN = "synth_gowin"
FAMILIES = [XILINX, ECP5, ICE40, GOWIN]

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
    ({},                                                 Resources(0, 0, 0, 0, 0, 0)),
    ({"LUT1": 1, "LUT6": 2, "INV": 1, "MUXF7": 9},       Resources(4, 0, 0, 0, 0, 4)),
    ({"FDRE": 1, "FDSE": 2, "FDCE": 3, "FDPE_1": 4},     Resources(0, 10, 0, 0, 0, 0)),
    ({"RAM32M": 2, "RAM64X1D": 1, "SRL16E": 3},          Resources(13, 0, 0, 0, 0, 13)),
    ({"RAMB36E1": 2, "RAMB18E1": 1},                     Resources(0, 0, 2.5, 0, 0, 0)),
    ({"DSP48E1": 1, "LDCE": 2, "$_DLATCH_P_": 1},        Resources(0, 0, 0, 1, 3, 0)),
    ({"LUT4": 1, "CCU2C": 2, "TRELLIS_FF": 5},           Resources(5, 5, 0, 0, 0, 5)),
    ({"TRELLIS_DPR16X4": 1, "DP16KD": 3},                Resources(6, 0, 3, 0, 0, 6)),
    ({"MULT18X18D": 1, "ALU54B": 1, "MULT9X9D": 1},      Resources(0, 0, 0, 3, 0, 0)),
    ({"SB_LUT4": 3, "SB_CARRY": 2, "SB_RAM40_4K": 2},    Resources(3, 0, 2, 0, 0, 3)),
    ({"SB_DFF": 1, "SB_DFFESR": 2, "SB_DFFNSS": 3},      Resources(0, 6, 0, 0, 0, 0)),
    ({"SB_MAC16": 2, "SB_SPRAM256KA": 1, "SB_IO": 3},    Resources(0, 0, 0, 2, 0, 0)),
    ({"LUT4": 1, "MUX2_LUT5": 9, "ALU": 2, "VCC": 1},    Resources(3, 0, 0, 0, 0, 3)),
    ({"DFF": 1, "DFFRE": 2, "DFFNPE": 3, "DFFSE": 4},    Resources(0, 10, 0, 0, 0, 0)),
    ({"RAM16SDP2": 1, "SDPB": 1, "pROM": 1, "DPX9B": 1}, Resources(6, 0, 3, 0, 0, 6)),
    ({"MULT18X18": 1, "MULTALU36X18": 1, "DLCE": 2},     Resources(0, 0, 0, 2, 2, 0)),
])
def test_count(cells, resources):
    assert count(cells) == resources


@pytest.mark.parametrize("command", FAMILIES)
def test_adder(tmp_path, command):
    resources = run(tmp_path, ADDER, command)
    assert (resources.ffs, resources.brams, resources.dsps, resources.latches) == (8, 0, 0, 0)
    assert 8 <= resources.luts <= 16
    require_pure(resources, "adder")


@pytest.mark.parametrize("command", FAMILIES)
def test_multiplier(tmp_path, command):
    with pytest.raises(BuildError, match=r"^multiplier must have no DSP block, but synthesis found "
                                         r"1 DSP block; this is a defect of the gateware$"):
        require_pure(run(tmp_path, MULTIPLIER, command), "multiplier")


@pytest.mark.parametrize("command", [XILINX, GOWIN])
def test_latch(tmp_path, command):
    with pytest.raises(BuildError, match=r"^storage must have no latch, but synthesis found "
                                         r"4 latches; this is a defect of the gateware$"):
        require_pure(run(tmp_path, LATCH, command), "storage")


@pytest.mark.parametrize("command", [ECP5, ICE40])
def test_latch_refused_by_yosys(tmp_path, command):
    with pytest.raises(BuildError, match=r"^Yosys failed: ERROR: Latch inferred"):
        run(tmp_path, LATCH, command)


@pytest.mark.parametrize("command, brams", [(XILINX, 1), (ECP5, 2), (ICE40, 6), (GOWIN, 2)])
def test_block_ram(tmp_path, command, brams):
    assert run(tmp_path, MEMORY, command).brams == brams


def test_cached(tmp_path, monkeypatch):
    resources = run(tmp_path, ADDER)
    monkeypatch.setattr("gen.build.synthesis._run", lambda *_: pytest.fail("synthesised again"))
    assert run(tmp_path, ADDER) == resources
    with pytest.raises(pytest.fail.Exception):
        run(tmp_path, ADDER.replace("+", "-"))


def test_damaged_cache(tmp_path):
    resources = run(tmp_path, ADDER)
    for text in ("", "{}", "[]", json.dumps({"key": 1, "resources": {}})):
        (tmp_path / "synth.json").write_text(text)
        assert run(tmp_path, ADDER) == resources


def test_netlist(tmp_path):
    run(tmp_path, ADDER)
    netlist = tmp_path / "netlist.json"
    before = netlist.read_bytes()
    types = [cell["type"] for cell in json.loads(before)["modules"]["top"]["cells"].values()]
    assert types.count("FDRE") == 8
    for damage in (netlist.unlink, lambda: netlist.write_bytes(before[:-9])):
        damage()
        run(tmp_path, ADDER)
        assert netlist.read_bytes() == before


def test_not_verilog(tmp_path):
    with pytest.raises(BuildError, match=r"^Yosys failed: .*ERROR: syntax error"):
        run(tmp_path, "module top(")
