"""The virtual board of a build as a process, which ends with this one."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

from .errors import HostError

__all__ = ["virtual_board"]

_COMPILING = 1800
"""Seconds that the start may take; a board may have to be compiled."""

_GRACE = 2
"""Seconds between SIGTERM and SIGKILL."""

# The watcher leads the group of the board's processes, compilers among them. It reads a pipe whose
# other end only this process has. However this process ends, the watcher then ends the group.
_WATCHER = f"trap '' HUP INT TERM; read -r _; kill -TERM 0; sleep {_GRACE}; kill -KILL 0"


@contextmanager
def virtual_board(directory: str | Path, beats: int | None = None) -> Iterator[str]:
    """Start the virtual board of a build. The context yields the path of its serial port.

    The board and all compilers that it runs end with the context or with this process.

    Parameters
    ----------
    beats : descriptor of a file to which the board appends each beat that leaves a layer, as
        `gen.verify.recorded` says

    Raises
    ------
    HostError
        If it does not start.
    """
    record = [] if beats is None else [f"--beats=/dev/fd/{beats}"]
    command = [sys.executable, "-m", "gen", "virtual", *record, "--", str(directory)]
    with subprocess.Popen(["/bin/sh", "-c", _WATCHER], stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL,
                          process_group=0, env={"PATH": os.defpath}) as watcher:
        try:
            with subprocess.Popen(command, stdin=DEVNULL, stdout=PIPE, process_group=watcher.pid,
                                  pass_fds=() if beats is None else (beats,)) as board:
                try:
                    yield _path(board, directory)
                finally:
                    _end(watcher.pid, board)
        finally:
            _signal(watcher.pid, signal.SIGKILL)


def _path(board, directory):
    """The first line of the board's output."""
    if not select.select([board.stdout], [], [], _COMPILING)[0]:
        raise HostError(f"the virtual board of {directory} has not started in {_COMPILING} s")
    line = os.fsdecode(board.stdout.readline().strip())
    if not line:
        raise HostError(f"the virtual board of {directory} did not start (status {board.wait()}); "
                        f"its message is above")
    return line


def _end(group, board):
    """End the board. If it does not end in time, because it is stopped or compiles, kill it."""
    _signal(group, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        board.wait(_GRACE)
    _signal(group, signal.SIGKILL)


def _signal(group, number):
    with suppress(ProcessLookupError):
        os.killpg(group, number)
