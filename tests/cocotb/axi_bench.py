"""Runs in the simulator: an AXI4-Stream source and sink around an emitted device.

The plan is a JSON file: ``packets``, what ``answers`` are expected without their clocks, ``None``
for packets of a wrong length; chances of pauses; and packets after which there is a reset.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PLAN = json.loads(Path(os.environ["SPIKELOOM_PLAN"]).read_text(encoding="utf-8"))


def pauses(chance, seed):
    rng = random.Random(seed)
    while True:
        yield rng.random() < chance


async def watch(dut):
    """What is offered stays until it is taken."""
    held = None
    while True:
        await RisingEdge(dut.clk)
        await ReadOnly()
        if dut.rst.value:
            held = None
            continue
        offered = [int(getattr(dut, f"m_axis_{name}").value) for name in (
            "tdata", "tlast", "tuser")] if dut.m_axis_tvalid.value else None
        assert held is None or offered == held
        held = None if dut.m_axis_tready.value else offered


async def reset(dut):
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


def matches(answer, expected):
    """Whether a frame that came back is the answer to a packet."""
    words, wrong = answer.tdata, answer.tuser
    wrong = wrong if isinstance(wrong, list) else [wrong] * len(words)
    if expected is None:
        return (words, wrong) == ([0], [1])
    return words[:-1] == expected and not any(wrong)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def packets(dut):
    """All packets, of which some are lost with a reset. An answer is offered before anybody is
    ready for it, and stays."""
    Clock(dut.clk, 10, unit="ns").start()
    if hasattr(dut, "timesteps"):
        dut.timesteps.value = PLAN["timesteps"]
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst,
                             byte_lanes=1)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst, byte_lanes=1)
    source.set_pause_generator(pauses(PLAN["idle"], 1))
    sink.set_pause_generator(pauses(PLAN["busy"], 2))
    await reset(dut)
    watching = cocotb.start_soon(watch(dut))
    for clocks in PLAN["resets"]:
        for packet in PLAN["packets"]:
            source.send_nowait(AxiStreamFrame(packet))
        for _ in range(clocks):
            await RisingEdge(dut.clk)
        source.clear()
        await reset(dut)
        sink.clear()
    sink.clear_pause_generator()
    sink.pause = True
    for packet in PLAN["packets"]:
        source.send_nowait(AxiStreamFrame(packet))
    while not dut.m_axis_tvalid.value:
        await RisingEdge(dut.clk)
        assert not dut.m_axis_tready.value, "an answer waits for nobody"
    sink.set_pause_generator(pauses(PLAN["busy"], 2))
    answers = [await sink.recv(compact=False) for _ in PLAN["packets"]]
    wrong = sum(not matches(answer, expected) for answer, expected in zip(
        answers, PLAN["answers"], strict=True))
    for _ in range(PLAN["patience"]):
        await RisingEdge(dut.clk)
    assert sink.empty()
    watching.cancel()
    Path(os.environ["SPIKELOOM_PLAN"]).with_name("report.json").write_text(json.dumps(
        {"answers": len(answers), "mismatches": wrong}))
