"""Start the virtual board of a build."""

from .arguments import command

__all__ = ["add"]


def _run(args):
    from ...verify.virtual import run
    return run(args.directory)


def add(commands):
    parser = command(commands, "virtual", _run,
                     "start the virtual board of a build; the first line names its serial port",
                     "virtual build/digits")
    parser.add_argument("directory", metavar="DIR", help="output of `build`")
