"""A hard block that passes whole packets, between cocotbext-pcie's link and an emitted endpoint."""

import random

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge, Timer
from cocotbext.pcie.core import Device, Endpoint, RootComplex
from cocotbext.pcie.core.caps import MsiCapability
from cocotbext.pcie.core.port import FcChannelState
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

__all__ = ["HardBlock", "Host"]

_PASSED = {TlpType.MEM_READ, TlpType.MEM_READ_64, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64,
           TlpType.CPL, TlpType.CPL_DATA, TlpType.IO_READ, TlpType.IO_WRITE}


_HEADERS = 36
"""Completions that a 7-series block holds, at most. No credits keep a host from sending more."""


class Function(Endpoint):
    """The configuration space; other packets go to the user's side."""

    def __init__(self, received):
        super().__init__()
        self.received = received
        self.vendor_id, self.device_id = 0x1209, 0x5e44
        self.msi = MsiCapability()
        self.msi.msi_64bit_address_capable = 1
        self.register_capability(self.msi)
        self.pcie_cap.max_payload_size_supported = 2
        self.configure_bar(0, 4096)
        self.completions = self.most_completions = 0

    async def upstream_recv(self, tlp):
        if tlp.fmt_type in _PASSED:
            self.completions += tlp.is_completion()
            self.most_completions = max(self.most_completions, self.completions)
            assert self.completions <= _HEADERS, "completions were lost"
            await self.received.put(tlp)
        else:
            await super().upstream_recv(tlp)


class HardBlock(Device):
    """Drives the ``link`` of an emitted :class:`hw.pcie.top.Top`.

    Parameters
    ----------
    idle, busy : chances that there is nothing for the endpoint, and that nothing is taken from it,
        in a clock
    """

    def __init__(self, dut, *, generation=2, width=1, idle=0.0, busy=0.0, seed=0):
        self.received = Queue()
        super().__init__(Function(self.received))
        self.dut, self.idle, self.busy = dut, idle, busy
        self.random = random.Random(seed)
        self.sent = []
        self.upstream_port.max_link_speed = generation
        self.upstream_port.max_link_width = width
        for process in (self._receive, self._send, self._configure, self._interrupt):
            cocotb.start_soon(process())

    async def _receive(self):
        """From the link to the endpoint."""
        dut = self.dut
        dut.link__i__valid.value = 0
        while True:
            # Whatever comes between edges, or at one, is driven after an edge.
            if self.received.empty():
                dut.link__i__valid.value = 0
                tlp = await self.received.get()
                await RisingEdge(dut.clk)
            else:
                tlp = self.received.get_nowait()
            packed = bytes(tlp.pack())
            dwords = [int.from_bytes(packed[k:k + 4], "big") for k in range(0, len(packed), 4)]
            for k in range(0, len(dwords), 2):
                while self.random.random() < self.idle:
                    dut.link__i__valid.value = 0
                    await RisingEdge(dut.clk)
                high = dwords[k + 1:k + 2]
                dut.link__i__payload.value = (dwords[k] | sum(high) << 32 | len(high) << 64
                                              | (k + 2 >= len(dwords)) << 65)
                dut.link__i__valid.value = 1
                await RisingEdge(dut.clk)
                while not dut.link__i__ready.value:
                    await RisingEdge(dut.clk)
            self.functions[0].completions -= tlp.is_completion()
            tlp.release_fc()

    async def _send(self):
        """From the endpoint to the link, which takes no more while it has no credits."""
        dut, packed = self.dut, bytearray()
        while True:
            ready = self.random.random() >= self.busy
            dut.link__o__ready.value = ready
            await RisingEdge(dut.clk)
            if not (ready and dut.link__o__valid.value):
                continue
            beat = int(dut.link__o__payload.value)
            packed += (beat & 0xffffffff).to_bytes(4, "big")
            if beat >> 64 & 1:
                packed += (beat >> 32 & 0xffffffff).to_bytes(4, "big")
            if beat >> 65:
                tlp, packed = Tlp.unpack(bytes(packed)), bytearray()
                assert tlp.check()
                self.sent.append((tlp.fmt_type, tlp.length))
                dut.link__o__ready.value = 0
                await self.send(tlp)
                await RisingEdge(dut.clk)

    async def _configure(self):
        dut, function = self.dut, self.functions[0]
        while True:
            dut.link__id.value = int(function.pcie_id)
            dut.link__bus_master.value = function.bus_master_enable
            dut.link__max_payload.value = function.pcie_cap.max_payload_size
            dut.link__max_read.value = function.pcie_cap.max_read_request_size
            await RisingEdge(dut.clk)

    async def _interrupt(self):
        dut = self.dut
        dut.link__interrupt_taken.value = 0
        while True:
            await RisingEdge(dut.clk)
            if dut.link__interrupt.value:
                dut.link__interrupt_taken.value = 1
                await RisingEdge(dut.clk)
                dut.link__interrupt_taken.value = 0
                await self.functions[0].msi.issue_msi_interrupt(0)
                await RisingEdge(dut.clk)


class Host(RootComplex):
    """A root complex that answers reads of its memory after random times, in random parts, those of
    several reads mixed.

    Parameters
    ----------
    late : nanoseconds that an answer takes at most
    room : headers and data of posted, then of non-posted requests, that its port takes at once
    """

    def __init__(self, *, late=0, room=(64, 1024, 64, 64), seed=0):
        super().__init__()
        self.late, self.random, self.room = late, random.Random(seed), room
        if late:
            for kind in (TlpType.MEM_READ, TlpType.MEM_READ_64):
                self.register_rx_tlp_handler(kind, self._answer_later)

    def attach(self, device):
        """Connect a device to a port with these credits."""
        root = self.make_port()
        port = root.downstream_port
        port.fc_state = [FcChannelState([*self.room, 64, 1024], port.start_fc_update_timer)
                         for _ in range(8)]
        port.fc_state[0].active = True
        root.connect(device)

    async def _answer_later(self, tlp):
        cocotb.start_soon(self._answer(tlp))

    async def _answer(self, tlp):
        data = await self.mem_address_space.read(tlp.address, 4 * tlp.length)
        here, left = tlp.address, tlp.length
        while left:
            await Timer(self.random.randint(1, self.late), "ns")
            most = min(left, (32 << self.max_payload_size) - (here % 64) // 4)
            size = self.random.choice([cut for cut in range(1, most + 1)
                                       if cut == left or (here + 4 * cut) % 64 == 0])
            part = Tlp.create_completion_data_for_tlp(tlp, PcieId(0, 0, 0))
            part.status, part.byte_count, part.lower_address = CplStatus.SC, 4 * left, here & 0x7f
            part.set_data(data[-4 * left:][:4 * size])
            await self.send(part)
            here, left = here + 4 * size, left - size
