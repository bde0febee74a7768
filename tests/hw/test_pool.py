import numpy as np
import pytest

from gen.ir.beats import pack, to_ints
from gen.ir.stepping import encoded, largest
from hw.layers import PoolConfig
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


TRAINS = {
    "one slice": (MapConfig(3, 4, 4, 1, 2, "train", 4, -1), (2, 2), (2, 2), (0, 0)),
    "two slices": (MapConfig(3, 4, 4, 1, 2, "train", 20, -1), (2, 2), (2, 2), (0, 0)),
    **{f"slices of {steps}, a window of {kernel}": (
        MapConfig(3, 4, 4, 1, 2, "train", 5, -1, most_steps=steps), kernel, (1, 2), (0, 0))
       for steps in (1, 2) for kernel in ((1, 1), (1, 2), (1, 3), (2, 2))},
    "bursts": (MapConfig(2, 3, 3, 3, 2, "train", 35), (3, 2), (1, 1), (1, 1)),
    "no window": (MapConfig(3, 2, 1, 1, 3, "train", 17, -1), (1, 1), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("stalls", ["none", "both"])
@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("name", TRAINS)
def test_pool_of_trains(name, kind, stalls):
    fmap, kernel, stride, padding = TRAINS[name]
    config = PoolConfig("p", "p", SourceConfig(fmap, -1, kernel, stride, padding), kind)
    dut = Pool(config)
    rng = np.random.default_rng(len(name))
    shape = (3, fmap.channels, fmap.height, fmap.width)
    spikes, total = [], np.zeros(shape, dtype=int)
    for _ in range(fmap.timesteps):
        # No more is taken back than was sent.
        spikes.append(rng.integers(fmap.low, fmap.levels + 1, shape).clip(min=-total))
        total += spikes[-1]
    spikes = np.stack(spikes)
    (py, px), (sy, sx) = padding, stride
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(spikes, ((0, 0),) * 3 + ((py, py), (px, px))), kernel, axis=(3, 4))[
            :, :, :, ::sy, ::sx]
    pooled = windows.sum(axis=(-2, -1)) if kind == "sum" else largest(windows)
    expected = beats_of(encoded(pooled, (config.out.low, config.out.levels)), config.out)
    received, clocks = run(
        dut, [(dut.i0, beats_of(encoded(spikes, (fmap.low, fmap.levels)), fmap))],
        [(dut.o, len(expected))], stalls=stalls)
    assert received == expected
    if stalls == "none":
        repeats = fmap.slice_steps if kind == "max" else 1
        reads = config.out.beats * kernel[0] * kernel[1] * repeats
        assert clocks <= fmap.beats + 3 * max(reads, fmap.beats) + 16


def beats_of(trains, fmap):
    return to_ints(pack(trains, fmap).reshape(len(trains) * fmap.beats, -1))
