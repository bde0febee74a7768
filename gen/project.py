"""The project that a vendor's tools take: the top level with its pins, constraints, scripts.

``top.v`` is the design as the virtual board runs it; ``board.v`` connects the very same module to
pins and clock. The files depend on nothing but the design and the board.
"""

import re
from pathlib import Path

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from boards import Board

from .toolchain import builtin_yosys

__all__ = ["SOURCES", "TOP", "BoardTop", "project_files", "write"]

TOP = "board"
"""Name of the board's top module."""

SOURCES = ("top.v", "board.v")
"""Verilog files that make up a design."""


class BoardTop(Elaboratable):
    """The design's ``top`` module on a board's serial port, clock and reset.

    The clock domain is made here, from flip-flops and nothing else, because the one that Amaranth
    makes for this vendor uses a cell that the open tools do not know. Its reset lasts from
    configuration for two clocks, and as long as the board's reset button is pressed.
    """

    def elaborate(self, platform):
        m = Module()
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.clk = clk = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        reset = Const(0)
        if platform.default_rst is not None:
            m.submodules.rst = rst = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
            reset = rst.i

        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(clk.i)
        m.submodules.reset = ResetSynchronizer(reset)
        m.submodules.top = Instance("top",
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_rx=rx.i,
            o_tx=tx.o,
        )
        return m


# Amaranth's own script for the open tools (its toolchain "Xray") keeps memories out of block RAM
# and sets no clock, hence this one. CHIPDB_DIR and PRJXRAY_DB_DIR are where openXC7 has its data; a
# chip database is named after the part, the package or the die, depending on who made it.
_OPENXC7 = """\
#!/bin/sh
# Bitstream for {part} by Yosys and openXC7 (nextpnr-xilinx, Project X-Ray).
set -e
cd "$(dirname "$0")"
: "${{YOSYS:=yosys}}"
: "${{NEXTPNR_XILINX:=nextpnr-xilinx}}"
: "${{FASM2FRAMES:=fasm2frames}}"
: "${{XC7FRAMES2BIT:=xc7frames2bit}}"
: "${{CHIPDB_DIR:?must name the folder of the databases of {die}}}"
: "${{PRJXRAY_DB_DIR:?must name the folder of {family}}}"
for name in {names}; do
    [ ! -e "$CHIPDB_DIR/$name.bin" ] || chipdb="$CHIPDB_DIR/$name.bin"
done

"$YOSYS" -q -l openxc7_yosys.log \\
    -p "read_verilog {sources}; {synth} -top {top}; write_json openxc7.json"
"$NEXTPNR_XILINX" --chipdb "${{chipdb:?CHIPDB_DIR has no database of {die}}}" \\
    --xdc openxc7.xdc --json openxc7.json --fasm openxc7.fasm \\
    --freq {mhz:g} --seed 1 --log openxc7_nextpnr.log
"$FASM2FRAMES" --part {part} --db-root "$PRJXRAY_DB_DIR/{family}" openxc7.fasm > openxc7.frames
"$XC7FRAMES2BIT" --part_file "$PRJXRAY_DB_DIR/{family}/{part}/part.yaml" \\
    --part_name {part} --frm_file openxc7.frames --output_file {top}.bit
"""

_FAMILIES = {"xc7a": "artix7", "xc7k": "kintex7", "xc7s": "spartan7", "xc7z": "zynq7"}


def _openxc7_script(board):
    part = board.open_device
    die = re.match(r"xc7[a-z]\d+t?", part)[0]
    return _OPENXC7.format(
        part=part, die=die, names=f"{die} {part.partition('-')[0]} {part}",
        family=_FAMILIES[part[:4]], top=TOP, sources=" ".join(SOURCES), synth=board.synth,
        mhz=board.clock_hz / 1e6)


def _openxc7_constraints(platform):
    """Pins and clocks as nextpnr-xilinx reads them: one property a line, values not quoted."""
    lines = []
    for port, pin, attributes in platform.iter_port_constraints_bits():
        properties = {"LOC": pin, **attributes}
        lines += [f"set_property {name} {value} [get_ports {{{port}}}]"
                  for name, value in properties.items()]
    for port, hertz in platform.iter_port_clock_constraints():
        lines.append(f"create_clock -name {port.name} -period {1e9 / hertz:.3f} "
                     f"[get_ports {{{port.name}}}]")
    return "\n".join(lines) + "\n"


def project_files(board: Board, verilog: str) -> dict[str, str]:
    """All files of a project, by name.

    Parameters
    ----------
    board : where the design is to run
    verilog : the design, as a module ``top`` with ports ``clk``, ``rst``, ``rx`` and ``tx``
    """
    platform = board.platform()
    platform.add_file("top.v", verilog)
    with builtin_yosys():
        plan = platform.build(BoardTop(), TOP, do_build=False, emit_src=False)
    wanted = ("top.v", f"{TOP}.v", f"{TOP}.xdc", f"{TOP}.tcl")
    files = {name: plan.files[name] for name in wanted}
    files["vivado.sh"] = plan.files[f"build_{TOP}.sh"]
    if "openxc7" in board.toolchains:
        files["openxc7.sh"] = _openxc7_script(board)
        files["openxc7.xdc"] = _openxc7_constraints(platform)
    return files


def write(files: dict[str, str], out: Path):
    """Write the files of a project, scripts executable."""
    for name, text in files.items():
        (out / name).write_text(text)
        if name.endswith(".sh"):
            (out / name).chmod(0o755)
