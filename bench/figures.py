"""The figures that the README quotes: ``python bench/figures.py [--json]``.

Builds every shipped network for a board with Yosys, runs its test set through the Verilated array,
and prints a table, or with ``--json`` an object that ``bench/comparison.py`` reads. One row:

    python bench/figures.py --network mnist --interval 3500 --board arty-a7

Takes some twenty minutes on two cores for all networks and whole test sets.
"""

import argparse
import json
import sys

from gen.build.builder import build
from gen.errors import SpikeloomError
from gen.ir.shipped import find, names
from gen.verify.simulation import simulate

ASKED = {
    "fashion-mnist": ({"interval": 5000},),
    "mnist": ({"interval": 3500},),
    "mnist-mlp-128": ({"interval": 350}, {"interval": 100}),
}
"""Network -> what its mapping is asked for, see :func:`gen.plan.planner.plan`, if anything."""

COLUMNS = {
    "network": lambda row: f"`{row['network']}`" + (f", `{row['asked']}`" if row["asked"] else ""),
    "board": lambda row: f"`{row['board']}`, {row['clock_hz'] / 1e6:g} MHz",
    "accuracy": lambda row: f"{row['accuracy']:.2%}",
    "mismatches": lambda row: f"{row['mismatches']}",
    "clocks an image": lambda row: f"{row['interval_cycles']:,.0f}",
    "images a second": lambda row: f"{row['images_per_second']:,.0f}",
    "latency": lambda row: f"{row['latency_us']:,.0f} us",
    "lanes adding: bottleneck": lambda row: f"{row['utilisation_bottleneck']:.0%}",
    "whole array": lambda row: f"{row['utilisation_array']:.0%}",
    "LUTs": lambda row: f"{row['luts']:,}",
    "block RAMs": lambda row: f"{row['brams']:g}",
    "DSPs": lambda row: f"{row['dsps']}",
}
"""Heading -> cell."""


def measure(name, board, asked, *, limit=None, data_dir=None):
    """The figures of a network on a board.

    Parameters
    ----------
    asked : ``interval`` or ``objective``, see :func:`gen.plan.planner.plan`
    limit, data_dir : see :func:`gen.verify.simulation.simulate`
    """
    network = find(name)
    words = " ".join(f"--{option} {value}" for option, value in asked.items())
    folder = "-".join([network.name, board, *map(str, asked.values())])
    run = simulate(network, board=board, limit=limit, data_dir=data_dir, **asked)
    built = build(network, board=board, out=f"build/bench/{folder}", **asked)
    interval, clock = run["interval_cycles"], built["clock_hz"]
    return {
        "network": network.name, "dataset": network.metadata["dataset"], "asked": words,
        "board": built["board"], "device": built["device"], "clock_hz": clock,
        "images": run["images"], "accuracy": run["accuracy"], "mismatches": run["mismatches"],
        "interval_cycles": interval, "predicted_interval_cycles": built["interval_cycles"],
        "images_per_second": clock / interval,
        "latency_cycles": run["cycles_mean"], "latency_us": run["cycles_mean"] / clock * 1e6,
        "bottleneck": run["bottleneck"],
        # A pooling, or the input, has no lanes.
        "utilisation_bottleneck": run["lane_utilisation"].get(
            run["bottleneck"], max(run["lane_utilisation"].values())),
        "utilisation_array": run["array_utilisation"],
        **{kind: built[kind] for kind in ("luts", "ffs", "brams", "dsps", "latches")},
    }


def table(rows):
    """Rows as a table of Markdown."""
    lines = [list(COLUMNS), ["---", "---", *["--:"] * (len(COLUMNS) - 2)]]
    lines += [[cell(row) for cell in COLUMNS.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", metavar="NET", action="append",
                        help="name or path; may be repeated (default: every shipped one)")
    parser.add_argument("--interval", metavar="CLOCKS", type=int,
                        help="the interval to ask for (default: the README's)")
    parser.add_argument("--objective", metavar="O", help="what to choose the mapping for")
    parser.add_argument("--board", metavar="B", action="append",
                        help="may be repeated (default: arty-a7)")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N test images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    asked = {name: value for name, value in [("interval", args.interval),
                                             ("objective", args.objective)] if value is not None}
    rows = []
    for board in args.board or ["arty-a7"]:
        for name in args.network or names():
            for options in [asked] if asked else ASKED.get(name, [{}]):
                rows.append(measure(name, board, options, limit=args.limit, data_dir=args.data))
                print(table(rows[-1:]).splitlines()[-1], file=sys.stderr)
    print(json.dumps({"rows": rows}, indent=1) if args.json else table(rows))


if __name__ == "__main__":
    try:
        main()
    except SpikeloomError as error:
        sys.exit(f"error: {error}")
