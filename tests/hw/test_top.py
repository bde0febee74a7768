# amaranth: UnusedElaboratable=no
import re

import pytest
from amaranth.sim import Simulator

from gen.build.verilog import component_verilog
from gen.plan.mapping import map_network
from hw import slip
from hw.registers import MAGIC, VERSION
from hw.top import Top
from hw.uart import Receiver, Transmitter
from tests.networks import linear

from .standin import DIGEST
from .test_link import SESSION, answer, framed, read

CONFIG, IMAGE = map_network(linear())


def top(**options):
    options = {"digest": DIGEST, "clock_hz": 8_000_000, "baud": 1_000_000} | options
    return Top(CONFIG, IMAGE, **options)


def test_ports():
    text = component_verilog(top(), "top")
    (ports,) = re.findall(r"^module top\(([^)]*)\)", text, re.MULTILINE)
    assert sorted(ports.split(", ")) == ["clk", "rst", "rx", "tx"]


def answered(dut, levels):
    """Bytes, and whether each is bad, that the device sends while its line has these levels."""
    sent = []

    async def testbench(ctx):
        for level in levels:
            ctx.set(dut.rx, level)
            _, _, tx = await ctx.tick().sample(dut.tx)
            sent.append(tx)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return Receiver(dut.divisor).model(sent)


def test_answers_after_noise_and_a_break():
    dut = top()
    line = Transmitter(dut.divisor).model
    request = framed(read(3, 0, 2))
    levels = [*line([slip.END, 1, 2]), *[0, 1, 1, 1] * 60, *[0] * 300, *[1] * 20,
              *line([slip.END]), *line(request), *[1] * 2400]
    symbols = answered(dut, levels)
    assert not any(bad for _, bad in symbols)
    assert answer(bytes(byte for byte, _ in symbols)) == (
        3, 0x81, 0, 2, SESSION, (MAGIC, VERSION))


def test_a_request_arrives_while_the_one_before_is_answered():
    dut = top()
    line = Transmitter(dut.divisor).model
    # The answers are longer than the requests, but one of these may wait.
    requests = [read(1, 0, 3), read(2, 0, 2)]
    levels = [*line(b"".join(map(framed, requests))), *[1] * 4000]
    received = bytes(byte for byte, _ in answered(dut, levels))
    frames = [frame for frame in received.split(bytes([slip.END])) if frame]
    assert [answer(frame)[0] for frame in frames] == [1, 2]


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^baud must be at most 1000000 with a clock of 8000000 "
                                         r"Hz, not 2000000$"):
        top(baud=2_000_000)
    with pytest.raises(ValueError, match=r"^digest must be 64 hexadecimal digits in lower case, "
                                         r"not 'no'$"):
        top(digest="no")
    with pytest.raises(TypeError, match=r"^config must be an ArrayConfig, not None$"):
        Top(None, IMAGE, digest=DIGEST, clock_hz=8_000_000, baud=1_000_000)
