"""Data in, data out: components with streams as functions, with stalls where asked for."""

import random
from functools import partial

from amaranth.back import verilog
from amaranth.sim import Simulator

STALLS = {"none": (0, 0), "input": (0.6, 0), "output": (0, 0.6), "both": (0.4, 0.4)}
"""Chances that an input has nothing to offer, and that an output is not ready, in a clock."""


def run(dut, inputs, outputs, *, stalls="none", seed=0, constants=(), pulses=(), beside=(),
        along=(), limit=200_000, convert=True):
    """Feeds ``inputs`` ``[(stream, payloads)]`` and collects ``outputs`` ``[(stream, count)]``.

    Parameters
    ----------
    constants : signals and what they are from the first clock on
    along : signals that are recorded with each payload of the outputs; the payload is then a tuple
        that begins with it
    pulses : signals that are recorded; the result then ends with how often each was set
    beside : testbenches that run until all outputs are there
    limit : clocks after which the simulation has failed

    Returns
    -------
    A list of payloads (as integers) for each output, then counts of pulses, then the number of
    clocks.
    """
    if convert:
        verilog.convert(dut, name="dut")
    idle, busy = STALLS[stalls]
    rng = random.Random(seed)
    results = [[] for _ in outputs]
    seen = [0] * len(pulses)
    clocks = 0

    async def hold(ctx):
        for signal, value in constants:
            ctx.set(signal, value)

    async def feed(ctx, stream, payloads, rng):
        for payload in payloads:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(stream.payload, payload)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    async def drain(ctx, stream, count, result, rng):
        while len(result) < count:
            while rng.random() < busy:
                await ctx.tick()
            ctx.set(stream.ready, 1)
            payload, *others = await ctx.tick().sample(stream.payload, *along).until(stream.valid)
            ctx.set(stream.ready, 0)
            payload = payload if isinstance(payload, int) else payload.as_bits()
            result.append((payload, *others) if along else payload)

    async def watch(ctx):
        nonlocal clocks
        while not all(len(r) == count for r, (_, count) in zip(results, outputs, strict=True)):
            _, _, *values = await ctx.tick().sample(*pulses)
            for k, value in enumerate(values):
                seen[k] += value
            clocks += 1
            assert clocks < limit, f"no answer: {[len(r) for r in results]}"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(hold)
    for stream, payloads in inputs:
        sim.add_testbench(partial(feed, stream=stream, payloads=payloads,
                                  rng=random.Random(rng.random())))
    for (stream, count), result in zip(outputs, results, strict=True):
        sim.add_testbench(partial(drain, stream=stream, count=count, result=result,
                                  rng=random.Random(rng.random())))
    sim.add_testbench(watch)
    for testbench in beside:
        sim.add_testbench(testbench, background=True)
    sim.run()
    return *results, *seen, clocks
