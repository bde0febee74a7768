"""Start the virtual board of a build."""

from .arguments import Commands, add_dataset, command, require_calibration
from .designs import add_design, default_directory, find_build

__all__ = ["add"]


def _run(args):
    from gen.verify.virtual import run
    require_calibration(args)
    return run(find_build(args, _make))


def _make(network, *, board, **mapping):
    """Verilog is enough, and takes the place of no build that has more."""
    from gen.build.builder import build
    out = default_directory(network, board)
    out = out.with_name(f"virtual-{out.name}")
    build(network, board=board, out=out, synthesise=False, **mapping)
    return out


def add(commands: Commands) -> None:
    """Add the command ``virtual`` to those of ``python -m gen``."""
    parser = command(commands, "virtual", _run,
                     "start the virtual board of a build; the first line names its serial port",
                     "virtual build/digits")
    add_design(parser)
    add_dataset(parser)
