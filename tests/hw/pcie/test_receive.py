# amaranth: UnusedElaboratable=no
"""The receiver against its model: whole packets of every kind, with gaps and with waiting."""

import random

import pytest
from amaranth.sim import Simulator

from hw.pcie.receive import Receiver, ReceiverModel
from hw.pcie.tlp import (
    DWORD,
    CompletionStatus,
    Tlp,
    Type,
    completion,
    memory_read,
    memory_write,
)
from tests.hw.streams import STALLS

ID, OTHER, HOST = 0x0100, 0x0208, 0x0008


def random_packet(rng):
    address = rng.choice([0xfe00_0000, 0x5_fe00_0000]) + 4 * rng.randrange(1000)
    words = [rng.getrandbits(32) for _ in range(rng.choice([1, 1, 2, 5, 32]))]
    ids = {"requester": HOST, "tag": rng.getrandbits(8)}
    extra = {"poisoned": rng.random() < 0.1, "digest": rng.random() < 0.1}
    enables = {"first_be": rng.choice([0xf, 0xf, 0x3, 0]),
               "last_be": rng.choice([0xf, 0xf, 1]) if len(words) > 1 else 0}
    read = memory_read(0x1000, 32, tag=ids["tag"], requester=rng.choice([ID, ID, OTHER]))
    return rng.choice([
        lambda: memory_read(address, rng.choice([1, 2, 32, 33, 1024]), **ids, tc=rng.getrandbits(3),
                            attr=rng.getrandbits(2), digest=extra["digest"]),
        lambda: memory_write(address, words, requester=HOST, **enables, **extra),
        lambda: completion(read, words, completer=HOST, count=4 * rng.randrange(1, 1025), address=0,
                           **extra),
        lambda: completion(read, completer=HOST, status=rng.choice(
            [CompletionStatus.UNSUPPORTED, CompletionStatus.ABORT])),
        lambda: Tlp(rng.choice([Type.IO, Type.CONFIG_0, Type.CONFIG_1, Type.MEMORY_LOCKED]),
                    address=address & 0xfffffffc, **ids),
        lambda: Tlp(rng.choice([Type.IO, Type.FETCH_ADD, Type.SWAP]), has_data=True,
                    address=address & 0xfffffffc, payload=words, length=len(words), **ids),
        lambda: Tlp(0b10000 | rng.getrandbits(3), four=True, has_data=True, payload=words,
                    length=len(words), requester=HOST)])()


def observe(packets, *, stalls="none", seed=0):
    """What comes out: writes, requests, completions and counts."""
    idle, busy = STALLS[stalls]
    dut, rng = Receiver(), random.Random(seed)
    writes, requests, completions, counts = [], [], [], []
    done = False

    async def feed(ctx):
        nonlocal done
        ctx.set(dut.id, ID)
        for dwords in packets:
            for k, dword in enumerate(dwords):
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.i.payload, DWORD.const({"data": dword, "last": k == len(dwords) - 1}))
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(50)
        done = True
        counts.extend(ctx.get(getattr(dut.counts, name)) for name in ("good", "poisoned",
                                                                      "dropped"))

    async def take(ctx):
        while not done:
            ctx.set(dut.requests.ready, rng.random() >= busy)
            *_, moved, ready, request = await ctx.tick().sample(
                dut.requests.valid, dut.requests.ready, dut.requests.payload)
            if moved and ready:
                requests.append(request)

    async def watch(ctx):
        while not done:
            *_, enabled, addr, word, valid, item = await ctx.tick().sample(
                dut.w_en, dut.w_addr, dut.w_data, dut.completions.valid, dut.completions.payload)
            if enabled:
                writes.append((addr, word))
            if valid:
                completions.append((item.tag, item.byte_count, item.good, item.poisoned, item.first,
                                    item.bare, item.data))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(take)
    simulator.add_testbench(watch)
    simulator.run()
    return writes, requests, completions, counts


@pytest.mark.parametrize("stalls", STALLS)
def test_packets(stalls):
    rng = random.Random(stalls)
    packets = [random_packet(rng) for _ in range(200)]
    model = ReceiverModel(ID)
    for packet in packets:
        model.feed(packet)
    writes, requests, completions, counts = observe(
        [packet.pack() for packet in packets], stalls=stalls, seed=1)
    assert writes == model.writes
    assert completions == [tuple(map(int, item)) for item in model.completions]
    assert counts == [model.good, model.poisoned, model.dropped]
    assert len(requests) == len(model.requests)
    for found, (tlp, supported) in zip(requests, model.requests, strict=True):
        assert (found.tag, found.requester, found.tc, found.attr, found.supported) == (
            tlp.tag, tlp.requester, tlp.tc, tlp.attr, supported)
        assert (found.length, found.first_be, found.last_be) == (
            tlp.length & 0x3ff, tlp.first_be, tlp.last_be)
        if supported:
            assert found.address == tlp.address >> 2 & 0x3ff


def test_packets_that_end_too_early():
    """Whatever is cut off, the packet after it is understood."""
    good = memory_write(0xfe00_0010, [7], requester=HOST).pack()
    long = memory_write(0x1_fe00_0020, [1, 2, 3], requester=HOST).pack()
    answer = completion(memory_read(0, 4, tag=3, requester=ID), [1, 2, 3, 4],
                        completer=HOST).pack()
    cut = [dwords[:size] for dwords in (long, answer) for size in range(1, len(dwords))]
    packets = [packet for each in cut for packet in (each, good)]
    writes, requests, _, (found, _, dropped) = observe(packets, stalls="input")
    assert [write for write in writes if write == (4, 7)] == [(4, 7)] * len(cut)
    assert (len(requests), found, dropped) == (0, len(cut), len(cut))


def test_a_packet_that_is_too_long():
    """What follows its payload is skipped."""
    packets = [[*memory_write(0xfe00_0010, [7], requester=HOST).pack(), 1, 2, 3],
               [*memory_read(0xfe00_0010, 1, requester=HOST).pack(), 4],
               memory_write(0xfe00_0014, [8], requester=HOST).pack()]
    writes, requests, _, (good, _, dropped) = observe(packets)
    assert (writes, len(requests), good, dropped) == ([(4, 7), (5, 8)], 1, 3, 0)


def test_a_prefix_is_not_understood():
    head = 0x8000_0000
    packets = [[head, *memory_read(0xfe00_0010, 1, requester=HOST).pack()]]
    writes, requests, completions, (good, _, dropped) = observe(packets)
    assert (writes, requests, completions, good, dropped) == ([], [], [], 0, 1)
