"""From a network to a directory that holds all a board needs.

The steps are functions from data to data: a design, its Verilog, the project, the resources by
Yosys, the bitstream. The manifest is written last, so that a directory that has one is complete.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import boards
from firmware import header
from gen.errors import BuildError, FitError
from gen.ir.network import Network
from gen.plan.floor import require_possible
from gen.plan.room import advice, predicted_shortage, require_fit, require_memory
from gen.plan.workload import Calibration
from gen.system import files
from gen.system.progress import working

from . import bitstream, clocking, manifest, project, synthesis
from .bitstream import MissedClock, NoRoom
from .design import FILES, load, save
from .flows import FLOWS
from .planning import design_for, design_in_place
from .synthesis import NETLIST, SCRIPT, Resources, require_pure
from .synthesis import synthesise as run_yosys

__all__ = ["build", "build_for", "default_directory"]

log = logging.getLogger(__name__)

# No prediction is wrong by this factor.
_FAR = 2


def _no_room(design, resources, error):
    """The error if nextpnr finds no places for a design that should fit."""
    board, budget = design.board, design.board.budget
    full = (f"{resources.cells:,} {board.family.cell}s of {budget.luts:,}, {resources.brams:g} "
            f"block RAMs of {budget.brams:g}")
    return FitError(f"{design.network.name} finds no room on {board.name} ({board.device}): it "
                    f"fills {full}; {advice(board, {'cells': budget.luts + 1})} ({error})")


def _require_room(design, lanes):
    """Refuse a design that can't fit by its bits, or is predicted to be far too large, before its
    Verilog and Yosys take an hour."""
    name, board = design.network.name, design.board
    require_memory(name, board, sum(memory.width * len(memory.rows)
                                    for memory in design.image.values()))
    if why := predicted_shortage(name, board, design.needs, allowance=_FAR, lanes=lanes):
        raise FitError(why)


# A design that misses its clock is placed again for a slower one. The clocks that placements reach
# vary by some per cent.
_ATTEMPTS, _MARGIN = 4, 0.95


def _manifest(design, resources, made):
    board = design.board
    return {
        "format": manifest.FORMAT,
        "board": board.name,
        "clock_hz": design.clock.hz,
        "clock_source": clocking.describe(board, design.clock),
        "digest": design.digest,
        **design.stated,
        "link": {"kind": board.link, "baud": design.baud, "wiring": board.wiring},
        "resources": resources and asdict(resources),
        "toolchain": made and made.toolchain,
        "tools": made and made.tools,
        "bitstream": made and made.path.name,
    }


def _require_directory(board, out):
    """The places of all files that are made on the way to a manifest."""
    flows = [FLOWS[name] for name in board.toolchains]
    files.require_directory(out, (
        manifest.NAME, header.NAME, *project.SOURCES, *FILES, SCRIPT, NETLIST,
        *(name for flow in flows for name in (flow.script, flow.constraints, flow.bitstream))))


def _project(design):
    return project.project_files(design.board, design.verilog(), design.clock,
                                 tests=design.config.selftests > 0)


def _write(design, out):
    """Write all that the tools are given; the names of the files."""
    made = _project(design)
    manifest.discard(out)
    bitstream.discard_foreign(design.board, out)
    project.write(made, out)
    return list(made)


def _discard_stale(board, out):
    """Remove the results of an earlier build of another design. Scripts and reports would take them
    for this one's."""
    synthesis.discard_stale(out, list(project.SOURCES), top=project.TOP, command=board.synth)
    bitstream.discard_stale(board, out)


def _measure(design, out):
    """Resources of the design; it must be pure and fit."""
    board, name = design.board, design.network.name
    resources = run_yosys(out, list(project.SOURCES), top=project.TOP, command=board.synth)
    require_pure(resources, name)
    require_fit(name, board, asdict(resources))
    return resources


def _realise(design, out, asked_hz):
    """The design at its clock or else at the fastest that it meets, its resources and bitstream."""
    board, name = design.board, design.network.name
    for attempt in range(_ATTEMPTS):
        if attempt:
            project.write(_project(design), out)
        try:
            if missed := bitstream.known_miss(board, out, design.clock.hz):
                raise missed
            resources = _measure(design, out)
            made = bitstream.make(board, out, clock_hz=design.clock.hz, asked_hz=asked_hz)
            return design, resources, made
        except NoRoom as error:
            raise _no_room(design, resources, error) from error
        except MissedClock as missed:
            if attempt == _ATTEMPTS - 1:
                raise
            slower = clocking.require(board, missed.fmax_hz * _MARGIN ** (attempt + 1), design.baud)
            log.info("%s reaches %.4g MHz of %.4g MHz on %s: built again for %.4g MHz", name,
                     missed.fmax_hz / 1e6, design.clock.hz / 1e6, board.name, slower.hz / 1e6)
            design = replace(design, clock=slower)


def _complete(design, resources, made, out, written):
    """Write what describes a design, and last the manifest."""
    facts = _manifest(design, resources, made)
    save(design, out)
    files.write_text(out / header.NAME, header.header(facts))
    written += [header.NAME, *FILES, *([NETLIST] if (out / NETLIST).exists() else [])]
    written += [made.path.name] if made else []
    manifest.write(out, facts, written)


def _summary(design, resources, made, out):
    """What :func:`build` returns."""
    figures = asdict(resources) if resources else dict.fromkeys(Resources.__dataclass_fields__)
    return {
        "network": design.network.name, "board": design.board.name, "device": design.board.device,
        "clock_hz": design.clock.hz, **figures, "budget": asdict(design.board.budget),
        "fmax_hz": made and made.timing.fmax_hz,
        "verilog": str(out / manifest.VERILOG), "manifest": str(out / manifest.NAME),
        "bitstream": str(made.path) if made else None,
        "interval_cycles": round(design.interval), "calibration": design.calibration,
    }


def build(network: Network, *, board: str, out: str | Path, lanes: dict[str, int] | None = None,
          interval: int | None = None, objective: str | None = None, code: str = "phase",
          calibration: Calibration | None = None, baud: int = 1_000_000,
          clock_hz: float | None = None, stream: int | None = None, interleaved: int = 1,
          differential: Mapping[str, Sequence[str]] | None = None, reloadable: bool = False,
          selftests: int = 0, synthesise: bool = True, link: str | None = None) -> dict:
    """Build a network for a board.

    Parameters
    ----------
    network : what to build
    board, link : names of a board, see :data:`boards.BOARDS`, and of its link if not its own
    out : directory; it is made if it does not exist
    lanes, interval, objective, code, calibration, baud, clock_hz, stream, interleaved,
    differential, reloadable, selftests : see :func:`gen.build.planning.design_for`; if the routed
        design is too slow for the clock, it gets the fastest that it meets
    synthesise : run Yosys for resource figures, and make a bitstream if there is a toolchain

    Returns
    -------
    ``board``, ``device``, ``clock_hz``; ``luts``, ``ffs``, ``brams``, ``dsps``, ``latches`` (None
    without synthesis); ``budget``; ``fmax_hz`` (None without a bitstream); paths ``verilog``,
    ``manifest`` and ``bitstream`` (or None); ``interval_cycles``, the predicted clocks of an image
    in a steady stream; ``calibration``, the samples of the prediction.

    Raises
    ------
    FitError
        If the board has less than the network needs.
    DataError
        If there are no calibration samples.
    BuildError
        If a tool fails, timing is not met, or synthesis finds a multiplier or a latch.
    OutputError
        If the directory can't be written, before anything is done.
    boards.UnknownBoard, boards.NoLink
        If there is no such board, or it has no such link.

    An earlier build in the directory stays as it is until files are written. From then on the
    directory has no manifest, until the build is complete.
    """
    out, target = Path(out), boards.find(board, link)
    _require_directory(target, out)
    if stream is None and interleaved == 1:
        require_possible(network, target, code)
    design = design_for(network, target, lanes=lanes, interval=interval, objective=objective,
                        code=code, calibration=calibration, baud=baud, clock_hz=clock_hz,
                        stream=stream, interleaved=interleaved, differential=differential,
                        reloadable=reloadable, selftests=selftests)
    _require_room(design, lanes)
    written = _emit(design, out)
    resources = made = None
    if synthesise:
        design, resources, made = _realise(design, out, round(clock_hz or design.board.clock_hz))
    else:
        _discard_stale(design.board, out)
    _complete(design, resources, made, out, written)
    return _summary(design, resources, made, out)


def build_in_place(network: Network, built: str | Path, *, out: str | Path) -> dict:
    """Build a network for a device that is there already, and whose memories may be loaded: without
    synthesis, and without a bitstream, because the device has one.

    Parameters
    ----------
    built : directory of a build with ``reloadable``
    out : another directory, whose ``memory.img`` is to be loaded

    Returns
    -------
    What :func:`build` does.

    Raises
    ------
    FitError
        If the network is not of the shape of the device.
    BuildError
        If ``built`` is no build, or is ``out``.
    OutputError
        If the directory can't be written, before anything is done.
    """
    out = Path(out)
    if out.resolve() == Path(built).resolve():
        raise BuildError(f"{out}: has the build that the bitstream belongs to; give another "
                         f"directory (-o)")
    design = design_in_place(network, load(built))
    _require_directory(design.board, out)
    written = _emit(design, out)
    _discard_stale(design.board, out)
    _complete(design, None, None, out, written)
    return _summary(design, None, None, out)


def _emit(design, out):
    with working(f"{design.network.name} for {design.board.name}: Verilog"):
        return _write(design, out)


def default_directory(network: Network, board: str, purpose: str | None = None) -> Path:
    """Where a network is built for a board if no directory is given.

    Parameters
    ----------
    purpose : of a build that is not the user's own, which it must not replace
    """
    name = f"{network.name}-{board}"
    return Path("build") / (f"{purpose}-{name}" if purpose else name)


def build_for(purpose: str, network: Network, *, board: str, **options: Any) -> Path:
    """Build a network for a purpose, such as a report; return the build's directory.

    Takes the arguments of :func:`build`, except ``out``.
    """
    directory = default_directory(network, board, purpose)
    build(network, board=board, out=directory, **options)
    return directory
