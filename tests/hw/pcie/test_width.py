# amaranth: UnusedElaboratable=no
import random

import pytest

from hw.pcie.tlp import BEAT, DWORD
from hw.pcie.width import Narrow, Widen
from tests.hw.streams import STALLS, run


def packets(seed):
    """Dwords of packets of any length, and whether each is the last."""
    rng = random.Random(seed)
    return [(rng.getrandbits(32), int(k == length - 1)) for length in
            [1, 2, 3, 4, 5, 1, 1, *(rng.randrange(1, 9) for _ in range(30))]
            for k in range(length)]


def beat(fields):
    both, pair, last = fields
    return both | pair << 64 | last << 65


@pytest.mark.parametrize("stalls", STALLS)
def test_widen(stalls):
    dwords = packets(stalls)
    wanted = [beat(fields) for fields in Widen.model(dwords)]
    dut = Widen()
    found, _ = run(dut, [(dut.i, [DWORD.from_bits(data | last << 32) for data, last in dwords])],
                   [(dut.o, len(wanted))], stalls=stalls)
    assert found == wanted


@pytest.mark.parametrize("stalls", STALLS)
def test_narrow(stalls):
    dwords = packets(stalls)
    beats = list(Widen.model(dwords))
    assert list(Narrow.model(beats)) == dwords
    dut = Narrow()
    found, clocks = run(dut, [(dut.i, [BEAT.from_bits(beat(fields)) for fields in beats])],
                        [(dut.o, len(dwords))], stalls=stalls)
    assert found == [data | last << 32 for data, last in dwords]
    if stalls == "none":
        assert clocks <= 2 * len(dwords) + 4
