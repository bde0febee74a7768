# amaranth: UnusedElaboratable=no
import random
import struct
import subprocess
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gen.build.verilog import component_verilog
from gen.verify.verilator import verilate
from hw import slip
from hw.bus import Status
from hw.device import Device, DeviceModel, register_map
from hw.link import ByteLink, Link, Model, Op
from hw.mailbox import Counters, MailboxModel
from hw.registers import MAGIC, MAX_WORDS, RegisterMap
from hw.uart import Symbol

from .standin import DIGEST, StandIn, config, logits
from .streams import STALLS, run

CONFIG = config()
MAP = register_map(CONFIG)
STEPS = replace(MAP, most_timesteps=7)
"""The same, but a host may choose the time-steps."""

CLOCK_HZ = 100_000_000
CYCLES = 15
"""Of the stand-in: nine beats, then three, between which the collector takes two clocks each."""


SESSION = 0xc0dbdcdd
"""Of the host that these tests play."""


def request(seq, op, addr, count, words=(), session=SESSION):
    frame = struct.pack("<BBHBI", seq, op, addr, count, session)
    frame += struct.pack(f"<{len(words)}I", *words)
    return frame + struct.pack("<I", zlib.crc32(frame))


def read(seq, addr, count, session=SESSION):
    return request(seq, Op.READ.value, addr, count, session=session)


def write(seq, addr, words, session=SESSION):
    return request(seq, Op.WRITE.value, addr, len(words), words, session)


def exchange(seq, addr, words, session=SESSION):
    return request(seq, Op.EXCHANGE.value, addr, len(words), words, session)


def opening(session=SESSION):
    return write(0, MAP.open, [session], session)


def framed(frame):
    return slip.Encoder.model([(0, 1, 0), *((byte, 0, 0) for byte in frame), (0, 1, 0)])


def symbols(octets):
    return [(byte, 0) for byte in octets]


def answer(octets):
    """The one frame in ``octets``: seq, op, addr, count, session, words."""
    tokens = slip.Decoder.model(symbols(octets))
    frame = bytes(byte for byte, end, _ in tokens if not end)
    assert int.from_bytes(frame[-4:], "little") == zlib.crc32(frame[:-4])
    words = struct.unpack(f"<{len(frame) // 4 - 3}I", frame[9:-4])
    return *struct.unpack("<BBHBI", frame[:9]), words


def statuses(sent):
    return [Status(answer(octets)[1] >> 4 & 7) for octets in sent]


class Reference:
    """The device in integers: received symbols in, sent bytes out."""

    def __init__(self, registers=MAP):
        device = DeviceModel(CONFIG, lambda beats, _: (logits(CONFIG, beats), 0, CYCLES),
                             digest=DIGEST, clock_hz=CLOCK_HZ)
        device.registers = registers
        self.link = Model(device.registers, MailboxModel(device))

    def feed(self, symbols):
        # Tokens of a frame may be spread over calls, but an escape is not: chunks end with an END.
        return slip.Encoder.model(self.link.feed(slip.Decoder.model(symbols)))


class Bytes(wiring.Component):
    """A device behind its link: received bytes in, bytes to be sent out."""

    i: In(stream.Signature(Symbol))
    o: Out(stream.Signature(8))

    def __init__(self, registers=MAP):
        self._registers = registers
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = Device(StandIn(CONFIG), CONFIG, digest=DIGEST,
                                              clock_hz=CLOCK_HZ)
        m.submodules.link = link = ByteLink(self._registers)
        connect(m, flipped(self.i), link.i)
        connect(m, link.o, flipped(self.o))
        connect(m, link.samples, device.i)
        connect(m, device.o, link.results)
        connect(m, link.device, device.bus)
        return m


def verilated(registers):
    """A function of chunks of symbols to the bytes that the device sends after each."""
    program = verilate(component_verilog(Bytes(registers), "top"), "top",
                       Path(__file__).with_name("bytes_harness.cpp"),
                       options=("-Wno-lint", "-Wno-fatal"))

    def feed(chunks):
        data = b"".join(struct.pack("<H", len(chunk)) + bytes(v for pair in chunk for v in pair)
                        for chunk in chunks)
        out = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout
        answers = []
        while out:
            (size,) = struct.unpack_from("<I", out)
            answers.append(out[4:4 + size])
            out = out[4 + size:]
        return answers
    return feed


@pytest.fixture(scope="module")
def board():
    return verilated(MAP)


@pytest.fixture(scope="module")
def stepping_board():
    return verilated(STEPS)


def identical(board, chunks, registers=MAP):
    """Feeds device and model alike; returns the answers."""
    reference = Reference(registers)
    answers = board(chunks)
    for k, (chunk, sent) in enumerate(zip(chunks, answers, strict=True)):
        assert sent == reference.feed(chunk), f"chunk {k}: {chunk}"
    return answers


def test_identity(board):
    (sent,) = identical(board, [symbols(framed(read(7, 0, 20)))])
    seq, op, addr, count, session, words = answer(sent)
    assert (seq, op, addr, count, session) == (7, 0x81, 0, 20, SESSION)
    assert words[:2] == (MAGIC, 3)
    assert struct.pack("<8I", *words[2:10]).hex() == DIGEST
    assert words[10:] == (CLOCK_HZ, 1, 0, 0, 0, 0, 0, MAP.input_words, 5, 0)


def ask(board, frames, registers=MAP):
    """What the device answers to frames, from its reset on."""
    return identical(board, [symbols(framed(frame)) for frame in frames], registers)


def test_a_sample(board):
    beats = [k << 13 | 5 for k in range(9)]
    _, *sent = ask(board, [
        opening(), write(1, MAP.input, beats[:4]), write(2, MAP.input + 4, [*beats[4:], 1]),
        read(3, MAP.slot(1), 7), read(4, MAP.submitted, 6)])
    assert [answer(octets)[1] for octets in sent] == [0x82, 0x82, 0x81, 0x81]
    words = answer(sent[2])[5]
    assert words == (1, CYCLES, *(value & 0xffffffff for value in logits(CONFIG, beats)))
    assert answer(sent[3])[5] == (1, 1, 0, MAP.input_words, 5, SESSION)


def test_repetition_does_no_harm(board):
    first, second = [1] * 9, [2] * 9
    sent = ask(board, [
        opening(), opening(), write(1, MAP.input, [*first, 1]), write(2, MAP.input, [*first, 1]),
        write(3, MAP.input, second[:4]), write(4, MAP.input, second[:4]),
        write(5, MAP.input + 4, [*second[4:], 2]), write(6, MAP.input + 4, [*second[4:], 2]),
        write(7, MAP.submit, [2]), read(8, MAP.slot(2), 3)])
    assert statuses(sent) == [Status.OK] * 10
    assert answer(sent[-1])[5] == (2, CYCLES, 2 * 9 - 1000 & 0xffffffff)


def test_only_the_next_sample_starts(board):
    numbers = (0, 2, 1, 3, 0xffffffff, 0x10001, 0, 2, 0xfffe, 0xffff)
    sent = ask(board, [opening(), *(write(n & 255, MAP.input, [*range(9), n])
                                         for n in numbers)])
    order, ok = Status.ORDER, Status.OK
    assert statuses(sent)[1:] == [ok, order, ok, order, order, order, ok, ok, order, ok]


def test_the_time_steps_are_written_and_not_exchanged(stepping_board):
    where = STEPS.timesteps
    sent = ask(stepping_board, [
        write(1, where, [3]), opening(), write(2, where, [7]), write(3, where, [8]),
        write(4, where, [0]), exchange(5, where, [3]), exchange(6, where, [3], SESSION + 1),
        write(7, where, [3, 4]), exchange(8, MAP.input, [*range(9), 1])], STEPS)
    ok, wrong = Status.OK, Status.RANGE
    assert statuses(sent) == [Status.SESSION, ok, ok, wrong, wrong, wrong, wrong, wrong, ok]


def test_without_a_session_nothing_starts(board):
    sent = ask(board, [
        write(1, MAP.input, [*range(9), 1]), write(2, MAP.submit, [0], 0), read(3, MAP.slot(1), 7),
        read(4, MAP.submitted, 2)])
    assert statuses(sent) == [Status.SESSION] * 3 + [Status.OK]
    assert answer(sent[-1])[5] == (0, 0)


def test_the_newest_session_wins(board):
    sent = ask(board, [
        opening(7), write(1, MAP.input, [*[1] * 9, 1], 7), opening(8),
        read(2, MAP.slot(1), 7, 7), write(3, MAP.submit, [2], 8), write(4, MAP.submit, [3], 8),
        exchange(5, MAP.input, [*[2] * 9, 2], 7), write(6, MAP.input, [*[3] * 9, 2], 8),
        read(7, MAP.slot(2), 3, 8), read(8, MAP.slot(2), 3, 7), read(9, MAP.session, 1, 7)])
    ok, other = Status.OK, Status.SESSION
    assert statuses(sent) == [ok, ok, ok, other, Status.INCOMPLETE, Status.ORDER, other, ok, ok,
                              other, ok]
    assert answer(sent[8])[5] == (2, CYCLES, 3 * 9 - 1000 & 0xffffffff)
    assert answer(sent[10])[4:] == (7, (8,))


def test_a_sample_starts_only_if_all_of_it_was_written(board):
    sent = ask(board, [
        opening(), write(1, MAP.submit, [1]), write(2, MAP.input + 1, [5]),
        write(3, MAP.input, [1] * 8), write(4, MAP.submit, [1]), write(5, MAP.input + 8, [1, 1]),
        # What is left of the sample before is no part of the next one.
        write(6, MAP.submit, [2]), write(7, MAP.input + 4, [2] * 5), write(8, MAP.input, [2] * 4),
        write(9, MAP.input + 5, [2] * 4), write(10, MAP.input + 4, [2] * 5),
        # Words after one that was written again are to be written again, too.
        write(11, MAP.input + 2, [2]), write(12, MAP.submit, [2]),
        write(13, MAP.input + 3, [*[2] * 6, 2]), read(14, MAP.slot(2), 3),
        # Nor is what comes with a number for the second time, or of an older session.
        write(15, MAP.input, [*[3] * 9, 2]), write(16, MAP.submit, [3]),
        write(17, MAP.input, [4] * 9), opening(), write(18, MAP.submit, [3])])
    ok, incomplete = Status.OK, Status.INCOMPLETE
    assert statuses(sent) == [ok, incomplete, incomplete, ok, incomplete, ok, incomplete,
                              incomplete, ok, incomplete, ok, ok, incomplete, ok, ok, ok,
                              incomplete, ok, ok, incomplete]
    assert answer(sent[14])[5] == (2, CYCLES, 2 * 9 - 1000 & 0xffffffff)


def test_an_exchange_gives_the_result_of_the_sample_before(board):
    def result(sample):
        return (sample, CYCLES, *(value & 0xffffffff for value in logits(CONFIG, [sample] * 9)))

    sent = ask(board, [
        opening(), *(exchange(n, MAP.input, [*[n] * 9, n]) for n in (1, 2, 3)),
        exchange(4, MAP.input, [*[7] * 9, 2]), exchange(5, MAP.submit, [5]),
        read(6, MAP.slot(3), 7)])
    answers = [answer(octets)[5] for octets in sent]
    assert [a[1:] for a in answers[2:4]] == [result(1)[1:], result(2)[1:]]
    assert [a[0] for a in answers[2:4]] == [2, 3]
    # Once more, and nothing else happens.
    assert answers[4] == (3, *result(1)[1:])
    assert statuses(sent[5:6]) == [Status.ORDER]
    assert answers[5] == ()
    assert answers[6] == result(3)


def test_requests_that_come_while_others_are_answered(board):
    rng = random.Random(3)
    requests = [opening()]
    for number in range(1, 201):
        words = [rng.getrandbits(20) for _ in range(9)]
        requests += [write(rng.randrange(256), MAP.input, words[:5]),
                     exchange(rng.randrange(256), MAP.input + 5, [*words[5:], number]),
                     read(rng.randrange(256), 0, 11), read(rng.randrange(256), MAP.slot(number), 7)]
    identical(board, [symbols(b"".join(map(framed, requests)))])


class Host:
    """A host that may write any part of its image at any time, and submit it too early."""

    def __init__(self, rng, session):
        self._rng, self.session = rng, session
        self.checked = set()
        self._begin()

    def _begin(self, *_):
        self.number, self._submitted, self.image = None, {}, self._draw()

    def _know(self, _, words):
        self.number = (words[0] + 1) & 0xffff

    def _draw(self):
        return [self._rng.getrandbits(20) for _ in range(9)]

    def request(self):
        """A frame, and what to do with the status and the words of its answer."""
        (kind,) = self._rng.choices(["open", "fill", "submit", "read"], [1, 24, 8, 8])
        if kind == "open":
            return opening(self.session), self._begin
        if self.number is None:
            return read(3, MAP.submitted, 1), self._know
        if kind == "read":
            number = self.number - self._rng.randrange(1, 4) & 0xffff
            return read(1, MAP.slot(number), 7, self.session), partial(self._check, number)
        start = self._rng.choice([0, 0, self._rng.randrange(9)])
        stop = 9 if kind == "submit" else self._rng.randrange(start, 9) + 1
        if kind != "submit":
            return write(2, MAP.input + start, self.image[start:stop],
                         self.session), lambda *_: None
        # Now and then a number that the device knows already, with another image.
        number = self.number - self._rng.choice([0, 0, 0, 1, 2, 3]) & 0xffff
        ask = self._rng.choice([write, exchange])
        frame = ask(2, MAP.input + start, [*self.image[start:stop], number], self.session)
        return frame, partial(self._submit, number)

    def _submit(self, number, status, words):
        if status == Status.OK and number == self.number:
            self._submitted[number] = logits(CONFIG, self.image)
            self.number, self.image = (number + 1) & 0xffff, self._draw()
        if words:
            self._check(number - 1 & 0xffff, status, words)

    def _check(self, number, status, words):
        """A result is that of the sample, if it was this host's."""
        if status == Status.OK and number in self._submitted:
            last, _, *found = words
            assert (last - number) & 0xffff < 4
            assert found == [value & 0xffffffff for value in self._submitted[number]]
            self.checked.add(tuple(found))


def test_hosts_that_do_as_they_please_get_answers_to_their_own_images_only(board):
    rng = random.Random(7)
    hosts = [Host(rng, session) for session in (1, 0xffffffff, 0xdbc0)]
    reference, frames, host = Reference(), [], hosts[0]
    for _ in range(6000):
        if rng.random() < 0.1:
            host = rng.choice(hosts)
        frame, then = host.request()
        frames.append(symbols(framed(frame)))
        sent = reference.feed(frames[-1])
        then(*statuses([sent]), answer(sent)[5])
    assert all(len(host.checked) > 20 for host in hosts)
    identical(board, frames)


@pytest.mark.parametrize("frame, status", ids=range(21), argvalues=[
    (request(1, 4, 0, 1), Status.UNKNOWN),
    (request(1, 0xff, 0, 60), Status.UNKNOWN),
    (read(1, 0, 0), Status.RANGE),
    (read(1, 0, 21), Status.RANGE),
    (read(1, 20, 1), Status.RANGE),
    (read(1, MAP.open, 1), Status.RANGE),
    (write(1, MAP.open, [1, 2]), Status.RANGE),
    (read(1, 0xffff, 255), Status.RANGE),
    (read(1, MAP.input, 1), Status.RANGE),
    (read(1, MAP.slot(3), 8), Status.RANGE),
    (write(1, 0, [5]), Status.RANGE),
    (write(1, MAP.input, [0] * 11), Status.RANGE),
    (write(1, MAP.submit + 1, [0]), Status.RANGE),
    (write(1, MAP.result, [0]), Status.RANGE),
    (write(1, MAP.input, [0] * MAX_WORDS), Status.RANGE),
    (read(1, MAP.slot(0) + 7, 1), Status.RANGE),
    (read(1, MAP.slot(3) + MAP.stride, 1), Status.RANGE),
    (read(1, MAP.slot(3) + 6, 1), Status.SESSION),
    (exchange(1, MAP.open, [5]), Status.RANGE),
    (exchange(1, MAP.result, [5]), Status.RANGE),
    (exchange(1, MAP.submit, [1]), Status.SESSION),
])
def test_refusals(board, frame, status):
    sent, state = identical(board, [symbols(framed(frame)), symbols(framed(read(9, 11, 4)))])
    seq, op, addr, count, _, words = answer(sent)
    assert (seq, op >> 4, words) == (1, 8 | status.value, ())
    assert (addr, count) == (int.from_bytes(frame[2:4], "little"), frame[4])
    assert answer(state)[5] == (2, 0, 0, 0)


@pytest.mark.parametrize("frame, counts", ids=range(9), argvalues=[
    (read(1, 0, 1)[:-5], (1, 0, 1)),
    (b"\x01", (1, 0, 1)),
    (read(1, 0, 1)[:-1] + b"\x55", (1, 1, 0)),
    (request(1, 1, 0, 1, [5]), (1, 0, 1)),
    (request(1, 2, MAP.input, 2, [5]), (1, 0, 1)),
    (request(1, 3, MAP.input, 2, [5]), (1, 0, 1)),
    (request(1, 2, MAP.input, 60, [5] * 61), (1, 0, 1)),
    (bytes(5000), (1, 0, 1)),
    (b"", (1, 0, 0)),
])
def test_damaged_frames_are_dropped(board, frame, counts):
    sent, state = identical(board, [symbols(framed(frame)), symbols(framed(read(9, 11, 4)))])
    assert sent == b""
    assert answer(state)[5] == (*counts, 0)


def mutated(rng, frame):
    """A damaged ``frame``, garbage, or a good frame that asks for nonsense, as symbols."""
    wire = bytearray(framed(frame))
    kind = rng.randrange(10)
    if kind == 0:
        for _ in range(rng.randrange(1, 4)):
            wire[rng.randrange(len(wire))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        wire = wire[:rng.randrange(len(wire))]
    elif kind == 2:
        at = rng.randrange(1, len(wire))
        wire[at:at] = wire[at - 1:at - 1 + rng.randrange(1, 9)]
    elif kind == 3:
        wire = bytearray(rng.randbytes(rng.randrange(60)))
    elif kind == 4:
        wire = bytearray([slip.END] * rng.randrange(40))
    elif kind == 5:
        wire = wire[:-1] + rng.randbytes(rng.randrange(200, 400))
    elif kind == 6:
        wire = bytearray(framed(request(rng.randrange(256), rng.choice([1, 2, 3]), rng.choice(
            [0, MAP.input, MAP.result]), rng.randrange(256), [7] * rng.randrange(5))))
    elif kind == 7:
        wire = bytearray(framed(request(rng.randrange(256), rng.randrange(4, 256),
                                        rng.randrange(1 << 16), rng.randrange(256))))
    elif kind == 8:
        wire = bytearray(framed(read(rng.randrange(256), rng.randrange(1 << 16),
                                     rng.randrange(256))))
    else:
        del wire[rng.randrange(len(wire))]
    damage = [(byte, 0) for byte in wire]
    if damage and rng.random() < 0.2:
        at = rng.randrange(len(damage))
        damage[at] = (damage[at][0], 1)
    return [*damage, (slip.END, 0)]


def intact(symbols, frame):
    """Whether ``frame`` has survived, as after a mutation that only repeats its END."""
    tokens = slip.Decoder.model(symbols)
    whole = [(0, 1, 0), *((byte, 0, 0) for byte in frame), (0, 1, 0)]
    return any(([(0, 1, 0), *tokens])[k:k + len(whole)] == whole for k in range(len(tokens)))


def test_ten_thousand_bad_frames_between_good_ones(board):
    rng = random.Random(20)
    chunks, expected, sample = [symbols(framed(opening()))], [None], 0
    for turn in range(10_000):
        good = [rng.randrange(1 << 20) for _ in range(9)]
        frame = write(turn & 255, MAP.input, [*good, sample + 1])
        chunk = mutated(rng, frame)
        while intact(chunk, frame):
            chunk = mutated(rng, frame)
        chunks.append(chunk)
        expected.append(None)
        if turn % 10 == 9:
            sample += 1
            chunks.append(symbols(framed(write(1, MAP.input, [*good, sample]))))
            chunks.append(symbols(framed(read(2, MAP.slot(sample), 7))))
            result = [value & 0xffffffff for value in logits(CONFIG, good)]
            expected += [(1, 0x82, MAP.input, 10, SESSION, ()),
                         (2, 0x81, MAP.slot(sample), 7, SESSION, (sample, CYCLES, *result))]
    sent = identical(board, chunks)
    for octets, right in zip(sent, expected, strict=True):
        assert right is None or answer(octets) == right


@pytest.mark.parametrize("stalls", STALLS)
def test_stalls(stalls):
    frames = [read(1, 0, 3), b"", write(2, MAP.input, [1, 2, 3]), read(3, 0, 99), b"\xc0 junk",
              write(4, MAP.input, [0] * MAX_WORDS), request(5, 77, 0, 0),
              exchange(6, MAP.input, [1, 2])]
    tokens = [token for frame in frames for token in (*((b, 0, 0) for b in frame), (0, 1, 0))]
    tokens[3:3] = [(0, 1, 0), (5, 0, 1), (0, 1, 0)]

    class Target:
        counters = Counters()

        def owner(self, session):
            return False

        def read(self, addr):
            return 0

        def begin(self):
            pass

        def write(self, addr, value):
            return Status.OK

    dut = Link(RegisterMap(70, 5))
    right = Model(dut.registers, Target()).feed(tokens)
    packed = [{"data": byte, "end": end, "bad": bad} for byte, end, bad in tokens]
    sent, _ = run(dut, [(dut.i, packed)], [(dut.o, len(right))], stalls=stalls)
    assert sent == [byte | end << 8 for byte, end, _ in right]


def test_bad_parameters():
    with pytest.raises(TypeError, match=r"^registers must be a RegisterMap, not 5$"):
        Link(5)
    with pytest.raises(ValueError, match=r"^input_words and classes must be at least 1$"):
        RegisterMap(0, 1)
    with pytest.raises(ValueError, match=r"^input_words must be a non-negative integer, not '3'$"):
        RegisterMap("3", 1)
    assert RegisterMap(0xdfff, 10).slot(3) == 0xf030
    with pytest.raises(ValueError, match=r"^an input of 61,440 words and 10 logits don't fit the "
                                         r"link's 16-bit addresses$"):
        RegisterMap(0xf000, 10)
