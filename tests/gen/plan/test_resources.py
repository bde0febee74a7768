"""LUTs, flip-flops and logic cells within 15 % of what is synthesised, and block RAMs exact: a tiny
network here, shipped ones on other families and mappings among the slow tests;
``test_shipped_synthesis`` has the defaults, and ``test_bitstream`` what nextpnr fills."""

from dataclasses import replace

import pytest

import boards
from gen.build.synthesis import synthesise
from gen.build.verilog import component_verilog
from gen.ir import shipped
from gen.plan.mapping import map_network
from gen.plan.parts import PARTS
from gen.plan.planner import plan
from gen.plan.resources import core_size, layer_memories, parts, predict
from hw.layers import CoreConfig
from hw.top import Top
from tests import networks
from tests.hw.cases import mapped


def check(network, board, tmp_path, **options):
    board = boards.find(board)
    config, image = map_network(network, **options)
    needs = predict(config, board.family.name, board.budget.brams, image)
    top = Top(config, image, digest="0" * 64, clock_hz=board.clock_hz, baud=1_000_000)
    (tmp_path / "top.v").write_text(component_verilog(top, "top", needs.placement))
    found = synthesise(tmp_path, ["top.v"], top="top", command=board.synth)
    assert needs.brams == found.brams
    assert needs.luts == pytest.approx(found.luts, rel=0.15)
    assert needs.ffs == pytest.approx(found.ffs, rel=0.15)
    assert needs.cells == pytest.approx(found.cells, rel=0.15)


def test_a_tiny_network(tmp_path):
    check(networks.linear(), "arty-a7", tmp_path, lanes={"fc1": 11, "out": 2})


@pytest.mark.slow
@pytest.mark.parametrize("board", ["ulx3s-85f", "icebreaker", "tang-nano-9k"])
def test_small_boards(board, tmp_path):
    net = shipped.find("digits")
    check(net, board, tmp_path, **plan(net, boards.find(board)).options)


@pytest.mark.slow
@pytest.mark.parametrize("name, board, options", [
    ("digits", "arty-a7", {"objective": "throughput"}),
    ("digits", "ulx3s-85f", {"objective": "latency"}),
    ("digits", "ice40-hx8k", {"objective": "throughput"}),
    ("mnist", "arty-a7", {"interval": 3500}),
    ("mnist", "arty-a7", {"objective": "smallest"}),
    ("mnist-mlp", "tang-primer-20k", {"objective": "smallest"}),
])
def test_mappings(name, board, options, tmp_path):
    net = shipped.find(name)
    check(net, board, tmp_path, **plan(net, boards.find(board), **options).options)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 8])
def test_weights_of_other_widths(bits, tmp_path):
    check(networks.linear(shape=(64, 1, 1), hidden=96, classes=10, bits=bits), "arty-a7", tmp_path,
          lanes={"fc1": 24, "out": 10})


@pytest.mark.slow
@pytest.mark.parametrize("code", ["phase", "rate"])
def test_kinds_of_layers(code, tmp_path):
    check(networks.convolutional(size=13), "arty-a7", tmp_path, replicas={"conv1": 3}, code=code)


@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", ["residual", "pools"])
def test_layers_add_up(name, code):
    _, _, _, config, _ = mapped(name, code)
    needs = predict(config, "7-series", 20)
    assert sum(layer["brams"] for layer in needs.layers.values()) == needs.brams <= 20
    assert sum(layer["luts"] for layer in needs.layers.values()) == pytest.approx(needs.luts, abs=9)
    assert {part.kind for part in parts(config)} <= set(PARTS)
    for layer in config.layers:
        names = {memory["name"] for memory in layer_memories(layer, needs.placement)}
        assert names >= ({"weights", "table"} if isinstance(layer, CoreConfig) else {"counts"})


def test_replicas_multiply():
    _, _, _, config, _ = mapped("residual")
    core = config.cores[0]
    luts, brams = core_size(core, "ECP5")
    twice, more = core_size(replace(core, replicas=2), "ECP5")
    assert twice > 1.95 * luts
    assert more >= 2 * brams
