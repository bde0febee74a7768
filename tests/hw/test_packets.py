# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.feeder import Word
from hw.packets import Answer, Packets, model
from hw.stream import Queue

from .streams import STALLS, run

RESULT = 3
"""Words of a result."""


class Echo(wiring.Component):
    """Packets in front of a device whose result is the sum of a sample, twice, and 99."""

    def __init__(self, packets, words):
        self._packets, self._words = packets, words
        super().__init__({"i": In(stream.Signature(Word)), "o": Out(stream.Signature(Answer)),
                          "samples": Out(stream.Signature(32))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.packets = packets = self._packets
        m.submodules.results = results = Queue(Word, depth=2)
        connect(m, flipped(self.i), packets.i)
        connect(m, packets.answers, flipped(self.o))
        connect(m, results.o, packets.results)
        total, left, sent = Signal(32), Signal(range(self._words + 1), init=self._words), Signal(2)
        m.d.comb += [
            self.samples.payload.eq(packets.o.payload),
            self.samples.valid.eq(packets.o.valid & (left != 0)),
            packets.o.ready.eq(self.samples.ready & (left != 0)),
            results.i.valid.eq(left == 0),
            results.i.p.last.eq(sent == RESULT - 1),
            results.i.p.data.eq(Mux(results.i.p.last, 99, total)),
        ]
        with m.If(packets.o.valid & packets.o.ready):
            m.d.sync += [total.eq(total + packets.o.payload), left.eq(left - 1)]
        with m.If(results.i.valid & results.i.ready):
            m.d.sync += sent.eq(sent + 1)
            with m.If(results.i.p.last):
                m.d.sync += [left.eq(self._words), total.eq(0), sent.eq(0)]
        return m


def on_the_wire(packets):
    return [{"data": word, "last": k == len(packet) - 1}
            for packet in packets for k, word in enumerate(packet)]


def check(packets, words, begins=None, stalls="none"):
    """Send packets; samples and answers have to be those of the model. How many are refused."""
    samples, refused = model(packets, words, begins)
    answers = [answer for sample, bad in zip(samples, refused, strict=True) for answer in (
        [0b11 << 32] if bad else [sum(sample) & 0xffffffff] * 2 + [99 | 1 << 32])]
    dut = Echo(Packets(words, ahead=2, begins=begins), words)
    found, given, *_ = run(dut, [(dut.i, on_the_wire(packets))], [
        (dut.samples, words * len(packets)), (dut.o, len(answers))], stalls=stalls, seed=words,
        convert=stalls == "none")
    assert found == [word for sample in samples for word in sample]
    assert given == answers
    return sum(refused)


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("words", [1, 2, 5])
def test_packets_of_any_length(words, stalls):
    rng = random.Random(words)
    check([[rng.getrandbits(32) for _ in range(rng.choice([words, words, rng.randint(1, 9)]))]
           for _ in range(30)], words, stalls=stalls)


@pytest.mark.parametrize("words, begins", [(1, 3), (1, 31), (3, 5), (3, 40)])
def test_a_sequence_that_lost_a_block_is_refused_until_the_next_one(words, begins):
    rng = random.Random(begins)
    place, bit = divmod(begins, 32)
    packets = []
    for _ in range(40):
        length = rng.choice([words, words, words, rng.randint(1, 5)])
        packet = [rng.getrandbits(32) & ~(1 << bit) for _ in range(length)]
        if rng.random() < 0.3 and length > place:
            packet[place] |= 1 << bit
        packets.append(packet)
    wrong = sum(len(packet) != words for packet in packets)
    assert wrong < check(packets, words, begins) < len(packets)


def test_the_model():
    assert model([[1, 2], [3], [4, 5, 6]], 2) == ([[1, 2], [3, 0], [4, 5]], [False, True, True])
    blocks = [[1], [2, 2], [2], [0], [3], [2]]
    assert model(blocks, 1, 0)[1] == [False, True, True, True, False, False]


@pytest.mark.parametrize("options", [{"words": 0}, {"words": 2, "begins": 64}])
def test_bounds(options):
    with pytest.raises(ValueError, match="must be"):
        Packets(**options, ahead=2)
