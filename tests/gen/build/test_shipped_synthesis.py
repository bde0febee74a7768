"""Shipped networks by synthesis: no multiplier and no latch on any family, and they fit."""

from dataclasses import asdict

import pytest

import boards
from gen.build import project
from gen.build.planning import design_for
from gen.build.synthesis import require_pure, synthesise
from gen.ir import shipped
from gen.plan.resources import predict
from gen.plan.room import require_fit

ARTY = boards.find("arty-a7")
LARGE = ("cifar-10", "cifar-10-resnet")
NETWORKS = [pytest.param(name, marks=() if name == "digits" else pytest.mark.slow)
            for name in shipped.names()]


@pytest.mark.parametrize("name", NETWORKS)
def test_arty(name, tmp_path):
    board = boards.find("arty-a7-100") if name in LARGE else ARTY
    design = design_for(shipped.find(name), board)
    project.write(project.project_files(board, design.verilog(), design.clock), tmp_path)
    resources = synthesise(tmp_path, list(project.SOURCES), top=project.TOP, command=board.synth)
    require_pure(resources, name)
    require_fit(name, board, asdict(resources))
    predicted = predict(design.config, board.family.name, board.budget.brams, design.image)
    assert predicted.luts == pytest.approx(resources.luts, rel=0.15)
    assert predicted.cells == pytest.approx(resources.cells, rel=0.15)
    assert predicted.ffs == pytest.approx(resources.ffs, rel=0.15)
    assert predicted.brams == resources.brams


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped.names() if name not in LARGE])
def test_ecp5(name, tmp_path):
    board = boards.find("ulx3s-85f")
    design = design_for(shipped.find(name), board)
    (tmp_path / "top.v").write_text(design.verilog())
    resources = synthesise(tmp_path, ["top.v"], top="top", command=board.synth)
    require_pure(resources, name)
    predicted = predict(design.config, board.family.name, board.budget.brams, design.image)
    assert predicted.luts == pytest.approx(resources.luts, rel=0.15)
    assert predicted.cells == pytest.approx(resources.cells, rel=0.15)
    assert predicted.brams == resources.brams
