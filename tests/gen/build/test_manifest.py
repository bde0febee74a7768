"""The manifest: a build is read whole, as it was built, or not at all."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from gen.build import design, manifest
from gen.build.builder import build
from gen.cli import main as cli
from gen.errors import BuildError
from gen.report import report
from gen.verify import gate_level
from gen.verify.virtual import board_of
from tests import networks

NETWORK = networks.linear()
IMAGES = np.zeros((1, 2, 3, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A design that the tools are done with soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gen.build.design.Design.verilog", lambda self: (
            f"module top(input clk, input rst, input rx, output tx); reg [7:0] n; assign tx = ^n; "
            f"always @(posedge clk) n <= rst ? {self.config.cores[0].lanes} : n + rx; "
            f" endmodule\n"))
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A build with netlist and bitstream."""
    out = tmp_path_factory.mktemp("built")
    build(NETWORK, board="ice40-hx8k", lanes={"fc1": 4, "out": 3}, out=out)
    return out


@pytest.fixture
def built(original, tmp_path):
    return shutil.copytree(original, tmp_path / "built")


def change(built, **changes):
    path = built / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(built, message):
    """By one line, of moderate length."""
    with pytest.raises(BuildError, match=message) as caught:
        manifest.read(built)
    text = str(caught.value).removeprefix(str(built))
    assert "\n" not in text
    assert len(text) < 300


def test_it_lists_what_was_built(built):
    read = manifest.read(built)
    assert read.files.keys() == {
        "top.v", "board.v", "synth.ys", "icestorm.sh", "board.pcf", "memory.img", "network.npz",
        "design.json", "netlist.json", "spikeloom.h", "board.bin"}
    assert (read.board.name, read.bitstream) == ("ice40-hx8k", "board.bin")
    assert read.file("board.bin") == built / "board.bin"
    with pytest.raises(BuildError, match=r"manifest.json: lists no timing.json: it is no part of "):
        read.file("timing.json")


class TestFiles:
    """Whoever makes something of a directory refuses one that is not whole."""

    USERS = {
        "virtual": board_of,
        "report": report,
        "program": lambda built: cli.program._run(cli._parser().parse_args(
            ["program", str(built)])),
        "design": design.load,
        "netlist": lambda built: gate_level.verify_netlist(built, IMAGES),
        "bitstream": lambda built: gate_level.verify_bitstream(built, IMAGES),
    }

    @pytest.mark.parametrize("use", USERS.values(), ids=USERS)
    def test_all_of_them(self, use, built):
        with (built / "board.v").open("a") as file:
            file.write('module evil; initial $system("touch evil"); endmodule\n')
        with pytest.raises(BuildError, match=rf"^{built}/board.v: is not as it was built: it was "
                                             r"changed, or is of another build; build the network "
                                             r"again \(python -m gen build\)$"):
            use(built)
        (built / "board.v").unlink()
        with pytest.raises(BuildError, match=rf"^{built}/board.v: can't be read: No such file or "
                                             r"directory; it is part of the build: "):
            use(built)

    def test_every_file_is_compared(self, built):
        for name in manifest.read(built).files:
            content = (built / name).read_bytes()
            (built / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            refused(built, f"^{built}/{name}: is not as it was built")
            (built / name).write_bytes(content)
        manifest.read(built)

    def test_no_regular_file(self, built):
        (built / "top.v").unlink()
        os.mkfifo(built / "top.v")
        refused(built, f"^{built}/top.v: can't be read: Not a regular file; it is part of the")

    def test_the_rest_may_change(self, built):
        for name in ("yosys.log", "timing.json", "synth.json"):
            (built / name).write_text("{}")
        manifest.read(built)

    @pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "", ".", "..", "a\0b",
                                      "manifest.json", "x" * 999])
    def test_paths_that_lead_elsewhere(self, built, name):
        change(built, files={name: "0" * 64})
        refused(built, rf"^{built}/manifest.json: files has '.*', which is no name of a file in ")

    def test_netlist_that_is_not_listed(self, tmp_path):
        out = tmp_path / "built"
        build(NETWORK, board="ice40-hx8k", out=out, synthesise=False)
        (out / "netlist.json").write_text("{}")
        for verify, name in ((gate_level.verify_netlist, "netlist.json"),
                             (gate_level.verify_bitstream, "board.bin")):
            with pytest.raises(BuildError, match=f"manifest.json: lists no {name}: it is no part"):
                verify(out, IMAGES)


class TestDamaged:
    def test_none(self, tmp_path):
        refused(tmp_path, rf"^{tmp_path}/manifest.json: can't be read: No such file or directory; "
                          r"give a directory that 'python -m gen build' has filled$")
        os.mkfifo(tmp_path / "manifest.json")
        refused(tmp_path, "manifest.json: can't be read: Not a regular file")

    @pytest.mark.parametrize("text", [
        b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\0", b"\xff\xfe", b"9" * 5000])
    def test_no_json(self, built, text):
        (built / "manifest.json").write_bytes(text)
        refused(built, r"manifest.json: is no manifest: it is not JSON; build the network again "
                       r"\(python -m gen build\)$")

    def test_no_object(self, built):
        (built / "manifest.json").write_text("[1]")
        refused(built, r"manifest.json: is no manifest: it is not a JSON object")

    def test_huge(self, built):
        with (built / "manifest.json").open("r+b") as file:
            file.truncate(1 << 40)
        refused(built, r"manifest.json: is no manifest: it is larger than 16 MiB")

    DEEP = json.loads("[" * 500 + "]" * 500)

    @pytest.mark.parametrize("changes, message", [
        ({"format": 1}, "is of the format '1', but this version reads 4"),
        ({"board": None}, "board is missing or malformed: 'None'"),
        ({"board": "artie"}, "there is no board 'artie'; did you mean 'arty-a7'? known are "),
        ({"device": DEEP}, "device is missing or malformed: a list"),
        ({"clock_source": "a\nb"}, "clock_source must be one line of text, not "),
        ({"clock_hz": "fast"}, "clock_hz is missing or malformed: 'fast'"),
        ({"clock_hz": 0}, "clock_hz must be a number of at least 1, not '0'"),
        ({"clock_hz": True}, "clock_hz is missing or malformed: 'True'"),
        ({"clock_hz": float("nan")}, "clock_hz must be a number of at least 1, not 'nan'"),
        ({"clock_hz": float("inf")}, "clock_hz must be a number of at least 1, not 'inf'"),
        ({"clock_hz": 10**4000}, "clock_hz must be a number of at least 1, not '1000000"),
        ({"link": {"kind": "uart", "wiring": "", "baud": 0}}, "link.baud must be a number of at l"),
        ({"link": {"kind": "uart", "wiring": "", "baud": 1.5}}, "link.baud is missing or malform"),
        ({"link": "uart"}, "link is missing or malformed: 'uart'"),
        ({"digest": "00"}, "digest must be 64 hexadecimal digits, not '00'"),
        ({"network_digest": 3}, "network_digest is missing or malformed: '3'"),
        ({"budget": {"luts": "x"}}, "budget.luts is missing or malformed: 'x'"),
        ({"budget": {"luts": -1}}, "budget.luts must be a number of at least 0, not '-1'"),
        ({"resources": {"brams": []}}, "resources.brams is missing or malformed: a list"),
        ({"files": None}, "files is missing or malformed: 'None'"),
        ({"files": {"top.v": "x"}}, "files.top.v must be 64 hexadecimal digits, not 'x'"),
        ({"files": {"top.v": 10**4000}}, "files.top.v is missing or malformed: '1000000"),
        ({"bitstream": "other.bit"}, "bitstream is none of its files: 'other.bit'"),
        ({"bitstream": DEEP}, "bitstream is missing or malformed: a list"),
        ({"bitstream": {}}, "bitstream is missing or malformed: an object"),
    ])
    def test_facts(self, built, changes, message):
        change(built, **changes)
        refused(built, rf"^{built}/manifest.json: {re.escape(message)}.*; build the network again "
                       r"\(python -m gen build\)$")


class TestAgain:
    """A build in a directory that had one."""

    def test_one_that_fails_leaves_no_manifest(self, built, monkeypatch):
        monkeypatch.setattr("gen.build.design.Design.verilog", lambda self: (
            "module top(input clk, input rst, input rx, output tx); reg q; always @* if (rst) "
            "q = rx; assign tx = q; endmodule\n"))
        with pytest.raises(BuildError, match="Latch inferred"):
            build(NETWORK, board="ice40-hx8k", out=built)
        refused(built, "manifest.json: can't be read")

    @pytest.mark.parametrize("tool, kept, half", [
        ("gen.build.synthesis._run", "synth.json", "netlist.json"),
        ("gen.build.bitstream._run", "timing.json", "board.bin"),
    ])
    def test_one_that_is_interrupted_leaves_nothing_half(self, built, monkeypatch, tool, kept,
                                                         half):
        def interrupt(*_):
            (built / half).write_text("half")
            raise KeyboardInterrupt

        monkeypatch.setattr(tool, interrupt)
        (built / kept).unlink()
        with pytest.raises(KeyboardInterrupt):
            build(NETWORK, board="ice40-hx8k", lanes={"fc1": 4, "out": 3}, out=built)
        refused(built, "manifest.json: can't be read")
        assert not (built / half).exists()

    def test_one_that_is_refused_leaves_the_old_one(self, built):
        before = {path.name: path.read_bytes() for path in built.iterdir()}
        with pytest.raises(BuildError, match="no clock of at most"):
            build(NETWORK, board="ice40-hx8k", out=built, baud=90_000_000)
        assert {path.name: path.read_bytes() for path in built.iterdir()} == before

    def test_results_of_another_design_do_not_stay(self, built):
        build(NETWORK, board="ice40-hx8k", out=built, lanes={"fc1": 2, "out": 3},
              synthesise=False)
        assert "netlist.json" not in manifest.read(built).files
        for name in ("netlist.json", "board.bin", "timing.json", "nextpnr.json", "synth.json"):
            assert not (built / name).exists(), name

    def test_files_for_another_board_do_not_stay(self, tmp_path):
        for board in ("ice40-hx8k", "ulx3s-85f", "arty-a7"):
            build(NETWORK, board=board, out=tmp_path, synthesise=False)
            listed = manifest.read(tmp_path).files
            assert {path.name for path in tmp_path.iterdir()} == {*listed, "manifest.json"}

    def test_results_of_the_same_design_do(self, built, monkeypatch):
        options = {"board": "ice40-hx8k", "lanes": {"fc1": 4, "out": 3}, "out": built}
        before = (built / "manifest.json").read_bytes()
        build(NETWORK, **options, synthesise=False)
        assert manifest.read(built).bitstream is None
        for tool in ("gen.build.synthesis._run", "gen.build.bitstream._run"):
            monkeypatch.setattr(tool, lambda *_: pytest.fail("a tool ran again"))
        build(NETWORK, **options)
        assert (built / "manifest.json").read_bytes() == before


def test_a_link_to_a_directory_that_is_not_there_yet(tmp_path):
    (tmp_path / "link").symlink_to("far/built")
    build(NETWORK, board="ice40-hx8k", out=tmp_path / "link", synthesise=False)
    assert manifest.read(tmp_path / "link").files == manifest.read(tmp_path / "far/built").files


def test_places_are_checked_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gen.build.builder.design_for", lambda *_, **__: pytest.fail("began"))
    (tmp_path / "memory.img").mkdir()
    assert cli.main(["build", "digits", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/memory.img: can't be written: Is a directory; make it possible or "
        f"choose another place\n")
    assert cli.main(["build", "digits", "-o", str(tmp_path / ("x" * 300))]) == 1
    assert "x: can't be written: File name too long" in capsys.readouterr().err
