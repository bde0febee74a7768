"""The top level of a board's gateware, and of its simulation: a device on a serial line."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .array import Array as CoreArray
from .device import Device, contents, identity, register_map
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
    holds : 64 hexadecimal digits that say what the memories hold at power-up, if they may be loaded

    If the device tests itself, ``image`` has ``selftest.samples`` and ``selftest.results``, too.

    Members
    -------
    rx : ``In(1)``, from the host, asynchronous
    tx : ``Out(1)``, to the host
    passed : ``Out(1)``, its test of itself; only if there is one
    """

    def __init__(self, config, image, *, digest, clock_hz, baud, holds=None):
        identity(config, digest=digest, clock_hz=clock_hz)
        if config.reloadable != (holds is not None):
            raise ValueError("holds must be given if memories may be loaded, and not otherwise")
        self._holds = holds
        self._config, self._image, self._digest = config, image, digest
        self._clock_hz, self._divisor = clock_hz, divisor(clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1),
                          **({"passed": Out(1)} if config.selftests else {})})

    @property
    def divisor(self):
        """Clocks a bit of the line lasts."""
        return self._divisor

    def elaborate(self, platform):
        m = Module()

        m.submodules.device = device = Device(
            CoreArray(self._config, self._image), self._config, digest=self._digest,
            clock_hz=self._clock_hz, **contents(self._config, self._image, self._holds))
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
        if self._config.reloadable:
            connect(m, link.load, device.load)
        if self._config.selftests:
            m.d.comb += self.passed.eq(device.passed)

        return m
