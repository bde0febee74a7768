"""What can go wrong, named after what the user was doing.

Every message is one line that says what was wrong, where, and what to do. The command line prints
it and exits with status 1; a traceback is a bug.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches

from .extras import advice

__all__ = [
    "EXPLAINED",
    "ArtifactError",
    "BuildError",
    "ConversionError",
    "DataError",
    "FitError",
    "NetworkError",
    "OutputError",
    "ProgramError",
    "SimulationError",
    "SpikeloomError",
    "explain",
    "unknown",
]


class SpikeloomError(Exception):
    """Base of every error that is the input's fault and not the program's."""


class DataError(SpikeloomError):
    """A data set is missing, damaged or of another shape than the network expects."""


class NetworkError(SpikeloomError):
    """A network contradicts itself: shapes, ranges, names."""


class ArtifactError(SpikeloomError):
    """A network file can't be read: truncated, corrupt, oversized or of another format."""


class ConversionError(SpikeloomError):
    """A PyTorch module can't be converted."""


class FitError(SpikeloomError):
    """A network needs more than the device has."""


class BuildError(SpikeloomError):
    """A tool of the build failed, or its result breaks a promise (a DSP block, a latch)."""


class SimulationError(SpikeloomError):
    """The simulator can't be built, or stopped before the answer."""


class ProgramError(SpikeloomError):
    """A bitstream can't be loaded: the bitstream, the program or the board is missing."""


class OutputError(SpikeloomError):
    """A file can't be written, because of its name, its place, its permissions or a full disk."""


EXPLAINED = (SpikeloomError, ImportError, OSError, MemoryError)
"""Errors that are not bugs. :func:`explain` gives the sentence for each."""


def explain(error: Exception) -> str:
    """The sentence about an error that is one of :data:`EXPLAINED`.

    Raises
    ------
    ImportError
        The error itself, if it is about a module of ours: that is a bug.
    """
    match error:
        case ImportError():
            return advice(error)
        case OSError(filename=str() | bytes() as name):
            return f"{os.fsdecode(name)}: {error.strerror}"
        case MemoryError():
            return f"there is not enough memory: {error}"
    return str(error)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence about an unknown name. It suggests the nearest known one."""
    known = list(known)
    near = get_close_matches(str(name), known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no {what} {name!r}; {guess}known are {', '.join(known)}"
