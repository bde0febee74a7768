"""The table of figures in the README: ``python bench/figures.py [--limit N] [--data DIR]``.

Builds every shipped network for a board with Yosys, runs its test set through the Verilated array,
and prints the table. Takes some twenty minutes on two cores for whole test sets.
"""

import argparse
import sys

from gen.build import build
from gen.shipped import find, names
from gen.simulate import simulate

COLUMNS = ("network", "accuracy", "mismatches", "clocks an image", "images a second", "latency",
           "LUTs", "block RAMs", "DSPs")


def row(name, interval, args):
    """One line of the table; ``interval`` is the pace asked for, or ``None``."""
    network = find(name)
    out = f"build/bench/{name}-{interval or 'balanced'}"
    built = build(network, board=args.board, out=out, interval=interval)
    run = simulate(network, board=args.board, interval=interval, limit=args.limit,
                   data_dir=args.data)
    clock = built["clock_hz"]
    asked = f", `--interval {interval}`" if interval else ""
    return (f"| `{name}`{asked} | {run['accuracy']:.2%} | {run['mismatches']} "
            f"| {run['interval_cycles']:,.0f} | {clock / run['interval_cycles']:,.0f} "
            f"| {run['cycles_mean'] / clock * 1e6:,.0f} us "
            f"| {built['luts']:,} | {built['brams']:g} | {built['dsps']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="arty-a7")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N test images")
    args = parser.parse_args()
    rows = [(name, None) for name in names()] + [("mnist", 3500)]
    lines = []
    for name, interval in rows:
        lines.append(row(name, interval, args))
        print(lines[-1], file=sys.stderr)
    header = f"| {' | '.join(COLUMNS)} |\n|---{'|--:' * (len(COLUMNS) - 1)}|"
    print("\n".join([header, *lines]))


if __name__ == "__main__":
    main()
