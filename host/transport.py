"""The line to a device: a serial port. A virtual board offers one too."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import serial

from .errors import HostError, LinkError
from .virtual import virtual_board

__all__ = ["Transport", "open_port"]

_OPENING = {
    errno.ENOENT: "there is no such port; is the board connected?",
    errno.EACCES: "permission denied; your user may have to join the group that owns the port "
                  "(often 'dialout')",
    errno.ENOTTY: "not a serial port",
    errno.EINVAL: "not a serial port, or it doesn't offer this rate",
    errno.EISDIR: "not a serial port",
}


def _holder(port):
    """The process that has locked a port, in parentheses, if the system tells (Linux)."""
    try:
        node = os.stat(port)
        place = f"{os.major(node.st_dev):02x}:{os.minor(node.st_dev):02x}:{node.st_ino}"
        locks = map(str.split, Path("/proc/locks").read_text(encoding="ascii").splitlines())
        pid = next(lock[4] for lock in locks if lock[1] == "FLOCK" and lock[5] == place)
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, LookupError, StopIteration):
        return ""
    command = " ".join(word.decode(errors="replace") for word in words).strip()
    return f" (process {pid}: {command[:200]})"


# Seconds that a read waits at a time. Changing the time-out would set the line's rate again.
_TICK = 0.01


class Transport:
    """Bytes to and from a serial port, which is locked while it is open.

    Parameters
    ----------
    port : path or name of the port
    baud : its rate
    name : what errors call it

    Raises
    ------
    HostError
        If the port can't be opened, is no serial port, or another program has locked it.
    LinkError
        From any method, if the line is cut.
    """

    def __init__(self, port: str, baud: int, *, name: str | None = None) -> None:
        self.name, self.baud = name or port, baud
        try:
            self._serial = serial.Serial(port, baud, timeout=_TICK, write_timeout=5, exclusive=True)
        except (serial.SerialException, OSError, ValueError, OverflowError) as error:
            raise HostError(f"{self.name}: {self._reason(error, port)}") from error
        # USB adapters otherwise collect bytes for 16 ms.
        with suppress(AttributeError, NotImplementedError, OSError, ValueError):
            self._serial.set_low_latency_mode(True)

    @staticmethod
    def _reason(error, port):
        number = getattr(error, "errno", None)
        if number is None and error.args and isinstance(error.args[-1], tuple):
            number = error.args[-1][0]
        if number is None:
            number = next((code for code in _OPENING if f"({code}, " in str(error)), None)
        if number in (errno.EAGAIN, errno.EBUSY):
            return f"another program uses the port{_holder(port)}"
        if number in _OPENING:
            return _OPENING[number]
        return " ".join(str(error).split())

    def write(self, data: bytes) -> None:
        """Send bytes; waits at most 5 seconds for room in the system's buffer."""
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkError(f"{self.name}: the line takes no more bytes") from error
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.name}: the line was cut while writing") from error

    def read(self, seconds: float) -> bytes:
        """All bytes that have arrived. If there are none, wait for the first ones until the time is
        up."""
        try:
            deadline = time.monotonic() + seconds
            while not (first := self._serial.read(1)) and time.monotonic() < deadline:
                pass
            return first + self._serial.read(self._serial.in_waiting) if first else first
        except (serial.SerialException, OSError, TypeError) as error:
            raise LinkError(f"{self.name}: the line was cut while reading") from error

    def close(self) -> None:
        """Close and unlock the port."""
        self._serial.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def open_port(port: str, baud: int, directory: str | Path, beats: int | None = None
              ) -> Iterator[Transport]:
    """A :class:`Transport` to a port.

    Parameters
    ----------
    port : path or name, or ``"virtual"`` for a virtual board that this function starts
    baud : rate of the line
    directory : build of the virtual board
    beats : what it records, see :func:`~host.virtual.virtual_board`

    Raises
    ------
    HostError
        If the port can't be opened, or the virtual board does not start.
    """
    if port != "virtual":
        with Transport(port, baud) as transport:
            yield transport
        return
    with (virtual_board(directory, beats) as path,
          Transport(path, baud, name="virtual") as transport):
        yield transport
