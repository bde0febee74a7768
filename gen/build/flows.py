"""The files of each toolchain: its script, its constraints, its reports.

The scripts are our own, for two reasons. Amaranth's script for 7-series (toolchain "Xray") keeps
memories out of block RAM and sets no clock, and its script for Gowin calls a nextpnr that no longer
exists. Our scripts also place the netlist that :mod:`gen.build.synthesis` leaves: the one that is
counted and verified.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from amaranth.build import Platform

from boards import Board

from .synthesis import NETLIST
from .timing import Timing, nextpnr_log, nextpnr_report, vivado_report

__all__ = ["FLOWS", "TOP", "Flow"]

TOP = "board"
"""Name of the board's top module."""

_HEAD = """\
#!/bin/sh
# Bitstream for {device} by {tools}.
set -e
cd "$(dirname "$0")"
: "${{SEED:=1}}"
"""

_SYNTHESIS = f"""\
[ -e {NETLIST} ] || "$YOSYS" -q -l yosys.log synth.ys
"""

_TRELLIS = _HEAD + """\
: "${{YOSYS:=yosys}}"
: "${{NEXTPNR_ECP5:=nextpnr-ecp5}}"
: "${{ECPPACK:=ecppack}}"

""" + _SYNTHESIS + """\
"$NEXTPNR_ECP5" {open_device} --json {netlist} --lpf {top}.lpf \\
    --freq {mhz} --seed "$SEED" --router router2 \\
    --textcfg {top}.config --report nextpnr.json -q -l nextpnr.log
"$ECPPACK" {pack} --input {top}.config --bit {top}.bit
"""

_ICESTORM = _HEAD + """\
: "${{YOSYS:=yosys}}"
: "${{NEXTPNR_ICE40:=nextpnr-ice40}}"
: "${{ICEPACK:=icepack}}"

""" + _SYNTHESIS + """\
"$NEXTPNR_ICE40" {open_device} --json {netlist} --pcf {top}.pcf \\
    --freq {mhz} --seed "$SEED" --asc {top}.asc --report nextpnr.json -q -l nextpnr.log
"$ICEPACK" {pack} {top}.asc {top}.bin
"""

_APICULA = _HEAD + """\
: "${{YOSYS:=yosys}}"
: "${{NEXTPNR_HIMBAECHEL_GOWIN:=nextpnr-himbaechel}}"
: "${{GOWIN_PACK:=gowin_pack}}"

""" + _SYNTHESIS + """\
"$NEXTPNR_HIMBAECHEL_GOWIN" {open_device} --vopt cst={top}.cst --json {netlist} \\
    --freq {mhz} --seed "$SEED" --write {top}.pnr.json --report nextpnr.json -q -l nextpnr.log
"$GOWIN_PACK" {pack} -o {top}.fs {top}.pnr.json
"""

# openXC7 has its data in CHIPDB_DIR and PRJXRAY_DB_DIR. A chip database is named after the part,
# the package or the die, depending on who made it.
_OPENXC7 = _HEAD + """\
: "${{YOSYS:=yosys}}"
: "${{NEXTPNR_XILINX:=nextpnr-xilinx}}"
: "${{FASM2FRAMES:=fasm2frames}}"
: "${{XC7FRAMES2BIT:=xc7frames2bit}}"
: "${{CHIPDB_DIR:?must name the folder of the databases of {die}}}"
: "${{PRJXRAY_DB_DIR:?must name the folder of {family}}}"
for name in {names}; do
    [ ! -e "$CHIPDB_DIR/$name.bin" ] || chipdb="$CHIPDB_DIR/$name.bin"
done

""" + _SYNTHESIS + """\
"$NEXTPNR_XILINX" --chipdb "${{chipdb:?CHIPDB_DIR has no database of {die}}}" \\
    --xdc openxc7.xdc --json {netlist} --fasm openxc7.fasm \\
    --freq {mhz} --seed "$SEED" --log openxc7_nextpnr.log
"$FASM2FRAMES" --part {open_device} --db-root "$PRJXRAY_DB_DIR/{family}" openxc7.fasm \\
    > openxc7.frames
"$XC7FRAMES2BIT" --part_file "$PRJXRAY_DB_DIR/{family}/{open_device}/part.yaml" \\
    --part_name {open_device} --frm_file openxc7.frames --output_file {top}.bit
"""

_7SERIES = {"xc7a": "artix7", "xc7k": "kintex7", "xc7s": "spartan7", "xc7z": "zynq7"}


def _artix(board):
    part = board.open_device
    (die,) = re.findall(r"^xc7[a-z]\d+t?", part)
    return {"die": die, "family": _7SERIES[part[:4]],
            "names": f"{die} {part.partition('-')[0]} {part}"}


def _lpf(platform):
    for port, pin, attributes in platform.iter_port_constraints_bits():
        yield f'LOCATE COMP "{port}" SITE "{pin}";'
        settings = " ".join(f"{name}={value}" for name, value in attributes.items())
        yield f'IOBUF PORT "{port}" {settings};'
    for port, hertz in platform.iter_port_clock_constraints():
        yield f'FREQUENCY PORT "{port.name}" {hertz / 1e6:g} MHZ;'


def _pcf(platform):
    for port, pin, _ in platform.iter_port_constraints_bits():
        yield f"set_io {port} {pin}"
    for port, hertz in platform.iter_port_clock_constraints():
        yield f"set_frequency {port.name} {hertz / 1e6:g}"


def _cst(platform):
    for port, pin, attributes in platform.iter_port_constraints_bits():
        yield f'IO_LOC "{port}" {pin};'
        for name, value in attributes.items():
            yield f'IO_PORT "{port}" {name}={value};'


def _xdc(platform):
    """Constraints as nextpnr-xilinx reads them: one property a line, values not quoted."""
    for port, pin, attributes in platform.iter_port_constraints_bits():
        for name, value in {"LOC": pin, **attributes}.items():
            yield f"set_property {name} {value} [get_ports {{{port}}}]"
    for port, hertz in platform.iter_port_clock_constraints():
        yield (f"create_clock -name {port.name} -period {1e9 / hertz:.3f} "
               f"[get_ports {{{port.name}}}]")


@dataclass(frozen=True)
class Flow:
    """A toolchain's way from a project to a bitstream.

    Parameters
    ----------
    name : of the toolchain
    script : name of the script
    bitstream : name of the bitstream
    constraints : name of the file with pins and clocks
    report : name of the file with the timing after routing
    timing : reads that file, given the clock in Hz
    """

    name: str
    script: str
    bitstream: str
    constraints: str
    report: str
    timing: Callable[[str, int], Timing]
    _text: str = ""
    _tools: str = ""
    _lines: Callable[[Platform], Iterator[str]] | None = None

    def files(self, board: Board, platform: Platform, plan: dict[str, str],
              clock_hz: int) -> dict[str, str]:
        """Files of the project that only this toolchain needs.

        Parameters
        ----------
        platform : Amaranth's, with the design on it
        plan : what Amaranth makes for the vendor's toolchain, by name
        clock_hz : of the fabric
        """
        if self._lines is None:
            files = {name: plan[name] for name in (self.constraints, f"{TOP}.tcl")}
            return files | {self.script: plan[f"build_{TOP}.sh"]}
        extra = _artix(board) if self.name == "openxc7" else {}
        script = self._text.format(
            device=board.device, tools=self._tools, open_device=board.open_device, top=TOP,
            pack=board.pack, netlist=NETLIST, mhz=f"{clock_hz / 1e6:.9g}", **extra)
        lines = self._lines(platform)
        return {self.script: script, self.constraints: "\n".join(lines) + "\n"}


FLOWS = {flow.name: flow for flow in (
    Flow("vivado", "vivado.sh", f"{TOP}.bit", f"{TOP}.xdc", f"{TOP}_timing.rpt", vivado_report),
    Flow("openxc7", "openxc7.sh", f"{TOP}.bit", "openxc7.xdc", "openxc7_nextpnr.log", nextpnr_log,
         _OPENXC7, "Yosys and openXC7 (nextpnr-xilinx, Project X-Ray)", _xdc),
    Flow("trellis", "trellis.sh", f"{TOP}.bit", f"{TOP}.lpf", "nextpnr.json", nextpnr_report,
         _TRELLIS, "Yosys, nextpnr-ecp5 and Project Trellis", _lpf),
    Flow("icestorm", "icestorm.sh", f"{TOP}.bin", f"{TOP}.pcf", "nextpnr.json", nextpnr_report,
         _ICESTORM, "Yosys, nextpnr-ice40 and Project IceStorm", _pcf),
    Flow("apicula", "apicula.sh", f"{TOP}.fs", f"{TOP}.cst", "nextpnr.json", nextpnr_report,
         _APICULA, "Yosys, nextpnr-himbaechel and Project Apicula", _cst),
)}
"""Toolchain -> its flow."""
