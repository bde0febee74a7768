"""The devices that are there, and what each says of itself."""

import mmap
import os
import struct
from pathlib import Path

from .device import MAGIC, PROTOCOL
from .errors import HostError
from .pci import DEVICES, Mapping, driver_of

__all__ = ["IDS", "devices", "facts"]

IDS = (0x1209, 0x5e44)
"""Vendor and device on PCI Express."""

_FACTS = 19
"""Registers that say what a device is, and how many samples it has had (docs/link.md)."""

_PATIENCE, _ATTEMPTS = 0.1, 2


def facts(words: list[int]) -> dict | None:
    """What the first registers of a device say, or ``None`` if it is none of ours.

    Returns
    -------
    ``version`` of the protocol, ``digest``, ``clock_hz``, ``input_words``, ``classes``, ``busy``.
    """
    if words[0] != MAGIC:
        return None
    return {"version": words[1], "digest": struct.pack("<8I", *words[2:10]).hex(),
            "clock_hz": words[10], "busy": bool(words[16] & 1), "input_words": words[17],
            "classes": words[18]}


def devices(baud: int) -> list[dict]:
    """All serial ports and all devices of ours on PCI Express: ``port``, as ``--port`` takes it;
    ``says``, a line; and ``facts``, or ``None`` where there is no answer.

    Parameters
    ----------
    baud : rate at which serial ports are asked
    """
    return [*_serial(baud), *_pcie()]


def _entry(port, found, otherwise):
    if found is None:
        return {"port": port, "facts": None, "says": otherwise}
    says = (f"build {found['digest'][:12]}..., {found['clock_hz'] / 1e6:g} MHz, "
            f"{found['input_words']} input words, {found['classes']} logits")
    if found["version"] != PROTOCOL:
        says = f"version {found['version']} of the protocol, of which this driver knows {PROTOCOL}"
    return {"port": port, "facts": found, "says": says}


def _serial(baud):
    from serial.tools import list_ports

    from .link import SerialLink
    from .transport import Transport
    for port in sorted(entry.device for entry in list_ports.comports()):
        found, otherwise = None, "something that is not ours answers"
        try:
            with Transport(port, baud) as transport:
                link = SerialLink(transport, patience=_PATIENCE, attempts=_ATTEMPTS)
                found = facts(list(link.read(0, _FACTS).words))
        except (HostError, IndexError) as error:
            otherwise = str(error).removeprefix(f"{port}: ")
        yield _entry(port, found, otherwise)


def _pcie(folder: Path = DEVICES):
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            ids = tuple(int((path / name).read_text(encoding="ascii"), 16)
                        for name in ("vendor", "device"))
        except (OSError, ValueError):
            continue
        if ids == IDS:
            yield _entry(f"pcie:{path.name}", *_asked(path))


def _asked(path):
    """What a function says, and if it says nothing, why."""
    if (driver := driver_of(path)) == "vfio-pci":
        return None, "vfio-pci is bound to it; `python -m host status` asks it"
    try:
        if (path / "enable").read_text(encoding="ascii").strip() == "0":
            return None, "not enabled; `python -m host status` enables and asks it"
        file = os.open(path / "resource0", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return None, f"{error.strerror}; run as root" + (f" (driver {driver})" if driver else "")
    try:
        mapping = Mapping(file, mmap.PAGESIZE)
        words = [mapping.words[k] for k in range(_FACTS)]
        mapping.close()
    except (OSError, ValueError) as error:
        return None, f"its registers can't be read: {error}"
    finally:
        os.close(file)
    return facts(words), "its registers are not ours; is it configured?"
