"""What a design takes of a device, by Yosys.

Multiplier inference stays on, so that a multiplier anywhere in the design shows up as a DSP block.
"""

import hashlib
import json
import logging
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from .errors import BuildError
from .toolchain import yosys, yosys_identity

__all__ = ["Resources", "count", "synthesise", "require_pure"]

log = logging.getLogger(__name__)

# LUTs a cell occupies. 7-series: a dual-port RAM needs a LUT for each read port, RAM32M and RAM64M
# fill a slice; MUXF7 and MUXF8 are no LUTs. ECP5: a two-bit carry cell takes two LUTs, a 16x4 RAM
# four for its bits and two for its write port; PFUMX and L6MUX21 are no LUTs.
_LUTS = {
    **{f"LUT{n}": 1 for n in range(1, 7)}, "LUT6_2": 1, "INV": 1,
    "SRL16E": 1, "SRLC32E": 1,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4,
    "CCU2C": 2, "TRELLIS_DPR16X4": 6,
}
_BRAMS = {"RAMB36E1": 1, "RAMB18E1": 0.5, "DP16KD": 1, "PDPW16KD": 1}
_FF = re.compile(r"FD[CPRS]E(_1)?|TRELLIS_FF|\$_.*DFF.*_")
_LATCH = re.compile(r"LD[CP]E|\$_?\w*LATCH\w*|\$\w*dlatch\w*")
_DSP = re.compile(r"DSP48\w*|MULT\d+X\d+\w*|ALU(24|54)\w*|\$_*mul\w*|\$macc\w*")


@dataclass(frozen=True)
class Resources:
    """What a design takes.

    Parameters
    ----------
    luts : look-up tables, those used as memory or shift register among them
    ffs : flip-flops
    brams : block RAMs of the device's full size (36 Kb on 7-series, where halves count)
    dsps : multiplier blocks
    latches : level-sensitive storage
    """

    luts: int
    ffs: int
    brams: float
    dsps: int
    latches: int


def count(cells: dict[str, int]) -> Resources:
    """Resources of a netlist, given how many cells of each type it has."""
    def matching(pattern):
        return sum(n for cell, n in cells.items() if pattern.fullmatch(cell))

    brams = sum(_BRAMS.get(cell, 0) * n for cell, n in cells.items())
    return Resources(
        luts=sum(_LUTS.get(cell, 0) * n for cell, n in cells.items()),
        ffs=matching(_FF),
        brams=int(brams) if brams == int(brams) else brams,
        dsps=matching(_DSP),
        latches=matching(_LATCH))


def _key(sources, command, top):
    sha = hashlib.sha256(f"{yosys_identity()}\n{command} -top {top}\n".encode())
    for source in sources:
        sha.update(hashlib.sha256(source.read_bytes()).digest())
    return sha.hexdigest()


def _cached(file, key):
    try:
        stored = json.loads(file.read_text())
        return Resources(**stored["resources"]) if stored["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _run(directory, script):
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen([*yosys(), "-q", "-l", "yosys.log", "-p", script], cwd=directory,
                              stdout=output, stderr=subprocess.STDOUT) as process:
            _watch(process, directory / "yosys.log")
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        reason = next((line for line in lines if "ERROR" in line), (lines or ["no output"])[-1])
        raise BuildError(f"Yosys failed: {reason.strip()} (log: {directory / 'yosys.log'})")


def _watch(process, transcript):
    """Show the time and the pass that Yosys is at, where somebody looks on."""
    with tqdm(desc="Yosys", bar_format="{desc} {elapsed}{postfix}", leave=False,
              disable=None) as bar:
        while True:
            try:
                process.wait(timeout=1)
                return
            except subprocess.TimeoutExpired:
                bar.set_postfix_str(_current_pass(transcript))


def _current_pass(transcript):
    """The last heading in Yosys' log, such as ``3.27.1. Executing ABC.``"""
    try:
        with transcript.open("rb") as file:
            file.seek(max(0, transcript.stat().st_size - 100_000))
            tail = file.read().decode(errors="replace")
    except OSError:
        return ""
    headings = re.findall(r"^[\d.]+ Executing (\w+)", tail, re.MULTILINE)
    return headings[-1] if headings else ""


def synthesise(directory: Path, sources: list[str], *, top: str, command: str) -> Resources:
    """Synthesise Verilog files and count what they take.

    The result is kept in `directory`, addressed by the content of the sources, the command and the
    version of Yosys: the same design is not synthesised twice.

    Parameters
    ----------
    directory : where the sources are and the results go (``synth.json``, ``yosys.log``)
    sources : file names, relative to `directory`
    top : name of the top module
    command : Yosys' synthesis command, such as ``synth_xilinx -family xc7 -flatten``

    Raises
    ------
    BuildError
        If Yosys refuses the design.
    """
    directory = Path(directory)
    key, file = _key([directory / s for s in sources], command, top), directory / "synth.json"
    if (resources := _cached(file, key)) is not None:
        return resources
    log.info("Yosys: %s of %s ...", command, top)
    _run(directory, f"read_verilog {' '.join(sources)}; {command} -top {top}; "
                    "tee -q -o stat.json stat -json")
    stat = directory / "stat.json"
    resources = count(json.loads(stat.read_text())["design"]["num_cells_by_type"])
    stat.unlink()
    file.write_text(json.dumps({"key": key, "resources": asdict(resources)}, indent=1) + "\n")
    return resources


def require_pure(resources: Resources, design: str):
    """A Spikeloom design accumulates in clocked registers: no multiplier, no latch.

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
