"""A build leaves all a board needs, fits or says why not, and is the same every time."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import boards
from firmware.image import unpack
from gen.build import bitstream, clocking
from gen.build import builder as building
from gen.build.bitstream import MissedClock
from gen.build.builder import build
from gen.build.design import Design
from gen.build.planning import design_for
from gen.errors import BuildError, FitError
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.room import advice, require_fit

ARTY = boards.find("arty-a7")


def tiny(hidden=4):
    """Four pixels, a few hidden neurons, three classes."""
    rng = np.random.default_rng(1)
    first = Synapses(source=INPUT, weights=rng.integers(-7, 8, (hidden, 1, 2, 2)), bits=4)
    second = Synapses(source="hidden", weights=rng.integers(-7, 8, (3, hidden, 1, 1)), bits=4)
    return Network("tiny", (1, 2, 2), 3, 255, (
        Neurons("hidden", (first,), rng.integers(0, 9, hidden), np.full(hidden, 9), 3),
        Readout("readout", (second,), rng.integers(-5, 6, 3))))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    return out, build(tiny(), board="arty-a7", out=out)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder at the head of PATH, and a way to put a program of one shell line there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "bin").mkdir()

    def add(name, line):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)

    return add


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".log"}


def test_an_interval_that_is_not_kept(tmp_path, caplog):
    """An interval is kept as far as the board has room."""
    clocks = build(tiny(), board="arty-a7", out=tmp_path, synthesise=False,
                   interval=1)["interval_cycles"]
    (message,) = caplog.messages
    assert message == ("warning: the interval of 1 is not kept on arty-a7: by prediction an image "
                       f"takes {clocks} clocks")
    caplog.clear()
    build(tiny(), board="arty-a7", out=tmp_path, synthesise=False, interval=clocks)
    assert not any("warning" in message for message in caplog.messages)


class TestFiles:
    def test_summary(self, built):
        out, summary = built
        assert json.loads(json.dumps(summary)) == summary
        assert (summary["board"], summary["device"]) == ("arty-a7", "xc7a35ticsg324-1L")
        assert summary["clock_hz"] == 100_000_000
        assert (summary["dsps"], summary["latches"], summary["bitstream"]) == (0, 0, None)
        assert 0 < summary["luts"] < summary["budget"]["luts"]
        assert Path(summary["verilog"]) == out / "top.v"
        assert Path(summary["manifest"]) == out / "manifest.json"

    def test_manifest(self, built):
        out, summary = built
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["format"] == 4
        assert manifest["network"] == "tiny"
        assert re.fullmatch("[0-9a-f]{64}", manifest["digest"])
        assert manifest["clock_source"] == "board oscillator, 100 MHz, pin E3"
        assert manifest["link"] == {"kind": "uart", "baud": 1_000_000, "wiring": "USB bridge"}
        assert manifest["input"]["shape"] == [1, 2, 2]
        assert manifest["output"]["classes"] == 3
        assert manifest["resources"] == {kind: summary[kind] for kind in manifest["resources"]}
        assert manifest["files"] == {
            name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (
                "board.tcl", "board.v", "board.xdc", "design.json", "memory.img", "netlist.json",
                "network.npz", "openxc7.sh", "openxc7.xdc", "spikeloom.h", "synth.ys", "top.v",
                "vivado.sh")}

    def test_top_has_the_ports_of_the_virtual_board(self, built):
        verilog = (built[0] / "top.v").read_text()
        (ports,) = re.findall(r"^module top\((.*)\);$", verilog, re.MULTILINE)
        assert set(ports.split(", ")) == {"clk", "rst", "rx", "tx"}

    def test_the_board_runs_the_same_top(self, built):
        board = (built[0] / "board.v").read_text()
        assert re.search(r"^  top top \(", board, re.MULTILINE)
        assert "add_files \"top.v\"" in (built[0] / "board.tcl").read_text()

    @pytest.mark.parametrize("name", ["board.xdc", "openxc7.xdc"])
    def test_constraints(self, built, name):
        text = (built[0] / name).read_text().replace('"', "").replace("{", "").replace("}", "")
        for port, pin in (("uart_0__rx__io", "A9"), ("uart_0__tx__io", "D10"),
                          ("clk100_0__io", "E3"), ("rst_0__io", "C2")):
            assert f"set_property LOC {pin} [get_ports {port}]" in text
            assert f"set_property IOSTANDARD LVCMOS33 [get_ports {port}]" in text
        assert re.search(r"create_clock -name clk100_0__io -period 10\.0", text)

    def test_open_script_keeps_block_ram(self, built):
        script = (built[0] / "openxc7.sh").read_text()
        assert "-nobram" not in script
        assert "--freq 100 " in script

    def test_memory_image(self, built):
        out, _ = built
        digest, memories = unpack((out / "memory.img").read_bytes())
        assert digest.hex() == json.loads((out / "manifest.json").read_text())["digest"]
        assert any(any(memory.rows) for memory in memories)

    def test_deterministic(self, built, tmp_path):
        build(tiny(), board="arty-a7", out=tmp_path, synthesise=False)
        again = contents(tmp_path)
        del again["manifest.json"]
        assert again.items() <= contents(built[0]).items()

    def test_rebuild_does_not_synthesise(self, built, monkeypatch):
        out, summary = built
        monkeypatch.setattr("gen.build.synthesis._run", lambda *_: pytest.fail("synthesised again"))
        before = contents(out)
        assert build(tiny(), board="arty-a7", out=out) == summary
        assert contents(out) == before

    def test_digest_tells_networks_and_shapes_apart(self):
        digests = {design_for(network, ARTY, lanes=lanes).digest
                   for network, lanes in ((tiny(), None), (tiny(), {"hidden": 2}), (tiny(5), None))}
        assert len(digests) == 3


class TestRefused:
    def test_board(self, tmp_path):
        with pytest.raises(boards.UnknownBoard):
            build(tiny(), board="artie", out=tmp_path)

    def test_baud(self, tmp_path):
        with pytest.raises(BuildError, match=r"^arty-a7 has no clock of at most 100 MHz that "
                                             r"can be divided to 90000000 baud"):
            build(tiny(), board="arty-a7", out=tmp_path, baud=90_000_000)

    def test_fit(self):
        require_fit("mnist", ARTY, {"cells": 20_800, "brams": 50})
        with pytest.raises(FitError) as caught:
            require_fit("mnist", ARTY, {"cells": 20_801, "ffs": 41_600, "brams": 50.5})
        assert str(caught.value) == (
            "mnist does not fit arty-a7 (xc7a35ticsg324-1L): it needs 20,801 LUTs of 20,800, 50.5 "
            "block RAMs of 50; fewer lanes (--lanes, --interval, --objective smallest), weights of "
            "fewer bits, or a larger board (arty-a7-100, nexys4-ddr, litefury, nitefury) would "
            "help")

    def test_fits_nowhere(self):
        with pytest.raises(FitError, match=r"needs 80,000 LUTs of 20,800; fewer lanes "
                                           r"\(--lanes, --interval, --objective smallest\), "
                                           r"weights of fewer bits, or a larger board "
                                           r"\(nitefury\) would help$"):
            require_fit("huge", ARTY, {"cells": 80_000})
        with pytest.raises(FitError, match=r"needs 804 block RAMs of 50; fewer lanes \(--lanes, "
                                           r"--interval, --objective smallest\) would help$"):
            require_fit("huge", ARTY, {"brams": 804})
        assert advice(ARTY, {"brams": 804}, lanes=False) == "fewer weights would help"

    def test_memory_is_counted_before_synthesis(self, tmp_path, monkeypatch):
        wide = np.ones((4096, 1024, 1, 1), dtype=np.int64)
        network = Network("wide", (1024, 1, 1), 1, 255, (
            Neurons("hidden", (Synapses(source=INPUT, weights=wide[:1024], bits=8),),
                    np.zeros(1024, dtype=np.int64), np.ones(1024, dtype=np.int64), 1),
            Readout("readout", (Synapses(source="hidden", weights=wide[:2], bits=8),),
                    np.zeros(2, dtype=np.int64))))
        monkeypatch.setattr(building.project, "project_files", lambda *_: pytest.fail("elaborated"))
        with pytest.raises(FitError, match=r"^wide does not fit arty-a7 .* is 2\d\d block RAMs "
                                           r"of 50; "):
            build(network, board="arty-a7", out=tmp_path)

    @pytest.mark.parametrize("body, found", [
        ("reg [15:0] p; always @(posedge clk) p <= {8{rx, rst}} * {p[14:0], rx}; assign tx = ^p;",
         "1 DSP block"),
        ("reg q; always @* if (rst) q = rx; assign tx = q;", "1 latch"),
    ])
    def test_multiplier_or_latch(self, tmp_path, monkeypatch, body, found):
        verilog = f"module top(input clk, input rst, input rx, output tx); {body} endmodule\n"
        monkeypatch.setattr(Design, "verilog", lambda self: verilog)
        with pytest.raises(BuildError, match=f"^tiny must have no .* synthesis found {found};"):
            build(tiny(), board="arty-a7", out=tmp_path)
        assert not (tmp_path / "manifest.json").exists()


VIVADO = """
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)
    -------      -------  ---------------------  -------------------      -------
     {slack}        0.000                      0                 6127        0.052

{verdict}
"""
MET = VIVADO.format(slack="2.000", verdict="All user specified timing constraints are met.")
MISSED = VIVADO.format(slack="-2.500", verdict="Timing constraints are not met.")


class TestBitstream:
    """With programs that stand in for the vendors': what is run, and what is made of the result."""

    def make(self, tmp_path, board=ARTY):
        out = tmp_path / "out"
        out.mkdir()
        clock = clocking.require(board, board.clock_hz, 1_000_000)
        files = building.project.project_files(board, "module top(); endmodule\n", clock)
        building.project.write(files, out)
        return self.again(out, board)

    def again(self, out, board=ARTY):
        (out / "netlist.json").write_text("{}")
        return bitstream.make(board, out, clock_hz=board.clock_hz, asked_hz=board.clock_hz)

    def test_vivado(self, tmp_path, tools):
        tools("vivado", f"echo bits > board.bit; cat > board_timing.rpt <<'END'\n{MET}\nEND")
        assert self.make(tmp_path).path.read_text() == "bits\n"
        timing = json.loads((tmp_path / "out" / "timing.json").read_text())
        assert (timing["toolchain"], timing["clock_hz"], timing["asked_hz"], timing["fmax_hz"]) == (
            "vivado", 100_000_000, 100_000_000, 125_000_000)

    def test_cached(self, tmp_path, tools, caplog):
        tools("vivado", f"echo x >> runs; echo bits > board.bit; cat > board_timing.rpt <<'END'\n"
                        f"{MET}\nEND")
        first, out = self.make(tmp_path), tmp_path / "out"
        with caplog.at_level("INFO", logger="gen.build.bitstream"):
            assert self.again(out) == first
        assert caplog.messages == ["vivado: cached"]
        assert (out / "runs").read_text() == "x\n"
        (out / "board.bit").write_text("other")
        assert self.again(out).path.read_text() == "bits\n"
        (out / "board.xdc").write_text("# other pins\n")
        self.again(out)
        assert (out / "runs").read_text() == "x\nx\nx\n"

    def test_vivado_misses_its_clock(self, tmp_path, tools):
        tools("vivado", f"echo bits > board.bit; cat > board_timing.rpt <<'END'\n{MISSED}\nEND")
        with pytest.raises(MissedClock, match=r"misses its clock, says the report of vivado: 80 "
                                              r"MHz of 100 MHz"):
            self.make(tmp_path)
        out = tmp_path / "out"
        assert not (out / "board.bit").exists()
        assert not (out / "timing.json").exists()
        assert bitstream.known_miss(ARTY, out, 100_000_000).fmax_hz == 80_000_000
        (out / "board.xdc").write_text("# other pins\n")
        assert bitstream.known_miss(ARTY, out, 100_000_000) is None

    def test_vivado_fails(self, tmp_path, tools):
        tools("vivado", "exit 3")
        with pytest.raises(BuildError, match=r"^vivado\.sh failed with status 3 \(log: .*"):
            self.make(tmp_path)

    def test_vivado_leaves_nothing(self, tmp_path, tools):
        tools("vivado", "true")
        with pytest.raises(BuildError, match=r"^vivado\.sh left no board_timing\.rpt"):
            self.make(tmp_path)

    @pytest.fixture
    def openxc7(self, tmp_path, tools, monkeypatch):
        monkeypatch.setenv("CHIPDB_DIR", str(tmp_path / "chipdb"))
        (tmp_path / "chipdb").mkdir()
        (tmp_path / "chipdb" / "xc7a35tcsg324.bin").touch()
        monkeypatch.setenv("PRJXRAY_DB_DIR", str(tmp_path / "db"))
        monkeypatch.setenv("YOSYS", "yosys")
        tools("yosys", "echo yosys \"$@\" >> calls")
        tools("nextpnr-xilinx", "echo nextpnr \"$@\" >> calls; echo \"Max frequency for clock "
                                "'clk': 101.00 MHz (PASS at 100.00 MHz)\" > openxc7_nextpnr.log")
        tools("fasm2frames", "echo frames")
        tools("xc7frames2bit", "cp openxc7.frames board.bit")

    def test_openxc7(self, tmp_path, openxc7):
        assert self.make(tmp_path).path.read_text() == "frames\n"
        calls = (tmp_path / "out" / "calls").read_text()
        assert f"--chipdb {tmp_path}/chipdb/xc7a35tcsg324.bin --xdc openxc7.xdc" in calls
        assert "--json netlist.json" in calls
        assert "yosys" not in calls

    def test_script_alone(self, tmp_path, openxc7):
        """Without a netlist the script makes one, from the same commands as the build."""
        self.make(tmp_path)
        out = tmp_path / "out"
        (out / "netlist.json").unlink()
        subprocess.run(["sh", "openxc7.sh"], cwd=out, check=True)
        assert "yosys -q -l yosys.log synth.ys" in (out / "calls").read_text()
        commands = (out / "synth.ys").read_text()
        assert "synth_xilinx -family xc7 -flatten\n" in commands
        assert "-nobram" not in commands

    def test_openxc7_misses_its_clock(self, tmp_path, openxc7, tools):
        tools("nextpnr-xilinx", "echo \"Max frequency for clock 'clk': 81.00 MHz (FAIL at 100.00 "
                                "MHz)\" > openxc7_nextpnr.log; exit 1")
        with pytest.raises(BuildError, match=r"81 MHz of 100 MHz"):
            self.make(tmp_path)

    def test_openxc7_without_the_chip(self, tmp_path, openxc7):
        (tmp_path / "chipdb" / "xc7a35tcsg324.bin").unlink()
        with pytest.raises(BuildError, match=r"^openxc7\.sh failed with status "):
            self.make(tmp_path)
        transcript = (tmp_path / "out" / "openxc7.log").read_text()
        assert "CHIPDB_DIR has no database of xc7a35t" in transcript

    def test_nothing_found(self, tmp_path, caplog, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with caplog.at_level("INFO", logger="gen.build.bitstream"):
            assert self.make(tmp_path) is None
        (line,) = caplog.messages
        assert line.startswith("no bitstream, because tools are missing (vivado needs vivado; "
                               "openxc7 needs nextpnr-xilinx, fasm2frames, xc7frames2bit, ")
        assert line.endswith(f"{tmp_path}/out/openxc7.sh")

