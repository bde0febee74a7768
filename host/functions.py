"""Functions on PCI Express at ports: of a board, or of a virtual one that is started for it."""

import platform
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .errors import HostError
from .pci import Function, MappedFunction, function_at
from .virtual import virtual_board

__all__ = ["is_pcie", "mapped", "open_function"]


def is_pcie(port: str) -> bool:
    """Whether a port is one on PCI Express."""
    return port == "virtual-pcie" or port.startswith("pcie:")


@contextmanager
def open_function(port: str, directory: str | Path, beats: int | None = None
                  ) -> Iterator[Function]:
    """The function at a port.

    Parameters
    ----------
    port : ``"pcie:"`` and an address, or ``"virtual-pcie"`` for a virtual board that this function
        starts
    directory : build of the virtual board
    beats : what it records, see :func:`~host.virtual.virtual_board`

    Raises
    ------
    HostError
        If it can't be used, or the virtual board does not start.
    """
    if port != "virtual-pcie" and platform.machine() not in ("x86_64", "AMD64"):
        raise HostError(f"{port}: the driver is for x86-64, whose stores reach the device in their "
                        f"order; on {platform.machine()} use the serial line")
    if port != "virtual-pcie":
        with closing(function_at(port.removeprefix("pcie:"))) as function:
            yield function
        return
    with virtual_board(directory, beats) as line, closing(mapped(line, port)) as function:
        yield function


def mapped(line: str, name: str) -> MappedFunction:
    """The function of a virtual board, by the first line that it prints.

    Raises
    ------
    HostError
        If it is no line of a board on PCI Express, or its files can't be mapped.
    """
    words = line.split()
    if len(words) != 3:
        raise HostError(f"{name}: the build's link is a serial port; build it with --link pcie, or "
                        f"take --port virtual")
    bar, memory, base = words
    return MappedFunction(name, bar, memory, int(base, 0))
