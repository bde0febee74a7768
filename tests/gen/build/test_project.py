"""Projects: every board's files name its pins, its clock and its toolchains' scripts."""

import re

import pytest

import boards
from gen.build import clocking, project
from gen.build.flows import FLOWS

TOP = "module top(input clk, input rst, input rx, output tx); assign tx = rx; endmodule\n"

CLOCK_AT = {"arty-a7": "E3", "arty-a7-100": "E3", "nexys4-ddr": "E3", "nitefury": "J19",
            "litefury": "J19",
            "ulx3s-85f": "G2", "ecpix5-85": "K23", "orangecrab-85f": "A9", "icebreaker": "35",
            "ice40-hx8k": "J3", "tang-nano-9k": "52", "tang-primer-20k": "H11"}

# Constraints of a pin, by toolchain.
PIN = {
    "vivado":   r"set_property LOC {pin} \[get_ports {port}\]",
    "openxc7":  r"^set_property LOC {pin} \[get_ports {{{port}}}\]$",
    "trellis":  r'^LOCATE COMP "{port}" SITE "{pin}";$',
    "icestorm": r"^set_io {port} {pin}$",
    "apicula":  r'^IO_LOC "{port}" {pin};$',
}


def files_of(board, hz=None):
    clock = clocking.require(board, hz or board.clock_hz, 1_000_000)
    return project.project_files(board, TOP, clock), clock


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
def test_project(board):
    files, clock = files_of(board)
    link = board.platform().lookup(board.link)
    pins = {part.name: part.ios[0].map_names(board.platform()._conn_pins, link)[0]
            for part in link.ios if getattr(part, "name", None) in ("rx", "tx")}
    ports = {f"uart_0__{name}__io": pin for name, pin in pins.items()}
    (clk,) = set(re.findall(r"\bin(?:out|put) (clk\w*_0__(?:io|p));", files["board.v"]))
    for toolchain in board.toolchains:
        text = files[FLOWS[toolchain].constraints]
        if toolchain == "vivado":
            text = re.sub(r'["{}]', "", text)
        for port, pin in (ports | {clk: CLOCK_AT[board.name]}).items():
            assert re.search(PIN[toolchain].format(port=port, pin=pin), text, re.MULTILINE)
        script = files[FLOWS[toolchain].script]
        assert script.startswith("#!/bin/sh\n")
        if toolchain != "vivado":
            assert f'--freq {clock.hz / 1e6:.9g} --seed "$SEED" ' in script
            assert '\n: "${SEED:=1}"\n' in script
            assert " -s" not in script
            assert "-nobram" not in files["synth.ys"]
    assert re.search(r"^  top top \(", files["board.v"], re.MULTILINE)
    assert (board.pll.primitive in files["board.v"]) == (clock.pll is not None)


def test_deterministic():
    for name in ("ulx3s-85f", "icebreaker"):
        board = boards.find(name)
        assert files_of(board) == files_of(board)


def test_reset_outlasts_what_ice40_needs():
    """15 microseconds after configuration, in clocks."""
    board = boards.find("ice40-hx8k")
    files, _ = files_of(board)
    assert "10'h2d0" in files["board.v"]
    assert 15 * board.clock_hz // 1_000_000 == 0x2d0
    assert "left" not in files_of(boards.find("tang-nano-9k"))[0]["board.v"]


@pytest.mark.parametrize("hz", [None, 25_000_000], ids=["pll", "oscillator"])
def test_clock_of_a_large_device_is_gated(hz):
    """From the oscillator or the PLL through the gate to the design, and nowhere else."""
    verilog = files_of(boards.find("ulx3s-85f"), hz)[0]["board.v"]
    ports = {name: dict(re.findall(r"\.(\w+)\((\S+?)\s*\)", text)) for name, text in
             re.findall(r"^  (DCCA gate|top top) \((.*?)\);", verilog, re.MULTILINE | re.DOTALL)}
    gate, top = ports["DCCA gate"], ports["top top"]
    assert top["clk"] == gate["CLKO"] != gate["CLKI"]
    assert ("EHXPLLL" in verilog) == (hz is None)


def test_slower_clock_of_an_artix():
    files, clock = files_of(boards.find("arty-a7"), 90e6)
    assert clock.hz == 90_000_000
    assert "PLLE2_BASE" in files["board.v"]
    assert "--freq 90 " in files["openxc7.sh"]
    assert "create_clock -name clk100_0__io -period 10.000" in files["openxc7.xdc"]
