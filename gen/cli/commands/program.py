"""Load a bitstream into a board."""

from functools import partial

from .arguments import Commands, add_dataset, command
from .designs import add_design, find_build

__all__ = ["add"]


def _run(args):
    from gen.build.builder import build_for
    from gen.build.program import program
    return program(find_build(args, partial(build_for, "program"), images=False))


def add(commands: Commands) -> None:
    """Add the command ``program`` to those of ``python -m gen``."""
    parser = command(commands, "program", _run, "load the bitstream of a build into a board",
                     "program build/digits-ulx3s-85f")
    add_design(parser)
    add_dataset(parser)
