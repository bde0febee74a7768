"""From a project to a bitstream, by the toolchain that this machine has."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from boards import Board
from gen.errors import BuildError
from gen.system import files, processes

from .flows import FLOWS, Flow
from .synthesis import NETLIST, SCRIPT
from .timing import Timing
from .toolchain import TOOLCHAINS, environment, identity, missing

__all__ = [
    "Bitstream", "MissedClock", "NoRoom", "discard_foreign", "discard_stale", "known_miss", "make",
]

log = logging.getLogger(__name__)

_TIMING, _MISSED = "timing.json", "missed.json"

_SEEDS = (1, 2, 3, 4)
"""Seeds of nextpnr, tried in this order until its placer finds places for all cells."""

_NO_ROOM = {
    "Failed to expand region": False,
    "Unable to place cell": False,
    "Unable to find legal placement": True,
    "Unable to find a placement location": True,
    "failed to place": True,
}
"""What nextpnr says if it finds no place for a cell -> whether another seed may help. It may if the
device is nearly full. It can't if there are more cells than places."""


class NoRoom(BuildError):
    """nextpnr found no places for all cells of the design.

    Parameters
    ----------
    message : what nextpnr said, and the log
    luck : whether it may find places with another seed
    """

    def __init__(self, message: str, luck: bool) -> None:
        self.luck = luck
        super().__init__(message)


class MissedClock(BuildError):
    """The routed design is too slow for its clock.

    Parameters
    ----------
    toolchain : whose report says so
    clock_hz : the clock
    fmax_hz : the fastest clock that the design would meet
    """

    def __init__(self, toolchain: str, clock_hz: int, fmax_hz: float) -> None:
        self.fmax_hz = fmax_hz
        super().__init__(f"the design misses its clock, says the report of {toolchain}: "
                         f"{fmax_hz / 1e6:.4g} MHz of {clock_hz / 1e6:.4g} MHz; fewer lanes would "
                         f"shorten the critical path")


@dataclass(frozen=True)
class Bitstream:
    """A bitstream that meets its clock.

    Parameters
    ----------
    path : of the file
    toolchain : what made it
    seed : of nextpnr
    timing : from the toolchain's report
    tools : program -> its version
    """

    path: Path
    toolchain: str
    seed: int
    timing: Timing
    tools: dict[str, str]


def _tools(toolchain):
    return {tool: identity(tool) for tool in ("yosys", *TOOLCHAINS[toolchain])}


def _key(flow, out):
    """What a result depends on. The Verilog stands for the netlist, so the key is known before
    synthesis."""
    names = ("top.v", "board.v", SCRIPT, flow.script, flow.constraints)
    parts = [json.dumps(_tools(flow.name)), *(files.sha256(out / name) for name in names)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _load(file):
    try:
        loaded = json.loads(files.read_text(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _flow(board):
    """The first toolchain that is installed, or None."""
    return next((FLOWS[name] for name in board.toolchains if not missing(name)), None)


def known_miss(board: Board, out: Path, clock_hz: int) -> MissedClock | None:
    """The error if this very project in `out` was built before and missed its clock, else None."""
    flow = _flow(board)
    fmax = flow and _load(Path(out) / _MISSED).get(_key(flow, Path(out)))
    return MissedClock(flow.name, clock_hz, fmax) if isinstance(fmax, float) else None


def _cached(flow, out, key):
    known = _load(out / _TIMING)
    try:
        digest = files.sha256(out / flow.bitstream)
        if (known["key"], known["bitstream"]) == (key, digest):
            timing = Timing(known["fmax_hz"], known["critical_path"], known["used"])
            return Bitstream(out / flow.bitstream, flow.name, known["seed"], timing,
                             known["tools"])
    except (OSError, LookupError):
        pass
    return None


def _run(flow, out, clock_hz, seed):
    """Run a toolchain's script and read its report."""
    transcript = out / f"{Path(flow.script).stem}.log"
    with transcript.open("wb") as output:
        status = processes.run(["sh", flow.script], cwd=out, stdout=output,
                               stderr=processes.STDOUT,
                               env=environment(flow.name) | {"SEED": str(seed)}).returncode
    report = out / flow.report
    if report.exists():
        timing = flow.timing(report.read_text(encoding="utf-8", errors="replace"), clock_hz)
        if timing.fmax_hz < clock_hz:
            raise MissedClock(flow.name, clock_hz, timing.fmax_hz)
    if status:
        reason = _reason(transcript)
        message = f"{flow.script} failed with status {status}{reason} (log: {transcript})"
        for words, luck in _NO_ROOM.items():
            if words in reason:
                raise NoRoom(message, luck)
        raise BuildError(message)
    if not report.exists():
        raise BuildError(f"{flow.script} left no {flow.report}, so timing is not known "
                         f"(log: {transcript})")
    return timing


def _reason(transcript):
    lines = transcript.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((f": {line.strip()}" for line in lines if line.startswith("ERROR")), "")


def _discard(flow, out):
    for stale in (flow.bitstream, _TIMING, flow.report):
        (out / stale).unlink(missing_ok=True)


def _names(flow):
    """Files in a build directory that belong to one flow alone."""
    return flow.script, flow.constraints, flow.bitstream, flow.report


def discard_foreign(board: Board, out: Path) -> None:
    """Remove what an earlier build in `out` left for the tools of other boards."""
    own = {name for toolchain in board.toolchains for name in _names(FLOWS[toolchain])}
    for name in {name for flow in FLOWS.values() for name in _names(flow)} - own:
        (out / name).unlink(missing_ok=True)


def discard_stale(board: Board, out: Path) -> None:
    """Remove the bitstream in `out` and its report if they belong to another project than the one
    there, or if its tools are gone."""
    flow = _flow(board)
    if flow is None or _cached(flow, out, _key(flow, out)) is None:
        for name in board.toolchains:
            _discard(FLOWS[name], out)


def _produce(flow: Flow, board: Board, out: Path, clock_hz: int, key: str) -> Bitstream:
    bitstream = out / flow.bitstream
    _discard(flow, out)
    log.info("%s: place and route of %s ...", flow.name, board.device)
    try:
        seed, timing = _place(flow, out, clock_hz)
    except BaseException as error:  # an interrupt leaves half a bitstream
        bitstream.unlink(missing_ok=True)
        if isinstance(error, MissedClock):
            known = _load(out / _MISSED) | {key: error.fmax_hz}
            files.write_text(out / _MISSED, json.dumps(known, indent=1) + "\n")
        raise
    if not bitstream.exists():
        raise BuildError(f"{flow.script} left no {bitstream.name}")
    return Bitstream(bitstream, flow.name, seed, timing, _tools(flow.name))


def _place(flow, out, clock_hz):
    """The first seed with which nextpnr finds places for all cells, and the timing."""
    for seed in _SEEDS:
        try:
            return seed, _run(flow, out, clock_hz, seed)
        except NoRoom as error:
            if not error.luck or seed == _SEEDS[-1]:
                raise
            log.info("%s: no places for all cells with seed %d: trying the next seed",
                     flow.name, seed)


def make(board: Board, out: Path, *, clock_hz: int, asked_hz: int) -> Bitstream | None:
    """Build the bitstream of the project in `out` and check its timing.

    The result is kept under a key of the project's content and the tools' versions, so the same
    project is not placed and routed twice. ``timing.json`` describes the result.

    Parameters
    ----------
    clock_hz : frequency of the fabric's clock
    asked_hz : the frequency that was asked for

    Returns
    -------
    The bitstream, or None if no toolchain is found; one line then says what is missing.

    Raises
    ------
    MissedClock
        If the design is too slow for its clock.
    NoRoom
        If nextpnr finds no places for all cells.
    BuildError
        If a toolchain fails.
    """
    out = Path(out)
    flow = _flow(board)
    if flow is None:
        discard_stale(board, out)
        _tell_missing(board, out)
        return None
    key = _key(flow, out)
    made = _cached(flow, out, key)
    if made:
        log.info("%s: cached", flow.name)
    else:
        made = _produce(flow, board, out, clock_hz, key)
    files.write_text(out / _TIMING, json.dumps({
        "toolchain": made.toolchain, "seed": made.seed, "clock_hz": clock_hz, "asked_hz": asked_hz,
        **asdict(made.timing), "tools": made.tools, "key": key,
        "netlist": files.sha256(out / NETLIST) if (out / NETLIST).exists() else None,
        "bitstream": files.sha256(made.path)}, indent=1) + "\n")
    return made


def _tell_missing(board, out):
    lacking = {name: missing(name) for name in board.toolchains}
    absent = "; ".join(f"{name} needs {', '.join(tools)}" for name, tools in lacking.items())
    scripts = " and ".join(str(out / FLOWS[name].script) for name in lacking)
    log.info("no bitstream, because tools are missing (%s); the scripts are %s", absent, scripts)
