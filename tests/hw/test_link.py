# amaranth: UnusedElaboratable=no
import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from gen.verilator import verilate
from gen.verilog import component_verilog
from hw import slip
from hw.device import Device, DeviceModel
from hw.link import Link, Model, Op, Status
from hw.registers import MAGIC, MAX_WORDS, RegisterMap

from .standin import DIGEST, StandIn, config, logits
from .streams import STALLS, run

CONFIG = config()
CLOCK_HZ = 100_000_000
CYCLES = 15
"""Of the stand-in: nine beats, then three, between which the collector takes two clocks each."""


def request(seq, op, addr, count, words=()):
    frame = struct.pack("<BBHB", seq, op, addr, count) + struct.pack(f"<{len(words)}I", *words)
    return frame + struct.pack("<I", zlib.crc32(frame))


def read(seq, addr, count):
    return request(seq, Op.READ.value, addr, count)


def write(seq, addr, words):
    return request(seq, Op.WRITE.value, addr, len(words), words)


def framed(frame):
    return slip.Encoder.model([(0, 1, 0), *((byte, 0, 0) for byte in frame), (0, 1, 0)])


def symbols(octets):
    return [(byte, 0) for byte in octets]


def answer(octets):
    """The one frame in ``octets``: seq, op, addr, count, words."""
    tokens = slip.Decoder.model(symbols(octets))
    frame = bytes(byte for byte, end, _ in tokens if not end)
    assert int.from_bytes(frame[-4:], "little") == zlib.crc32(frame[:-4])
    words = struct.unpack(f"<{len(frame) // 4 - 2}I", frame[5:-4])
    return *struct.unpack("<BBHB", frame[:5]), words


class Reference:
    """The device in integers: received symbols in, sent bytes out."""

    def __init__(self):
        self.target = DeviceModel(CONFIG, lambda beats: (logits(CONFIG, beats), CYCLES),
                                  digest=DIGEST, clock_hz=CLOCK_HZ)
        self.link = self.target.link = Model(self.target.registers, self.target)

    def feed(self, symbols):
        # Tokens of a frame may be spread over calls, but an escape is not: chunks end with an END.
        return slip.Encoder.model(self.link.feed(slip.Decoder.model(symbols)))


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Chunks of symbols to the bytes that the Verilated device sends after each."""
    device = Device(StandIn(CONFIG), CONFIG, digest=DIGEST, clock_hz=CLOCK_HZ)
    folder = tmp_path_factory.mktemp("device")
    program = verilate(component_verilog(device, "top"), "top",
                       Path(__file__).with_name("bytes_harness.cpp"), folder,
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


def identical(board, chunks):
    """Feeds device and model alike; returns the answers."""
    reference = Reference()
    answers = board(chunks)
    for k, (chunk, sent) in enumerate(zip(chunks, answers, strict=True)):
        assert sent == reference.feed(chunk), f"chunk {k}: {chunk}"
    return answers


MAP = DeviceModel(CONFIG, None, digest=DIGEST, clock_hz=CLOCK_HZ).registers


def test_identity(board):
    (sent,) = identical(board, [symbols(framed(read(7, 0, 20)))])
    seq, op, addr, count, words = answer(sent)
    assert (seq, op, addr, count) == (7, 0x81, 0, 20)
    assert words[:2] == (MAGIC, 1)
    assert struct.pack("<8I", *words[2:10]).hex() == DIGEST
    assert words[10:] == (CLOCK_HZ, 1, 0, 0, 0, 0, 0, 0, MAP.input_words, 5)


def test_a_sample(board):
    beats = [k << 13 | 5 for k in range(9)]
    frames = [write(1, MAP.input, beats[:4]), write(2, MAP.input + 4, [*beats[4:], 1]),
              read(3, MAP.result, 7), read(4, MAP.submitted, 4)]
    sent = identical(board, [symbols(framed(frame)) for frame in frames])
    assert [answer(octets)[1] for octets in sent] == [0x82, 0x82, 0x81, 0x81]
    words = answer(sent[2])[4]
    assert words == (1, CYCLES, *(value & 0xffffffff for value in logits(CONFIG, beats)))
    assert answer(sent[3])[4] == (1, 1, CYCLES, 0)


def test_repetition_does_no_harm(board):
    first, second = [1] * 9, [2] * 9
    frames = [write(1, MAP.input, [*first, 1]), write(2, MAP.input, [*first, 1]),
              write(3, MAP.input, [*second, 2]), write(4, MAP.submit, [2]), read(5, MAP.result, 3)]
    sent = identical(board, [symbols(framed(frame)) for frame in frames])
    assert [answer(octets)[1] >> 4 for octets in sent] == [8] * 5
    assert answer(sent[-1])[4] == (2, CYCLES, 2 * 9 - 1000 & 0xffffffff)


def test_only_the_next_sample_starts(board):
    frames = [write(n & 255, MAP.submit, [n]) for n in (0, 2, 1, 3, 0xffffffff, 0, 2)]
    sent = identical(board, [symbols(framed(frame)) for frame in frames])
    statuses = [Status(answer(octets)[1] >> 4 & 7) for octets in sent]
    order, ok = Status.ORDER, Status.OK
    assert statuses == [ok, order, ok, order, order, order, ok]


@pytest.mark.parametrize("frame, status", ids=range(13), argvalues=[
    (request(1, 3, 0, 1), Status.UNKNOWN),
    (request(1, 0xff, 0, 60), Status.UNKNOWN),
    (read(1, 0, 0), Status.RANGE),
    (read(1, 0, 21), Status.RANGE),
    (read(1, 20, 1), Status.RANGE),
    (read(1, 0xffff, 255), Status.RANGE),
    (read(1, MAP.input, 1), Status.RANGE),
    (read(1, MAP.result, 8), Status.RANGE),
    (write(1, 0, [5]), Status.RANGE),
    (write(1, MAP.input, [0] * 11), Status.RANGE),
    (write(1, MAP.submit + 1, [0]), Status.RANGE),
    (write(1, MAP.result, [0]), Status.RANGE),
    (write(1, MAP.input, [0] * MAX_WORDS), Status.RANGE),
])
def test_refusals(board, frame, status):
    sent, state = identical(board, [symbols(framed(frame)), symbols(framed(read(9, 11, 4)))])
    seq, op, addr, count, words = answer(sent)
    assert (seq, op >> 4, words) == (1, 8 | status.value, ())
    assert (addr, count) == (int.from_bytes(frame[2:4], "little"), frame[4])
    assert answer(state)[4] == (2, 0, 0, 0)


@pytest.mark.parametrize("frame, counts", ids=range(8), argvalues=[
    (read(1, 0, 1)[:-5], (1, 0, 1)),
    (b"\x01", (1, 0, 1)),
    (read(1, 0, 1)[:-1] + b"\x55", (1, 1, 0)),
    (request(1, 1, 0, 1, [5]), (1, 0, 1)),
    (request(1, 2, MAP.input, 2, [5]), (1, 0, 1)),
    (request(1, 2, MAP.input, 60, [5] * 61), (1, 0, 1)),
    (bytes(5000), (1, 0, 1)),
    (b"", (1, 0, 0)),
])
def test_damaged_frames_are_dropped(board, frame, counts):
    sent, state = identical(board, [symbols(framed(frame)), symbols(framed(read(9, 11, 4)))])
    assert sent == b""
    assert answer(state)[4] == (*counts, 0)


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
        wire = bytearray(framed(request(rng.randrange(256), rng.choice([1, 2]), rng.choice(
            [0, MAP.input, MAP.result]), rng.randrange(256), [7] * rng.randrange(5))))
    elif kind == 7:
        wire = bytearray(framed(request(rng.randrange(256), rng.randrange(3, 256),
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
    chunks, expected, sample = [], [], 0
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
            chunks.append(symbols(framed(read(2, MAP.result, 7))))
            result = [value & 0xffffffff for value in logits(CONFIG, good)]
            expected += [(1, 0x82, MAP.input, 10, ()),
                         (2, 0x81, MAP.result, 7, (sample, CYCLES, *result))]
    sent = identical(board, chunks)
    for octets, right in zip(sent, expected, strict=True):
        assert right is None or answer(octets) == right


@pytest.mark.parametrize("stalls", STALLS)
def test_stalls(stalls):
    frames = [read(1, 0, 3), b"", write(2, MAP.input, [1, 2, 3]), read(3, 0, 99), b"\xc0 junk",
              write(4, MAP.input, [0] * MAX_WORDS), request(5, 77, 0, 0)]
    tokens = [token for frame in frames for token in (*((b, 0, 0) for b in frame), (0, 1, 0))]
    tokens[3:3] = [(0, 1, 0), (5, 0, 1), (0, 1, 0)]

    class Target:
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
    with pytest.raises(ValueError, match=r"^digest must be 64 hexadecimal digits in lower case, "
                                         r"not 'AB'$"):
        Device(StandIn(CONFIG), CONFIG, digest="AB", clock_hz=1)
    with pytest.raises(ValueError, match=r"^clock_hz must be a positive integer of 32 bits, "
                                         r"not 0$"):
        Device(StandIn(CONFIG), CONFIG, digest=DIGEST, clock_hz=0)
    with pytest.raises(TypeError, match=r"^config must be an ArrayConfig, not 7$"):
        Device(StandIn(CONFIG), 7, digest=DIGEST, clock_hz=1)
    with pytest.raises(ValueError, match=r"^input_words and classes must be at least 1$"):
        RegisterMap(0, 1)
    with pytest.raises(ValueError, match=r"^input_words must be a non-negative integer, not '3'$"):
        RegisterMap("3", 1)
    with pytest.raises(ValueError, match=r"^an input of 61440 words and 10 logits don't fit 16-bit "
                                         r"addresses$"):
        RegisterMap(0xf000, 10)
