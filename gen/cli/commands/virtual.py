"""Start the virtual board of a build."""

from functools import partial

from .arguments import Commands, add_dataset, command
from .designs import add_design, find_build

__all__ = ["add"]


def _run(args):
    from gen.build.builder import build_for
    from gen.verify.virtual import run
    make = partial(build_for, "virtual", synthesise=False)  # Verilog is enough
    return run(find_build(args, make, images=False), args.beats)


def add(commands: Commands) -> None:
    """Add the command ``virtual`` to those of ``python -m gen``."""
    parser = command(commands, "virtual", _run,
                     "start the virtual board of a build; the first line names its serial port",
                     "virtual build/digits")
    add_design(parser)
    add_dataset(parser)
    parser.add_argument("--beats", metavar="FILE",
                        help="append the spikes of each layer to FILE, a line for each beat: the "
                             "layer's number, and the beat in hexadecimal digits")
