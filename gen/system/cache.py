"""The user's cache: the directory where programs are compiled and executed.

Its path reaches the shell and make through Verilator's makefiles, so its name must mean nothing to
either. Nobody else may put a program there.
"""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gen.errors import SimulationError

__all__ = ["directory", "prune", "trusted"]

_HARMLESS = re.compile(r"[A-Za-z0-9_./+-]+")

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH

_DAY = 24 * 60 * 60

_AGE, _NUMBER, _EFFORT = 30 * _DAY, 200, 50
"""Greatest age, greatest number, and how many entries one call removes, the oldest first."""


def _candidates() -> Iterator[Path]:
    """Places for the cache, the best one first."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    if os.path.isabs(base):
        yield Path(base) / "spikeloom"
    temporary = []
    with suppress(OSError):
        temporary = [tempfile.gettempdir()]
    for base in dict.fromkeys((*temporary, "/tmp", "/var/tmp")):
        yield Path(base) / f"spikeloom-{os.geteuid()}"


def _objection(folder):
    """Why a directory must not be the cache, or None."""
    if not _HARMLESS.fullmatch(str(folder)):
        return "its name has other characters than letters, digits, '.', '_', '+', '-'"
    try:
        for path in (*reversed(folder.parents), folder):  # whatever the umask
            path.mkdir(mode=0o700, exist_ok=True)
        own, me = folder.lstat(), os.geteuid()
        if not stat.S_ISDIR(own.st_mode):
            return "it is not a directory"
        if own.st_uid != me or own.st_mode & _WRITABLE:
            return "it is another user's, or others may write to it"
        for above in folder.parents:
            facts = above.stat()
            # In a sticky directory only the owner of a file can rename it.
            if (facts.st_uid not in (me, 0, os.stat("/").st_uid)
                    or (facts.st_mode & _WRITABLE and not facts.st_mode & stat.S_ISVTX)):
                return f"others may write to {above}"
    except OSError as error:
        return error.strerror
    if not os.access(folder, os.W_OK | os.X_OK):
        return "it is not writable"
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return "programs can't be executed there"
    return None


def directory() -> Path:
    """The cache, created if it is missing: ``$XDG_CACHE_HOME/spikeloom`` or ``~/.cache/spikeloom``.
    If that is not safe, a private directory among the temporary files takes its place.

    Raises
    ------
    SimulationError
        If no place is safe. A safe place has a path of harmless characters, belongs to the user
        alone, and allows programs to be executed.
    """
    objections = []
    for path in _candidates():
        # The last component must not be a link: among temporary files it may be anybody's.
        folder = Path(os.path.realpath(path.parent)) / path.name
        objection = _objection(folder)
        if objection is None:
            return folder
        objections.append(f"{str(folder)[-60:]}: {objection}"[:140])
    raise SimulationError(f"no directory is safe to compile in ({'; '.join(objections)[:350]}); "
                          f"set XDG_CACHE_HOME to one that is")


def trusted(program: Path) -> bool:
    """Whether a program exists, was made by this user, and can be changed by this user only."""
    try:
        facts = program.lstat()
    except OSError:
        return False
    return (stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
            and not facts.st_mode & _WRITABLE and os.access(program, os.X_OK))


def prune(folder: Path) -> None:
    """Remove some entries that were not used for long. An entry's time is that of its last use."""
    now, entries = time.time(), []
    with os.scandir(folder) as found:
        for entry in found:
            with suppress(OSError):
                entries.append((now - entry.stat(follow_symlinks=False).st_mtime, entry.path))
    entries.sort()
    doomed = [path for place, (age, path) in enumerate(entries)
              if age > (_AGE if place < _NUMBER else _DAY)]
    for path in doomed[-_EFFORT:]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(path)
