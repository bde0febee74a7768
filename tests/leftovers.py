"""What is left of processes that should have ended."""

import os
import time
from pathlib import Path

__all__ = ["alive", "command_line", "eventually", "users"]


def alive(pid):
    """Whether a process runs, or could run again."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def command_line(pid):
    """The command of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def users(folder):
    """Processes that work in a directory, or name it in their command."""
    name, found = os.fsencode(folder), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (name in (process / "cmdline").read_bytes()
                    or os.fsencode(os.readlink(process / "cwd")).startswith(name)):
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return [pid for pid in found if pid != os.getpid() and alive(pid)]


def eventually(condition, seconds=10):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
