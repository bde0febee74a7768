"""The virtual board: the Verilated top level of a build, its UART pins on a pseudo-terminal."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gen.build.design import load, require_emitted
from hw.uart import divisor

from .verilator import verilate

__all__ = ["board_of", "compile_board", "run"]

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


def compile_board(verilog: str, clocks: int, *,
                  progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile a virtual board, once for each content.

    Parameters
    ----------
    verilog : module ``top``, see :meth:`gen.build.design.Design.verilog`
    clocks : clocks a bit of the serial line
    progress : called with one line before a compilation starts

    Returns
    -------
    The command that starts it. One more argument may follow, the number of a process: the board
    then ends when that process ends.

    Raises
    ------
    SimulationError
        If Verilator fails or is missing.
    """
    program = verilate(verilog + _BOARD, "board", _HARNESS, options=_OPTIONS, progress=progress)
    return [str(program), str(clocks)]


def board_of(directory: str | Path, *,
             progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile the virtual board of a build; takes and returns what :func:`compile_board` does.

    Parameters
    ----------
    directory : output of :func:`gen.build.builder.build`

    Raises
    ------
    BuildError
        If the directory is not a build, a file of it has changed, its design can't be read, or its
        Verilog is not what this version of Spikeloom makes of the design.
    SimulationError
        See :func:`compile_board`.
    """
    design = load(directory)
    return compile_board(require_emitted(design, directory),
                         divisor(design.clock.hz, design.baud), progress=progress)


def run(directory: str | Path) -> NoReturn:
    """Become the virtual board of a build; doesn't return.

    The first line on standard output is the path of its serial port. It ends with its parent.
    """
    parent = os.getppid()
    command = board_of(directory, progress=lambda line: print(line, file=sys.stderr))
    sys.stdout.flush()
    os.execv(command[0], [*command, str(parent)])
