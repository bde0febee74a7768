"""Logic cells counted in a netlist, against those that nextpnr fills."""

import json
import subprocess

import pytest

import boards
from gen.build.synthesis import synthesise
from gen.build.toolchain import find
from tests.nextpnr import filled

# Flip-flops behind nothing, behind a LUT of their own and behind a shared one; carries that a sum
# goes with and carries that are read alone; a memory.
SHIFTED = "reg [19:0] s; always @(posedge clk) s <= {s[18:0], d}; assign q = s[19];"
SHARED = """
    reg [3:0] a; reg b, c; wire x = ^a; assign q = b ^ c & x;
    always @(posedge clk) begin a <= {a[2:0], d}; b <= x; c <= x ? a[0] : b & a[1]; end
"""
ADDED = """
    reg [15:0] a, b; wire [16:0] sum = a + b; reg c; assign q = c;
    always @(posedge clk) begin a <= {a[14:0], d}; b <= b + sum[15:0]; c <= sum[16]; end
"""
COMPARED = """
    reg [15:0] a, b; reg less; assign q = less;
    always @(posedge clk) begin a <= {a[14:0], d}; b <= {b[14:0], a[15]}; less <= a < b; end
"""
STORED = """
    reg [17:0] a; reg [5:0] m[0:63], x; assign q = ^x;
    always @(posedge clk) a <= {a[16:0], d};
    always @(posedge clk) begin if (d) m[a[5:0]] <= a[11:6]; x <= m[a[17:12]]; end
"""

# What nextpnr adds for constants, and for the lock of a PLL.
CONSTANTS = 3

# Board -> its program, and where it wants the pins to be said.
NEXTPNR = {
    "ice40-hx8k": ("nextpnr-ice40", ()),
    "ulx3s-85f": ("nextpnr-ecp5", ("--lpf-allow-unconstrained",)),
    "tang-nano-9k": ("nextpnr-himbaechel-gowin", ("--vopt", "cst=top.cst")),
}


@pytest.mark.parametrize("name", NEXTPNR)
@pytest.mark.parametrize("body", [SHIFTED, SHARED, ADDED, COMPARED, STORED],
                         ids=["shifted", "shared", "added", "compared", "stored"])
def test_as_many_as_nextpnr_fills(name, body, tmp_path):
    board, (program, options) = boards.find(name), NEXTPNR[name]
    (tmp_path / "top.v").write_text(f"module top(input clk, input d, output q);{body}endmodule\n")
    cells = synthesise(tmp_path, ["top.v"], top="top", command=board.synth).cells
    (tmp_path / "top.cst").write_text('IO_LOC "clk" 52;\nIO_LOC "d" 18;\nIO_LOC "q" 17;\n')
    subprocess.run([find(program), *board.open_device.split(), *options, "--json", "netlist.json",
                    "--report", "report.json", "-q"], cwd=tmp_path, check=True, capture_output=True)
    used = json.loads((tmp_path / "report.json").read_text())["utilization"]
    # On Gowin nextpnr does not hold a flip-flop to the adder that drives it: some go astray.
    astray = cells // 8 if board.family.name == "Gowin" else 0
    assert 0 <= filled(board.family.name, used) - cells <= CONSTANTS + astray
