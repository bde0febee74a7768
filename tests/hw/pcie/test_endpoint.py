# amaranth: UnusedElaboratable=no
"""The endpoint in front of a device, against a host that splits and reorders completions."""

import random
from collections import deque
from dataclasses import replace

import pytest

from hw.device import DeviceModel, packing, register_map
from hw.pcie.registers import RingMap, Status
from hw.pcie.rings import ResultRing
from hw.pcie.tlp import (
    CompletionStatus,
    Tlp,
    Type,
    byte_count,
    completion,
    memory_read,
    memory_write,
)
from hw.pcie.top import Top
from hw.registers import MAGIC
from tests.hw.standin import DIGEST, StandIn, config, logits

from .root import BAR, ENDPOINT, HOST, Root

RING = RingMap()
SHAPES = {"small": config(channels=1, size=1, word=1, classes=1, lanes=1), "words": config(),
          "large": config(channels=8, size=12, word=8, classes=10, lanes=4)}


def subject(shape, *, patience=1 << 12):
    """An endpoint and a device that computes in an instant."""
    return Top(StandIn(shape), shape, digest=DIGEST, clock_hz=1, patience=patience)


def answers(shape, samples):
    """Words of the results, without the clocks."""
    model = DeviceModel(shape, lambda beats, _: (logits(shape, beats), 0, 0), digest=DIGEST,
                        clock_hz=1)
    return [model.run(sample)[:-1] for sample in samples]


def random_samples(shape, count, seed):
    rng = random.Random(seed)
    return [packing(shape).pack([rng.getrandbits(shape.input.beat_bits)
                                 for _ in range(shape.input.beats)]) for _ in range(count)]


async def stream(root, samples, places, *, record, mask=1023, already=0):
    """Send samples through the rings, as a host does; records of the results."""
    sent, taken, found = already, already, []
    source, sink, block = places
    waiting = list(samples)
    size = len(waiting[0]) if waiting else 0
    flying = 0
    while len(found) < len(samples):
        while waiting and (flying + 1) * size <= mask + 1:
            for word in waiting.pop(0):
                root.put(source + 4 * (sent & mask), [word])
                sent = sent + 1 & 0xffffffff
            flying += 1
            root.write(RING.samples_index, sent)
        produced, _ = root.words(block, 2)
        while (produced - taken) & 0xffffffff >= record:
            found.append([root.words(sink + 4 * (taken + k & mask), 1)[0]
                          for k in range(record)])
            taken = taken + record & 0xffffffff
            flying -= 1
            root.write(RING.results_index, taken)
        await root.ctx.tick()
    return found


STALLS = {"none": (0, 0), "input": (0.6, 0), "output": (0, 0.6), "both": (0.4, 0.4)}


@pytest.mark.parametrize("base", [0x8000_0000, 0x23_0000_0000], ids=["3DW", "4DW"])
@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_and_results(shape, stalls, base):
    where, count = SHAPES[shape], 20 if shape == "large" else 60
    samples = random_samples(where, count, shape)
    idle, busy = STALLS[stalls]
    places = base, base + 0x4000, base + 0x8000
    found = []

    async def host(root):
        root.ctx.set(root.link.max_read, 1)
        await root.open(7, samples=places[0], results=places[1], block=places[2])
        assert await root.read(register_map(where).session) == [7]
        found.extend(await stream(root, samples, places,
                                  record=register_map(where).result_words))

    root = Root(subject(where), base=base, idle=idle, busy=busy, seed=count)
    root.run(host)
    wanted = answers(where, samples)
    assert [record[0] for record in found] == list(range(1, count + 1))
    assert [record[1:-1] for record in found] == wanted
    assert len(ResultRing.model(wanted)) == sum(map(len, found)) - count


BASE = 0x1_0000_0000
PLACES = BASE, BASE + 0x4000, BASE + 0x8000
WHERE = register_map(SHAPES["words"])


async def opened(root, session, **options):
    await root.open(session, samples=PLACES[0], results=PLACES[1], block=PLACES[2], **options)


async def rests(root):
    """Wait until the endpoint rests; its status."""
    while True:
        (status,) = await root.read(WHERE.status)
        if status >> Status.RESTING & 1:
            return status


async def compute(root, samples):
    """Records of results, in a session that is open."""
    return await stream(root, samples, PLACES, record=WHERE.result_words)


def simulate(host, **options):
    root = Root(subject(SHAPES["words"]), base=BASE, **options)
    root.run(host)
    return root


@pytest.mark.parametrize("words", [1, 3, WHERE.input_words, WHERE.input_words + 2, 130])
def test_a_session_that_ends_anywhere_leaves_nothing_behind(words):
    """Some words were sent, a part of which may be under way; then another host comes."""
    samples = random_samples(SHAPES["words"], 30, "after")
    found = []

    async def host(root):
        rng = random.Random(words)
        for session in range(1, 7):
            await opened(root, session)
            root.put(PLACES[0], [rng.getrandbits(32) for _ in range(words)])
            root.write(RING.samples_index, words)
            for _ in range(rng.randrange(150)):
                await root.ctx.tick()
            root.write(RING.open, rng.choice([0, 99]))
            status = await rests(root)
            assert status == 1 << Status.RESTING
            assert await root.read(WHERE.session) == [0]
        await opened(root, 7)
        found.extend(await compute(root, samples))
        assert await root.read(WHERE.submitted, 3) == [30, 30, 0]

    simulate(host, busy=0.3, seed=words)
    assert [record[1:-1] for record in found] == answers(SHAPES["words"], samples)
    assert [record[0] for record in found] == list(range(1, 31))


def test_nothing_is_written_while_the_endpoint_rests():
    async def host(root):
        await opened(root, 3)
        await compute(root, random_samples(SHAPES["words"], 5, 0))
        root.write(RING.open, 0)
        await rests(root)
        seen = len(root.seen)
        root.write(RING.samples_index, 900)
        root.write(RING.results_index, 900)
        for _ in range(500):
            await root.ctx.tick()
        assert len(root.seen) == seen
        assert await root.read(RING.samples_index) == [0]

    simulate(host)


def test_describing_registers_stand_still_in_a_session():
    async def host(root):
        await opened(root, 3)
        root.write(RING.samples_low, 0x1234000)
        root.write(RING.results_mask, 7)
        assert await root.read(RING.samples_low) == [PLACES[0] & 0xffffffff]
        assert await root.read(RING.results_mask) == [1023]
        root.write(RING.open, 4)
        await rests(root)
        assert await root.read(WHERE.session) == [0]

    simulate(host)


@pytest.mark.parametrize("fault", ["refused", "poisoned", "late"])
def test_a_read_that_fails_ends_the_session(fault):
    """The host is told in the status block; the next session works."""
    samples = random_samples(SHAPES["words"], 40, 5)
    broken = True

    def answer(tlp):
        if not broken:
            return None
        if fault == "refused":
            return [completion(tlp, completer=HOST, status=CompletionStatus.UNSUPPORTED)]
        if fault == "poisoned":
            return [replace(part, poisoned=True) for part in root.parts(tlp)]
        return []

    async def host(root):
        nonlocal broken
        await opened(root, 1)
        root.write(RING.samples_index, 90)
        await root.until(lambda: root.words(PLACES[2], 2)[1])
        bit = {"refused": Status.REFUSED, "poisoned": Status.POISONED, "late": Status.LATE}[fault]
        assert root.words(PLACES[2], 2)[1] >> bit == 1
        assert (await root.read(WHERE.status))[0] >> bit == 1
        root.write(RING.open, 0)
        assert await rests(root) == 1 << Status.RESTING
        broken = False
        await opened(root, 2)
        records = await compute(root, samples)
        assert [record[1:-1] for record in records] == answers(SHAPES["words"], samples)

    root = Root(subject(SHAPES["words"], patience=256), base=BASE, answer=answer)
    root.run(host)


def test_completions_that_come_after_their_session():
    """They were given up, so the tags are used again, in another era."""
    samples = random_samples(SHAPES["words"], 40, 6)
    late = []

    async def host(root):
        await opened(root, 1)
        root.put(PLACES[0], [0xdead] * 90)
        root.write(RING.samples_index, 90)
        await root.until(lambda: root.words(PLACES[2], 2)[1])
        root.write(RING.open, 0)
        await rests(root)
        root.answer = None
        await opened(root, 2)
        root.requests.extend(part for parts in late for part in parts)
        records = await compute(root, samples)
        assert [record[1:-1] for record in records] == answers(SHAPES["words"], samples)
        assert (await root.read(WHERE.dropped))[0] == sum(map(len, late))

    def keep(tlp):
        late.append(list(root.parts(tlp)))
        return []

    root = Root(subject(SHAPES["words"], patience=256), base=BASE, answer=keep)
    root.run(host)


def test_requests_that_are_not_supported_get_an_answer():
    """And the endpoint goes on, whatever it was sent."""
    unsupported = [
        Tlp(Type.MEMORY_LOCKED, address=BAR, requester=HOST),
        Tlp(Type.IO, address=0x10, requester=HOST),
        Tlp(Type.IO, has_data=True, address=0x10, payload=[1], requester=HOST),
        Tlp(Type.CONFIG_0, requester=HOST), Tlp(Type.CONFIG_1, requester=HOST),
        Tlp(Type.FETCH_ADD, has_data=True, four=True, address=BAR, payload=[1], requester=HOST),
        Tlp(Type.COMPARE_AND_SWAP, has_data=True, address=BAR, length=2, payload=[1, 2],
            requester=HOST)]
    silent = [
        Tlp(0b10011, four=True, requester=HOST), Tlp(0b10100, has_data=True, payload=[1]),
        Tlp(0b11111), Tlp(Type.COMPLETION, requester=ENDPOINT, tag=3),
        Tlp(Type.COMPLETION, has_data=True, payload=[7], requester=0x4321, tag=3),
        memory_write(BAR + 4 * RING.interrupt, [1], poisoned=True),
        memory_write(BAR + 4 * RING.interrupt, [1], first_be=3)]
    broken = [[0], [0x4000_0001, 0xf], memory_write(BAR + 4 * RING.interrupt, [0, 0]).pack()[:-1],
              memory_read(BAR, 1).pack()[:2], memory_write(1 << 32, [1]).pack()[:4],
              [*memory_write(BAR, [3]).pack(), 5, 6, 7], [0x8000_0000, 1, 2, 3, 4]]

    async def host(root):
        for number, tlp in enumerate(unsupported):
            root.requests.extend(silent)
            root.requests.extend(broken)
            answer = await root.ask(replace(tlp, tag=number + 100, tc=number, attr=number % 4))
            locked = tlp.tlp_type is Type.MEMORY_LOCKED
            assert answer == Tlp(
                Type.COMPLETION_LOCKED if locked else Type.COMPLETION, length=1024,
                tag=number + 100, tc=number, attr=number % 4, requester=HOST, completer=ENDPOINT,
                status=CompletionStatus.UNSUPPORTED, count=4, first_be=0)
        aborted = await root.ask(memory_read(BAR, 33, tag=1, requester=HOST))
        assert (aborted.status, aborted.has_data) == (CompletionStatus.ABORT, False)
        assert await root.read(RING.interrupt) == [0]
        assert (await root.read(0))[0] == MAGIC
        good, poisoned, dropped = await root.read(WHERE.frames, 3)
        assert poisoned == len(unsupported)
        # A write of a part of a word is a good packet without effect.
        assert good >= 3 + len(unsupported)
        assert dropped == len(unsupported) * (len(silent) - 1 + len(broken) - 1 + 1)

    simulate(host)


@pytest.mark.parametrize("first", range(16))
def test_byte_enables_of_a_read(first):
    async def host(root):
        for length, last in ((1, 0), (2, 0xf), (3, 0x1), (32, 0x7)):
            tlp = memory_read(BAR + 0x40, length, tag=9, first_be=first, last_be=last)
            if length > 1 and not first:
                continue
            answer = await root.ask(tlp)
            assert (answer.count, answer.address & 3) == byte_count(length, first, last)
            assert len(answer.payload) == length

    simulate(host)


def test_an_interrupt_does_not_overtake_the_status_block():
    async def host(root):
        early = []
        await opened(root, 3, interrupt=1)
        root.put(PLACES[0], [1] * WHERE.input_words)
        root.busy = 0.9
        root.write(RING.samples_index, WHERE.input_words)
        while not root.words(PLACES[2], 1)[0]:
            early.append(root.ctx.get(root.link.interrupt))
            await root.ctx.tick()
        assert not any(early)
        await root.until(lambda: root.ctx.get(root.link.interrupt))

    simulate(host)


@pytest.mark.parametrize("interrupt", [0, 1])
def test_interrupts(interrupt):
    async def host(root):
        await opened(root, 3, interrupt=interrupt)
        await compute(root, random_samples(SHAPES["words"], 2, 0))
        for _ in range(20):
            await root.ctx.tick()
        assert root.ctx.get(root.link.interrupt) == interrupt
        root.ctx.set(root.link.interrupt_taken, 1)
        await root.ctx.tick()
        root.ctx.set(root.link.interrupt_taken, 0)
        assert not root.ctx.get(root.link.interrupt)

    simulate(host)


def test_no_request_without_bus_master():
    async def host(root):
        root.ctx.set(root.link.bus_master, 0)
        await opened(root, 3)
        root.write(RING.samples_index, 90)
        for _ in range(300):
            await root.ctx.tick()
        assert all(tlp.answers for tlp in root.seen)
        root.ctx.set(root.link.bus_master, 1)
        await root.until(lambda: root.words(PLACES[2], 1)[0] == 90 // 9 * WHERE.result_words)

    simulate(host)


@pytest.mark.parametrize("code", [0, 1, 2, 5])
def test_bursts(code):
    """Reads and writes are as long as they may be, and none is longer."""
    shape = SHAPES["large"]
    samples = random_samples(shape, 8, code)

    async def host(root):
        root.ctx.set(root.link.max_read, code)
        root.ctx.set(root.link.max_payload, code)
        await root.open(3, samples=PLACES[0], results=PLACES[1], block=PLACES[2])
        await stream(root, samples, PLACES, record=register_map(shape).result_words)

    root = Root(subject(shape), base=BASE)
    root.run(host)
    reads = [tlp.length for tlp in root.seen if not tlp.has_data]
    assert max(reads) == min(32 << code, 128)
    assert sum(reads) == sum(map(len, samples))


def test_answers_that_are_missing_are_pending():
    """A host may wait for them before it resets a function."""
    answered = False

    async def host(root):
        nonlocal answered
        await opened(root, 3)
        assert not root.ctx.get(root.link.pending)
        root.write(RING.samples_index, WHERE.input_words)
        await root.until(lambda: any(not tlp.has_data for tlp in root.seen))
        assert root.ctx.get(root.link.pending)
        answered = True
        root.answers.append(deque(root.parts(root.seen[-1])))
        await root.until(lambda: not root.ctx.get(root.link.pending))

    simulate(host, answer=lambda tlp: None if answered else [])


@pytest.mark.parametrize("offset", [4, 0x7c, 0x1fc, 0xffc])
def test_no_access_crosses_a_page_whatever_a_host_writes(offset):
    """``Root`` looks at each."""
    async def host(root):
        root.ctx.set(root.link.max_payload, 2)
        root.ctx.set(root.link.max_read, 2)
        await root.open(3, samples=PLACES[0] + offset, results=PLACES[1] + offset,
                        block=PLACES[2] + offset, mask=0x5a)
        root.write(RING.results_index, 1000)
        root.write(RING.samples_index, 1000)
        for _ in range(5_000):
            await root.ctx.tick()
        assert any(tlp.has_data and tlp.length == 2 for tlp in root.seen)
        assert max(tlp.length for tlp in root.seen if not tlp.has_data) == 128

    simulate(host)


def test_requests_are_held_back_while_many_wait():
    """While answers can't leave, no more than a few requests are taken from the link."""
    async def host(root):
        root.busy = 1.0
        for tag in range(20):
            root.requests.append(memory_read(BAR, 1, tag=tag, requester=HOST))
        for _ in range(300):
            await root.ctx.tick()
        assert not root.ctx.get(root.link.non_posted_ok)
        root.busy = 0.0
        await root.until(lambda: len(root.completions) == 20)
        assert root.ctx.get(root.link.non_posted_ok)

    simulate(host)
