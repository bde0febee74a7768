"""A function on PCI Express by Linux' VFIO: its accesses pass an IOMMU, so no other memory is in
danger, and no right is needed but that to one device file."""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import struct
from contextlib import suppress
from pathlib import Path

from .errors import HostError
from .pci import Buffer, Mapping, driver_of, release, require_function

__all__ = ["VfioFunction"]

# include/uapi/linux/vfio.h
_API_VERSION, _CHECK_EXTENSION, _SET_IOMMU = 0, 1, 2
_GROUP_STATUS, _GROUP_SET_CONTAINER, _GROUP_DEVICE = 3, 4, 6
_REGION_INFO, _SET_IRQS, _RESET, _MAP, _UNMAP = 8, 10, 11, 13, 14
_TYPE1V2, _VIABLE, _MAP_BOTH = 3, 1, 3
_CONFIG_REGION, _BAR_REGION, _MSI = 7, 0, 1
_DATA_EVENTFD, _ACTION_TRIGGER = 1 << 2, 1 << 5

_COMMAND, _MEMORY, _MASTER = 4, 2, 4

_FIRST = 0x1_0000_0000
"""Where memory begins on the bus: above what older devices and interrupts use."""


def _request(number):
    return ord(";") << 8 | 100 + number


class VfioFunction:
    """A function by VFIO.

    Parameters
    ----------
    address : of the function, as ``0000:01:00.0``. If no driver is bound to it, ``vfio-pci`` is

    Raises
    ------
    HostError
        If it can't be used; the message says why, and what would help.
    """

    interrupts = True

    def __init__(self, address: str) -> None:
        self.name, self._path = f"pcie:{address}", require_function(address)
        self._next = _FIRST
        self._files: list[int] = []
        self._pages: list[mmap.mmap] = []
        self._mappings: list[Mapping] = []
        self._device = -1
        self._bind(address)
        try:
            self._open(address)
            size, offset = self._region(_BAR_REGION)
            self._mappings.append(Mapping(self._device, size, offset=offset))
            self.bar = self._mappings[0].words
            self._command(set_=_MEMORY)
            self._listen()
        except OSError as error:
            self.close()
            raise HostError(f"{self.name}: VFIO: {error.strerror}") from error
        except HostError:
            self.close()
            raise

    def _bind(self, address):
        """Bind ``vfio-pci`` to the function."""
        driver = driver_of(self._path)
        if driver == "vfio-pci":
            return
        if driver:
            raise HostError(f"{self.name}: the driver {driver} is bound to the device; unbind it: "
                            f"echo {address} > {self._path}/driver/unbind")
        if not (self._path / "iommu_group").exists():
            raise HostError(f"{self.name}: there is no IOMMU, which VFIO needs; turn it on "
                            f"(intel_iommu=on or amd_iommu=on on the kernel's command line)")
        commands = (f"modprobe vfio-pci; echo vfio-pci > {self._path}/driver_override; "
                    f"echo {address} > /sys/bus/pci/drivers_probe")
        try:
            (self._path / "driver_override").write_text("vfio-pci", encoding="ascii")
            Path("/sys/bus/pci/drivers_probe").write_text(address, encoding="ascii")
        except OSError as error:
            raise HostError(f"{self.name}: vfio-pci must be bound to the device, which root may "
                            f"do: {commands}") from error
        if driver_of(self._path) != "vfio-pci":
            raise HostError(f"{self.name}: the driver vfio-pci is missing: {commands}")

    def _open(self, address):
        """The group of functions that the IOMMU can't tell apart, and this one of it."""
        group = os.path.basename(os.readlink(self._path / "iommu_group"))
        container = self._file("/dev/vfio/vfio", "modprobe vfio-pci")
        member = self._file(f"/dev/vfio/{group}", f"as root: chown $USER /dev/vfio/{group}")
        status = bytearray(struct.pack("II", 8, 0))
        fcntl.ioctl(member, _request(_GROUP_STATUS), status)
        if not struct.unpack("II", status)[1] & _VIABLE:
            raise HostError(f"{self.name}: drivers are bound to other devices of IOMMU group "
                            f"{group}; unbind those: ls {self._path}/iommu_group/devices")
        fcntl.ioctl(member, _request(_GROUP_SET_CONTAINER), struct.pack("i", container))
        fcntl.ioctl(container, _request(_SET_IOMMU), _TYPE1V2)
        self._container = container
        self._device = fcntl.ioctl(member, _request(_GROUP_DEVICE),
                                   bytearray(address.encode() + b"\0"))
        self._files.append(self._device)

    def _file(self, path, remedy):
        try:
            self._files.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            reason = {errno.EBUSY: "another program uses the device; end it first",
                      errno.EACCES: f"permission denied; {remedy}",
                      errno.ENOENT: f"there is no such file; {remedy}"}
            raise HostError(f"{self.name}: {path}: "
                            f"{reason.get(error.errno or 0, str(error.strerror))}") from error
        return self._files[-1]

    def _region(self, index):
        """Size of a region of the device, and where its file has it."""
        info = bytearray(struct.pack("IIIIQQ", 32, 0, index, 0, 0, 0))
        fcntl.ioctl(self._device, _request(_REGION_INFO), info)
        *_, size, offset = struct.unpack("IIIIQQ", info)
        return size, offset

    def _command(self, *, set_=0, clear=0):
        _, offset = self._region(_CONFIG_REGION)
        (command,) = struct.unpack("<H", os.pread(self._device, 2, offset + _COMMAND))
        os.pwrite(self._device, struct.pack("<H", command & ~clear | set_), offset + _COMMAND)

    def _listen(self):
        """Let interrupts (MSI) come through a file."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._files.append(self._event)
        fcntl.ioctl(self._device, _request(_SET_IRQS), struct.pack(
            "IIIIIi", 24, _DATA_EVENTFD | _ACTION_TRIGGER, _MSI, 0, 1, self._event))

    def buffer(self, size: int) -> Buffer:
        """Memory at an address of our own on the bus. From now on the device may reach memory:
        what a driver before this one has left under way has ended by now."""
        page = mmap.mmap(-1, max(size, mmap.PAGESIZE), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        address = -(-self._next // size) * size
        try:
            fcntl.ioctl(self._container, _request(_MAP), struct.pack(
                "IIQQQ", 32, _MAP_BOTH, ctypes.addressof(ctypes.c_char.from_buffer(page)), address,
                len(page)))
        except OSError as error:
            raise HostError(f"{self.name}: the device can't be given {size:,} bytes of memory "
                            f"({error.strerror}); raise the limit: ulimit -l") from error
        self._next = address + len(page)
        self._pages.append(page)
        self._command(set_=_MASTER)
        return Buffer(memoryview(page).cast("I"), address)

    def present(self) -> bool:
        """Whether the system still has the function."""
        return self._path.exists()

    def wait(self, seconds: float) -> None:
        """Wait for an interrupt."""
        if select.select([self._event], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                os.read(self._event, 8)

    def close(self) -> None:
        """Take the right to access memory from the device, and give it back."""
        if self._device >= 0:
            with suppress(OSError):
                self._command(clear=_MASTER)
            self._device = -1
        release(self._mappings, self._files)
