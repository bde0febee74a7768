"""The command line, ``python -m gen``: arguments in, one object or a few lines out.

Commands only call functions; the functions do the work. Heavy imports are inside the commands.
Results go to standard output, everything else to standard error.
"""

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path

from gen.errors import EXPLAINED, explain
from gen.system.processes import Terminated, terminable
from host.terminal import Parser, fail, open_streams, put

from .commands import (
    boards,
    build,
    convert,
    curve,
    demo,
    events,
    explore,
    fit,
    ip,
    nir,
    program,
    report,
    run,
    show,
    simulate,
    train,
    tune,
    verify,
    virtual,
)

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 if it failed or found a mismatch; 130 after
    Ctrl-C, 143 after SIGTERM."""
    try:
        open_streams()
        with terminable():
            return _main(argv)
    except KeyboardInterrupt as interrupt:
        # Otherwise Amaranth warns that what was being elaborated was never used.
        warnings.simplefilter("ignore")
        return 143 if isinstance(interrupt, Terminated) else 130


def _main(argv):
    try:
        if sys.stdout is None:
            return fail("standard output is closed; redirect it to a file or to /dev/null")
        args = _parser().parse_args(argv)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr,
                            force=True)
        result = args.command(args)
        put(json.dumps(result) if args.json else args.show(result))
    except BrokenPipeError:
        return 1
    except EXPLAINED as error:
        return fail(explain(error))
    if result.get("fits") is False:
        return fail(result["reason"])
    return 1 if result.get("mismatches") else 0


def _program():
    """How the user started this program: by its console script, or as a module."""
    script = "spikeloom"
    return script if Path(sys.argv[0]).stem == script else "python -m gen"


def _parser():
    parser = Parser(
        prog=_program(), formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Spiking networks from PyTorch to FPGA fabric, bit for bit.",
        epilog="%(prog)s COMMAND --help explains a command. spikeloom is short for python -m gen.\n"
               "A network is named by its name (digits, mnist, ...) if it is a shipped one, or\n"
               "else by its path, and a build by its directory.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (train, convert, tune, events, show, run, fit, explore, build, verify, simulate,
                   curve, report, virtual, program, ip, boards, nir, demo):
        module.add(commands)
    return parser
