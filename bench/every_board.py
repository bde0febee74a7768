"""Every shipped network on every board: ``fit`` refuses, or ``build`` succeeds.

    python bench/every_board.py [--network NET] [--board BOARD] [--sure SHARE] [--table]

Where ``fit`` finds room but fills more than a share (``--sure``) of what can be filled, the network
is built: to the bitstream where there are the tools, else as far as Yosys. (An environment variable
such as ``NEXTPNR_ICE40`` that names no program takes a tool away.) Of boards whose devices have as
much of everything only the first is built for. What is found goes to ``bench/every_board.json``;
``--table`` prints it as docs/boards.md has it. What was built before is not built again, however
that ended: results are kept in ``build/every_board``.
"""

import argparse
import hashlib
import json
import logging
from pathlib import Path

import boards
from gen.build.builder import build, design_for
from gen.build.toolchain import identity, missing
from gen.errors import SpikeloomError
from gen.ir import shipped
from gen.plan.planner import fit

ROOT = Path(__file__).resolve().parents[1]

RESULTS = Path(__file__).with_suffix(".json")
WORK = ROOT / "build" / "every_board"

log = logging.getLogger(__name__)


def predict(network, board):
    """What ``fit`` says, as far as the table has it; of a network that is far too large there are
    no figures."""
    predicted = fit(network, board=board.name)
    return {
        "network": network.name, "board": board.name, "fits": predicted["fits"],
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
    if kept.exists() and (known := json.loads(kept.read_text(encoding="utf-8")))["key"] == key:
        return known["result"]
    try:
        made = build(network, board=board.name, out=out)
        result = {"builds": True, "to": "bitstream" if made["bitstream"] else "netlist",
                  "built_cells": made["cells"], "built_brams": made["brams"],
                  "fmax_hz": made["fmax_hz"], "clock_hz": made["clock_hz"]}
    except SpikeloomError as error:
        result = {"builds": False, "error": str(error)}
    kept.write_text(json.dumps({"key": key, "result": result}, indent=1) + "\n", encoding="utf-8")
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


def cell(row):
    """A pair in a word or two; percentages are of the device's logic cells."""
    if row["cells"] is None:
        return "no"
    share = row["cells"] / row["has"]
    if not row["fits"]:
        return f"no: {share:,.0%}" if share < 10 else f"no: {share:.0f} times"
    if row.get("builds") is False:
        return f"**{share:.0%}, no build**"
    if "built_cells" in row:
        return f"{share:.0%}, {row['to']} {row['built_cells'] / row['has']:.0%}"
    return f"{share:.0%}"


def table(rows):
    """A row for each device, in Markdown."""
    names = shipped.names()
    lines = [["board", *(f"`{name}`" for name in names)], ["---", *["--:"] * len(names)]]
    for board in boards.BOARDS:
        if same_device(board) is board:
            alike = [f"`{other.name}`" for other in boards.BOARDS if same_device(other) is board]
            lines.append([", ".join(alike), *(cell(rows[f"{name} {board.name}"])
                                              for name in names)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=shipped.names())
    parser.add_argument("--board", action="append",
                        choices=[board.name for board in boards.BOARDS])
    parser.add_argument("--sure", type=float, default=0.85,
                        help="share of the cells that can be filled up to which the prediction "
                             "counts (default: %(default)s, since it is within 15 %%)")
    parser.add_argument("--table", action="store_true", help="print what was found, no more")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    WORK.mkdir(parents=True, exist_ok=True)
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if args.table:
        print(table(rows))
        return
    for board in boards.BOARDS:
        for name in shipped.names():
            if name in (args.network or [name]) and board.name in (args.board or [board.name]):
                row = measure(shipped.find(name), board, args.sure)
                log.info("%s", row)
                rows[f"{name} {board.name}"] = row
                RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n",
                                   encoding="utf-8")


if __name__ == "__main__":
    main()
