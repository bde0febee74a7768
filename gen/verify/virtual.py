"""The virtual board: the Verilated top level of a build, its UART pins on a pseudo-terminal, or its
packets of PCI Express on a root complex whose memory is a file."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gen.build.design import load, require_emitted
from hw.pcie.registers import RingMap
from hw.registers import RegisterMap
from hw.uart import divisor

from .verilator import verilate

__all__ = ["board_of", "compile_board", "run"]

_HARNESS = Path(__file__).parent / "harness" / "virtual_board.cpp"
_PCIE = Path(__file__).parent / "harness" / "virtual_pcie.cpp"

# Registers hold their initial values, as after configuration, so the board is never reset. With a
# constant reset only the line's synchroniser reads the inputs. Verilator then need not evaluate all
# combinational logic again at every edge of the clock, which doubles the speed.
_BOARD = """
module board(input clk, input rx, output tx);
  top top(.clk(clk), .rst(1'b0), .rx(rx), .tx(tx));
endmodule
"""

# Names without two underscores are the same in C++.
_PCIE_BOARD = """
module board(input clk, input [65:0] i_payload, input i_valid, output i_ready,
    output [65:0] o_payload, output o_valid, input o_ready, input [15:0] id, input bus_master,
    input [2:0] max_payload, input [2:0] max_read, output irq, input irq_taken);
  top top(.clk(clk), .rst(1'b0),
    .link__i__payload(i_payload), .link__i__valid(i_valid), .link__i__ready(i_ready),
    .link__o__payload(o_payload), .link__o__valid(o_valid), .link__o__ready(o_ready),
    .link__id(id), .link__bus_master(bus_master), .link__max_payload(max_payload),
    .link__max_read(max_read), .link__non_posted_ok(), .link__interrupt(irq),
    .link__interrupt_taken(irq_taken));
endmodule
"""

_MEMORY = 8 << 20
"""Bytes of the host's memory that a virtual board reaches."""

_BASE = 0x12_0000_0000
"""Its bus address, which needs more than 32 bits."""

_LANE = 500_000_000
"""Bytes a second that a lane of the second generation carries."""

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


def compile_pcie(verilog: str, clock_hz: int, *,
                 progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile a virtual board on PCI Express; see :func:`compile_board`.

    Parameters
    ----------
    clock_hz : of the fabric, which says how many bytes the link carries in a clock
    """
    rings = RingMap()
    read = (rings.samples_read, rings.results_written)
    writable = [address for address in vars(rings).values() if address not in read]
    words = {"FACTS": RegisterMap(1, 1).session + 1, "RING_OPEN": rings.open,
             "RING_FIRST": min(writable), "RING_LAST_WRITABLE": max(writable),
             "RING_READABLE": len(read)}
    header = "".join(f"constexpr unsigned {name} = {value};\n" for name, value in words.items())
    program = verilate(verilog + _PCIE_BOARD, "board", _PCIE, headers={"registers.h": header},
                       options=_OPTIONS, progress=progress)
    return [str(program), str(_MEMORY), hex(_BASE), str(_LANE // clock_hz)]


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
    if design.baud is None:
        return compile_pcie(require_emitted(design, directory), design.clock.hz, progress=progress)
    return compile_board(require_emitted(design, directory),
                         divisor(design.clock.hz, design.baud), progress=progress)


def run(directory: str | Path) -> NoReturn:
    """Become the virtual board of a build; doesn't return.

    The first line on standard output is the path of its serial port; on PCI Express the paths of
    the files of BAR0 and memory, and the memory's bus address. It ends with its parent.
    """
    parent = os.getppid()
    command = board_of(directory, progress=lambda line: print(line, file=sys.stderr))
    sys.stdout.flush()
    os.execv(command[0], [*command, str(parent)])
