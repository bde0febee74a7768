"""A host beside an endpoint in Amaranth's simulator: memory, and requests to BAR0."""

import random
from collections import deque

from amaranth.sim import Simulator

from hw.pcie.registers import RingMap
from hw.pcie.tlp import BEAT, Tlp, completion, memory_read, memory_write
from hw.pcie.width import Narrow, Widen

__all__ = ["BAR", "ENDPOINT", "HOST", "Root", "beats", "packets"]

HOST, ENDPOINT = 0x0008, 0x0100
BAR = 0xfe00_0000


def beats(tlp):
    """Beats of a packet, as integers."""
    dwords = tlp if isinstance(tlp, list) else tlp.pack()
    ends = [k == len(dwords) - 1 for k in range(len(dwords))]
    for both, pair, last in Widen.model(zip(dwords, ends, strict=True)):
        yield both | pair << 64 | last << 65


def packets(found):
    """Packets of beats, as integers."""
    dwords = []
    for dword, last in Narrow.model((beat & (1 << 64) - 1, beat >> 64 & 1, beat >> 65)
                                    for beat in found):
        dwords.append(dword)
        if last:
            yield Tlp.unpack(dwords)
            dwords = []
    assert not dwords


class Root:
    """Drives an endpoint: answers its reads from ``memory`` in parts and out of order, takes its
    writes, and sends requests of its own.

    Parameters
    ----------
    idle, busy : chances that there is nothing to send, and that nothing is taken, in a clock
    answer : called with each read, returns the packets that answer it, in their order, or None for
        what a host does
    """

    def __init__(self, dut, *, base=0, size=1 << 16, idle=0.0, busy=0.0, seed=0, limit=100_000,
                 answer=None, beside=()):
        self.dut, self.link = dut, dut.link
        self.base, self.memory = base, bytearray(size)
        self.idle, self.busy, self.answer = idle, busy, answer
        self.random = random.Random(seed)
        self.requests, self.answers = deque(), []  # to send
        self.completions, self.seen = {}, []       # by tag; all packets from the endpoint
        self.interrupts, self.clocks, self._tag = 0, 0, 0
        self._limit, self._beside = limit, beside

    def run(self, host):
        """Simulate until the testbench ``host(root)`` ends."""
        async def whole(ctx):
            self.ctx = ctx
            for name, value in (("id", ENDPOINT), ("bus_master", 1)):
                ctx.set(getattr(self.link, name), value)
            await host(self)

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(whole)
        for process in (self._send, self._receive, self._watch, *self._beside):
            simulator.add_testbench(process, background=True)
        simulator.run()

    async def _watch(self, ctx):
        async for _ in ctx.tick():
            self.clocks += 1
            assert self.clocks < self._limit, "the host waits for nothing"

    async def _send(self, ctx):
        ctx.set(self.link.interrupt_taken, 0)
        while True:
            tlp = self._next()
            if tlp is None:
                await ctx.tick()
                continue
            for beat in beats(tlp):
                while self.random.random() < self.idle:
                    await ctx.tick()
                ctx.set(self.link.i.payload, BEAT.from_bits(beat))
                ctx.set(self.link.i.valid, 1)
                while not (await ctx.tick().sample(self.link.i.ready))[2]:
                    pass
                ctx.set(self.link.i.valid, 0)

    def _next(self):
        """The next packet for the endpoint: of one read in order, of several in any."""
        queues = [parts for parts in self.answers if parts]
        if self.requests and (not queues or self.random.random() < 0.5):
            return self.requests.popleft()
        return self.random.choice(queues).popleft() if queues else None

    async def _receive(self, ctx):
        link, found = self.link, []
        while True:
            while self.random.random() < self.busy:
                await ctx.tick()
            ctx.set(link.o.ready, 1)
            valid = False
            while not valid:
                *_, valid, payload = await ctx.tick().sample(link.o.valid, link.o.payload)
            ctx.set(link.o.ready, 0)
            found.append(payload.as_bits())
            if found[-1] >> 65:
                (tlp,) = packets(found)
                found = []
                self.seen.append(tlp)
                self._take(tlp)

    def _take(self, tlp):
        if tlp.answers:
            self.completions[tlp.tag] = tlp
            return
        assert tlp.four == (tlp.address >> 32 != 0)
        assert tlp.address % 4096 + 4 * tlp.length <= 4096
        start = tlp.address - self.base
        assert start >= 0
        assert start + 4 * tlp.length <= len(self.memory)
        if tlp.has_data:
            for k, word in enumerate(tlp.payload):
                self.memory[start + 4 * k:start + 4 * k + 4] = word.to_bytes(4, "little")
            return
        parts = self.answer(tlp) if self.answer else None
        self.answers.append(deque(self.parts(tlp) if parts is None else parts))

    def parts(self, tlp):
        """The completions of a read, split at multiples of 64 bytes."""
        here, left = tlp.address, tlp.length
        while left:
            cuts = [cut for cut in range(1, left + 1)
                    if cut == left or (here + 4 * cut) % 64 == 0]
            size = self.random.choice(cuts)
            yield completion(tlp, self.words(here, size), completer=HOST, count=4 * left,
                             address=here)
            here, left = here + 4 * size, left - size

    def words(self, address, count):
        """Words of memory."""
        start = address - self.base
        return [int.from_bytes(self.memory[start + 4 * k:start + 4 * k + 4], "little")
                for k in range(count)]

    def put(self, address, words):
        """Write words to memory."""
        start = address - self.base
        self.memory[start:start + 4 * len(words)] = b"".join(
            word.to_bytes(4, "little") for word in words)

    def write(self, register, *words):
        """Write registers of BAR0."""
        self.requests.append(memory_write(BAR + 4 * register, words, requester=HOST))

    async def ask(self, tlp):
        """The answer to a request."""
        self.completions.pop(tlp.tag, None)
        self.requests.append(tlp)
        while tlp.tag not in self.completions:
            await self.ctx.tick()
        return self.completions.pop(tlp.tag)

    async def read(self, register, count=1):
        """Registers of BAR0."""
        self._tag = (self._tag + 1) % 256
        found = await self.ask(memory_read(BAR + 4 * register, count, tag=self._tag,
                                           requester=HOST))
        assert found.has_data
        return found.payload

    async def open(self, session, *, samples, results, block, mask=1023, interrupt=0,
                   timesteps=1):
        """Open a session, when the endpoint rests."""
        ring = RingMap()
        self.put(block, [0, 0])
        for name, address in (("samples", samples), ("results", results), ("status", block)):
            self.write(getattr(ring, f"{name}_low"), address & 0xffffffff, address >> 32)
        self.write(ring.samples_mask, mask)
        self.write(ring.results_mask, mask)
        self.write(ring.interrupt, interrupt)
        self.write(ring.timesteps, timesteps)
        self.write(ring.open, session)
        await self.read(ring.open)

    async def until(self, condition):
        """Wait until a condition holds."""
        while not condition():
            await self.ctx.tick()
