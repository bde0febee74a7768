"""A dozen small things that show the project works; the tests to run first."""

import numpy as np
from amaranth.back import rtlil

import boards
from firmware.image import Memory, pack, unpack
from gen.build.planning import design_for
from gen.build.synthesis import Resources, count
from gen.cli import main as cli
from gen.ir import artifact, shipped
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.mapping import map_network
from hw.array import Array
from hw.feeder import Packing

HALVES = np.array([[1, 1, -1, -1], [-1, -1, 1, 1]])
NETWORK = Network("halves", (1, 2, 2), 3, 255, (
    Neurons("hidden", (Synapses(INPUT, HALVES.reshape(2, 1, 2, 2), bits=2),),
            np.array([0, 0]), np.array([1, 1]), 7),
    Readout("readout", (Synapses("hidden", np.eye(2, dtype=int).reshape(2, 2, 1, 1), bits=2),),
            np.array([0, 0]))))
TOP_BRIGHT = np.array([[[[255, 255], [0, 0]]]])


def test_encode():
    assert NETWORK.encode(TOP_BRIGHT).tolist() == [[[[3, 3], [0, 0]]]]


def test_spikes():
    assert NETWORK.run(NETWORK.encode(TOP_BRIGHT)).counts["hidden"].ravel().tolist() == [6, 0]


def test_logits():
    assert NETWORK.predict(TOP_BRIGHT).tolist() == [[6, 0]]


def test_artifact(tmp_path):
    artifact.save(NETWORK, tmp_path / "net.npz")
    assert artifact.load(tmp_path / "net.npz").digest == NETWORK.digest


def test_shipped():
    assert "digits" in shipped.names()
    assert shipped.find("digits").classes == 10


def test_map():
    config, image = map_network(NETWORK)
    assert [core.name for core in config.cores] == ["hidden", "readout"]
    assert sum(len(memory.rows) for memory in image.values()) > 0


def test_elaborate():
    assert "module \\array" in rtlil.convert(Array(*map_network(NETWORK)), name="array")


def test_board():
    assert boards.find("arty-a7").budget.luts == 20_800


def test_verilog():
    assert "module top(" in design_for(NETWORK, boards.find("arty-a7")).verilog()


def test_count():
    assert count({"LUT6": 2, "FDRE": 3, "RAMB18E1": 1}) == Resources(2, 3, 0.5, 0, 0, 2)


def test_image():
    memories = (Memory("weights", 9, (1, 511)),)
    assert unpack(pack(memories, digest=bytes(32))) == (bytes(32), memories)


def test_packing():
    packing = Packing(beats=3, beat_bits=12)
    assert packing.unpack(packing.pack([1, 2, 4095])) == [1, 2, 4095]


def test_command_line(capsys):
    assert cli.main(["boards"]) == 0
    assert "arty-a7" in capsys.readouterr().out
