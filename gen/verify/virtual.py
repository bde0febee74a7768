"""The virtual board: the Verilated top level of a build, its UART pins on a pseudo-terminal."""

import os
import sys
from pathlib import Path

from hw.uart import divisor

from ..build import manifest
from ..errors import SimulationError
from ..system.files import read_text
from .verilator import verilate

__all__ = ["compile_board", "run"]

_HARNESS = Path(__file__).parent / "harness" / "virtual_board.cpp"

# As after configuration, registers hold their initial values, so the board is never reset. With a
# reset that is a constant, nothing but the line's synchroniser looks at the inputs, and Verilator
# need not work out all combinational logic again whenever the clock moves: twice the speed.
_BOARD = """
module board(input clk, input rx, output tx);
  top top(.clk(clk), .rst(1'b0), .rx(rx), .tx(tx));
endmodule
"""

# The Verilog is generated: what a warning is about would be a matter of the build, not of a run.
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


def compile_board(directory, *, progress=None):
    """Compile the virtual board of a build, once for each content.

    Parameters
    ----------
    directory : output of :func:`gen.build.builder.build`
    progress : called with one line before a compilation starts

    Returns
    -------
    The command that starts it, a list of strings; the process that it ends with may follow.

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


def run(directory):
    """Become the virtual board of a build; doesn't return.

    The first line on standard output is the path of its serial port. It ends with its parent.
    """
    parent = os.getppid()
    command = compile_board(directory, progress=lambda line: print(line, file=sys.stderr))
    sys.stdout.flush()
    os.execv(command[0], [*command, str(parent)])
