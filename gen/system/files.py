"""Files: written whole or not at all, checked before the work, and read only if they are files.

A file is written beside its place and renamed. Whoever looks at it while it is written anew, or
after a full disk or an interrupt, finds the old one. No other module of this package writes files
in another way, and what a user names is read by way of this one: a FIFO would keep a command
waiting for ever, and a device has no end.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError

__all__ = [
    "open_regular", "read_text", "replacing", "require_directory", "require_output",
    "require_regular", "sha256", "write_bytes", "write_text",
]

_ROOM = 64 << 10
"""Bytes that there must be room for before a command starts to work."""


def require_regular(path) -> None:
    """Make sure that a file that is to be read is neither a FIFO nor a device nor a socket.

    Raises
    ------
    OSError
        If it is, or is not there.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # to open a directory has its own error
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def open_regular(path) -> BinaryIO:
    """Open a regular file for reading, in bytes; raises what :func:`require_regular` does."""
    require_regular(path)
    return open(path, "rb")


def read_text(path) -> str:
    """The text of a regular file, in UTF-8; raises what :func:`require_regular` does."""
    with open_regular(path) as file:
        return file.read().decode()


def sha256(path) -> str:
    """Digest of a regular file, 64 hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(path):
    """Errors of the system as one line about the file that was wanted."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}; make it possible "
                          f"or choose another place") from error


def _stat(path):
    """What is at a place now, or None."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a zero byte, half a surrogate pair
        raise OSError(errno.EINVAL, "Not a valid name", str(path)) from error


def _place(path):
    """Where a file goes and the mode of the one that is there, or None; links are followed."""
    found = _stat(path)
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        # To rename a file onto another takes no right to write the latter.
        if not os.access(path, os.W_OK, effective_ids=True):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return Path(os.path.realpath(path)), found and stat.S_IMODE(found.st_mode)


def _draft(folder, suffix):
    """A new file of the usual permissions; some programs go by its suffix."""
    draft = folder / f".{secrets.token_hex(8)}.part{suffix[:32]}"
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return draft


def _flush(path):
    """A file that is renamed before it is on the disk may be empty after a power failure; and some
    file systems find out only now that they are full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path):
    """Write a file anew, whole or not at all.

    Within this, a new file beside the old one is written to, whose path is given; it has the same
    suffix. At the end it takes the old one's place and permissions. If anything goes wrong, an
    interrupt among it, it is removed and the old one stays. Links are followed, and directories are
    made if need be.

    Raises
    ------
    OutputError
        If that is not possible; one line with the path that was asked for.
    """
    with _told(path):
        target, mode = _place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(target.parent, target.suffix)
        try:
            if mode is not None:
                draft.chmod(mode)
            yield draft
            _flush(draft)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def write_bytes(path, data: bytes) -> None:
    """Write a file; see :func:`replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def write_text(path, text: str, *, executable: bool = False) -> None:
    """Write a file in UTF-8; see :func:`replacing`. Whoever may read an executable may run it."""
    with replacing(path) as draft:
        draft.write_bytes(text.encode())
        if executable:
            mode = draft.stat().st_mode
            draft.chmod(mode | (mode & 0o444) >> 2)


def _require_room(folder, names):
    """Write a little where a file is to go, or where its directory is to be made."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    longest = os.pathconf(there, "PC_NAME_MAX")
    for name in (*folder.relative_to(there).parts, *names):
        if len(os.fsencode(name)) > longest:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    draft = _draft(there, "")
    try:
        draft.write_bytes(bytes(_ROOM))
        _flush(draft)
    finally:
        draft.unlink(missing_ok=True)


def require_output(path, *, inputs: Iterable = ()) -> None:
    """Make sure, before the work, that a file can be written: its name, its place, the rights to
    it, and some room. Nothing is left behind.

    Parameters
    ----------
    inputs : files that are read for it, none of which it may replace

    Raises
    ------
    OutputError
        One line that says what is in the way.
    """
    with _told(path):
        target, mode = _place(path)
        _require_room(target.parent, [target.name])
        for source in inputs:
            if mode is not None and os.path.exists(source) and os.path.samefile(source, path):
                raise OutputError(f"{path}: would be written over, but is read by this very "
                                  f"command; choose another place")


def require_directory(path, names: Iterable[str] = ()) -> None:
    """Make sure, before the work, that files can be written into a directory, which need not be
    there yet. Nothing is left behind.

    Parameters
    ----------
    names : of the files

    Raises
    ------
    OutputError
        One line that says what is in the way.
    """
    path, names = Path(path), tuple(names)
    with _told(path):
        found = _stat(path)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _require_room(Path(os.path.realpath(path)), names)
    for name in names:
        with _told(path / name):
            _place(path / name)
