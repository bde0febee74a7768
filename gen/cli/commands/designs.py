"""The argument of commands that work on a design: a network, which is planned as ``build`` would
plan it, or the directory of a build, which holds the design."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gen.errors import BuildError

from .arguments import (
    add_mapping,
    add_memories,
    add_sequences,
    dataset_flags,
    find_network,
    mapping_flags,
    mapping_options,
    require_calibration,
)

if TYPE_CHECKING:
    from gen.build.design import Design
    from gen.ir.network import Network

__all__ = ["add_design", "find_build", "find_design"]


def add_design(parser: ArgumentParser) -> None:
    """Add the argument that names a network or a build, and the options of a mapping."""
    parser.add_argument("design", metavar="NET|DIR",
                        help="name of a shipped network, or path of one; or the directory "
                             "of a build, which fixes the options of the mapping")
    add_mapping(parser)
    add_sequences(parser)
    add_memories(parser)


def _directory(args, fixed=()):
    """The build that is meant, or None if a network is.

    Parameters
    ----------
    fixed : flags that a build has fixed, besides those of the mapping
    """
    from gen.build.manifest import NAME
    from gen.ir.shipped import names
    path = Path(args.design)
    if not args.design or (
            not (path / NAME).exists() and (args.design in names() or not path.is_dir())):
        return None
    for flag in [*mapping_flags(args), *fixed]:
        raise BuildError(f"{flag} is fixed by the build in {path}; leave it out")
    return path


def find_design(args: Namespace) -> tuple["Network", Callable[[], "Design"]]:
    """The network that is meant, and a function that returns its design.

    To plan a network takes a while, so the caller can look for its images first. The function
    checks that the design of a build is what the build's Verilog was made of.

    Raises
    ------
    BuildError
        If an option of the mapping is given with a build, or a directory is no build.
    """
    import boards
    from gen.build.design import load
    from gen.build.planning import design_for
    if (directory := _directory(args)) is None:
        network, options = find_network(args.design), mapping_options(args)
        return network, partial(design_for, network, boards.find(options.pop("board")), **options)
    design = load(directory)
    return design.network, partial(_emitted, design, directory)


def _emitted(design, directory):
    from gen.build.design import require_emitted
    require_emitted(design, directory)
    return design


def find_build(args: Namespace, make: Callable[..., Path], *, images: bool = True) -> Path:
    """The build that is meant; or the network that is meant, built.

    Parameters
    ----------
    make : builds a network, as :func:`gen.build.builder.build_for` does for a purpose
    images : whether the command works on images; otherwise those of --dataset and --data only
        calibrate, as in ``build``

    Raises
    ------
    BuildError
        If an option of the mapping is given with a build.
    DataError
        If there are no images for those of --dataset and --data to calibrate.
    """
    if directory := _directory(args, () if images else dataset_flags(args)):
        return directory
    if not images:
        require_calibration(args)
    return make(find_network(args.design), **mapping_options(args))
