"""Load a bitstream into a board."""

from .arguments import Commands, add_dataset, command
from .designs import add_design, find_build

__all__ = ["add"]


def _run(args):
    from gen.build.program import build_to_program, program
    return program(find_build(args, build_to_program, images=False))


def add(commands: Commands) -> None:
    """Add the command ``program`` to those of ``python -m gen``."""
    parser = command(commands, "program", _run, "load the bitstream of a build into a board; a "
                     "network is built for it first, in build/program-NETWORK-BOARD",
                     "program build/digits-ulx3s-85f")
    add_design(parser)
    add_dataset(parser)
