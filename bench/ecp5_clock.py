"""How fast a clock nextpnr closes hundreds of lanes at, on an ECP5 of speed grade 6.

MNIST's CNN with at least 256 lanes becomes a project for the ULX3S, as ``gen build`` would make
it. It is placed with timing weighing more than by default, and wires that are late are ripped up
and routed again. It takes some eight minutes with a seed that leads there; with another one the
clock is missed, or the ripping up does not end, and is given up.
"""

import json
import logging
from pathlib import Path

import boards
from gen.build import project
from gen.build.builder import build
from gen.build.flows import FLOWS
from gen.build.synthesis import synthesise
from gen.build.toolchain import environment
from gen.errors import BuildError
from gen.ir import shipped
from gen.system import processes

from . import keys
from .benchmark import Benchmark
from .common import board_tools

CASES = [{"network": "mnist", "board": "ulx3s-85f", "interval": 2500, "seed": 7}]
"""Clocks an image that take more than 256 lanes, and a seed of the placement that leads there."""

ASKED = 100_000_000
"""The fabric's clock."""

HOURS = 1
"""When to give up routing, at the lowest priority."""


def hurried(script):
    """The script of nextpnr with all that it can do for the clock."""
    asked = f'--freq {ASKED / 1e6:g} --seed "$SEED"'
    if asked not in script:
        raise BuildError(f"nextpnr's script does not route with {asked}")
    return script.replace(asked, f"{asked} --placer-heap-timingweight 30 --tmg-ripup")


def route(flow, out, seed):
    """The timing of the project in a directory."""
    script = out / flow.script
    script.write_text(hurried(script.read_text(encoding="utf-8")), encoding="utf-8")
    with processes.group() as start:
        routing = start(["sh", flow.script], cwd=out,
                        env=environment(flow.name) | {"SEED": str(seed)})
        try:
            # It fails where it misses its goal, and leaves a report all the same.
            routing.wait(HOURS * 3600)
        except processes.TimeoutExpired:
            raise BuildError(f"nextpnr has not met {ASKED / 1e6:g} MHz with seed {seed} after "
                             f"{HOURS} hours; try another seed") from None
    return flow.timing((out / flow.report).read_text(encoding="utf-8"), ASKED)


def measure(case):
    """``lanes``, ``luts``, ``fmax_hz`` and the ``critical_path``, hop by hop."""
    board, flow = boards.find(case["board"]), FLOWS["trellis"]
    with processes.scratch() as out:
        built = build(shipped.find(case["network"]), board=board.name, out=out,
                      interval=case["interval"], clock_hz=ASKED, synthesise=False)
        manifest = json.loads(Path(built["manifest"]).read_text(encoding="utf-8"))
        resources = synthesise(out, list(project.SOURCES), top=project.TOP, command=board.synth)
        lanes = sum(manifest["lanes"][core] * manifest["replicas"][core]
                    for core in manifest["lanes"])
        logging.info("nextpnr: placing and routing %d lanes for %g MHz ...", lanes, ASKED / 1e6)
        timing = route(flow, out, case["seed"])
    return {"lanes": lanes, "luts": resources.luts, "fmax_hz": timing.fmax_hz,
            "critical_path": timing.critical_path}


BENCHMARK = Benchmark("ecp5-clock", CASES, measure, keys.BUILD, board_tools)
