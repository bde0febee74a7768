"""Runs inside QEMU, as root of a Debian kernel: the driver's ways to a function, on ``edu``.

``edu`` is QEMU's device for such tests: it inverts what is written to a register, copies between
its buffer and memory, and interrupts.
"""

import os
import sys
import time
from contextlib import closing
from pathlib import Path

from host.errors import HostError
from host.pci import SysfsFunction, function_at, require_function
from host.vfio import VfioFunction

IDENTITY, INVERTED, ACKNOWLEDGE = 0x00, 0x04, 0x64
SOURCE, TARGET, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98
START, TO_MEMORY, INTERRUPT = 1, 2, 4
OWN = 0x40000
"""Where the device's own buffer is."""

SIZE = 1 << 20


def find():
    """The address of ``edu``."""
    for path in Path("/sys/bus/pci/devices").iterdir():
        if (path / "vendor").read_text().strip() == "0x1234" and (
                path / "device").read_text().strip() == "0x11e8":
            return path.name
    raise AssertionError("no edu")


def copy(function, source, target, count, command):
    """Let the device copy."""
    with function.bar.cast("B") as octets, octets.cast("Q") as long:
        for register, value in ((SOURCE, source), (TARGET, target), (COUNT, count)):
            long[register >> 3] = value
    function.bar[COMMAND >> 2] = START | command
    deadline = time.monotonic() + 10
    while function.bar[COMMAND >> 2] & START:
        assert time.monotonic() < deadline


def exercise(function):
    """Registers, both directions of memory access, and the interrupt if there is one."""
    assert function.present()
    assert function.bar[IDENTITY >> 2] == 0x010000ed
    function.bar[INVERTED >> 2] = 0x12345678
    assert function.bar[INVERTED >> 2] == 0x12345678 ^ 0xffffffff
    first, second = function.buffer(SIZE), function.buffer(SIZE)
    for buffer in (first, second):
        assert buffer.address % SIZE == 0
        assert len(buffer.words) * 4 >= SIZE
    for k in range(512):
        first.words[k] = k * 0x01234567 & 0xffffffff
    copy(function, first.address, OWN, 2048, 0)
    began = time.monotonic()
    command = TO_MEMORY | (INTERRUPT if function.interrupts else 0)
    copy(function, OWN, second.address + 4096, 2048, command)
    assert second.words[1024:1536] == first.words[:512]
    assert not any(second.words[:1024])
    if function.interrupts:
        function.wait(5)
        assert time.monotonic() - began < 3, "no interrupt"
        function.bar[ACKNOWLEDGE >> 2] = 0x100


def refuses(part, call, *arguments):
    """Require an error of one line that has a part."""
    try:
        call(*arguments)
    except HostError as error:
        said = str(error)
        assert part in said, said
        assert "\n" not in said
        print("  refused:", said)
        return
    raise AssertionError(f"no error with {part!r}")


def as_nobody(part, call, *arguments):
    """The same as a user without rights."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setuid(1000)
        try:
            refuses(part, call, *arguments)
        except BaseException as error:
            print("  FAIL", error)
            sys.stdout.flush()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def sysfs(address):
    """Without an IOMMU."""
    refuses("there is no IOMMU, which VFIO needs; turn it on (intel_iommu=on", VfioFunction,
            address)
    as_nobody("permission denied", function_at, address)
    with closing(function_at(address)) as function:
        assert isinstance(function, SysfsFunction)
        refuses("no huge page is free: echo 4 > /proc/sys/vm/nr_hugepages", function.buffer, SIZE)
        refuses("another program uses the device; end it first", function_at, address)
        Path("/proc/sys/vm/nr_hugepages").write_text("4")
        exercise(function)
    with closing(function_at(address)) as function:
        exercise(function)
    (require_function(address) / "driver_override").write_text("uio_pci_generic")
    Path("/sys/bus/pci/drivers_probe").write_text(address)
    refuses("the driver uio_pci_generic is bound to the device; unbind it: echo", function_at,
            address)


def vfio(address):
    """With an IOMMU."""
    refuses("the IOMMU translates the device's accesses", SysfsFunction, address)
    as_nobody("vfio-pci must be bound to the device, which root may do", function_at, address)
    with closing(function_at(address)) as function:
        assert isinstance(function, VfioFunction)
        exercise(function)
        refuses("another program uses the device; end it first", function_at, address)
    as_nobody("permission denied; as root: chown", function_at, address)
    with closing(function_at(address)) as function:
        exercise(function)
    path = require_function(address)
    Path(path / "driver/unbind").write_text(address)
    (path / "driver_override").write_text("uio_pci_generic")
    Path("/sys/bus/pci/drivers_probe").write_text(address)
    refuses("the driver uio_pci_generic is bound to the device; unbind it: echo", VfioFunction,
            address)


def main():
    """Run the test that the kernel's command line names."""
    refuses("there is no such device", function_at, "0000:77:00.0")
    {"sysfs": sysfs, "vfio": vfio}[sys.argv[1]](find())
    print("GUEST PASS", flush=True)


if __name__ == "__main__":
    main()
