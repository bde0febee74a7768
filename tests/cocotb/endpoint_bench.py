"""Runs in the simulator: a root complex enumerates an emitted device and streams samples.

The plan is a JSON file: ``words`` of the samples, ``logits`` that are expected, ``registers`` of
the manifest, and what is to be disturbed.
"""

import json
import logging
import os
import struct
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

from tests.cocotb.hard_block import HardBlock, Host

logging.getLogger("cocotb.pcie").setLevel(logging.ERROR)

PLAN = json.loads(Path(os.environ["SPIKELOOM_PLAN"]).read_text(encoding="utf-8"))
WHERE = PLAN["registers"]
WORDS = PLAN["ring"]


class Bench:
    """The endpoint's driver in the bench: rings in the host's memory, and BAR0."""

    def __init__(self, dut):
        self.dut = dut
        self.host = Host(late=PLAN["late"], room=PLAN["room"], seed=1)
        self.block = HardBlock(dut, idle=PLAN["idle"], busy=PLAN["busy"], seed=2)
        self.host.max_payload_size_supported = PLAN["payload"]
        self.host.attach(self.block)

    async def start(self):
        """Reset, enumerate, map."""
        dut = self.dut
        Clock(dut.clk, PLAN["period"], unit="ns").start()
        dut.rst.value = 1
        for _ in range(10):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await self.host.enumerate()
        self.device = self.host.find_device(self.block.functions[0].pcie_id)
        await self.device.enable_device()
        await self.device.set_master()
        self.bar = self.device.bar_window[0]
        assert self.device.bar_size[0] == 4096
        pool = self.host.mem_pool
        if PLAN["base"]:
            pool = self.host.mem_address_space.create_pool(PLAN["base"], 1 << 30)
        region = pool.alloc_region(1 << 20)
        self.memory, self.base = region.mem, region.get_absolute_address(0)
        assert self.base % (1 << 20) == 0

    async def read(self, name):
        return await self.bar.read_dword(4 * WHERE[name], timeout=100_000, timeout_unit="ns")

    async def write(self, name, value):
        await self.bar.write_dword(4 * WHERE[name], value)

    async def open(self, session, interrupt=0):
        source, sink, block = self.base, self.base + 4 * WORDS, self.base + 8 * WORDS
        self.memory[8 * WORDS:8 * WORDS + 8] = bytes(8)
        for name, place in (("samples", source), ("results", sink), ("status", block)):
            await self.write(f"ring_{name}_low", place & 0xffffffff)
            await self.write(f"ring_{name}_high", place >> 32)
        await self.write("ring_samples_mask", WORDS - 1)
        await self.write("ring_results_mask", WORDS - 1)
        await self.write("ring_interrupt", interrupt)
        await self.write("ring_open", session)

    def get(self, place, count):
        return struct.unpack(f"<{count}I", bytes(self.memory[place:place + 4 * count]))

    def put(self, place, word):
        self.memory[place:place + 4] = struct.pack("<I", word)

    async def stream(self, samples):
        """Records of the results of samples, and the nanoseconds from the first to the last."""
        record = WHERE["classes"] * WHERE["logit_words"] + WHERE["quiet_words"] + 2
        size, sent, taken, found, begun = len(samples[0]), 0, 0, [], None
        ahead = min(WORDS // size, WORDS // record - 1)
        began = next_ = 0
        while len(found) < len(samples):
            while next_ < len(samples) and next_ - len(found) < ahead:
                for word in samples[next_]:
                    self.put(4 * (sent % WORDS), word)
                    sent += 1
                next_ += 1
            if began != sent:
                await self.write("ring_samples_index", sent)
                began = sent
            produced, status = self.get(8 * WORDS, 2)
            assert not status >> 8, (status, await self.read("dropped"))
            before = len(found)
            while produced - taken >= record:
                found.append([self.get(4 * (WORDS + (taken + k) % WORDS), 1)[0]
                              for k in range(record)])
                taken += record
                begun = begun or get_sim_time("ns")
            if len(found) != before:
                await self.write("ring_results_index", taken)
            else:
                await Timer(200, "ns")
        return found, get_sim_time("ns") - begun


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def rings(dut):
    """All samples through both rings, in two sessions with one between that ends early."""
    bench = Bench(dut)
    await bench.start()
    assert await bench.read("magic") == int.from_bytes(b"SPKL", "little")
    assert await bench.read("input_size") == WHERE["input_words"]
    samples, logits = PLAN["words"], PLAN["logits"]
    first = len(samples) // 4
    for session, (start, stop) in enumerate(((0, first), (0, 0), (first, len(samples))), 1):
        await bench.open(session)
        assert await bench.read("session") == session
        if start == stop:
            await bench.write("ring_samples_index", 3)
            await Timer(300, "ns")
        else:
            found, took = await bench.stream(samples[start:stop])
            assert [record[0] for record in found] == list(range(1, stop - start + 1))
            assert [record[1:-1] for record in found] == logits[start:stop]
        await bench.write("ring_open", 0)
        while not await bench.read("status") & 2:
            pass
    assert await bench.read("dropped") == 0
    reads = [length for kind, length in bench.block.sent
             if kind in (TlpType.MEM_READ, TlpType.MEM_READ_64)]
    high = {kind for kind, _ in bench.block.sent}
    assert (TlpType.MEM_READ_64 in high) == (PLAN["base"] >= 1 << 32)
    report = {"nanoseconds": took, "samples": len(samples) - first, "reads": len(reads),
              "longest": max(reads), "completions": bench.block.functions[0].most_completions,
              "written": sum(length for kind, length in bench.block.sent if kind in (
                  TlpType.MEM_WRITE, TlpType.MEM_WRITE_64))}
    Path(os.environ["SPIKELOOM_PLAN"]).with_name("report.json").write_text(json.dumps(report))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def unsupported(dut):
    """I/O requests, and reads that are too long, are answered; the endpoint goes on."""
    bench = Bench(dut)
    await bench.start()
    for kind in (TlpType.IO_READ, TlpType.IO_WRITE):
        request = Tlp()
        request.fmt_type, request.requester_id = kind, PcieId(0, 0, 0)
        request.set_addr_be_data(0x100, bytes(4)) if kind is TlpType.IO_WRITE else (
            request.set_addr_be(0x100, 4))
        request.tag = 30
        bench.block.received.put_nowait(request)
        answer = await bench.host.recv_cpl(30, 10_000, "ns")
        assert answer.status.name == "UR"
        assert await bench.read("magic") == int.from_bytes(b"SPKL", "little")
    assert await bench.read("dropped") == 2


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def interrupts(dut):
    """An MSI follows the status block."""
    bench = Bench(dut)
    await bench.start()
    await bench.device.alloc_irq_vectors(1, 1)
    event = bench.device.msi_vectors[0].event
    await bench.open(9, interrupt=1)
    event.clear()
    for k, word in enumerate(PLAN["words"][0]):
        bench.put(4 * k, word)
    await bench.write("ring_samples_index", len(PLAN["words"][0]))
    await event.wait()
    record = WHERE["classes"] * WHERE["logit_words"] + WHERE["quiet_words"] + 2
    assert bench.get(8 * WORDS, 1) == (record,)
    assert list(bench.get(4 * WORDS, record))[1:-1] == PLAN["logits"][0]
