"""The fewest logic cells that any mapping takes, known without a search."""

import re
import time
from dataclasses import replace

import pytest

import boards
from gen.errors import FitError
from gen.ir import shipped
from gen.plan import planner, room
from gen.plan.figures import fit
from gen.plan.floor import floor, hopeless, require_possible
from gen.plan.mapping import map_config
from gen.plan.planner import plan
from gen.plan.resources import predict
from hw.dynamics import Dynamics
from tests import networks
from tests.hw.cases import NETWORKS, network

ARTY = boards.find("arty-a7")


def smaller(luts, brams=50):
    """An Arty with fewer LUTs."""
    return replace(ARTY, budget=replace(ARTY.budget, luts=luts, brams=brams))


@pytest.mark.parametrize("net, board", [
    *((network(name), "arty-a7") for name in NETWORKS), (network("residual"), "icebreaker"),
    (networks.stepping(Dynamics(3, 1, signed=True, bound="levels")), "arty-a7")],
    ids=[*NETWORKS, "ice40", "stepping"])
def test_no_search_finds_a_clearly_smaller_mapping(net, board):
    board = boards.find(board)
    least = floor(net, board)
    found = plan(net, replace(board, budget=replace(board.budget, luts=10**6)),
                 objective="smallest").needs.cells
    assert least <= 1.05 * found
    assert found <= 1.2 * least


def test_given_lanes_are_kept():
    net = network("residual")
    lanes = {layer.name: layer.channels for layer in net.layers if layer.synapses}
    assert floor(net, ARTY, lanes=lanes) == predict(
        map_config(net, lanes=lanes), ARTY.family.name, ARTY.budget.brams).cells
    with pytest.raises(FitError, match=r"^lanes: there is no layer with synapses 'nobody'"):
        floor(net, ARTY, lanes={"nobody": 2})


def test_refused_in_a_moment():
    """A residual network of 694,624 weights, of which a search took minutes."""
    net, board = shipped.find("cifar-10-resnet"), smaller(13_000, brams=60)
    began = time.process_time()
    with pytest.raises(FitError, match=re.escape(
            "cifar-10-resnet does not fit arty-a7 (xc7a35ticsg324-1L): by prediction, its layers "
            "need ")) as error:
        require_possible(net, board)
    assert time.process_time() - began < 5
    cells, limit = re.search(r"need ([\d,]+) LUTs of ([\d,]+) that can be used, with any mapping, "
                             r"and store [\d,]+ bits, of which block RAMs hold 2,211,840; .*"
                             r"a larger board \(.*\) would help$", str(error.value)).groups()
    assert int(cells.replace(",", "")) > 1.2 * int(limit.replace(",", ""))
    require_possible(net, boards.find("arty-a7-100"))


def test_what_is_hopeless_is_not_searched(monkeypatch):
    net = network("residual")
    monkeypatch.setattr(planner, "_search", lambda *_: pytest.fail("a search"))
    assert floor(net, ARTY) > 1.2 * room.cell_limit(smaller(2500))
    found = plan(net, smaller(2500))
    assert found.config == map_config(net, slice_steps=1)
    assert found.interval > 0
    with pytest.raises(FitError, match=r"its layers need [\d,]+ LUTs of 2,250 that can be used, "):
        plan(net, smaller(2500), objective="throughput")
    monkeypatch.setattr(boards, "BOARDS", (smaller(2500), *boards.BOARDS[1:]))
    assert fit(net, board="arty-a7")["layers"] == []


def test_what_may_fit_is_searched():
    net = network("residual")
    least = plan(net, ARTY, objective="smallest").needs.cells
    assert hopeless(net, smaller(round(least / 0.9 / 1.1))) is None
    assert plan(net, ARTY).config != map_config(net, slice_steps=1)
