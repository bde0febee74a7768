"""Load a build's bitstream into a board, with openFPGALoader."""

import logging
from pathlib import Path
from typing import Any

import boards
from gen.errors import ProgramError
from gen.ir.network import Network
from gen.system import processes

from . import manifest
from .builder import build_for
from .design import load
from .toolchain import find, missing

__all__ = ["build_to_program", "program"]

log = logging.getLogger(__name__)

_TOOL = "openFPGALoader"


def _facts(directory):
    """The board of a build of one piece, and its bitstream."""
    built = manifest.read(directory)
    load(directory)
    if built.bitstream is None:
        raise ProgramError(f"{directory} has no bitstream; {_how(built.board)}")
    return built.board, built.file(built.bitstream)


def _how(board):
    return (f"`python -m gen build` makes one where {' or '.join(board.toolchains)} is found "
            f"(`python -m gen boards`)")


def _loader():
    loader = find(_TOOL)
    if loader is None:
        raise ProgramError(f"{_TOOL} is missing: pip install spikeloom[toolchain]")
    return loader


def build_to_program(network: Network, *, board: str, **options: Any) -> Path:
    """Build a network, with its bitstream, into the default directory for this purpose; return
    the directory.

    Takes the arguments of :func:`gen.build.builder.build`, except ``out``.

    Raises
    ------
    ProgramError
        If there is no toolchain for the board, or no openFPGALoader. This is checked before the
        build.
    """
    target = boards.find(board)
    if all(missing(toolchain) for toolchain in target.toolchains):
        raise ProgramError(f"there is no bitstream of {network.name} for {board}; {_how(target)}")
    _loader()
    return build_for("program", network, board=board, **options)


def program(directory: str | Path) -> dict:
    """Load the bitstream in a build directory into its board.

    Where the board allows it, the bitstream goes into the device's volatile configuration memory
    and is lost at power-off.

    Returns
    -------
    ``board``, ``bitstream`` (its path), ``command``.

    Raises
    ------
    BuildError
        If the directory is not a build, a file of it has changed, or its design can't be read.
    ProgramError
        If there is no bitstream, no openFPGALoader, or no board that answers.
    """
    board, bitstream = _facts(Path(directory))
    loader = _loader()
    command = [_TOOL, *board.loader, str(bitstream.absolute())]  # no option, whatever its name
    log.info("%s ...", " ".join(command))
    done = processes.run([loader, *command[1:]], encoding="utf-8", errors="replace",
                         stdout=processes.PIPE, stderr=processes.STDOUT)
    if done.returncode:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise ProgramError(f"{board.name} was not programmed: {_TOOL} says: "
                           f"{said[-1] if said else 'nothing'}; is the board plugged in, and may "
                           f"you use its USB device?")
    return {"board": board.name, "bitstream": str(bitstream), "command": command}
