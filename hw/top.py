"""The top level of a board's gateware, and of its simulation: a device on a serial line."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .array import Array as CoreArray
from .device import Device, identity, register_map
from .link import ByteLink
from .uart import Receiver, Transmitter, divisor

__all__ = ["Top"]


class Top(wiring.Component):
    """An array of cores on a serial line.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`
    image : contents of the array's memories, by name
    digest : 64 hexadecimal digits by which a host recognises the device
    clock_hz : frequency of the clock
    baud : rate of the serial line; the rounded divisor must be within 2 % of it

    Members
    -------
    rx : ``In(1)``, from the host, asynchronous
    tx : ``Out(1)``, to the host
    """

    def __init__(self, config, image, *, digest, clock_hz, baud):
        identity(config, digest=digest, clock_hz=clock_hz)
        self._config, self._image, self._digest = config, image, digest
        self._clock_hz, self._divisor = clock_hz, divisor(clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    @property
    def divisor(self):
        """Clocks a bit of the line lasts."""
        return self._divisor

    def elaborate(self, platform):
        m = Module()

        m.submodules.device = device = Device(
            CoreArray(self._config, self._image), self._config, digest=self._digest,
            clock_hz=self._clock_hz)
        m.submodules.link = link = ByteLink(register_map(self._config))
        m.submodules.receiver = receiver = Receiver(self._divisor)
        m.submodules.transmitter = transmitter = Transmitter(self._divisor)
        m.d.comb += receiver.rx.eq(self.rx)
        m.d.comb += self.tx.eq(transmitter.tx)
        connect(m, receiver.o, link.i)
        connect(m, link.o, transmitter.i)
        connect(m, link.samples, device.i)
        connect(m, device.o, link.results)
        connect(m, link.device, device.bus)
        if self._config.timesteps > 1:
            m.d.comb += device.timesteps.eq(link.timesteps)

        return m
