"""A device on PCI Express, without the block that makes packets of a link's symbols."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from hw.device import Device, register_map

from .endpoint import LINK, PATIENCE, Endpoint

__all__ = ["Top"]


class Top(wiring.Component):
    """A device behind an endpoint.

    Parameters
    ----------
    array, config, digest, clock_hz, crcs, holds, selftest : as for :class:`~hw.device.Device`
    patience : as for :class:`~hw.pcie.endpoint.Endpoint`

    Members
    -------
    link : ``Out(LINK)``
    passed : ``Out(1)``, its test of itself; only if there is one
    """

    def __init__(self, array, config, *, digest, clock_hz, crcs=(), holds=None, selftest=None,
                 patience=PATIENCE):
        self._device = Device(array, config, digest=digest, clock_hz=clock_hz, crcs=crcs,
                              holds=holds, selftest=selftest)
        self._config, self._patience = config, patience
        super().__init__({"link": Out(LINK), **({"passed": Out(1)} if selftest else {})})

    def elaborate(self, platform):
        m = Module()

        m.submodules.device = device = self._device
        m.submodules.endpoint = endpoint = Endpoint(register_map(self._config),
                                                    patience=self._patience)
        connect(m, endpoint.link, flipped(self.link))
        connect(m, endpoint.samples, device.i)
        connect(m, device.o, endpoint.results)
        connect(m, endpoint.device, device.bus)
        if self._config.timesteps > 1:
            m.d.comb += device.timesteps.eq(endpoint.timesteps)
        if self._config.reloadable:
            connect(m, endpoint.load, device.load)
        if "passed" in self.signature.members:
            m.d.comb += self.passed.eq(device.passed)

        return m
