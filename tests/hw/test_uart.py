# amaranth: UnusedElaboratable=no
import random
import re

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.uart import Receiver, Transmitter, divisor


def on_line(dut, levels, *, stalls=()):
    """Drives ``rx`` with a level a clock and collects symbols, but for clocks in ``stalls``."""
    symbols = []

    async def drive(ctx):
        for clock, level in enumerate([*levels, *[1] * 8]):
            ctx.set(dut.rx, level)
            ctx.set(dut.o.ready, clock not in stalls)
            _, _, valid, symbol = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and clock not in stalls:
                symbols.append((symbol.data, symbol.bad))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()
    return symbols


def line(clocks, values, *, gap=0):
    return [level for value in values
            for level in (*Transmitter(clocks).model([value]), *[1] * gap)]


@pytest.mark.parametrize("clocks", [8, 9, 16, 87])
@pytest.mark.parametrize("gap", [0, 1, 13])
def test_receiver_receives(clocks, gap):
    values = [0x00, 0xff, 0x55, 0xaa, 0x01, 0x80, 0xc0, 0xdb]
    levels = [*[1] * 3, *line(clocks, values, gap=gap), *[1] * clocks]
    dut = Receiver(clocks)
    symbols = [(value, 0) for value in values]
    assert on_line(dut, levels) == dut.model(levels) == symbols


@pytest.mark.parametrize("skew", [-0.04, -0.02, 0.02, 0.04])
def test_receiver_bears_another_rate(skew):
    values = [random.Random(1).randrange(256) for _ in range(20)]
    exact = line(1000, values, gap=200)
    levels = [exact[int(t)] for t in
              (k * 1000 / 50 * (1 + skew) for k in range(int(len(exact) * 0.05 / (1 + skew))))]
    dut = Receiver(50)
    levels += [1] * 50
    assert on_line(dut, levels) == dut.model(levels) == [(value, 0) for value in values]


@pytest.mark.parametrize("levels, symbols", [
    ([1] * 300, []),
    ([0] * 1, []),
    ([0] * 5, []),
    ([0] * 900, [(0, 1)]),
    ([0] * 160 + [1] * 20 + line(16, [0x5a]), [(0, 1), (0x5a, 0)]),
    (line(16, [0x5a])[:-16] + [0] * 40 + [1] * 20 + line(16, [0x33]), [(0x5a, 1), (0x33, 0)]),
], ids=["idle", "spike", "glitch", "break", "after a break", "no stop bit"])
def test_receiver_survives(levels, symbols):
    dut = Receiver(16)
    levels = [*[1] * 5, *levels, *[1] * 20]
    assert on_line(dut, levels) == dut.model(levels) == symbols


@pytest.mark.parametrize("seed", range(6))
def test_receiver_on_noise(seed):
    rng = random.Random(seed)
    clean = [1] * 20 + line(11, [rng.randrange(256) for _ in range(30)], gap=3)
    levels = [level ^ (rng.random() < 0.01 * seed) for level in clean] + [1] * 30
    dut = Receiver(11)
    assert on_line(dut, levels) == dut.model(levels)


def test_receiver_stands_in_for_lost_bytes():
    levels = [1] * 4 + line(8, range(1, 7)) + [1] * 20
    # Byte 1 waits until bytes 2 and 3 have gone by.
    symbols = on_line(Receiver(8), levels, stalls=range(60, 290))
    assert [bad or data for data, bad in symbols] == [1, True, 4, 5, 6]


@pytest.mark.parametrize("stalls", ["none", "input"])
@pytest.mark.parametrize("clocks", [8, 13])
def test_transmitter_sends(clocks, stalls):
    values = [0x00, 0xff, 0x55, 0xaa, 0xc0, 0x12]
    dut = Transmitter(clocks)
    levels = []
    rng = random.Random(3)

    async def feed(ctx):
        for value in values:
            while stalls == "input" and rng.random() < 0.95:
                await ctx.tick()
            ctx.set(dut.i.payload, value)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        for _ in range(10 * clocks * len(values) + 12 * clocks * len(values) // 2):
            _, _, level = await ctx.tick().sample(dut.tx)
            levels.append(level)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(watch)
    sim.run()
    if stalls == "none":
        start = levels.index(0)
        model = dut.model(values)
        assert levels[start:start + len(model)] == model
        assert set(levels[start + len(model):]) == {1}
    assert Receiver(clocks).model(levels) == [(value, 0) for value in values]


@pytest.mark.parametrize("component", [Receiver, Transmitter])
def test_verilog(component):
    assert "module dut" in verilog.convert(component(8), name="dut")


def test_divisor():
    assert divisor(100_000_000, 1_000_000) == 100
    assert divisor(12_000_000, 115_200) == 104


@pytest.mark.parametrize("arguments, message", [
    ((10_000_000, 2_000_000), ("baud must be at most 1250000 with a clock of 10000000 Hz, "
                               "not 2000000")),
    ((10_000_000, 1_200_000), ("baud must be within 2 % of a divisor of the clock, not 1200000; "
                               "1250000 is the nearest that 10000000 Hz allow")),
    ((0, 1), "clock_hz must be a positive integer, not 0"),
    ((1, 1.5), "baud must be a positive integer, not 1.5"),
])
def test_bad_rates(arguments, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        divisor(*arguments)


@pytest.mark.parametrize("component", [Receiver, Transmitter])
@pytest.mark.parametrize("value", [7, 0, 8.0])
def test_bad_parameters(component, value):
    message = rf"^divisor must be an integer of at least 8, not {value}$"
    with pytest.raises(ValueError, match=message):
        component(value)
