"""A device with AXI4-Stream ports, to be part of somebody else's design."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .array import Array as CoreArray
from .device import Device, identity, packing
from .feeder import Word
from .packets import Answer, Packets
from .run import timesteps_member
from .selftest import selftest_words
from .stream import Queue

__all__ = ["AxiStream"]

# Enough to move a word in each clock.
_DEPTH = 3


class AxiStream(wiring.Component):
    """A device between two AXI4-Streams of 32-bit words.

    A packet of ``s_axis`` is a sample, with ``tlast`` on its last word; one of ``m_axis`` is its
    result, as :class:`~hw.device.Device` says. Packets of another length are answered, too (see
    :class:`~hw.packets.Packets`). All outputs come from registers or queues: ``tvalid`` does not
    depend on ``tready``, what is offered stays until it is taken, and no path leads from an input
    to an output without a clock.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`, whose memories are not loaded
    image : contents of the array's memories, by name; if the device tests itself, with
        ``selftest.samples`` and ``selftest.results``, too
    digest, clock_hz : as for :class:`~hw.device.Device`; nothing depends on them

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tlast : ``In``; s_axis_tready : ``Out``
    m_axis_tdata, m_axis_tvalid, m_axis_tlast : ``Out``; m_axis_tready : ``In``
    m_axis_tuser : ``Out(1)``: the packet that is answered had another length than a sample
    timesteps : ``In``, of the run; it may change while there is no sample. Only if there are
        several
    passed : ``Out(1)``, its test of itself; only if there is one
    """

    def __init__(self, config, image, *, digest, clock_hz):
        identity(config, digest=digest, clock_hz=clock_hz)
        if config.reloadable:
            raise ValueError("there is no port to load memories by")
        self._config, self._image = config, image
        self._digest, self._clock_hz = digest, clock_hz
        super().__init__({
            "s_axis_tdata": In(32), "s_axis_tvalid": In(1), "s_axis_tlast": In(1),
            "s_axis_tready": Out(1),
            "m_axis_tdata": Out(32), "m_axis_tvalid": Out(1), "m_axis_tlast": Out(1),
            "m_axis_tuser": Out(1), "m_axis_tready": In(1),
            **timesteps_member(config.timesteps),
            **({"passed": Out(1)} if config.selftests else {}),
        })

    def elaborate(self, platform):
        m = Module()

        config = self._config
        m.submodules.device = device = Device(
            CoreArray(config, self._image), config, digest=self._digest, clock_hz=self._clock_hz,
            selftest=selftest_words(config, self._image))
        m.submodules.packets = packets = Packets(
            packing(config).words, ahead=config.in_flight + 2,
            begins=config.input_bits - 1 if config.continues else None)
        m.submodules.taken = taken = Queue(Word, depth=_DEPTH)
        m.submodules.given = given = Queue(Answer, depth=_DEPTH)
        connect(m, taken.o, packets.i)
        connect(m, packets.o, device.i)
        connect(m, device.o, packets.results)
        connect(m, packets.answers, given.i)
        if config.timesteps > 1:
            m.d.comb += device.timesteps.eq(self.timesteps)
        if config.selftests:
            m.d.comb += self.passed.eq(device.passed)

        m.d.comb += [
            taken.i.p.data.eq(self.s_axis_tdata),
            taken.i.p.last.eq(self.s_axis_tlast),
            taken.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(taken.i.ready),
            self.m_axis_tdata.eq(given.o.p.data),
            self.m_axis_tlast.eq(given.o.p.last),
            self.m_axis_tuser.eq(given.o.p.bad),
            self.m_axis_tvalid.eq(given.o.valid),
            given.o.ready.eq(self.m_axis_tready),
        ]
        return m
