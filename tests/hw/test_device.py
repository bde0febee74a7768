# amaranth: UnusedElaboratable=no
import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from gen.ir.beats import pack, to_ints
from gen.ir.layers import INPUT, Neurons
from gen.ir.network import Network
from gen.plan.mapping import map_network
from gen.plan.workload import sample_clocks
from hw.array import Array
from hw.device import Device, DeviceModel, packing, register_map
from hw.dynamics import Dynamics
from hw.registers import MAGIC, VERSION
from tests.networks import neurons, readout, synapses

from .standin import DIGEST, StandIn, config, logits
from .streams import STALLS, run

CONFIG = config()
CLOCK_HZ = 25_000_000


class Wires(wiring.Component):
    """An array that is played by the test."""

    def __init__(self, config):
        beats, logits = config.input.beat_bits, config.readout.beat_bits
        super().__init__({
            "i": In(stream.Signature(beats)), "o": Out(stream.Signature(logits)),
            "beats": Out(stream.Signature(beats)), "logits": In(stream.Signature(logits))})

    def elaborate(self, platform):
        m = Module()
        connect(m, flipped(self.i), flipped(self.beats))
        connect(m, flipped(self.logits), flipped(self.o))
        return m


class Pipeline(wiring.Component):
    """Stand-ins that take turns, so that several samples are computed at once."""

    def __init__(self, config, count):
        self._config, self._count = config, count
        super().__init__(dict(StandIn(config).signature.members))

    def elaborate(self, platform):
        m = Module()
        units = [StandIn(self._config) for _ in range(self._count)]
        beat, taken = Signal(range(self._config.input.beats)), Signal(range(self._count))
        group, given = Signal(range(self._config.readout.groups)), Signal(range(self._count))
        for k, unit in enumerate(units):
            m.submodules[f"unit_{k}"] = unit
            m.d.comb += unit.i.payload.eq(self.i.payload)
            with m.If(taken == k):
                m.d.comb += unit.i.valid.eq(self.i.valid)
                m.d.comb += self.i.ready.eq(unit.i.ready)
            with m.If(given == k):
                m.d.comb += unit.o.ready.eq(self.o.ready)
                m.d.comb += self.o.valid.eq(unit.o.valid)
                m.d.comb += self.o.payload.eq(unit.o.payload)
        for place, whose, side, count in (
                (beat, taken, self.i, self._config.input.beats),
                (group, given, self.o, self._config.readout.groups)):
            with m.If(side.valid & side.ready):
                m.d.sync += place.eq(Mux(place == count - 1, 0, place + 1))
                with m.If(place == count - 1):
                    m.d.sync += whose.eq(Mux(whose == self._count - 1, 0, whose + 1))
        return m


def device(array, config=CONFIG):
    return Device(array, config, digest=DIGEST, clock_hz=CLOCK_HZ)


def model(config=CONFIG):
    return DeviceModel(config, lambda beats, _: (logits(config, beats), 0, 0), digest=DIGEST,
                       clock_hz=CLOCK_HZ)


def words(samples):
    return [word for sample in samples for word in sample]


LONG = config(channels=10, size=2, word=10, classes=3, lanes=2)
SHAPES = {
    "words of a beat": CONFIG,
    "beats in a word": config(channels=1, size=3, word=1, classes=7, lanes=4),
    "words in a beat": config(channels=10, size=2, word=10, classes=3, lanes=3),
    "a beat": config(channels=1, size=1, word=1, classes=1, lanes=1),
    "long logits": replace(LONG, layers=(replace(LONG.layers[0], membrane_bits=40),)),
}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_in_and_results_out(shape, stalls):
    where, count = SHAPES[shape], 23
    rng = random.Random(shape)
    samples = [packing(where).pack([rng.getrandbits(where.input.beat_bits)
                                    for _ in range(where.input.beats)]) for _ in range(count)]
    results = [model(where).run(sample) for sample in samples]
    dut = device(Pipeline(where, 3), where)
    sent, _ = run(dut, [(dut.i, words(samples))],
                  [(dut.o, sum(map(len, results)))], stalls=stalls, seed=count)
    found = [sent[k:k + len(results[0])] for k in range(0, len(sent), len(results[0]))]
    assert [result[:-1] for result in found] == [result[:-1] for result in results]
    assert all(word >> 32 == 1 for *_, word in found)


def test_several_samples_are_computed_at_once():
    samples = [[k] * 9 for k in range(12)]
    clocks = {}
    for count in (1, 3):
        dut = device(Pipeline(CONFIG, count))
        *_, clocks[count] = run(dut, [(dut.i, words(samples))], [(dut.o, 12 * 6)])
    assert clocks[1] / clocks[3] > 1.5


def test_a_deep_network_is_not_throttled():
    """As many samples are computed at once as layers can work on."""
    rng = np.random.default_rng(0)
    layers = [neurons(rng, f"l{k}", synapses(rng, f"l{k - 1}" if k else INPUT, (16, 16, 1, 1)))
              for k in range(9)]
    network = Network("deep", (16, 1, 1), 3, 255,
                      (*layers, readout(rng, "l8", (10, 16, 1, 1))))
    where, image = map_network(network, lanes={each.name: 16 for each in layers})
    counts = rng.integers(0, 4, (40, 16, 1, 1))
    samples = [packing(where).pack(to_ints(beats)) for beats in
               pack(counts, where.input).reshape(40, where.input.beats, -1)]
    dut = device(Array(where, image), where)
    size = register_map(where).result_words - 1
    sent, clocks = run(dut, [(dut.i, words(samples))], [(dut.o, 40 * size)], convert=False)
    trace = network.run(counts)
    assert [sent[k:k + 10] for k in range(0, 40 * size, size)] == [
        [int(logit) & 0xffffffff for logit in logits] for logits in trace.logits]
    slowest = max(each.mean() for each in sample_clocks(where, trace, counts).values())
    assert clocks < 1.5 * slowest * (40 + 10)


class Bench:
    """A device whose array is played by the test."""

    def __init__(self, ctx, dut, array):
        self.ctx, self.dut, self.array, self.clock = ctx, dut, array, 0

    async def tick(self, count=1):
        for _ in range(count):
            await self.ctx.tick()
            self.clock += 1

    async def take(self, limit=None):
        """The beats of a sample, and the clock of the first one; None if it is not there after
        ``limit`` clocks."""
        ctx, beats = self.ctx, self.array.beats
        found, first, begin = [], None, self.clock
        ctx.set(beats.ready, 1)
        while len(found) < 9 and (limit is None or self.clock < begin + limit):
            if ctx.get(beats.valid):
                found.append(ctx.get(beats.payload))
                first = self.clock if first is None else first
            await self.tick()
        ctx.set(beats.ready, 0)
        return (found, first) if found else None

    async def give(self, *, pause=0):
        """The logits of a sample; the clock of the last."""
        ctx, given = self.ctx, self.array.logits
        for k in range(3):
            await self.tick(pause)
            ctx.set(given.payload, k)
            ctx.set(given.valid, 1)
            while not ctx.get(given.ready):
                await self.tick()
            last = self.clock
            await self.tick()
            ctx.set(given.valid, 0)
        return last


def simulate(test, samples):
    """Runs ``test(bench)`` while samples are sent; the clocks that the results have."""
    array = Wires(CONFIG)
    dut, clocks = device(array), []

    async def feed(ctx):
        for word in words(samples):
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def drain(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, word in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid and word.last:
                clocks.append(word.data)

    async def testbench(ctx):
        await test(Bench(ctx, dut, array))
        await ctx.tick().repeat(20)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.add_testbench(feed, background=True)
    sim.add_testbench(drain, background=True)
    sim.run()
    return clocks


@pytest.mark.parametrize("pause", [0, 1, 57])
def test_clocks_are_counted(pause):
    expected = []

    async def test(bench):
        for sample in range(1, 7):
            await bench.tick(5)
            beats, first = await bench.take()
            assert beats == [sample] * 9
            expected.append(await bench.give(pause=pause) - first)

    assert simulate(test, [[k] * 9 for k in range(1, 7)]) == expected


def test_clocks_of_samples_that_overlap():
    firsts, lasts = [], []

    async def test(bench):
        for sample in range(1, CONFIG.in_flight + 1):
            beats, first = await bench.take()
            assert beats == [sample] * 9
            firsts.append(first)
        # The next one does not begin before there is a result.
        assert await bench.take(limit=50) is None
        for sample in range(1, 5):
            await bench.tick(10 * sample)
            lasts.append(await bench.give())
            if sample == 1:
                await bench.tick(5)
                beats, first = await bench.take()
                assert beats == [CONFIG.in_flight + 1] * 9
                firsts.append(first)
        lasts.append(await bench.give())

    clocks = simulate(test, [[k] * 9 for k in range(1, 6)])
    assert clocks == [last - first for first, last in zip(firsts, lasts, strict=True)]


def test_registers():
    where, reference = register_map(CONFIG), model()
    dut, found = device(StandIn(CONFIG)), {}

    async def testbench(ctx):
        for addr in (*range(32), where.open, where.input, where.result, 0xffff):
            ctx.set(dut.bus.addr, addr)
            await ctx.tick().repeat(2)
            found[addr] = ctx.get(dut.bus.r_data)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert found == {addr: reference.read(addr) for addr in found}
    assert [found[addr] for addr in (0, 1, 10, 17, 18)] == [
        MAGIC, VERSION, CLOCK_HZ, where.input_words, 5]
    digest = b"".join(found[addr].to_bytes(4, "little") for addr in range(2, 10))
    assert digest.hex() == DIGEST
    assert not any(found[addr] for addr in found if addr not in (*range(11), 17, 18))


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^digest must be 64 hexadecimal digits in lower case, "
                                         r"not 'AB'$"):
        Device(StandIn(CONFIG), CONFIG, digest="AB", clock_hz=1)
    with pytest.raises(ValueError, match=r"^clock_hz must be a positive integer of 32 bits, "
                                         r"not 0$"):
        Device(StandIn(CONFIG), CONFIG, digest=DIGEST, clock_hz=0)
    with pytest.raises(TypeError, match=r"^config must be an ArrayConfig, not 7$"):
        Device(StandIn(CONFIG), 7, digest=DIGEST, clock_hz=1)


def test_runs_of_few_time_steps():
    """The number of time-steps changes between runs."""
    rng = np.random.default_rng(0)
    dynamics = Dynamics(3, 2, signed=True, bound="elapsed")

    def fires(name, source, channels):
        threshold = rng.integers(3, 9, 2)
        return Neurons(name, (synapses(rng, source, (2, channels, 2, 2), padding=(1, 1)),),
                       threshold >> 1, threshold, 3, dynamics=dynamics,
                       bias=rng.integers(-1, 5, 2))

    first, second = fires("first", INPUT, 1), fires("second", "first", 2)
    shape = (2, 2, 2)
    for layer in (first, second):
        shape = layer.out_shape([shape if layer is second else (1, 2, 2)])
    out = replace(readout(rng, "second", (3, *shape)), dynamics=dynamics,
                  bias=rng.integers(-3, 4, 3))
    network = Network("padded", (1, 2, 2), 3, 3, (first, second, out))
    where, image = map_network(network)
    dut = Device(Array(where, image), where, digest=DIGEST, clock_hz=CLOCK_HZ)
    counts = rng.integers(0, 4, (12, 1, 2, 2))
    fmap = where.input
    samples = [packing(where).pack(to_ints(pack(each[None].reshape(
        1, fmap.channels, fmap.height, fmap.width), fmap).reshape(fmap.beats, -1)))
        for each in counts]
    runs, found = [5, 1, 3, 2, 4, 5], []

    async def host(ctx):
        for number, timesteps in enumerate(runs):
            await ctx.tick().repeat(200)
            ctx.set(dut.timesteps, timesteps)
            for sample in samples[2 * number:][:2]:
                for word in sample:
                    ctx.set(dut.i.payload, word)
                    ctx.set(dut.i.valid, 1)
                    await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            words = []
            ctx.set(dut.o.ready, 1)
            while len(words) < 2 * 5:
                payload, = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
                words.append(payload.data)
            ctx.set(dut.o.ready, 0)
            found.extend([words[:4], words[5:9]])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host)
    simulator.run()
    assert len(found) == 12
    for number, timesteps in enumerate(runs):
        trace = network.run(counts[2 * number:][:2], timesteps=timesteps)
        quiet = network.quiet(trace)
        for k in range(2):
            bits = sum(int(quiet[name][k]) << j for j, name in enumerate(("first", "second")))
            assert found[2 * number + k] == [*(int(x) & 0xffffffff for x in trace.logits[k]), bits]
