"""How fast a routed design is, from the report of the tool that routed it.

Each function takes the text of a report and the requested clock in Hz.
"""

import json
import re
from dataclasses import dataclass, field

from gen.errors import BuildError

__all__ = ["Timing", "nextpnr_log", "nextpnr_report", "vivado_report"]


@dataclass(frozen=True)
class Timing:
    """What a timing report says.

    Parameters
    ----------
    fmax_hz : the fastest clock that the design would meet
    critical_path : the path that limits it, hop by hop: ``kind`` (``"logic"``, ``"routing"``, ...),
        ``delay_ns``, and the cells or nets as the tool names them
    used : resource of the device -> ``used``, ``available``, after packing
    """

    fmax_hz: float
    critical_path: list[dict] = field(default_factory=list)
    used: dict[str, dict[str, int]] = field(default_factory=dict)


def vivado_report(text: str, clock_hz: int) -> Timing:
    """Timing from Vivado's summary: the clock's period less its slack.

    Raises
    ------
    BuildError
        If the summary is missing, or if the slack is not negative but constraints are not met.
    """
    slack = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(-?[\d.]+)", text, re.MULTILINE)
    if slack is None:
        raise BuildError("Vivado's timing report has no summary (see board_timing.rpt)")
    if float(slack[1]) >= 0 and "All user specified timing constraints are met." not in text:
        raise BuildError("by Vivado's report the clock is met, but not every other timing "
                         "constraint (see board_timing.rpt)")
    path = re.search(r"^Slack.*?^\s*Source:\s+(\S+).*?^\s*Destination:\s+(\S+)"
                     r".*?^\s*Data Path Delay:\s+([\d.]+)ns", text, re.MULTILINE | re.DOTALL)
    hops = [{"kind": "path", "delay_ns": float(path[3]), "from": path[1], "to": path[2]}] \
        if path else []
    return Timing(1e9 / (1e9 / clock_hz - float(slack[1])), hops)


def nextpnr_log(text: str, clock_hz: int) -> Timing:
    """Timing from the log of nextpnr-xilinx, which writes no report: its last estimate.

    Raises
    ------
    BuildError
        If it has none.
    """
    last = dict(re.findall(r"Max frequency for clock\s+'([^']*)': ([\d.]+) MHz", text))
    if not last:
        raise BuildError("nextpnr-xilinx reported no clock (see openxc7_nextpnr.log)")
    return Timing(min(map(float, last.values())) * 1e6)


def nextpnr_report(text: str, clock_hz: int) -> Timing:
    """Timing from nextpnr's ``--report``.

    Raises
    ------
    BuildError
        If it names no clock.
    """
    report = json.loads(text)
    if not report["fmax"]:
        raise BuildError("nextpnr reported no clock (see nextpnr.log)")
    slowest = min(report["fmax"], key=lambda clock: report["fmax"][clock]["achieved"])
    edges = {f"{edge} {slowest}" for edge in ("posedge", "negedge")}
    paths = [path["path"] for path in report["critical_paths"]
             if path["from"] in edges and path["to"] in edges]
    worst: list[dict] = max(paths, key=lambda path: sum(hop["delay"] for hop in path), default=[])
    return Timing(report["fmax"][slowest]["achieved"] * 1e6,
                  [_hop(hop) for hop in worst], report["utilization"])


def _hop(hop):
    named = {"net": hop["net"]} if "net" in hop else {}
    return {"kind": hop["type"], "delay_ns": round(hop["delay"], 3), **named,
            "from": "{cell}.{port}".format(**hop["from"]),
            "to": "{cell}.{port}".format(**hop["to"])}
