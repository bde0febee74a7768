import numpy as np
import pytest

from gen.verify.beats import pack, to_ints
from hw.config import PoolConfig
from hw.maps import MapConfig, SourceConfig
from hw.pool import Pool

from .streams import STALLS, run

POOLS = {
    "mean": (MapConfig(5, 4, 6, 3, 2), (2, 2), (2, 2), (0, 0)),
    "overlapping": (MapConfig(3, 5, 5, 5, 3), (3, 3), (2, 2), (1, 1)),
    "all": (MapConfig(4, 3, 3, 2, 4, "rate"), (3, 3), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("name", POOLS)
def test_pool_equals_model(name, kind, stalls):
    fmap, kernel, stride, padding = POOLS[name]
    config = PoolConfig("p", "p", SourceConfig(fmap, -1, kernel, stride, padding), kind)
    dut = Pool(config)
    counts = np.random.default_rng(len(name)).integers(
        0, fmap.levels + 1, (3, fmap.channels, fmap.height, fmap.width))
    pooled = np.array([dut.model(sample) for sample in counts.transpose(0, 2, 3, 1).tolist()])
    expected = to_ints(pack(pooled.transpose(0, 3, 1, 2), config.out).reshape(
        3 * config.out.beats, -1))
    beats = to_ints(pack(counts, fmap).reshape(3 * fmap.beats, -1))
    received, clocks = run(dut, [(dut.i0, beats)], [(dut.o, len(expected))], stalls=stalls)
    assert received == expected
    if stalls == "none":
        reads = config.out.beats * kernel[0] * kernel[1]
        assert clocks <= fmap.beats + 3 * max(reads, fmap.beats) + 8
