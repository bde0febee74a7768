import random

import pytest

from hw.pcie.tlp import (
    CompletionStatus,
    Tlp,
    Type,
    byte_count,
    completion,
    memory_read,
    memory_write,
    swapped,
)


def test_headers_as_the_specification_draws_them():
    read = memory_read(0x12345678, 1, tag=0xab, requester=0x0108)
    assert read.pack() == [0x00000001, 0x0108ab0f, 0x12345678]
    read = memory_read(0x1_2345_6780, 32, tag=1, requester=0x0108)
    assert read.pack() == [0x20000020, 0x010801ff, 0x00000001, 0x23456780]
    write = memory_write(0x1000, [0x11223344, 5], requester=0x0200)
    assert write.pack() == [0x40000002, 0x020000ff, 0x00001000, 0x44332211, 0x05000000]
    answer = completion(read, [1, 2], completer=0x0008, count=128, address=0x40)
    assert answer.pack() == [0x4a000002, 0x00080080, 0x01080140, 0x01000000, 0x02000000]
    refused = completion(read, completer=0x0008, status=CompletionStatus.UNSUPPORTED)
    assert refused.pack()[:2] == [0x0a000000, 0x00082080]


def test_there_and_back():
    rng = random.Random(0)
    for _ in range(500):
        length = rng.choice([1, 2, 31, 1024])
        words = [rng.getrandbits(32) for _ in range(length)]
        address = rng.getrandbits(rng.choice([32, 48])) & ~3
        fields = {"requester": rng.getrandbits(16), "tc": rng.getrandbits(3),
                  "attr": rng.getrandbits(2), "poisoned": rng.random() < 0.1,
                  "digest": rng.random() < 0.1}
        read = memory_read(address, length, tag=rng.getrandbits(8), **fields)
        for tlp in (read, memory_write(address, words, **fields),
                    completion(read, words, completer=7, poisoned=fields["poisoned"]),
                    Tlp(Type.IO, requester=3, first_be=rng.getrandbits(4))):
            assert Tlp.unpack(tlp.pack()) == tlp
            with pytest.raises(ValueError, match=r"^a packet of \d+ dwords must not have \d+$"):
                Tlp.unpack([*tlp.pack(), 0])


@pytest.mark.parametrize("length, first, last, count, lead", [
    (1, 0xf, 0, 4, 0), (1, 0x1, 0, 1, 0), (1, 0x8, 0, 1, 3), (1, 0x6, 0, 2, 1), (1, 0, 0, 1, 0),
    (2, 0xf, 0xf, 8, 0), (2, 0x8, 0x1, 2, 3), (3, 0xc, 0x7, 9, 2), (1024, 0xf, 0xf, 4096, 0)])
def test_byte_count(length, first, last, count, lead):
    """Table 2-33 of the specification."""
    assert byte_count(length, first, last) == (count, lead)


def test_swapped():
    assert swapped(0x11223344) == 0x44332211
