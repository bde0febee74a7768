# amaranth: UnusedElaboratable=no
import random

import pytest

from hw.slip import END, ESC, ESC_END, ESC_ESC, Decoder, Encoder

from .streams import STALLS, run


def decode(symbols, stalls):
    dut = Decoder()
    right = Decoder.model(symbols)
    tokens, _ = run(dut, [(dut.i, [{"data": byte, "bad": bad} for byte, bad in symbols])],
                    [(dut.o, len(right))], stalls=stalls,
                    convert=stalls == "none")
    # Data of an end or a damaged token has no meaning, but gateware and model agree on 0.
    return [(token & 0xff, token >> 8 & 1, token >> 9) for token in tokens], right


def encode(tokens, stalls):
    dut = Encoder()
    right = Encoder.model(tokens)
    octets, _ = run(dut, [(dut.i, [{"data": byte, "end": end} for byte, end, _ in tokens])],
                    [(dut.o, len(right))], stalls=stalls,
                    convert=stalls == "none")
    return bytes(octets), right


def frames():
    rng = random.Random(4)
    yield [b"", b"\x00", b"plain"]
    yield [bytes([END]), bytes([ESC]), bytes([ESC_END, ESC_ESC]), bytes([ESC, END, ESC, ESC_END])]
    yield [bytes([END] * 20), bytes([ESC] * 20)]
    yield [rng.choice([rng.randbytes(9), bytes(rng.choices([END, ESC, ESC_END, ESC_ESC], k=9))])
           for _ in range(15)]


def tokens_of(frames):
    return [token for frame in frames for token in (*((byte, 0, 0) for byte in frame), (0, 1, 0))]


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("case", list(frames()), ids=range(4))
def test_there_and_back(case, stalls):
    octets, right = encode(tokens_of(case), stalls)
    assert octets == right
    tokens, right = decode([(byte, 0) for byte in octets], stalls)
    assert tokens == right == tokens_of(case)


@pytest.mark.parametrize("symbols, tokens", [
    ([(ESC, 0), (7, 0), (8, 0)], [(0, 0, 1), (8, 0, 0)]),
    ([(ESC, 0), (END, 0), (8, 0)], [(0, 0, 1), (0, 1, 0), (8, 0, 0)]),
    ([(ESC, 0), (ESC, 0), (ESC_END, 0)], [(0, 0, 1), (ESC_END, 0, 0)]),
    ([(ESC, 0), (ESC_END, 1), (END, 0)], [(0, 0, 1), (0, 1, 0)]),
    ([(END, 1), (5, 0)], [(0, 0, 1), (5, 0, 0)]),
    ([(ESC, 1), (ESC_END, 0)], [(0, 0, 1), (ESC_END, 0, 0)]),
])
def test_damage(symbols, tokens):
    assert decode(symbols, "none") == (tokens, tokens)


@pytest.mark.parametrize("stalls", STALLS)
def test_garbage(stalls):
    rng = random.Random(5)
    symbols = [(rng.choice([END, ESC, ESC_END, ESC_ESC, rng.randrange(256)]), rng.random() < 0.1)
               for _ in range(300)]
    tokens, right = decode(symbols, stalls)
    assert tokens == right
