"""Shipped networks by synthesis: no multiplier and no latch on any family, and they fit."""

from dataclasses import asdict

import pytest

import boards
from gen import project, shipped
from gen.build import design_for, require_fit
from gen.resources import predict
from gen.synth import require_pure, synthesise

ARTY = boards.find("arty-a7")
NETWORKS = [pytest.param(name, marks=() if name == "digits" else pytest.mark.slow)
            for name in shipped.names()]


@pytest.mark.parametrize("name", NETWORKS)
def test_arty(name, tmp_path):
    board = boards.find("arty-a7-100") if name == "cifar-10" else ARTY
    design = design_for(shipped.find(name), board=board)
    project.write(project.project_files(board, design.verilog(), design.clock), tmp_path)
    resources = synthesise(tmp_path, list(project.SOURCES), top=project.TOP, command=board.synth)
    require_pure(resources, name)
    require_fit(name, board, asdict(resources))
    predicted = predict(design.config, board.family.name, board.budget.brams)
    assert predicted.luts == pytest.approx(resources.luts, rel=0.15)
    assert predicted.ffs == pytest.approx(resources.ffs, rel=0.15)
    assert predicted.brams == resources.brams


# Up to the mapping to LUTs: multipliers and latches are there by then, and ABC9 of Yosys 0.70 fails
# an assertion (in rtlil.cc, on reintegration) with the convolutional networks but not the others.
@pytest.mark.parametrize("name", NETWORKS)
def test_ecp5(name, tmp_path):
    (tmp_path / "top.v").write_text(design_for(shipped.find(name), board=ARTY).verilog())
    resources = synthesise(tmp_path, ["top.v"], top="top",
                           command="synth_ecp5 -run begin:map_luts")
    require_pure(resources, name)
    assert resources.ffs > 1000
