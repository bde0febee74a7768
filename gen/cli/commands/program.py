"""Load a bitstream into a board."""

from .arguments import command

__all__ = ["add"]


def _run(args):
    from ...build.program import program
    return program(args.directory)


def add(commands):
    parser = command(commands, "program", _run, "load a build's bitstream into a board",
                     "program build/digits-ulx3s-85f")
    parser.add_argument("directory", metavar="DIR", help="output of `build`")
