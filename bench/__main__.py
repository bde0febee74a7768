"""The command line: ``python -m bench [NAME ...] [--data DIR] [--jobs N]``, with ``--pages`` or
``--dry-run`` to measure nothing."""

import argparse
import logging
import os
import sys

from gen.errors import EXPLAINED, explain
from gen.system.processes import Terminated, terminable
from host.terminal import one_line

from . import (
    bitstreams,
    calibrate,
    choices,
    clocks,
    contents,
    ecp5_clock,
    endpoint,
    every_board,
    figures,
    gates,
    line,
    masked,
    methods,
    mobilenet,
    pages,
    pcie,
    peers,
    runner,
    scale,
    sequences,
    sparsity,
    tuned,
)
from .benchmark import load

# The coefficients come first, because the others' plans follow from them; what takes hours, last.
BENCHMARKS = [module.BENCHMARK for module in (
    calibrate, every_board, bitstreams, clocks, choices, masked, sparsity, gates, line, pcie,
    endpoint, scale, contents, tuned, mobilenet, ecp5_clock, peers, sequences, methods, figures)]


def _jobs(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a number from 1, not {text!r}")
    return int(text)


def _parser():
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the figures that the pages quote, as far as they are missing or out "
                    "of date, and write the tables anew. It can be interrupted at any time, which "
                    "loses the case under way.")
    parser.add_argument("names", metavar="NAME", nargs="*",
                        help=f"a benchmark (default: all): {', '.join(names)}")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=1,
                        help="cases at a time (default: 1)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--pages", action="store_true",
                         help="measure nothing, only write the tables from what is known")
    instead.add_argument("--dry-run", action="store_true",
                         help="measure nothing, only list what is missing or out of date")
    return parser


def _measure(benchmarks, jobs):
    """The pages are written after each benchmark, since the next may depend on what it has found;
    the exit status."""
    outcome = runner.Outcome()
    for benchmark in benchmarks:
        runner.run(benchmark, outcome, jobs=jobs)
        pages.write(load())
    for title, lines in (("not measured", outcome.absent), ("failed", outcome.failed)):
        for said in lines:
            logging.info("%s: %s", title, said)
    logging.info("%d measured, %d up to date, %d not measured, %d failed", outcome.measured,
                 outcome.current, len(outcome.absent), len(outcome.failed))
    return 1 if outcome.failed else 0


def _list(benchmarks):
    """What :func:`_measure` would measure, a line each."""
    outcome, listed = runner.Outcome(), 0
    for benchmark in benchmarks:
        for said in runner.due(benchmark, outcome):
            print(said)
            listed += 1
    for said in outcome.absent:
        logging.info("can't be measured: %s", said)
    logging.info("%d to be measured, %d up to date, %d can't be measured", listed,
                 outcome.current, len(outcome.absent))


def main(argv=None) -> int:
    """The exit status: 0, also if data or tools for a case are absent; 1 if a case failed; 130
    after Ctrl-C, 143 after SIGTERM."""
    parser = _parser()
    args = parser.parse_args(argv)
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    if strangers := [name for name in args.names if name not in known]:
        parser.error(f"there is no benchmark {strangers[0]!r}; there are {', '.join(known)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with terminable():
            if args.pages:
                pages.write(load())
                return 0
            if args.data:
                os.environ["SPIKELOOM_DATA"] = args.data
            chosen = [known[name] for name in known if name in (args.names or known)]
            if args.dry_run:
                _list(chosen)
                return 0
            return _measure(chosen, args.jobs)
    except KeyboardInterrupt as interrupt:
        return 143 if isinstance(interrupt, Terminated) else 130
    except EXPLAINED as error:
        logging.error("%s", one_line(f"error: {explain(error)}"))
        return 1


if __name__ == "__main__":
    sys.exit(main())
