"""List the boards."""

from .arguments import command
from .tables import as_columns

__all__ = ["add"]


def _run(args):
    from dataclasses import asdict

    from boards import BOARDS

    from ..toolchain import missing
    return {"boards": [{
        "name": board.name, "device": board.device, "clock_hz": board.clock_hz,
        "clock_source": board.clock_source, "link": board.link, "budget": asdict(board.budget),
        "toolchains": {name: not missing(name) for name in board.toolchains},
    } for board in BOARDS]}


def _board_table(result):
    rows = [("board", "device", "clock", "link", "LUTs", "block RAMs", "toolchains")]
    rows += [(board["name"], board["device"], f"{board['clock_hz'] / 1e6:g} MHz", board["link"],
              f"{board['budget']['luts']:,}", f"{board['budget']['brams']:g}",
              ", ".join(f"{name} ({'found' if found else 'not found'})"
                        for name, found in board["toolchains"].items()))
             for board in result["boards"]]
    return as_columns(rows)


def add(commands):
    command(commands, "boards", _run, "list the boards", "boards", show=_board_table)
