"""A function on PCI Express as a program sees it: the words of BAR0, and memory that both reach.

Linux only. Nothing here needs a kernel module of its own.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import HostError, LinkError

__all__ = ["DEVICES", "Buffer", "Function", "MappedFunction", "SysfsFunction", "function_at",
           "require_function"]

DEVICES = Path("/sys/bus/pci/devices")

_COMMAND, _MEMORY, _MASTER = 4, 2, 4
"""The command register of the configuration space, and its bits for access to BARs and for requests
of the device's own."""

_HUGE = 2 << 20


@dataclass(frozen=True)
class Buffer:
    """Memory that the device reaches.

    Parameters
    ----------
    words : 32 bits each
    address : on the bus, of the first byte
    """

    words: memoryview
    address: int


class Function(Protocol):
    """A function that was opened and that no other program uses.

    Members
    -------
    name : what errors call it
    bar : words of BAR0; an access to one is one access of 32 bits
    interrupts : whether :meth:`wait` ends with an interrupt
    """

    name: str
    bar: memoryview
    interrupts: bool

    def buffer(self, size: int) -> Buffer:
        """Memory of so many bytes, a power of two, at a multiple of its size on the bus."""

    def present(self) -> bool:
        """Whether the function is still there."""

    def wait(self, seconds: float) -> None:
        """Wait, at most so long, for something to happen."""

    def close(self) -> None:
        """Give everything back. The device must rest."""


class Mapping:
    """A part of a file as words of 32 bits.

    Python keeps a file open as long as it is mapped, and so would keep a device locked.

    Parameters
    ----------
    file, size : what is mapped
    offset : where it begins

    Members
    -------
    words : an access to one is one access of 32 bits
    """

    def __init__(self, file: int, size: int, *, offset: int = 0) -> None:
        self._map = mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE,
                              offset=offset)
        self._bytes = memoryview(self._map)
        self.words = self._bytes.cast("I")

    def close(self) -> None:
        """Take the words back. Those that somebody has a view of stay until that is gone."""
        with suppress(BufferError):
            self.words.release()
            self._bytes.release()
            self._map.close()


def lock(file: int, name: str) -> None:
    """Make sure that no other program that locks uses a function.

    Raises
    ------
    HostError
        If one does.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise HostError(f"{name}: another program uses the device; end it first") from error


def release(mappings: list[Mapping], files: list[int]) -> None:
    """Take mappings back, then unlock and close files."""
    while mappings:
        mappings.pop().close()
    while files:
        file = files.pop()
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


class MappedFunction:
    """A function whose BAR0 and memory are files, as those of a virtual board.

    Parameters
    ----------
    name : what errors call it
    bar, memory : paths of the files
    base : bus address of the memory

    Raises
    ------
    HostError
        If the files can't be mapped, or another program uses them.
    """

    interrupts = False

    def __init__(self, name: str, bar: str, memory: str, base: int) -> None:
        self.name, self._base, self._used = name, base, 0
        self._files: list[int] = []
        self._mappings: list[Mapping] = []
        try:
            for path in (bar, memory):
                self._files.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            self._bar = os.stat(bar)
            self._path = bar
            lock(self._files[0], name)
            for file in self._files:
                self._mappings.append(Mapping(file, os.fstat(file).st_size))
            self.bar, self._memory = (mapping.words for mapping in self._mappings)
        except OSError as error:
            self.close()
            raise HostError(f"{name}: {error.filename or bar}: {error.strerror}") from error
        except HostError:
            self.close()
            raise

    def buffer(self, size: int) -> Buffer:
        """A part of the memory."""
        begin = -(-self._used // size) * size
        if begin + size > self._memory.nbytes:
            raise HostError(f"{self.name}: its memory of {self._memory.nbytes:,} bytes is full")
        self._used = begin + size
        return Buffer(self._memory[begin // 4:(begin + size) // 4], self._base + begin)

    def present(self) -> bool:
        """Whether the file is still what its path names."""
        try:
            now = os.stat(self._path)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self._bar.st_dev, self._bar.st_ino)

    def wait(self, seconds: float) -> None:
        """Sleep a little."""
        time.sleep(min(seconds, 0.0002))

    def close(self) -> None:
        """Close and unlock the files."""
        release(self._mappings, self._files)


def require_function(address: str) -> Path:
    """Where the system has a function.

    Raises
    ------
    HostError
        If there is none at that address.
    """
    path = DEVICES / address
    if "/" in address or not path.exists():
        raise HostError(f"pcie:{address}: there is no such device; `python -m host devices` lists "
                        f"those there are")
    return path


def driver_of(path: Path) -> str | None:
    """The driver that a function is bound to."""
    try:
        return os.path.basename(os.readlink(path / "driver"))
    except OSError:
        return None


class SysfsFunction:
    """A function whose resources the system shows as files, with a huge page as memory.

    The device gets physical addresses, so there must be no IOMMU that translates its accesses.

    Parameters
    ----------
    address : of the function, as ``0000:01:00.0``

    Raises
    ------
    HostError
        If it can't be used; the message says why, and what would help.
    """

    interrupts = False

    def __init__(self, address: str) -> None:
        self.name, self._path = f"pcie:{address}", require_function(address)
        if driver := driver_of(self._path):
            raise HostError(f"{self.name}: the driver {driver} is bound to the device; unbind it: "
                            f"echo {address} > {self._path}/driver/unbind")
        if _translated(self._path):
            raise HostError(f"{self.name}: the IOMMU translates the device's accesses, which then "
                            f"can't reach memory; use VFIO: modprobe vfio-pci")
        self._files: list[int] = []
        self._mappings: list[Mapping] = []
        self._config = -1
        try:
            resource, config = self._open("resource0"), self._open("config")
            lock(resource, self.name)
            # From here on the device is ours, and is left as it should be.
            self._config = config
            (self._path / "enable").write_text("1", encoding="ascii")
            self._mappings.append(Mapping(resource, os.fstat(resource).st_size))
            self.bar = self._mappings[0].words
            self._command(set_=_MEMORY)
        except OSError as error:
            self.close()
            raise HostError(f"{self.name}: {_reason(error, 'run as root')}") from error
        except HostError:
            self.close()
            raise

    def _open(self, name):
        self._files.append(os.open(self._path / name, os.O_RDWR | os.O_CLOEXEC | os.O_SYNC))
        return self._files[-1]

    def _command(self, *, set_=0, clear=0):
        (command,) = struct.unpack("<H", os.pread(self._config, 2, _COMMAND))
        os.pwrite(self._config, struct.pack("<H", command & ~clear | set_), _COMMAND)

    def buffer(self, size: int) -> Buffer:
        """A huge page, which has one physical address. From now on the device may reach memory:
        what a driver before this one has left under way has ended by now."""
        if size > _HUGE:
            raise HostError(f"{self.name}: a huge page has {_HUGE:,} bytes, and not {size:,}")
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x40000 | mmap.MAP_POPULATE  # MAP_HUGETLB
        try:
            page = mmap.mmap(-1, _HUGE, flags)
        except OSError as error:
            raise HostError(f"{self.name}: no huge page is free: "
                            f"echo 4 > /proc/sys/vm/nr_hugepages") from error
        self._command(set_=_MASTER)
        return Buffer(memoryview(page).cast("I"), self._physical(page))

    def _physical(self, page):
        page[0] = 0
        virtual = ctypes.addressof(ctypes.c_char.from_buffer(page))
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            (entry,) = struct.unpack("<Q", os.pread(file.fileno(), 8, virtual // 4096 * 8))
        frame = entry & ((1 << 55) - 1)
        if not frame:
            raise HostError(f"{self.name}: the system does not tell physical addresses; run as "
                            f"root (CAP_SYS_ADMIN)")
        return frame * 4096

    def present(self) -> bool:
        """Whether the system still has the function."""
        return self._path.exists()

    def wait(self, seconds: float) -> None:
        """Sleep a little."""
        time.sleep(min(seconds, 0.0001))

    def close(self) -> None:
        """Take the right to access memory from the device, and unlock it."""
        if self._config >= 0:
            with suppress(OSError):
                self._command(clear=_MASTER)
            self._config = -1
        release(self._mappings, self._files)


def _reason(error, remedy):
    """Why something failed, and what would help."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied ({error.filename}); {remedy}"
    return f"{error.filename or 'access'}: {error.strerror}"


def function_at(address: str) -> Function:
    """The function at an address: by VFIO, or if there is no IOMMU by what the system shows of it.

    Raises
    ------
    HostError
        If it can't be used; the message says why, and what would help.
    """
    from .vfio import VfioFunction
    path = require_function(address)
    if (path / "iommu_group").exists() and (driver_of(path) == "vfio-pci" or _translated(path)):
        return VfioFunction(address)
    return SysfsFunction(address)


def _translated(path):
    """Whether an IOMMU translates what the function accesses."""
    try:
        kind = (path / "iommu_group" / "type").read_text(encoding="ascii").strip()
    except OSError:
        return False
    return kind != "identity"


def all_ones(name: str) -> LinkError:
    """The error if a device answers with ones: nothing does."""
    return LinkError(f"{name}: the device is gone: it was removed or reset, or lost its link; "
                     f"rescan the bus (echo 1 > /sys/bus/pci/rescan), or restart the machine")
