"""What commands take that work on a design: a network, which is planned as ``build`` would, or the
directory of a build, which says all of it."""

from functools import partial
from pathlib import Path

from gen.errors import BuildError

from .arguments import add_mapping, find_network, mapping_flags, mapping_options

__all__ = ["add_design", "default_directory", "find_build", "find_design"]


def add_design(parser):
    parser.add_argument("design", metavar="NET|DIR",
                        help="name of a shipped network, or path of one; or the output of "
                             "`build`, with which options of the mapping are left out")
    add_mapping(parser)


def default_directory(network, board: str) -> Path:
    """Where ``build`` leaves a network for a board if it is not told."""
    return Path("build") / f"{network.name}-{board}"


def _directory(args):
    """The build that is meant, or None if a network is."""
    from gen.build.manifest import NAME
    from gen.ir.shipped import names
    path = Path(args.design)
    if not (path / NAME).exists() and (args.design in names() or not path.is_dir()):
        return None
    for flag in mapping_flags(args):
        raise BuildError(f"{flag} is fixed by the build in {path}; leave it out")
    return path


def find_design(args):
    """The network that is meant, and a function that gives its design, of a build that it is what
    its Verilog was made of: before a plan is made, which takes a while, images can be looked for.

    Raises
    ------
    BuildError
        If an option of the mapping is given with a build, or a directory is no build.
    """
    import boards
    from gen.build.design import design_for, load
    if (directory := _directory(args)) is None:
        network, options = find_network(args.design), mapping_options(args)
        return network, partial(design_for, network, boards.find(options.pop("board")), **options)
    design = load(directory)
    return design.network, partial(_emitted, design, directory)


def _emitted(design, directory):
    from gen.build.design import require_emitted
    require_emitted(design, directory)
    return design


def find_build(args, make=None) -> Path:
    """The build that is meant, or one of the network that is.

    Parameters
    ----------
    make : builds it, as :func:`gen.verify.gate_level.make_netlist` does; by default as ``build``
        would

    Raises
    ------
    BuildError
        If an option of the mapping is given with a build.
    """
    if directory := _directory(args):
        return directory
    return (make or _make)(find_network(args.design), **mapping_options(args))


def _make(network, *, board, **mapping):
    from gen.build.builder import build
    out = default_directory(network, board)
    build(network, board=board, out=out, **mapping)
    return out
