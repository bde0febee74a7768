"""The command line, ``python -m gen``: arguments in, one object or a few lines out.

Commands do nothing that the functions they call do not; what is heavy to import is imported inside
them. Results go to standard output, everything else to standard error.
"""

import argparse
import json
import logging
import os
import sys

from .commands import (
    boards,
    build,
    convert,
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
from .errors import SpikeloomError
from .processes import Terminated, terminable

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 if it failed or found a mismatch; 130 after
    Ctrl-C, 143 after SIGTERM."""
    try:
        with terminable():
            return _main(argv)
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130


def _main(argv):
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    try:
        result = args.command(args)
        print(json.dumps(result) if args.json else args.show(result), flush=True)
    except SpikeloomError as error:
        return _fail(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error)
    return 1 if result.get("mismatches") else 0


def _fail(error):
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m gen", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Spiking networks from PyTorch to FPGA fabric, bit for bit.",
        epilog="python -m gen COMMAND --help explains a command. A network is named by its name\n"
               "(digits, mnist, ...) if it is a shipped one, or else by its path.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (train, convert, run, fit, explore, build, verify, simulate, report, virtual,
                   program, boards, demo):
        module.add(commands)
    return parser
