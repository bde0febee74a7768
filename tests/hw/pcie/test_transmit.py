# amaranth: UnusedElaboratable=no
import random

import pytest

from hw.pcie.reads import BURST
from hw.pcie.tlp import DWORD, Tlp
from hw.pcie.transmit import ACCESS, Arbiter, Requester
from tests.hw.streams import STALLS, run


def split(found):
    """Packets of dwords, each with whether it is the last one."""
    dwords = []
    for each in found:
        dwords.append(each & 0xffffffff)
        if each >> 32:
            yield dwords
            dwords = []
    assert not dwords


@pytest.mark.parametrize("stalls", STALLS)
def test_requests(stalls):
    rng = random.Random(stalls)
    accesses, words, wanted = [], [], []
    for _ in range(40):
        length = rng.choice([1, 2, 31, BURST])
        address = rng.choice([0, 0x12_0000_0000]) + 4096 * rng.randrange(1 << 16)
        payload = [rng.getrandbits(32) for _ in range(length)] if rng.random() < 0.5 else None
        tag = 0 if payload else rng.getrandbits(8)
        accesses.append(ACCESS.const({"write": payload is not None, "address": address,
                                      "length": length, "tag": tag}))
        words += payload or []
        wanted.append(Requester.model(address, length, tag=tag, words=payload, requester=0x0100))
    dut = Requester()
    found, _ = run(dut, [(dut.i, accesses), (dut.words, words)],
                   [(dut.o, sum(len(tlp.pack()) for tlp in wanted))], stalls=stalls,
                   constants=[(dut.id, 0x0100)])
    assert [Tlp.unpack(dwords) for dwords in split(found)] == wanted


@pytest.mark.parametrize("stalls", STALLS)
def test_packets_stay_whole(stalls):
    """Those of each stream keep their order, and none is torn."""
    rng, dut = random.Random(stalls), Arbiter()
    sent = [[[whose << 31 | number << 8 | k for k in range(rng.randrange(1, 7))]
             for number in range(40)] for whose in range(2)]
    streams = [[DWORD.const({"data": dword, "last": k == len(packet) - 1})
                for packet in packets for k, dword in enumerate(packet)] for packets in sent]
    found, _ = run(dut, list(zip(dut.i, streams, strict=True)),
                   [(dut.o, sum(map(len, streams)))], stalls=stalls)
    packets = list(split(found))
    assert [packet for packet in packets if not packet[0] >> 31] == sent[0]
    assert [packet for packet in packets if packet[0] >> 31] == sent[1]


def test_the_first_stream_comes_first():
    dut = Arbiter()
    streams = [[DWORD.const({"data": whose, "last": 1})] * 5 for whose in range(2)]
    found, _ = run(dut, list(zip(dut.i, streams, strict=True)), [(dut.o, 10)])
    first = [each & 1 for each in found]
    assert first.index(1) > 0
    assert sum(first[:6]) <= 3
