"""Loading memories, and finding what is wrong in them, against the model."""

import random

import pytest
from amaranth import Elaboratable, Module, Mux, ResetInserter, Signal
from amaranth.sim import Simulator

from gen.plan.mapping import map_network, options
from hw.array import Array
from hw.bus import Status
from hw.contents import ContentsBus, row_words, shapes
from hw.device import register_map
from hw.loader import Loader, LoaderModel, crc
from hw.scrub import pass_clocks
from tests import networks

FIRST = networks.convolutional(size=7, seed=1)
CONFIG, IMAGE = map_network(FIRST, replicas={"conv1": 2}, lanes={"conv2": 5}, membranes={})
OTHER, OTHER_IMAGE = map_network(networks.convolutional(size=7, seed=2), **options(CONFIG))
SHAPES, WHERE = shapes(CONFIG), register_map(CONFIG)
PASS = pass_clocks(CONFIG)


def rows(image):
    return [image[shape.name].rows for shape in SHAPES]


class Dut(Elaboratable):
    """A loader in front of an array, and a way around it to flip bits by."""

    def __init__(self):
        crcs = [crc(each, shape) for each, shape in zip(rows(IMAGE), SHAPES, strict=True)]
        self.array = Array(CONFIG, IMAGE)
        self.loader = Loader(CONFIG, WHERE, crcs=crcs, holds=range(8))
        self.flips = ContentsBus.create(path=("flips",))

    def elaborate(self, platform):
        m = Module()
        m.submodules.array, m.submodules.loader = self.array, self.loader
        for name in ("memory", "copy", "row", "column", "data", "write", "read"):
            m.d.comb += getattr(self.array.contents, name).eq(Mux(
                self.flips.write, getattr(self.flips, name), getattr(self.loader.array, name)))
        m.d.comb += self.loader.array.word.eq(self.array.contents.word)
        return m


class Bench:
    """The loader's registers, one call after the other, beside the model."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut.loader
        self.model = LoaderModel(CONFIG, WHERE, rows=rows(IMAGE), holds=range(8))

    async def word(self, addr, value, idle=1):
        ctx, bus = self.ctx, self.dut.bus
        ctx.set(bus.addr, addr)
        ctx.set(bus.w_data, value)
        ctx.set(bus.idle, idle)
        await ctx.tick()
        ctx.set(bus.w_en, 1)
        status = ctx.get(bus.w_status)
        await ctx.tick()
        ctx.set(bus.w_en, 0)
        assert status == self.model.write(addr, value, bool(idle))
        return status

    async def checked(self):
        while self.ctx.get(self.dut.health.checking):
            await self.ctx.tick()

    def agree(self):
        health, model = self.ctx.get(self.dut.health), self.model
        assert (health.intact, health.loading, health.damaged) == (
            model.intact, model.loading, model.damaged)
        assert not model.damaged or health.memory == model.memory
        assert self.ctx.get(self.dut.bus.refuses) == (not model.intact)
        assert [self.ctx.get(self.dut.holds[k]) for k in range(8)] == model.holds

    async def blocks(self, image, rng, *, wrong=None):
        """All memories in blocks of random lengths, some of them twice."""
        for number, shape in enumerate(SHAPES):
            words = [word for row in image[shape.name].rows
                     for word in row_words(row, shape.width)]
            if number == wrong:
                words[rng.randrange(len(words))] ^= 1 << rng.randrange(min(32, shape.width))
            place = 0
            while place < len(words):
                count = rng.randint(1, WHERE.block_words - 2)
                row, column = divmod(place, shape.columns)
                for _ in range(rng.choice([1, 1, 2])):
                    for k, word in enumerate([number << 24 | row, column,
                                              *words[place:place + count]]):
                        assert await self.word(WHERE.block + k, word) == Status.OK
                place += count
        for k, word in enumerate([len(SHAPES) << 24, 0, *(
                crc(image[shape.name].rows, shape) for shape in SHAPES)]):
            assert await self.word(WHERE.block + k, word) == Status.OK
        assert await self.word(WHERE.check, 1) == Status.INCOMPLETE
        for k in range(8):
            assert await self.word(WHERE.holds + k, rng.getrandbits(32)) == Status.OK

    async def loaded(self, image, rng):
        """Load all memories, and see that they are intact."""
        assert await self.word(WHERE.load, 1) == Status.OK
        await self.blocks(image, rng)
        assert await self.word(WHERE.check, 1) == Status.OK
        await self.checked()
        self.agree()
        assert self.model.intact


def run(dut, script):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(script)
    simulator.run()


def simulate(script):
    dut = Dut()

    async def bench(ctx):
        await script(ctx, Bench(ctx, dut), dut.loader)

    run(dut, bench)


@pytest.mark.parametrize("seed", range(3))
def test_a_load(seed):
    rng = random.Random(seed)

    async def script(ctx, bench, loader):
        ctx.set(loader.idle, 1)
        assert await bench.word(WHERE.block, 0) == Status.ORDER
        assert await bench.word(WHERE.load, 1, idle=0) == Status.BUSY
        bench.agree()
        assert await bench.word(WHERE.load, 1) == Status.OK
        bench.agree()
        assert await bench.word(WHERE.block + 7, 1) == Status.INCOMPLETE
        assert await bench.word(WHERE.check, 1) == Status.INCOMPLETE
        await bench.blocks(OTHER_IMAGE, rng)
        assert await bench.word(WHERE.check, 1) == Status.OK
        ctx.set(loader.idle, 0)
        await bench.checked()
        bench.agree()
        assert bench.model.intact
        assert await bench.word(WHERE.check, 1) == Status.OK, "its answer may have been lost"
        bench.agree()
        # With one wrong bit there is no network.
        wrong = rng.randrange(len(SHAPES))
        assert await bench.word(WHERE.load, 1) == Status.OK
        await bench.blocks(IMAGE, rng, wrong=wrong)
        assert await bench.word(WHERE.check, 1) == Status.OK
        await bench.checked()
        bench.agree()
        assert bench.model.memory == wrong
        assert await bench.word(WHERE.check, 1) == Status.ORDER
        await bench.loaded(IMAGE, rng)

    simulate(script)


def test_passes_go_on_while_the_array_is_idle():
    async def script(ctx, bench, loader):
        rng = random.Random(0)
        await ctx.tick().repeat(3 * PASS)
        assert ctx.get(loader.health.passes) == 0
        ctx.set(loader.idle, 1)
        await ctx.tick().repeat(3 * PASS + 20)
        assert ctx.get(loader.health.passes) == 3
        idle = 0
        while idle < 4 * PASS:
            now = rng.random() < 0.5
            ctx.set(loader.idle, now)
            await ctx.tick()
            idle += now
        assert ctx.get(loader.health.passes) == 7
        assert ctx.get(loader.health.intact)

    simulate(script)


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_is_found_and_repaired(seed):
    """A bit of any memory, at any time of a pass; within two passes of idle clocks."""
    rng = random.Random(seed)
    number = rng.randrange(len(SHAPES))
    shape = SHAPES[number]
    row, column = rng.randrange(shape.depth), rng.randrange(shape.columns)
    bit = rng.randrange(min(32, shape.width - 32 * column))
    dut = Dut()

    async def script(ctx):
        bench, loader, flips = Bench(ctx, dut), dut.loader, dut.flips
        ctx.set(loader.idle, 1)
        await ctx.tick().repeat(rng.randrange(2 * PASS))
        ctx.set(loader.idle, 0)
        await ctx.tick().repeat(10)
        word = row_words(IMAGE[shape.name].rows[row], shape.width)[column] ^ 1 << bit
        for name, value in (("memory", number), ("row", row), ("column", column), ("data", word),
                            ("write", 1)):
            ctx.set(getattr(flips, name), value)
        await ctx.tick()
        ctx.set(flips.write, 0)
        bench.model.rows[number][row] ^= 1 << 32 * column + bit
        ctx.set(loader.idle, 1)
        clocks = 0
        while not ctx.get(loader.health.damaged):
            await ctx.tick()
            clocks += 1
            assert clocks <= 2 * PASS
        bench.model.scrub()
        bench.agree()
        assert ctx.get(loader.health.memory) == number
        await bench.loaded(IMAGE, rng)

    run(dut, script)


def test_a_reset_does_not_forget_a_load():
    dut = ResetInserter(resets := Signal())(inner := Dut())

    async def script(ctx):
        bench = Bench(ctx, inner)
        assert await bench.word(WHERE.load, 1) == Status.OK
        ctx.set(resets, 1)
        await ctx.tick()
        ctx.set(resets, 0)
        await ctx.tick()
        bench.model._place = 0
        bench.agree()
        assert ctx.get(inner.loader.health.loading)
        await bench.blocks(OTHER_IMAGE, random.Random(0))
        assert await bench.word(WHERE.check, 1) == Status.OK
        await ctx.tick().repeat(PASS // 2)
        ctx.set(resets, 1)
        await ctx.tick()
        ctx.set(resets, 0)
        await bench.checked()
        bench.agree()
        assert bench.model.intact

    run(dut, script)
