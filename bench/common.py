"""What several benchmarks do."""

import boards
from gen.build import project
from gen.build.builder import build
from gen.build.synthesis import synthesise
from gen.build.toolchain import TOOLCHAINS, missing
from gen.errors import SimulationError
from gen.system import processes

__all__ = ["board_tools", "predicted", "require_exact", "synthesised"]

_FROM_PYPI = ("trellis", "icestorm", "apicula")


def board_tools(case):
    """The programs that make a bitstream for the board of a case. For Artix they do not come from
    PyPI: if there are none, Yosys will do."""
    chosen = next((name for name in boards.find(case["board"]).toolchains
                   if name in _FROM_PYPI or not missing(name)), None)
    return ("yosys", *TOOLCHAINS.get(chosen, ()))


def require_exact(case, result):
    """Make sure that no value differs: else no figure counts.

    Raises
    ------
    SimulationError
        If one does.
    """
    if result["mismatches"]:
        raise SimulationError(f"{case['network']}: {result['mismatches']} mismatches: no figure of "
                              f"it counts")


def synthesised(network, board, **asked):
    """What Yosys makes of a design for a board, whatever else there is to make a bitstream."""
    with processes.scratch() as out:
        build(network, board=board, out=out, synthesise=False, **asked)
        return synthesise(out, list(project.SOURCES), top=project.TOP,
                          command=boards.find(board).synth)


def predicted(planned):
    """Resources of what :func:`gen.plan.figures.fit` returns."""
    return {f"predicted_{what}": planned[what] for what in ("luts", "cells", "brams")}
