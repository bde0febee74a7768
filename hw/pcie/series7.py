"""Between an endpoint and the hard block of 7-series devices, behind Vivado's ``pcie_7x``."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .endpoint import LINK

__all__ = ["Series7"]


class Series7(wiring.Component):
    """The streams of PG054 with 64 bits, and its configuration signals.

    Members
    -------
    link : ``In(LINK)``, the endpoint's
    m_axis_rx_tdata and so on : as the core names them
    """

    link: In(LINK)
    m_axis_rx_tdata: In(64)
    m_axis_rx_tkeep: In(8)
    m_axis_rx_tlast: In(1)
    m_axis_rx_tvalid: In(1)
    m_axis_rx_tready: Out(1)
    s_axis_tx_tdata: Out(64)
    s_axis_tx_tkeep: Out(8)
    s_axis_tx_tlast: Out(1)
    s_axis_tx_tvalid: Out(1)
    s_axis_tx_tready: In(1)
    s_axis_tx_tuser: Out(4)
    rx_np_ok: Out(1)
    rx_np_req: Out(1)
    cfg_bus_number: In(8)
    cfg_device_number: In(5)
    cfg_function_number: In(3)
    cfg_command: In(16)
    cfg_dcommand: In(16)
    cfg_interrupt: Out(1)
    cfg_interrupt_rdy: In(1)
    cfg_interrupt_msienable: In(1)
    cfg_trn_pending: Out(1)
    cfg_to_turnoff: In(1)
    cfg_turnoff_ok: Out(1)

    def elaborate(self, platform):
        m = Module()

        link = self.link
        packet, turned = Signal(), Signal()
        m.d.comb += [
            link.i.p.data.eq(self.m_axis_rx_tdata),
            link.i.p.pair.eq(self.m_axis_rx_tkeep[4]),
            link.i.p.last.eq(self.m_axis_rx_tlast),
            link.i.valid.eq(self.m_axis_rx_tvalid),
            self.m_axis_rx_tready.eq(link.i.ready),
            self.s_axis_tx_tdata.eq(link.o.p.data),
            self.s_axis_tx_tkeep.eq(Mux(link.o.p.pair, 0xff, 0x0f)),
            self.s_axis_tx_tlast.eq(link.o.p.last),
            self.s_axis_tx_tvalid.eq(link.o.valid),
            link.o.ready.eq(self.s_axis_tx_tready),
            self.rx_np_ok.eq(link.non_posted_ok),
            self.rx_np_req.eq(1),
            link.id.eq(Cat(self.cfg_function_number, self.cfg_device_number, self.cfg_bus_number)),
            link.max_payload.eq(self.cfg_dcommand[5:8]),
            link.max_read.eq(self.cfg_dcommand[12:15]),
            # The host turns power off when no more packets come; it is told between packets.
            link.bus_master.eq(self.cfg_command[2] & ~self.cfg_to_turnoff),
            self.cfg_turnoff_ok.eq(turned),
            self.cfg_trn_pending.eq(link.pending),
            # Without MSI an interrupt would never be taken.
            self.cfg_interrupt.eq(link.interrupt & self.cfg_interrupt_msienable),
            link.interrupt_taken.eq(self.cfg_interrupt_rdy | ~self.cfg_interrupt_msienable),
        ]
        with m.If(link.o.valid & link.o.ready):
            m.d.sync += packet.eq(~link.o.p.last)
        m.d.sync += turned.eq(self.cfg_to_turnoff & ~packet & ~link.o.valid)

        return m
