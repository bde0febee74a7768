"""Every shipped network without time-steps on every board: ``fit`` refuses, or ``build`` succeeds.

Where ``fit`` finds room but fills more than a share of what can be filled, the network is built: to
the bitstream where there are the tools, else as far as Yosys. Of boards whose devices have as much
of everything only the first is a case.
"""

import boards
from gen.build.builder import build
from gen.errors import SpikeloomError
from gen.ir import shipped
from gen.plan.figures import fit
from gen.system import processes

from . import keys
from .benchmark import Benchmark
from .common import board_tools

SURE = 0.85
"""Share of the cells that can be filled up to which the prediction counts: it is within 15 %."""


def same_device(board):
    """The first of the boards that have as much of everything."""
    return next(other for other in boards.BOARDS
                if (other.family, other.budget) == (board.family, board.budget))


def alike():
    """First board -> it and those that have as much of everything."""
    first = dict.fromkeys(same_device(board) for board in boards.BOARDS)
    return {board: [other for other in boards.BOARDS if same_device(other) is board]
            for board in first}


def built(network, board):
    """How far ``build`` comes, and with what figures or what error."""
    with processes.scratch() as out:
        try:
            made = build(network, board=board, out=out)
        except SpikeloomError as error:
            return {"builds": False, "error": str(error).replace(f"{out}/", "")}
    return {"builds": True, "to": "bitstream" if made["bitstream"] else "netlist",
            "built_cells": made["cells"], "built_brams": made["brams"],
            "fmax_hz": made["fmax_hz"], "clock_hz": made["clock_hz"]}


def measure(case):
    """What ``fit`` says (of a network that is far too large there are no figures), and what became
    of the build, if one was tried."""
    network, board = shipped.find(case["network"]), boards.find(case["board"])
    planned = fit(network, board=board.name)
    row = {
        "fits": planned["fits"], "cells": planned["cells"], "limit": planned["cell_limit"],
        "has": board.budget.luts, "brams": planned["brams"], "has_brams": board.budget.brams,
        "interval_cycles": planned["interval_cycles"],
    }
    if row["fits"] and row["cells"] > SURE * row["limit"]:
        row |= built(network, board.name)
    return row


CASES = [{"network": name, "board": board.name} for board in alike() for name in shipped.names()
         if shipped.find(name).dynamics is None]

BENCHMARK = Benchmark("every-board", CASES, measure, keys.BUILD, board_tools)
