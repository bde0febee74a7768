import random

import pytest

from host.frames import Answer, Decoder, Op, Status, encode, parse, request
from hw import bus, link, slip

CASES = [b"\x00", b"plain", b"\xc0", b"\xdb", b"\xdb\xc0\xdc\xdd", b"\xc0" * 9, b"\xdb\xdc" * 5,
         random.Random(1).randbytes(300)]


@pytest.mark.parametrize("frame", CASES, ids=range(len(CASES)))
def test_encode_is_what_the_gateware_expects(frame):
    tokens = [(0, 1, 0), *((byte, 0, 0) for byte in frame), (0, 1, 0)]
    assert encode(frame) == slip.Encoder.model(tokens)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_decode_in_pieces(size):
    line = b"\xff" + b"".join(encode(frame) for frame in CASES) + b"\x01"
    decoder, frames = Decoder(), []
    for start in range(0, len(line), size):
        frames += decoder.feed(line[start:start + size])
    assert frames == [b"\xff", *CASES]


@pytest.mark.parametrize("line", [b"\xc0\xdb\xc0", b"\xc0a\xdbb\xc0", b"\xc0\xdb\xdb\xdc\xc0",
                                  b"\xc0" * 50])
def test_wrong_escapes_and_empty_frames_are_left_out(line):
    assert Decoder().feed(line + encode(b"good")) == [b"good"]


def test_codes_are_those_of_the_gateware():
    assert {op.name: op.value for op in Op} == {op.name: op.value for op in link.Op}
    assert ({status.name: status.value for status in Status}
            == {status.name: status.value for status in bus.Status})


def answer(op=0x81, body=b"\x01\x02\x03\x04"):
    frame = bytes([7, op, 0x34, 0x12, 1, 4, 3, 2, 1]) + body
    return frame + request(7, op, 0x1234, 1, 0x01020304, [0x04030201] if body else [])[-4:]


def test_parse():
    assert parse(answer()) == Answer(7, Op.READ, Status.OK, 0x1234, 1, 0x01020304, (0x04030201,))
    assert parse(answer(0xb2, b"")) == Answer(7, Op.WRITE, Status.BUSY, 0x1234, 1, 0x01020304, ())


@pytest.mark.parametrize("length", range(17))
def test_parse_turns_down_what_is_cut_short(length):
    assert parse(answer()[:length]) is None


@pytest.mark.parametrize("bit", range(8 * 17))
def test_parse_turns_down_a_flipped_bit(bit):
    frame = bytearray(answer())
    frame[bit // 8] ^= 1 << bit % 8
    assert parse(bytes(frame)) is None


def test_parse_turns_down_requests():
    assert parse(request(1, Op.READ, 0, 1, 9)) is None
