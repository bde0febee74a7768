"""Runs in the simulator: a Wishbone master plays samples through the DMA of the LiteX SoC."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

PLAN = json.loads(Path(os.environ["SPIKELOOM_PLAN"]).read_text(encoding="utf-8"))
REGISTERS = {name: facts["addr"] for name, facts in PLAN["registers"].items()}
SAMPLES, RESULTS = PLAN["buffer"], PLAN["buffer"] + 0x800


class Host:
    """Classic cycles on the Wishbone pins; addresses in bytes."""

    def __init__(self, dut):
        self.dut = dut

    async def access(self, address, value=None):
        dut = self.dut
        dut.wishbone_adr.value, dut.wishbone_we.value = address >> 2, value is not None
        dut.wishbone_dat_w.value, dut.wishbone_sel.value = value or 0, 15
        dut.wishbone_cyc.value = dut.wishbone_stb.value = 1
        await RisingEdge(dut.clk)
        while not dut.wishbone_ack.value:
            await RisingEdge(dut.clk)
        word = int(dut.wishbone_dat_r.value)
        dut.wishbone_cyc.value = dut.wishbone_stb.value = 0
        await RisingEdge(dut.clk)
        return word

    async def transfer(self, name, base, words):
        """Begin to move words at a place of the memory."""
        await self.access(REGISTERS[f"{name}_enable"], 0)
        await self.access(REGISTERS[f"{name}_base"], 0)
        await self.access(REGISTERS[f"{name}_base"] + 4, base)
        await self.access(REGISTERS[f"{name}_length"], 4 * words)
        await self.access(REGISTERS[f"{name}_enable"], 1)

    async def moved(self, name):
        while not await self.access(REGISTERS[f"{name}_done"]):
            pass

    async def infer(self, sample, words):
        for k, word in enumerate(sample):
            await self.access(SAMPLES + 4 * k, word)
        await self.transfer("writer", RESULTS, words)
        await self.transfer("reader", SAMPLES, len(sample))
        await self.moved("writer")
        return [await self.access(RESULTS + 4 * k) for k in range(words)]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def samples(dut):
    """Samples one after the other; then one that is too short, which has one word for an answer,
    and another one."""
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    dut.wishbone_cyc.value = dut.wishbone_stb.value = 0
    dut.wishbone_cti.value = dut.wishbone_bte.value = 0
    for _ in range(5):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    host, words = Host(dut), PLAN["words"]
    results = [await host.infer(sample, words) for sample in PLAN["samples"]]
    short = await host.infer(PLAN["samples"][0][:-1], words)
    assert short[:1] == [0]
    assert await host.access(REGISTERS["writer_offset"]) == 1
    results.append(await host.infer(PLAN["samples"][0], words))
    Path(os.environ["SPIKELOOM_PLAN"]).with_name("results.json").write_text(json.dumps(
        [result[:-1] for result in results]))
