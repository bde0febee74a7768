"""List the boards."""

from .arguments import Commands, command
from .tables import as_columns

__all__ = ["add"]


def _run(args):
    from dataclasses import asdict

    from boards import BOARDS
    from gen.build.toolchain import missing
    return {"boards": [{
        "name": board.name, "device": board.device, "family": board.family.name,
        "clock_hz": board.clock_hz, "oscillator_hz": board.oscillator_hz, "link": board.link,
        "wiring": board.wiring, "budget": asdict(board.budget),
        "toolchains": {name: not missing(name) for name in board.toolchains},
    } for board in BOARDS]}


def _block_rams(budget):
    return f"{budget['brams']:g} x {budget['bram_bits'] / 1024:g} Kb"


def _board_table(result):
    rows = [("board", "device", "clock", "LUTs", "block RAMs", "link", "toolchains")]
    rows += [(board["name"], board["device"], f"{board['clock_hz'] / 1e6:g} MHz",
              f"{board['budget']['luts']:,}", _block_rams(board["budget"]),
              f"{board['link']}, {board['wiring']}",
              ", ".join(f"{name} ({'found' if found else 'not found'})"
                        for name, found in board["toolchains"].items()))
             for board in result["boards"]]
    return as_columns(rows)


def add(commands: Commands) -> None:
    """Add the command ``boards`` to those of ``python -m gen``."""
    command(commands, "boards", _run, "list the boards", "boards", show=_board_table)
