"""The virtual board: the Verilated top level of a build, its UART pins on a pseudo-terminal."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gen.build import manifest
from gen.errors import SimulationError
from gen.system.files import read_text
from hw.uart import divisor

from .verilator import verilate

__all__ = ["compile_board", "run"]

_HARNESS = Path(__file__).parent / "harness" / "virtual_board.cpp"

# Registers hold their initial values, as after configuration, so the board is never reset. With a
# constant reset only the line's synchroniser reads the inputs. Verilator then need not evaluate all
# combinational logic again at every edge of the clock, which doubles the speed.
_BOARD = """
module board(input clk, input rx, output tx);
  top top(.clk(clk), .rst(1'b0), .rx(rx), .tx(tx));
endmodule
"""

# The Verilog is generated, so a warning would concern the build and not this run.
_OPTIONS = ("-Wno-lint", "-Wno-fatal")


def _facts(directory):
    """Verilog and divisor of a build."""
    built = manifest.read(directory)
    try:
        clocks = divisor(built.clock_hz, built.link["baud"])
    except ValueError as error:
        raise SimulationError(f"{directory}: {error}; build the network again (python -m gen "
                              f"build)") from error
    return read_text(built.file(manifest.VERILOG)), clocks


def compile_board(directory: str | Path, *,
                  progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile the virtual board of a build, once for each content.

    Parameters
    ----------
    directory : output of :func:`gen.build.builder.build`
    progress : called with one line before a compilation starts

    Returns
    -------
    The command that starts it. One more argument may follow, the number of a process: the board
    then ends when that process ends.

    Raises
    ------
    BuildError
        If the directory is not a build, or a file of it has changed.
    SimulationError
        If Verilator fails or is missing.
    """
    verilog, clocks = _facts(directory)
    program = verilate(verilog + _BOARD, "board", _HARNESS, options=_OPTIONS, progress=progress)
    return [str(program), str(clocks)]


def run(directory: str | Path) -> NoReturn:
    """Become the virtual board of a build; doesn't return.

    The first line on standard output is the path of its serial port. It ends with its parent.
    """
    parent = os.getppid()
    command = compile_board(directory, progress=lambda line: print(line, file=sys.stderr))
    sys.stdout.flush()
    os.execv(command[0], [*command, str(parent)])
