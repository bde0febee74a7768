"""Every shipped network on every board: ``fit`` refuses, or ``build`` succeeds.

    python bench/every_board.py [--network NET] [--board BOARD] [--sure SHARE]

Where ``fit`` finds room, but fills more than a share of what can be filled (``--sure``), the network
is built: to the bitstream where the tools come from PyPI, else as far as Yosys. Of boards with the
same device only the first is, and the others get the same answer. What is found goes to
``bench/every_board.json``, from which ``--table`` prints the table of docs/boards.md. Results are
kept in ``build/every_board``: what was built before is not built again, however this ended.
"""

import argparse
import hashlib
import json
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import boards  # noqa: E402
from gen import shipped  # noqa: E402
from gen.build import build, design_for  # noqa: E402
from gen.errors import SpikeloomError  # noqa: E402
from gen.fit import fit  # noqa: E402
from gen.toolchain import identity, missing  # noqa: E402

RESULTS = Path(__file__).with_suffix(".json")
WORK = ROOT / "build" / "every_board"

log = logging.getLogger(__name__)


def fits(predicted):
    budget = predicted["budget"]
    return (predicted["cells"] <= predicted["cell_limit"] and predicted["ffs"] <= budget["ffs"]
            and predicted["brams"] <= budget["brams"])


def predict(network, board):
    """What ``fit`` says, as far as the table has it."""
    predicted = fit(network, board=board.name)
    return {
        "network": network.name, "board": board.name, "fits": fits(predicted),
        "cells": predicted["cells"], "limit": predicted["cell_limit"],
        "has": board.budget.luts, "brams": predicted["brams"], "has_brams": board.budget.brams,
        "interval_cycles": predicted["interval_cycles"],
        "lanes": {layer["name"]: layer["lanes"] for layer in predicted["layers"]
                  if "lanes" in layer},
    }


def tools(board):
    """The programs of the first toolchain that is there."""
    return [name for name in board.toolchains if not missing(name)][:1]


def built(network, board):
    """How far ``build`` comes, and with what figures or what error."""
    out = WORK / f"{network.name}-{board.name}"
    verilog = design_for(network, board=board).verilog()
    key = hashlib.sha256("\n".join(
        [verilog, board.synth, identity("yosys"), *tools(board)]).encode()).hexdigest()
    kept = out.with_suffix(".json")
    if kept.exists() and (known := json.loads(kept.read_text()))["key"] == key:
        return known["result"]
    try:
        made = build(network, board=board.name, out=out)
        result = {"builds": True, "to": "bitstream" if made["bitstream"] else "netlist",
                  "built_cells": made["cells"], "built_brams": made["brams"],
                  "fmax_hz": made["fmax_hz"], "clock_hz": made["clock_hz"]}
    except SpikeloomError as error:
        result = {"builds": False, "error": str(error)}
    kept.write_text(json.dumps({"key": key, "result": result}, indent=1) + "\n")
    return result


def same_device(board):
    """The first of the boards that have as much of everything."""
    return next(other for other in boards.BOARDS
                if (other.family, other.budget) == (board.family, board.budget))


def measure(network, board, sure):
    row = predict(network, board)
    if row["fits"] and row["cells"] > sure * row["limit"]:
        if (first := same_device(board)) is board:
            row |= built(network, board)
        else:
            row["as_on"] = first.name
    return row


def table(rows):
    """A row a network, a column a device: the share of the cells that can be filled."""
    ...


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=shipped.names())
    parser.add_argument("--board", action="append",
                        choices=[board.name for board in boards.BOARDS])
    parser.add_argument("--sure", type=float, default=0.5,
                        help="share of the cells that can be filled below which the prediction "
                             "counts (default: %(default)s)")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    WORK.mkdir(parents=True, exist_ok=True)
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for board in boards.BOARDS:
        for name in shipped.names():
            if name in (args.network or [name]) and board.name in (args.board or [board.name]):
                row = measure(shipped.find(name), board, args.sure)
                log.info("%s", row)
                rows[f"{name} {board.name}"] = row
                RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
