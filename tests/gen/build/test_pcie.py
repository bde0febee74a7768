"""Builds on PCI Express: the project, what a directory says of it, and what is refused."""

import json
import re

import pytest

import boards
from boards.pcie import INPUTS, OUTPUTS
from gen.build import clocking, project, synthesis
from gen.build.builder import build
from gen.build.design import load, require_emitted
from gen.build.verilog import component_verilog
from gen.cli.main import main
from gen.errors import BuildError
from hw.pcie.endpoint import LINK, Endpoint
from hw.registers import RegisterMap
from tests.networks import linear

BOARDS = [board for board in boards.BOARDS if board.pcie]

TOP = component_verilog(Endpoint(RegisterMap(2, 5)), "top")


def files_of(board, hz=125e6):
    clock = clocking.require(board, hz, None)
    return project.project_files(board, TOP, clock), clock


def instance(verilog, module):
    """Ports of the only instance of a module."""
    (text,) = re.findall(rf"^  {module} \w+ \((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"\.(\w+)\((.*?)\)(?:,|\n)", text))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
class TestProject:
    def test_files(self, board):
        """Vivado's project is whole, and there is no other."""
        files, _ = files_of(board.linked("pcie"))
        assert sorted(files) == ["board.tcl", "board.v", "board.xdc", "synth.ys", "top.v",
                                 "vivado.sh"]
        for name in ("top.v", "board.v", "board.xdc"):
            assert name in files["board.tcl"]

    def test_core(self, board):
        """It is made before synthesis, and every port is connected."""
        files, clock = files_of(board.linked("pcie"))
        script = files["board.tcl"]
        assert script.index("create_ip -name pcie_7x") < script.index("synth_design")
        assert f"CONFIG.User_Clk_Freq {{{clock.hz / 1e6:g}}}" in script
        assert "CONFIG.Bar0_Size {4}" in script
        ports = instance(files["board.v"], "pcie_7x")
        assert set(INPUTS) <= set(ports) <= set(INPUTS) | set(OUTPUTS)
        assert all(ports.values())

    def test_top(self, board):
        """All of the design's link is connected to the core, in its own clock domain."""
        files, _ = files_of(board.linked("pcie"))
        ports = instance(files["board.v"], "top")
        link = {f"link__{'__'.join(path)}" for path, *_ in LINK.flatten(LINK.create())}
        assert set(ports) >= link - {"link__non_posted_ok"}
        core = instance(files["board.v"], "pcie_7x")
        assert ports["clk"] == core["user_clk_out"]

    def test_selftest(self, board):
        """Its result is on the first LED."""
        linked = board.linked("pcie")
        clock = clocking.require(linked, 125e6, None)
        for tests in (False, True):
            files = project.project_files(linked, TOP, clock, tests=tests)
            assert ("passed" in instance(files["board.v"], "top")) == tests
            assert ('[get_ports "led_0__io"]' in files["board.xdc"]) == tests

    def test_pins(self, board):
        """One lane, its clock and its reset; no serial port, no oscillator."""
        files, _ = files_of(board.linked("pcie"))
        pins = dict(re.findall(r"set_property LOC (\w+) \[get_ports \"(\w+)\"\]",
                               files["board.xdc"]))
        assert pins == {"J1": "pcie_0__rst__io", "G1": "pcie_0__clkreq__io",
                        "F6": "pcie_0__clk__p", "E6": "pcie_0__clk__n",
                        "B10": "pcie_0__rx__p", "A10": "pcie_0__rx__n",
                        "B6": "pcie_0__tx__p", "A6": "pcie_0__tx__n"}
        assert re.search(r"create_clock .*pcie_0__clk__p.*-period 10\.0", files["board.xdc"])

    def test_clock(self, board):
        linked = board.linked("pcie")
        for asked, hz in ((100e6, 62_500_000), (125e6, 125_000_000), (1e9, 125_000_000)):
            clock = clocking.require(linked, asked, None)
            assert clock.hz == hz
        assert clocking.describe(linked, clock) == (
            "pcie_7x from the host's clock, 100 MHz, M.2 slot, lane 0")
        with pytest.raises(BuildError, match=rf"^{board.name} has no clock of at most 50 MHz on "
                                             rf"PCI Express; another --clock would help: 62\.5 "
                                             rf"or 125$"):
            clocking.require(linked, 50e6, None)

    def test_the_serial_port_stays_as_it_is(self, board):
        assert board.linked("uart") is board
        assert board.linked("pcie").linked("pcie") == board.linked("pcie")
        assert board.toolchains == ("vivado", "openxc7")
        assert board.linked("pcie").toolchains == ("vivado",)


def test_a_board_without_a_connector():
    with pytest.raises(boards.NoLink, match=r"^arty-a7 has no link 'pcie'; it has uart$"):
        boards.find("arty-a7").linked("pcie")
    with pytest.raises(boards.NoLink, match=r"^litefury has no link 'usb'; it has uart and pcie$"):
        boards.find("litefury").linked("usb")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    for link in ("uart", "pcie"):
        build(linear(), board="litefury", out=folder / link, synthesise=False, link=link)
    return folder


def test_a_directory(built):
    design = load(built / "pcie")
    assert (design.board.link, design.baud, design.clock.hz) == ("pcie", None, 62_500_000)
    assert require_emitted(design, built / "pcie") == (built / "pcie" / "top.v").read_text()
    facts = json.loads((built / "pcie" / "manifest.json").read_text())
    assert facts["link"] == {"kind": "pcie", "baud": None, "wiring": "M.2 slot, lane 0"}
    assert facts["registers"]["ring_open"] == 0x100
    assert facts["digest"] != load(built / "uart").digest


@pytest.mark.parametrize("link, message", [
    ({"kind": "pcie", "baud": 0}, "link.baud must be a number of at least 1"),
    ({"kind": "uart", "baud": None}, "link.baud is missing or malformed"),
    ({"kind": "usb", "baud": 9600}, "litefury has no link 'usb'; it has uart and pcie"),
    ({"kind": "uart", "baud": 9600}, "")])
def test_a_damaged_link(built, tmp_path, link, message):
    """One that says another link than the design has is refused, whatever it says."""
    facts = json.loads((built / "pcie" / "manifest.json").read_text())
    for path in (built / "pcie").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    facts["link"] |= link
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(BuildError, match=rf"^{tmp_path}/\w+\.json: .*{message}"):
        load(tmp_path)


def test_commands(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ["build", "digits-mlp", "--no-synthesis", "--link", "pcie", "--board"]
    assert main([*common, "arty-a7"]) == 1
    assert capfd.readouterr().err == "error: arty-a7 has no link 'pcie'; it has uart\n"
    assert main([*common, "litefury", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["verilog"] == "build/pcie-digits-mlp-litefury/top.v"
    assert main(["verify", "build/pcie-digits-mlp-litefury", "--netlist", "--images", "1"]) != 0


@pytest.mark.parametrize("command, luts", [("synth_xilinx -family xc7 -flatten", 2500),
                                           ("synth_ecp5 -no-rw-check", 4000)],
                         ids=["7-series", "ECP5"])
def test_the_endpoint_has_no_latch(tmp_path, command, luts):
    text = component_verilog(Endpoint(RegisterMap(200, 10)), "endpoint")
    (tmp_path / "endpoint.v").write_text(text)
    found = synthesis.synthesise(tmp_path, ["endpoint.v"], top="endpoint", command=command)
    assert found.latches == 0
    assert found.dsps == 0
    assert found.luts < luts


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_synthesis(tmp_path, board):
    """Yosys counts what is ours around the core, which it does not know."""
    report = build(linear(), board=board.name, out=tmp_path, link="pcie")
    assert (report["latches"], report["dsps"]) == (0, 0)
    assert report["luts"] > 1000
