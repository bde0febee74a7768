"""Netlists and bitstreams from pin to pin: right ones agree, and one wrong bit is found."""

import contextlib
import copy
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import boards
from gen.build import builder
from gen.build.design import load as load_design
from gen.build.project import TOP
from gen.build.synthesis import NETLIST
from gen.errors import BuildError, SimulationError
from gen.ir import shipped
from gen.plan.mapping import map_config
from gen.verify import gate_level, icestorm
from gen.verify.gate_level import (
    bitstream_simulator,
    compare_netlist,
    make_bitstream,
    make_netlist,
    roles,
    verify_bitstream,
    verify_netlist,
)
from gen.verify.netlist import load, netlist_verilog
from gen.verify.pins import infer
from gen.verify.records import kept
from host import manifest
from host.device import Result
from tests import networks

BOARD = boards.find("ice40-hx8k")
LANES = {"fc1": 4, "out": 3}
NETWORK = networks.linear()
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 3))
ARRAY = "top.device.array"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A small network, synthesised for an iCE40: there a netlist of some weights has block RAM."""
    with contextlib.chdir(tmp_path_factory.mktemp("hx8k")):
        return make_netlist(NETWORK, board=BOARD.name, lanes=LANES).absolute()


@pytest.fixture(scope="module")
def design(directory):
    return load_design(directory)


@pytest.fixture(scope="module")
def netlist(directory):
    return json.loads((directory / NETLIST).read_text())


@pytest.fixture
def compared(directory, design, netlist, tmp_path):
    """Compare the netlist after ``change`` of its top module."""
    def compare(change=lambda module: None):
        changed = copy.deepcopy(netlist)
        change(changed["modules"][TOP])
        shutil.copy(directory / "manifest.json", tmp_path)
        (tmp_path / NETLIST).write_text(json.dumps(changed))
        return compare_netlist(design, tmp_path, IMAGES)
    return compare


def flip(cell, parameter, index):
    bits = list(cell["parameters"][parameter])
    bits[-1 - index] = "10"[int(bits[-1 - index])]
    cell["parameters"][parameter] = "".join(bits)


def driver(module, net):
    return next(cell for cell in module["cells"].values()
                if any(net in bits and cell["port_directions"][pin] == "output"
                       for pin, bits in cell["connections"].items()))


def by_layer(result):
    return {layer["layer"]: layer["mismatches"] for layer in result["layers"]}


def test_agrees(compared):
    result = compared()
    assert result["mismatches"] == 0
    assert result["first_mismatch"] is None
    assert result["images"] == len(IMAGES)
    assert result["spikes"] == len(IMAGES) * (11 + 5 + 5)
    assert [layer["layer"] for layer in result["layers"]] == ["fc1", "out", "host"]
    assert result["clocks"] > 0
    assert result["clocks_per_second"] > 0


def test_wrong_bit_of_a_look_up_table(compared):
    """In the adder of the lowest bit of the read-out's first lane: that of one operand alone."""
    def change(module):
        bit = module["netnames"][f"{ARRAY}.probe_l1_out__payload"]["bits"][0]
        lut = driver(module, bit)
        while lut["type"].startswith("SB_DFF"):  # results wait in registers
            lut = driver(module, lut["connections"]["D"][0])
        assert lut["type"] == "SB_LUT4"
        operand = next(k for k in range(4) if isinstance(lut["connections"][f"I{k}"][0], int))
        flip(lut, "LUT_INIT", 1 << operand)

    result = compared(change)
    assert result["first_mismatch"]["layer"] == "out"
    assert by_layer(result)["fc1"] == 0
    assert by_layer(result)["out"] > 0
    assert by_layer(result)["host"] > 0


def test_wrong_bit_of_a_block_ram(compared):
    """The sign of the weight from the first input to the third neuron."""
    def change(module):
        (ram,) = (cell for name, cell in module["cells"].items()
                  if cell["type"] == "SB_RAM40_4K" and f"{ARRAY}.l0_fc1.lanes.weights" in name)
        assert int(ram["parameters"]["READ_MODE"], 2) == 0
        # Yosys has the bits of a row in the order of their reversed numbers: 11 is at 13.
        flip(ram, "INIT_0", 13)

    result = compared(change)
    assert by_layer(result)["fc1"] > 0
    first = result["first_mismatch"]
    assert (first["layer"], first["channel"]) == ("fc1", 2)


def test_net_that_is_not_there(netlist, design):
    module = copy.deepcopy(netlist["modules"][TOP])
    del module["netnames"][f"{ARRAY}.probe_l0_fc1__valid"]
    with pytest.raises(SimulationError, match="^the netlist has no net "
                                              f"'{ARRAY}.probe_l0_fc1__valid': it is of "
                                              "another network, or older"):
        netlist_verilog(module, "ice40", pins={}, layers=design.config.layers)


def test_no_netlist(tmp_path):
    with pytest.raises(SimulationError, match=f"^{tmp_path}/netlist.json: No such file"):
        load(tmp_path / NETLIST, TOP)
    (tmp_path / NETLIST).write_text('{"modules": {}}')
    with pytest.raises(SimulationError, match=r"netlist.json: not a netlist of 'board' \(KeyError"):
        load(tmp_path / NETLIST, TOP)


@pytest.mark.parametrize("script, message", [
    ("exit 3", "the board does not answer on its pins"),
    ("exit 1", "the simulator ended with status 1"),
    (r"printf '\0\0\0\0\0\0\0\0\3\0\0\0\300x\300'; cat > /dev/null",
     r"the board's answer is no frame of the link \(docs/link.md\)"),
])
def test_board_that_does_not_answer(script, message, directory, tmp_path):
    simulator = tmp_path / "simulator"
    simulator.write_text(f"#!/bin/sh\n{script}\n")
    simulator.chmod(0o755)
    with pytest.raises(SimulationError, match=f"^{message}$"):
        infer(simulator, manifest.load(directory), IMAGES, divisor=16, patience=20_000)


def test_a_record_stays_with_the_build(directory, netlist):
    result = verify_netlist(directory, IMAGES[:2])
    (record,) = kept(directory)
    assert record["kind"] == "netlist"
    assert record["file"] == NETLIST
    figures = ("images", "spikes", "mismatches", "first_mismatch", "cells")
    assert {name: record[name] for name in figures} == {name: result[name] for name in figures}
    assert result["images"] == 2
    assert result["cells"] > 500
    (directory / NETLIST).write_text(json.dumps(netlist, indent=3))
    assert kept(directory) == [], "it is about another file"


@pytest.mark.parametrize("text", [
    "{", "[]", "{}", '{"file": 3}', "[" * 100_000,
    '{"file": "../x", "sha256": "", "images": 1, "spikes": 1, "mismatches": 0}',
    '{"file": "x", "sha256": "", "images": 1, "spikes": "1", "mismatches": 0}',
    '{"file": "x", "sha256": "", "images": 1, "spikes": 1, "mismatches": 0, "cells": "3"}'])
def test_a_damaged_record(text, tmp_path):
    (tmp_path / "verified-bitstream.json").write_text(text)
    with pytest.raises(BuildError, match=rf"^{tmp_path}/verified-bitstream.json: is damaged; "
                                         r"verify the bitstream again \(python -m gen verify "
                                         r"--bitstream\), or remove it$"):
        kept(tmp_path)


def test_roles_of_pins():
    arty = roles(boards.find("arty-a7"), ["clk100_0__io", "rst_0__io", "uart_0__rx__io",
                                          "uart_0__tx__io", "led_0__io"])
    assert arty == {"clk100_0__io": "clk", "rst_0__io": "1'b1", "uart_0__rx__io": "rx",
                    "uart_0__tx__io": "tx"}
    assert roles(boards.find("nitefury"), ["clk200_0__p", "clk200_0__n"]) == {
        "clk200_0__p": "clk", "clk200_0__n": "~clk"}


class TestBitstream:
    def test_other_devices(self, tmp_path):
        with pytest.raises(SimulationError, match=r"^ulx3s-85f: only the bitstream of an iCE40 "):
            bitstream_simulator(tmp_path, boards.find("ulx3s-85f"))

    def test_an_impossible_board_is_refused_before_the_work(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SimulationError, match=r"^arty-a7: only the bitstream of an iCE40 "):
            make_bitstream(shipped.find("digits"), board="arty-a7")
        assert not list(tmp_path.iterdir())

    def test_a_build_of_the_user_is_left_alone(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(gate_level, "require_icestorm", lambda: None)
        monkeypatch.setattr(builder, "build", partial(builder.build, synthesise=False))
        with pytest.raises(SimulationError, match=r"^ice40-hx8k: no bitstream was built, because "):
            make_bitstream(NETWORK, board=BOARD.name)
        assert os.listdir("build") == [f"bitstream-{NETWORK.name}-{BOARD.name}"]

    def test_no_bitstream(self, tmp_path):
        with pytest.raises(SimulationError, match=f"^{tmp_path}/board.bin: there is no such bits"):
            bitstream_simulator(tmp_path, BOARD)

    def test_missing_tool_names_its_package(self, tmp_path, monkeypatch):
        (tmp_path / "board.bin").write_bytes(b"")
        (tmp_path / "board.pcf").write_text("")
        monkeypatch.setattr(icestorm.shutil, "which", lambda name: None)
        with pytest.raises(SimulationError, match=r"^iceunpack is missing: install the Debian "
                                                  "package 'fpga-icestorm'$"):
            bitstream_simulator(tmp_path, BOARD)

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("icebox_vlog") is None, reason="fpga-icestorm is not there")
    def test_digits(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        digits = shipped.find("digits")
        result = verify_bitstream(make_bitstream(digits, board=BOARD.name), digits.samples[:3])
        assert (result["spikes"], result["mismatches"]) == (30, 0)


@pytest.mark.slow
@pytest.mark.parametrize("board", ["arty-a7", "ulx3s-85f", "ice40-hx8k", "tang-nano-9k"])
def test_digits(board, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = shipped.find("digits")
    result = verify_netlist(make_netlist(digits, board=board), digits.samples[:3])
    assert result["spikes"] > 3 * 1000
    assert result["mismatches"] == 0
    assert Path("build", f"netlist-digits-{board}", NETLIST).exists()


def test_wrong_quiet_layer():
    """What the host is told of quiet layers counts as much as the logits."""
    network = networks.settling()
    counts = networks.counts_for(network, 6)
    config, trace = map_config(network), network.run(counts)
    quiet = np.stack([trace.quiet(name) for name in ("fc1", "fc2")], axis=1)
    result = Result(trace.logits, np.zeros(6), 0, quiet.copy(), None)
    logits, layers = gate_level._answers(config, trace, result)
    assert (logits["spikes"], logits["mismatches"]) == (24, 0)
    assert (layers["spikes"], layers["mismatches"]) == (12, 0)
    result.quiet[4, 1] ^= True
    _, layers = gate_level._answers(config, trace, result)
    assert layers["mismatches"] == 1
    assert layers["first"] == {"layer": "host: quiet layers", "sample": 4, "channel": 1, "y": 0,
                               "x": 0, "expected": quiet[4, 1], "got": not quiet[4, 1]}


@pytest.mark.slow
@pytest.mark.parametrize("board", ["arty-a7", "ulx3s-85f", "ice40-hx8k"])
def test_spikes_that_are_taken_back(board, tmp_path, monkeypatch):
    """Every spike of every time-step, the logits, and what the host is told of quiet layers."""
    monkeypatch.chdir(tmp_path)
    network = networks.settling()
    images = networks.counts_for(network, 6)
    trace = network.run(images)
    assert (trace.trains["fc2"] < 0).any()
    assert {*trace.quiet("fc1").tolist()} == {*trace.quiet("fc2").tolist()} == {True, False}
    result = verify_netlist(make_netlist(network, board=board), images)
    assert by_layer(result) == dict.fromkeys(("fc1", "fc2", "out", "host", "host: quiet layers"), 0)
    assert result["spikes"] == 6 * (7 + 6 + 4 + 4 + 2)
