"""The device at a port, of whatever kind."""

from collections.abc import Iterator
from contextlib import contextmanager

from .device import Device
from .errors import HostError
from .functions import is_pcie, open_function
from .link import SerialLink
from .mailbox import Mailbox
from .manifest import Manifest
from .pcie import PcieLink

__all__ = ["open_device"]

# Seconds to wait for an answer. A simulated line is as much slower as the simulation. It loses
# nothing, and the end of its process is noticed at once.
_PATIENCE = {"virtual": 60.0, "virtual-pcie": 60.0}
_SERIAL_PATIENCE = 0.5


@contextmanager
def open_device(manifest: Manifest, directory: str, port: str, *, baud: int | None = None,
                timeout: float | None = None, beats: int | None = None) -> Iterator[Device]:
    """The device at a port.

    Parameters
    ----------
    manifest, directory : of the build that the device should hold
    port : a serial port or ``"pcie:"`` and an address, or ``"virtual"`` or ``"virtual-pcie"`` for a
        virtual board of the build that this function starts
    baud : rate of the line, by default the build's
    timeout : seconds to wait for an answer, by default what suits the port
    beats : descriptor of a file to which a virtual board appends each beat that leaves a layer

    Raises
    ------
    HostError
        If the port can't be opened, or the virtual board does not start.
    """
    patience = timeout or _PATIENCE.get(port, _SERIAL_PATIENCE)
    with _link(manifest, directory, port, baud, patience, beats) as link:
        yield Device(link, manifest)


@contextmanager
def _link(manifest, directory, port, baud, patience, beats):
    if is_pcie(port):
        with open_function(port, directory, beats) as function:
            link = PcieLink(function, manifest, patience=patience)
            try:
                yield link
            finally:
                link.close()
        return
    from .transport import open_port  # pyserial is for serial ports alone
    rate = baud or manifest.baud
    if rate is None:
        raise HostError(f"{manifest.path}: the build's link is PCI Express; give --port "
                        f"pcie:ADDRESS or virtual-pcie")
    with open_port(port, rate, directory, beats) as transport:
        yield Mailbox(SerialLink(transport, patience=patience), manifest, patience=patience)
