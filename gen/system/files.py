"""Files: written whole or not at all, checked before the work, and read only if they are regular.

A file is written beside its place and then renamed. The old file stays in place until the new one
is complete, and after a full disk or an interrupt. All modules of this package write files in this
way. They also read the files that a user names through this module, because reading a FIFO may wait
forever, and a device has no end.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from gen.errors import OutputError

__all__ = [
    "open_regular", "read_text", "replacing", "require_directory", "require_output",
    "require_regular", "sha256", "write_bytes", "write_text",
]

_ROOM = 64 << 10
"""Free bytes that a command needs before it starts to work."""


def require_regular(path: str | os.PathLike) -> None:
    """Make sure that a file is neither a FIFO nor a device nor a socket before it is read.

    Raises
    ------
    OSError
        If it is one, or does not exist.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a directory has its own error
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def open_regular(path: str | os.PathLike) -> BufferedReader:
    """Open a regular file for reading, in bytes; raises what :func:`require_regular` does."""
    require_regular(path)
    return open(path, "rb")


def read_text(path: str | os.PathLike) -> str:
    """The text of a regular file, in UTF-8; raises what :func:`require_regular` does."""
    with open_regular(path) as file:
        return file.read().decode()


def sha256(path: str | os.PathLike) -> str:
    """Digest of a regular file, 64 hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(path):
    """Errors of the system become one line about the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}; make it possible "
                          f"or choose another place") from error


def _stat(path):
    """The status of the file at a place, or None."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a zero byte, half a surrogate pair
        raise OSError(errno.EINVAL, "Not a valid name", str(path)) from error


def _place(path):
    """The place of a file, and the mode of the file there or None. Links are followed."""
    found = _stat(path)
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        # Renaming a file onto another does not need the right to write the latter.
        if not os.access(path, os.W_OK, effective_ids=True):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return Path(os.path.realpath(path)), found and stat.S_IMODE(found.st_mode)


def _draft(folder, suffix):
    """A new file with the usual permissions. Some programs depend on its suffix."""
    draft = folder / f".{secrets.token_hex(8)}.part{suffix[:32]}"
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return draft


def _flush(path):
    """Flush a file to the disk. A file that is renamed before may be empty after a power failure,
    and some file systems report only now that they are full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file anew, whole or not at all.

    The context yields the path of a new file beside the old one, with the same suffix. At its end
    the new file takes the old one's place and permissions. After an error or an interrupt the new
    file is removed and the old one stays. Links are followed, and missing directories are made.

    Raises
    ------
    OutputError
        If that is not possible; one line with the requested path.
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


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file; see :func:`replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | os.PathLike, text: str, *, executable: bool = False) -> None:
    """Write a file in UTF-8; see :func:`replacing`. Everybody who may read an executable may run
    it."""
    with replacing(path) as draft:
        draft.write_bytes(text.encode())
        if executable:
            mode = draft.stat().st_mode
            draft.chmod(mode | (mode & 0o444) >> 2)


def _require_room(folder, names):
    """Try to write to a file's future place, or to that of its directory."""
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


def require_output(path: str | os.PathLike, *, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Make sure, before the work, that a file can be written: check its name, its place, the
    permissions, and the free space. Nothing is left behind.

    Parameters
    ----------
    inputs : files that are read for it; it must not replace any of them

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
                raise OutputError(f"{path}: is an input of this command and would be overwritten; "
                                  f"choose another place")


def require_directory(path: str | os.PathLike, names: Iterable[str] = ()) -> None:
    """Make sure, before the work, that files can be written into a directory, which need not exist
    yet. Nothing is left behind.

    Parameters
    ----------
    names : of the files

    Raises
    ------
    OutputError
        One line that says what is in the way.
    """
    names = tuple(names)
    with _told(path):
        found = _stat(path)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _require_room(Path(os.path.realpath(path)), names)
    for name in names:
        with _told(Path(path, name)):
            _place(Path(path, name))
