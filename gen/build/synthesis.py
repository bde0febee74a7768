"""The resources of a design, counted by Yosys.

Multiplier inference stays on, so a multiplier anywhere in the design shows up as a DSP block.
"""

import hashlib
import json
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gen.errors import BuildError
from gen.system import files, processes
from gen.system.progress import bar

from .packing import beside_luts
from .toolchain import identity, yosys

__all__ = [
    "NETLIST",
    "SCRIPT",
    "Resources",
    "count",
    "discard_stale",
    "require_pure",
    "script",
    "synthesise",
]

log = logging.getLogger(__name__)

NETLIST = "netlist.json"
"""The synthesised design, as Yosys' ``write_json`` writes it."""

SCRIPT = "synth.ys"
"""What Yosys runs."""

# The netlist's figures, and what it was made from.
_FIGURES = "synth.json"

# LUTs that a cell takes. 7-series: a dual-port RAM needs a LUT for each read port, RAM32M and
# RAM64M fill a slice; MUXF7 and MUXF8 are no LUTs. ECP5: a two-bit carry cell takes two LUTs, a
# 16x4 RAM four for its bits and two for its write port; PFUMX and L6MUX21 are no LUTs. iCE40: a
# carry shares the logic cell of the LUT beside it. Gowin: an ALU is a LUT with a carry, a RAM of 16
# words takes four LUTs for its bits and two for its write port, however few of the bits are used;
# MUX2_LUT5 to MUX2_LUT8 are no LUTs.
_LUTS = {
    **{f"LUT{n}": 1 for n in range(1, 7)}, "LUT6_2": 1, "INV": 1,
    "SRL16E": 1, "SRLC32E": 1,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4,
    "CCU2C": 2, "TRELLIS_DPR16X4": 6,
    "SB_LUT4": 1,
    "ALU": 1, **{f"RAM16S{kind}": 6 for kind in ("1", "2", "4", "DP1", "DP2", "DP4")},
}
_BRAMS = {
    "RAMB36E1": 1, "RAMB18E1": 0.5,
    "DP16KD": 1, "PDPW16KD": 1,
    **{f"SB_RAM40_4K{edges}": 1 for edges in ("", "NR", "NW", "NRNW")},
    **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9"), 1),
}
_FF = re.compile(r"FD[CPRS]E(_1)?|TRELLIS_FF|SB_DFFN?E?(S|R|SS|SR)?|DFFN?[SRPC]?E?|\$_.*DFF.*_")
_LATCH = re.compile(r"LD[CP]E|DLN?[CP]?E?|\$_?\w*LATCH\w*|\$\w*dlatch\w*")
_DSP = re.compile(r"DSP48\w*|SB_MAC16|MULT(ADD)?(ALU)?\d+X\d+\w*|ALU(24|54)\w*|\$_*mul\w*|"
                  r"\$macc\w*")


@dataclass(frozen=True)
class Resources:
    """Resources of a design.

    Parameters
    ----------
    luts : look-up tables, including those used as memory or shift register
    ffs : flip-flops
    brams : block RAMs of the device's full size (36 Kb on 7-series, where halves count)
    dsps : multiplier blocks
    latches : level-sensitive storage
    cells : logic cells, each with a LUT, that the design fills after nextpnr has packed it; see
        :mod:`gen.build.packing`
    """

    luts: int
    ffs: int
    brams: float
    dsps: int
    latches: int
    cells: int


def count(cells: dict[str, int], beside: int = 0) -> Resources:
    """Resources of a netlist.

    Parameters
    ----------
    cells : type -> number of cells
    beside : logic cells beside those of its LUTs, see :func:`gen.build.packing.beside_luts`
    """
    def matching(pattern):
        return sum(n for cell, n in cells.items() if pattern.fullmatch(cell))

    luts = sum(_LUTS.get(cell, 0) * n for cell, n in cells.items())
    brams = sum(_BRAMS.get(cell, 0) * n for cell, n in cells.items())
    return Resources(
        luts=luts,
        ffs=matching(_FF),
        brams=int(brams) if brams == int(brams) else brams,
        dsps=matching(_DSP),
        latches=matching(_LATCH),
        cells=luts + beside)


def script(sources: Sequence[str], *, top: str, command: str) -> str:
    """The commands that Yosys runs; see :func:`synthesise` for the arguments."""
    commands = [f"read_verilog {' '.join(sources)}", f"hierarchy -top {top}", command,
                f"write_json {NETLIST}"]
    return "\n".join(commands) + "\n"


def _key(sources, text):
    parts = [identity("yosys"), text, *map(files.sha256, sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _cached(directory, key):
    try:
        stored = json.loads(files.read_text(directory / _FIGURES))
        if (stored["key"], stored["netlist"]) == (key, files.sha256(directory / NETLIST)):
            return Resources(**stored["resources"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def _discard(directory):
    for name in (NETLIST, _FIGURES):
        (directory / name).unlink(missing_ok=True)


def discard_stale(directory: Path, sources: list[str], *, top: str, command: str) -> None:
    """Remove results of :func:`synthesise`, which has the same arguments, if they belong to other
    sources than those in `directory`.
    """
    directory = Path(directory)
    text = script(sources, top=top, command=command)
    if _cached(directory, _key([directory / source for source in sources], text)) is None:
        _discard(directory)


def _run(directory):
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        with processes.group() as start:
            process = start([*yosys(), "-q", "-l", "yosys.log", SCRIPT], cwd=directory,
                            stdout=output, stderr=processes.STDOUT)
            _watch(process, directory / "yosys.log")
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        reason = next((line for line in lines if "ERROR" in line), (lines or ["no output"])[-1])
        raise BuildError(f"Yosys failed: {reason.strip()} (log: {directory / 'yosys.log'})")


def _watch(process, transcript):
    """Show the time and the pass that Yosys is running."""
    with bar(desc="Yosys", bar_format="{desc} {elapsed}{postfix}", leave=False) as shown:
        while True:
            try:
                process.wait(timeout=1)
                return
            except processes.TimeoutExpired:
                shown.set_postfix_str(_current_pass(transcript))


def _current_pass(transcript):
    """The last heading in Yosys' log, such as ``ABC`` of ``3.27.1. Executing ABC.``."""
    try:
        with transcript.open("rb") as file:
            file.seek(max(0, transcript.stat().st_size - 100_000))
            tail = file.read().decode(errors="replace")
    except OSError:
        return ""
    headings = re.findall(r"^[\d.]+ Executing (\w+)", tail, re.MULTILINE)
    return headings[-1] if headings else ""


def synthesise(directory: Path, sources: list[str], *, top: str, command: str) -> Resources:
    """Synthesise Verilog files, keep the netlist, and count its resources.

    The results are kept in `directory` under a key of the sources' content, the command and the
    version of Yosys, so the same design is not synthesised twice.

    Parameters
    ----------
    directory : where the sources are and the results go: ``netlist.json`` for place and route, the
        figures in ``synth.json``, and ``yosys.log``
    sources : file names, relative to `directory`
    top : name of the top module
    command : Yosys' commands for it, such as ``synth_xilinx -family xc7 -flatten``, one a line

    Raises
    ------
    BuildError
        If Yosys refuses the design.
    """
    directory = Path(directory)
    text = script(sources, top=top, command=command)
    key = _key([directory / source for source in sources], text)
    if (resources := _cached(directory, key)) is not None:
        log.info("Yosys: cached")
        return resources
    log.info("Yosys: synthesis of %s ...", top)
    files.write_text(directory / SCRIPT, text)
    _discard(directory)
    try:
        _run(directory)
    except BaseException:
        _discard(directory)  # half a netlist
        raise
    module = json.loads((directory / NETLIST).read_text(encoding="utf-8"))["modules"][top]
    resources = count(Counter(cell["type"] for cell in module["cells"].values()),
                      beside_luts(module))
    files.write_text(directory / _FIGURES, json.dumps({
        "key": key, "yosys": identity("yosys"), "resources": asdict(resources),
        "netlist": files.sha256(directory / NETLIST)}, indent=1) + "\n")
    return resources


def require_pure(resources: Resources, design: str) -> None:
    """Refuse a design with a multiplier or a latch: it must accumulate in clocked registers.

    Parameters
    ----------
    design : its name, for the message

    Raises
    ------
    BuildError
        If synthesis found one.
    """
    for number, what in ((resources.dsps, "DSP block"), (resources.latches, "latch")):
        if number:
            plural = {"DSP block": "DSP blocks", "latch": "latches"}[what]
            raise BuildError(f"{design} must have no {what}, but synthesis found {number} "
                             f"{what if number == 1 else plural}; this is a defect of the gateware")
