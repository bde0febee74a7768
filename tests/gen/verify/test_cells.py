"""Our models of block RAM against Yosys: a memory and the netlist that becomes of it agree."""

import random
import re
import subprocess

import pytest

import boards
from gen.build.synthesis import NETLIST, SCRIPT, script
from gen.build.toolchain import yosys
from gen.errors import SimulationError
from gen.verify.cells import models
from gen.verify.netlist import load, netlist_verilog
from gen.verify.verilator import verilate

CLOCKS = 600
"""For each memory: enough to read and write nearly all of its rows."""

HARNESS = """
#include <cstdio>
#include <cstdlib>
#include "Vtop.h"
int main(int, char** argv) {
    Vtop top;
    for (long n = std::strtol(argv[1], nullptr, 10); n > 0; --n) {
        top.clk = 0;
        top.eval();
        std::putchar('0' + top.tx);
        top.clk = 1;
        top.eval();
    }
}
"""

# A memory with contents; `parts` of a row are written apart, and none if there are 0 of them.
MEMORY = """
(* ram_style = "block" *) reg [{width} - 1:0] mem{k} [0:{depth} - 1];
{contents}
reg [{width} - 1:0] data{k};
always @(posedge clk) if (noise[5]) data{k} <= mem{k}[noise[40:24] % {depth}];
"""
WRITE = """
always @(posedge clk) if (noise[{bit}] && noise[9])
    mem{k}[noise[56:41] % {depth}][{low} +: {size}] <= noise[{low} +: {size}] ^ (noise >> 3);
"""


def memory(k, width, depth, parts):
    rng = random.Random(k)
    rows = [f"mem{k}[{row}] = {width}'d{rng.getrandbits(width)};" for row in range(depth)]
    # Yosys reads an initial block in a time that grows with the square of its length.
    contents = "\n".join(f"initial begin {' '.join(rows[first:first + 64])} end"
                         for first in range(0, depth, 64))
    size = width // max(1, parts)
    return MEMORY.format(k=k, width=width, depth=depth, contents=contents) + "".join(
        WRITE.format(k=k, depth=depth, bit=10 + part, low=part * size, size=size)
        for part in range(parts))


def design(shapes):
    """Module ``top``: a bit of what is read, of each memory in turn."""
    memories = "".join(memory(k, *shape) for k, shape in enumerate(shapes))
    cases = "".join(f"{k}: read = ^(data{k} & {{72{{1'b1}}}} & noise);\n"
                    for k in range(len(shapes)))
    return f"""
module top(input clk, output reg tx);
reg [71:0] noise = 1;
reg [31:0] count = 0;
always @(posedge clk) begin
    noise <= {{noise[70:0], noise[71] ^ noise[24] ^ noise[18] ^ noise[9]}};
    if (count % 3 == 0) noise <= {{noise[68:0], noise[71:69]}} ^ (noise << 17);
    count <= count + 1;
end
{memories}
reg read;
always @* case (count / {CLOCKS})
{cases}default: read = 0;
endcase
always @(posedge clk) tx <= read;
endmodule
"""


def synthesised(directory, text, command):
    (directory / "top.v").write_text(text)
    (directory / SCRIPT).write_text(script(["top.v"], top="top", command=command))
    subprocess.run([*yosys(), "-q", SCRIPT], cwd=directory, check=True, capture_output=True)
    return load(directory / NETLIST, "top")


def levels(directory, text, clocks):
    harness = directory / "harness.cpp"
    harness.write_text(HARNESS)
    program = verilate(text, "bench", harness, optimise="-O0",
                       options=("-Wno-lint", "-Wno-fatal"))
    return subprocess.run([program, str(clocks)], capture_output=True, text=True,
                          check=True).stdout


# Width, rows, parts that are written apart.
XILINX = ((36, 600, 0), (9, 2048, 1), (18, 1024, 2), (36, 512, 4), (36, 1024, 4), (1, 16384, 1),
          (4, 4096, 1), (72, 512, 8), (32, 700, 1), (18, 1500, 0))
GOWIN = ((36, 400, 0), (36, 512, 1), (36, 512, 4), (18, 1024, 2), (18, 1000, 1), (9, 2048, 1),
         (4, 4096, 1), (2, 8192, 1), (1, 16384, 1))
ECP5 = ((36, 400, 0), (36, 512, 1), (36, 512, 4), (18, 1024, 2), (18, 1000, 1), (9, 2048, 1),
        (4, 4096, 1), (2, 8192, 1), (1, 16384, 1), (18, 1024, 0))


@pytest.mark.slow
@pytest.mark.parametrize("family, command, shapes, cells", [
    ("xilinx", "synth_xilinx -family xc7 -flatten -noiopad", XILINX, {"RAMB18E1", "RAMB36E1"}),
    ("ecp5", "synth_ecp5", ECP5, {"DP16KD"}),
    ("gowin", boards.find("tang-nano-9k").synth, GOWIN, {"SDPB", "SDPX9B"}),
])
def test_block_ram(tmp_path, family, command, shapes, cells):
    text = design(shapes)
    module = synthesised(tmp_path, text, command)
    assert cells <= {cell["type"] for cell in module["cells"].values()}
    netlist = netlist_verilog(module, family, pins={"clk": "clk", "tx": "tx"})
    wrapper = "module bench(input clk, output tx); top top(.clk(clk), .tx(tx)); endmodule\n"
    clocks = CLOCKS * len(shapes)
    expected = levels(tmp_path, text + wrapper, clocks)
    got = levels(tmp_path, netlist, clocks)
    assert 0.3 < expected.count("1") / clocks < 0.7
    wrong = [shape for k, shape in enumerate(shapes)
             if expected[CLOCKS * k:CLOCKS * (k + 1)] != got[CLOCKS * k:CLOCKS * (k + 1)]]
    assert not wrong


def test_family_without_models():
    with pytest.raises(SimulationError, match=r"^there are models of the cells of xilinx, ecp5, "
                                              "ice40, gowin, not of 'nexus'$"):
        models("nexus", {"LUT4"})


@pytest.mark.parametrize("family, cell", [
    ("xilinx", "DSP48E2"),          # unheard of
    ("ice40", "SB_PLL40_2_PAD"),    # a black box in Yosys' file
    ("gowin", "SPX9"),
])
def test_cell_without_a_model(family, cell):
    message = f"there is no model of {cell} ({family}) to simulate the netlist with"
    with pytest.raises(SimulationError, match=f"^{re.escape(message)}$"):
        models(family, {cell})
