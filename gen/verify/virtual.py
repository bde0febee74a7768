"""The virtual board: the Verilated top level of a build, its UART pins on a pseudo-terminal, or its
packets of PCI Express on a root complex whose memory is a file."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gen.build.design import load, require_emitted
from hw.config import ArrayConfig
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
{recording}endmodule
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
    .link__max_read(max_read), .link__non_posted_ok(), .link__pending(),
    .link__interrupt(irq), .link__interrupt_taken(irq_taken));
{recording}endmodule
"""

# The probes of the array survive in the Verilog of every build. The file is opened to append, so
# that its reader may truncate it.
_RECORDING = """
  integer file;
  string path;
  initial if ($value$plusargs("beats=%s", path)) file = $fopen(path, "a");
  always @(posedge clk) begin
{records}
    if ({probe}__valid) $fflush(file);
  end
"""

_RECORD = """    if ({probe}__valid) $fwrite(file, "{number} %h\\n", {probe}__payload);"""

_MEMORY = 8 << 20
"""Bytes of the host's memory that a virtual board reaches."""

_BASE = 0x12_0000_0000
"""Its bus address, which needs more than 32 bits."""

_LANE = 500_000_000
"""Bytes a second that a lane of the second generation carries."""

# The Verilog is generated, so a warning would concern the build and not this run.
_OPTIONS = ("-Wno-lint", "-Wno-fatal")


def compile_board(verilog: str, clocks: int, *, recorded: ArrayConfig | None = None,
                  progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile a virtual board, once for each content.

    Parameters
    ----------
    verilog : module ``top``, see :meth:`gen.build.design.Design.verilog`
    clocks : clocks a bit of the serial line
    recorded : the array in it, whose beats the board records (:mod:`gen.verify.recorded`)
    progress : called with one line before a compilation starts

    Returns
    -------
    The command that starts it. Further arguments may follow: the number of a process, with which
    the board then ends; and ``+beats=`` and the path of a file, for a board that records beats.

    Raises
    ------
    SimulationError
        If Verilator fails or is missing.
    """
    program = verilate(verilog + _BOARD.format(recording=_recording(recorded)), "board", _HARNESS,
                       options=_OPTIONS, progress=progress)
    return [str(program), str(clocks)]


def _recording(config):
    """Verilog that appends a line to a file for each beat that leaves a layer: the layer's number,
    and the beat in hexadecimal digits. The file is up to date when the last layer has sent."""
    if config is None:
        return ""
    probes = [f"top.device.array.probe_{layer.port}" for layer in config.layers]
    records = "\n".join(_RECORD.format(probe=probe, number=number)
                        for number, probe in enumerate(probes))
    return _RECORDING.format(records=records, probe=probes[-1])


def compile_pcie(verilog: str, clock_hz: int, *, recorded: ArrayConfig | None = None,
                 progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile a virtual board on PCI Express; see :func:`compile_board`.

    Parameters
    ----------
    clock_hz : of the fabric, which says how many bytes the link carries in a clock
    """
    rings = RingMap()
    read = (rings.samples_read, rings.results_written, rings.loaded)
    writable = [address for address in vars(rings).values() if address not in read]
    words = {"FACTS": RegisterMap(1, 1).holds + 8, "RING_OPEN": rings.open,
             "RING_FIRST": min(writable), "RING_LAST_WRITABLE": max(writable),
             "RING_READABLE": len(read)}
    header = "".join(f"constexpr unsigned {name} = {value};\n" for name, value in words.items())
    program = verilate(verilog + _PCIE_BOARD.format(recording=_recording(recorded)), "board", _PCIE,
                       headers={"registers.h": header}, options=_OPTIONS, progress=progress)
    return [str(program), str(_MEMORY), hex(_BASE), str(_LANE // clock_hz)]


def board_of(directory: str | Path, *, records: bool = False,
             progress: Callable[[str], None] | None = None) -> list[str]:
    """Compile the virtual board of a build; takes and returns what :func:`compile_board` does.

    Parameters
    ----------
    directory : output of :func:`gen.build.builder.build`
    records : whether it records beats

    Raises
    ------
    BuildError
        If the directory is not a build, a file of it has changed, its design can't be read, or its
        Verilog is not what this version of Spikeloom makes of the design.
    SimulationError
        See :func:`compile_board`.
    """
    design = load(directory)
    verilog, recorded = require_emitted(design, directory), design.config if records else None
    if design.baud is None:
        return compile_pcie(verilog, design.clock.hz, recorded=recorded, progress=progress)
    return compile_board(verilog, divisor(design.clock.hz, design.baud), recorded=recorded,
                         progress=progress)


def run(directory: str | Path, beats: str | Path | None = None) -> NoReturn:
    """Become the virtual board of a build; doesn't return.

    Parameters
    ----------
    directory : of the build
    beats : file to which each beat that leaves a layer is appended (:mod:`gen.verify.recorded`)

    The first line on standard output is the path of its serial port; on PCI Express the paths of
    the files of BAR0 and memory, and the memory's bus address. It ends with its parent.

    Raises
    ------
    OSError
        If the file of the beats can't be written.
    """
    parent = os.getppid()
    options = []
    if beats is not None:
        with open(beats, "ab"):
            options = [f"+beats={beats}"]
    command = board_of(directory, records=bool(options),
                       progress=lambda line: print(line, file=sys.stderr))
    sys.stdout.flush()
    os.execv(command[0], [*command, str(parent), *options])
