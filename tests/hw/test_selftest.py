"""A device that tests itself, in simulation: it passes, fails, and lets samples through."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from gen.build import selftest
from gen.plan.mapping import map_network
from hw.array import Array
from hw.device import Device, packing
from hw.selftest import SelfTest
from tests import networks, sequences

from .standin import DIGEST
from .streams import run

SAMPLES, RESULTS = (5, 6, 7, 8), (1, 2, 3, 4)


def simulate(dut, script):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(script)
    simulator.run()


@pytest.mark.parametrize("wrong", [None, 0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_samples_and_results(seed, wrong):
    """Words of the test go out first; those of the link only after its last result. It fails if a
    word of a result is another, whatever the clocks are."""
    dut, rng = SelfTest(SAMPLES, RESULTS), random.Random(seed)
    expected = [(word + (k == wrong), 0) for k, word in enumerate(RESULTS)]
    answers = [*expected[:2], (99, 1), *expected[2:], (77, 1)]

    async def script(ctx):
        ctx.set(dut.may, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.o.valid), "it has to wait until it may begin"
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.may, 1)
        for turn in range(3):
            sent, given = [], list(answers)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, 1000)
            repeats = turn == 1  # in the middle of a test it is told to test again
            while ctx.get(dut.running):
                ctx.set(dut.again, repeats and len(sent) == 2)
                if repeats and len(sent) == 4 and not given:
                    repeats, sent, given = False, [], list(answers)
                ctx.set(dut.may, len(sent) == 0)
                ctx.set(dut.o.ready, ready := rng.random() < 0.6)
                offer = given and len(sent) >= 2 + 2 * (len(given) <= 3) and rng.random() < 0.6
                ctx.set(dut.results.valid, bool(offer))
                if offer:
                    ctx.set(dut.results.payload, {"data": given[0][0], "last": given[0][1]})
                _, _, valid, word, taken = await ctx.tick().sample(
                    dut.o.valid, dut.o.payload, dut.results.ready)
                if ready and valid:
                    sent.append(word)
                if offer and taken:
                    given.pop(0)
            assert sent == list(SAMPLES)
            assert not given
            assert not repeats
            assert (ctx.get(dut.passed), ctx.get(dut.failed)) == (wrong is None, wrong is not None)
            ctx.set(dut.o.ready, 1)
            assert (ctx.get(dut.o.payload), ctx.get(dut.i.ready)) == (1000, 1)
            ctx.set(dut.results.valid, 1)
            ctx.set(dut.results.payload, {"data": 7, "last": 1})
            assert ctx.get(dut.answers.valid)
            assert ctx.get(dut.answers.p.data) == 7
            ctx.set(dut.results.valid, 0)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.again, 1)
            await ctx.tick()
            ctx.set(dut.again, 0)

    simulate(dut, script)


@pytest.mark.parametrize("name", ["linear", "wide", "time-steps", "blocks", "interleaved"])
@pytest.mark.parametrize("broken", [False, True])
def test_a_device(name, broken):
    """It passes; with one wrong weight of the read-out it fails. Then it computes what it is
    sent."""
    network, options = {
        "linear": (networks.linear(), {}), "wide": (networks.wide(), {}),
        "time-steps": (networks.stepping(networks.STEPPING["cif"]), {}),
        "blocks": (sequences.layered(), {"stream": 2}),
        "interleaved": (sequences.layered(), {"interleaved": 2})}[name]
    rng = np.random.default_rng(0)
    samples = rng.integers(0, network.pixel_max + 1, (6, *network.input_shape))
    network = replace(network, samples=samples)
    config, image = map_network(network, **options, selftests=2)
    image |= selftest.image(network, config)
    tests = [image[f"selftest.{part}"].rows for part in ("samples", "results")]
    if broken:
        tests[1] = (tests[1][0] ^ 1, *tests[1][1:])
    dut = Device(Array(config, image), config, digest=DIGEST, clock_hz=1000, selftest=tests)
    words, size = tests[0], config.answer_words + 1
    constants = [(dut.timesteps, config.timesteps)] if config.timesteps > 1 else []
    received, passed, _ = run(dut, [(dut.i, words)], [(dut.o, 2 * size)], constants=constants,
                              pulses=[dut.passed], convert=False, limit=100_000)
    got = [word & 0xffffffff for k, word in enumerate(received) if k % size != size - 1]
    assert got == list(image["selftest.results"].rows)
    assert (passed > 0) == (not broken)
    assert packing(config).words * 2 == len(words)
