"""The memory image: what is packed is unpacked, and nothing else is."""

import random
import re
import struct
import zlib

import pytest

from firmware.image import ImageError, Memory, pack, unpack

DIGEST = bytes(range(32))


def _cases():
    rng = random.Random(1)
    yield []
    yield [Memory("w", 1, (0, 1))]
    yield [Memory("empty", 9, ())]
    yield [Memory("wide", 3600, (0, (1 << 3600) - 1))]
    yield [Memory(f"l{n}", width, tuple(rng.getrandbits(width) for _ in range(depth)))
           for n, (width, depth) in enumerate([(7, 3), (8, 1), (9, 40), (64, 5), (513, 2)])]


CASES = list(_cases())


def sealed(body):
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize("memories", CASES, ids=len)
def test_round_trip(memories):
    assert unpack(pack(memories, digest=DIGEST)) == (DIGEST, tuple(memories))


def test_layout():
    data = pack([Memory("ab", 9, (0x1ff, 2))], digest=DIGEST)
    assert data == sealed(b"SPKLIMG\0\1\0\1\0" + DIGEST + b"\2ab\x09\0\0\0\2\0\0\0"
                          b"\xff\x01\x02\x00")


NAME = "a memory's name must be 1 to 255 letters, digits, dots and underscores"


@pytest.mark.parametrize("memory, message", [
    (("", 1, ()),       f"{NAME}, not ''"),
    (("a-b", 1, ()),    f"{NAME}, not 'a-b'"),
    (("a", 0, ()),      "a: width must be a positive integer, not 0"),
    (("a", 2, (0, 4)),  "a: row 1 must be an integer of 2 bits, not 4"),
    (("a", 2, (-1,)),   "a: row 0 must be an integer of 2 bits, not -1"),
    (("a", 2, (1.0,)),  "a: row 0 must be an integer of 2 bits, not 1.0"),
])
def test_memory_refused(memory, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        Memory(*memory)


def test_pack_refused():
    with pytest.raises(ImageError, match=r"^digest must be 32 bytes, not 3$"):
        pack([], digest=b"abc")
    with pytest.raises(ImageError, match=r"^two memories are named 'a'$"):
        pack([Memory("a", 1, ()), Memory("a", 2, ())], digest=DIGEST)


HEADER = b"SPKLIMG\0\1\0"
ONE = HEADER + b"\1\0" + bytes(32)


@pytest.mark.parametrize("data, message", [
    (b"",
     "an image must have at least 48 bytes, not 0"),
    (sealed(b"SPKLIMG\1" + bytes(36)),
     r"an image must begin with b'SPKLIMG\x00', not b'SPKLIMG\x01'"),
    (sealed(b"SPKLIMG\0\2\0" + bytes(34)),
     "image version must be 1, not 2"),
    (HEADER + bytes(38),
     "the image is damaged: its CRC does not match its contents"),
    (sealed(HEADER + bytes(35)),
     "the image must end after its last memory, not 1 bytes later"),
    (sealed(ONE),
     "the image is cut short: 1 bytes are missing at offset 44"),
    (sealed(ONE + b"\1a" + bytes(4) + b"\xff" * 4),
     "a: width must be a positive integer, not 0"),
    (sealed(ONE + b"\1a" + b"\xff" * 8),
     "the image is cut short: 2305843008676823040 bytes are missing at offset 54"),
    (sealed(ONE + b"\1a\1\0\0\0\1\0\0\0\2"),
     "a: row 0 must be an integer of 1 bits, not 2"),
])
def test_unpack_refused(data, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        unpack(data)


def test_truncated_everywhere():
    data = pack(CASES[-1], digest=DIGEST)
    for length in range(len(data)):
        with pytest.raises(ImageError):
            unpack(data[:length])


def test_every_bit_flipped():
    data = pack(CASES[1], digest=DIGEST)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ImageError):
            unpack(bytes(damaged))


def test_fuzzed_behind_a_good_crc():
    """Whatever is accepted packs to the very same bytes."""
    rng = random.Random(2)
    body = pack(CASES[-1][:3], digest=DIGEST)[:-4]
    accepted = 0
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        data = sealed(bytes(damaged))
        try:
            digest, memories = unpack(data)
        except ImageError:
            continue
        accepted += 1
        assert pack(memories, digest=digest) == data
    assert accepted
