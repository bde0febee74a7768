"""The command line, ``python -m gen``: arguments in, one object or a few lines out.

Commands only call functions; the functions do the work. Heavy imports are inside the commands.
Results go to standard output, everything else to standard error.
"""

import argparse
import io
import json
import logging
import os
import sys
import warnings
from pathlib import Path

from gen.errors import EXPLAINED, explain, one_line
from gen.system.processes import Terminated, terminable

from .commands import (
    boards,
    build,
    convert,
    curve,
    demo,
    explore,
    fit,
    program,
    report,
    run,
    simulate,
    train,
    verify,
    virtual,
)
from .output import put

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 if it failed or found a mismatch; 130 after
    Ctrl-C, 143 after SIGTERM."""
    try:
        _open_streams()
        with terminable():
            return _main(argv)
    except KeyboardInterrupt as interrupt:
        # Otherwise Amaranth warns that what was being elaborated was never used.
        warnings.simplefilter("ignore")
        return 143 if isinstance(interrupt, Terminated) else 130


def _main(argv):
    try:
        if sys.stdout is None:
            return _fail("standard output is closed; redirect it to a file or to /dev/null")
        args = _parser().parse_args(argv)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr,
                            force=True)
        result = args.command(args)
        put(json.dumps(result) if args.json else args.show(result))
    except BrokenPipeError:
        return 1
    except EXPLAINED as error:
        return _fail(explain(error))
    if result.get("fits") is False:
        return _fail(result["reason"])
    return 1 if result.get("mismatches") else 0


def _open_streams():
    """Open the closed ones of descriptors 0 to 2 on the null device. Otherwise the next file that
    is opened would get such a descriptor, and the output of other programs. Characters that a
    stream's encoding lacks are written as escapes."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error):
    print(one_line(f"error: {error}"), file=sys.stderr)
    return 1


class _Parser(argparse.ArgumentParser):
    """Reports an error as all commands do."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(2, one_line(f"{self.prog}: error: {message}") + "\n")

    def print_help(self, file=None):
        put(self.format_help().rstrip("\n"))

    def _get_values(self, action, arg_strings):
        # In Python 3.11, "--option=--" gives an empty list.
        value = super()._get_values(action, arg_strings)
        if value == [] and action.nargs is None:
            raise argparse.ArgumentError(action, "expected one argument")
        return value


def _program():
    """How the user started this program: by its console script, or as a module."""
    script = "spikeloom"
    return script if Path(sys.argv[0]).stem == script else "python -m gen"


def _parser():
    parser = _Parser(
        prog=_program(), formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Spiking networks from PyTorch to FPGA fabric, bit for bit.",
        epilog="%(prog)s COMMAND --help explains a command. spikeloom is short for python -m gen.\n"
               "A network is named by its name (digits, mnist, ...) if it is a shipped one, or\n"
               "else by its path, and a build by its directory.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (train, convert, run, fit, explore, build, verify, simulate, curve, report,
                   virtual, program, boards, demo):
        module.add(commands)
    return parser
