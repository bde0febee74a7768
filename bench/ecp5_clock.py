"""How fast a clock nextpnr closes hundreds of lanes at, on an ECP5 of speed grade 6.

    python bench/ecp5_clock.py [--seed 3]

MNIST's CNN with at least 256 lanes becomes a project for the ULX3S, as ``gen build`` would make
it. It is placed with timing weighing more than by default, wires that are late are ripped up and
routed again, and the clock that is reached is printed. Takes some six minutes with a seed that
leads there; with another one the clock is missed, or the ripping up does not end, and is given up.
"""

import argparse
import json
import logging
import sys
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

INTERVAL, ASKED = 2500, 100_000_000
"""Clocks an image that take more than 256 lanes, and the fabric's clock."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15,
                        help="when to give up routing (default 15)")
    parser.add_argument("--seed", type=int, default=3, help="of the placement (default 3)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build") / "bench" / "ecp5-clock")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    board, flow, out = boards.find("ulx3s-85f"), FLOWS["trellis"], args.output
    built = build(shipped.find("mnist"), board=board.name, out=out, interval=INTERVAL,
                  clock_hz=ASKED, synthesise=False)
    manifest = json.loads(Path(built["manifest"]).read_text(encoding="utf-8"))
    lanes = sum(manifest["lanes"][core] * manifest["replicas"][core] for core in manifest["lanes"])
    resources = synthesise(out, list(project.SOURCES), top=project.TOP, command=board.synth)

    script = (out / flow.script).read_text(encoding="utf-8")
    asked = f'--freq {ASKED / 1e6:g} --seed "$SEED"'
    if asked not in script:
        raise BuildError(f"{flow.script} does not route with {asked}")
    (out / flow.script).write_text(script.replace(
        asked, f"{asked} --placer-heap-timingweight 30 --tmg-ripup"), encoding="utf-8")
    (out / flow.report).unlink(missing_ok=True)
    logging.info("nextpnr: placing and routing %d lanes for %g MHz ...", lanes, ASKED / 1e6)
    with processes.group() as start:
        routing = start(["sh", flow.script], cwd=out,
                        env=environment(flow.name) | {"SEED": str(args.seed)})
        try:
            # It fails where it misses its goal, and leaves a report all the same.
            routing.wait(args.minutes * 60)
        except processes.TimeoutExpired:
            sys.exit(f"nextpnr has not met {ASKED / 1e6:g} MHz after {args.minutes:g} minutes; "
                     f"try another --seed")
    timing = flow.timing((out / flow.report).read_text(encoding="utf-8"), ASKED)
    print(f"{lanes} lanes, {resources.luts:,} LUTs: {timing.fmax_hz / 1e6:.1f} MHz")
    for step in timing.critical_path:
        print("   ", step)


if __name__ == "__main__":
    main()
