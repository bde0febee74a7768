import numpy as np
import pytest

from gen.ir import beats
from gen.ir.stepping import encoded
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle

LAYOUTS = [
    MapConfig(1, 1, 1, 1, 1),
    MapConfig(3, 4, 5, 3, 3),
    MapConfig(5, 2, 3, 7, 2),
    MapConfig(40, 3, 1, 15, 16),
    MapConfig(17, 1, 1, 1, 32),
    MapConfig(3, 2, 2, 1, 2, "train", 40, -1),
    MapConfig(3, 1, 2, 5, 4, "train", 35, -4),
]


def readout(channels, lanes, membrane_bits, *, positions=(1, 1)):
    source = SourceConfig(MapConfig(1, *positions, 1, 1), -1, (1, 1), (1, 1), (0, 0))
    return CoreConfig("out", "l0_out", (source,), lanes, channels, 4, membrane_bits, (1,),
                      settle([source.map], None))


def random_counts(layout, n=3):
    shape = (n, layout.channels, layout.height, layout.width)
    if layout.code == "train":
        spikes = np.random.default_rng(0).integers(
            layout.low, layout.levels, (layout.timesteps, *shape), endpoint=True)
        return encoded(spikes, (layout.low, layout.levels))
    return np.random.default_rng(0).integers(0, layout.levels, shape, endpoint=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unpack_inverts_pack(layout):
    counts = random_counts(layout)
    words = beats.pack(counts, layout)
    assert words.dtype == np.uint32
    assert words.shape == (3, layout.beats, -(-layout.beat_bits // 32))
    assert (beats.unpack(words, layout) == counts).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_field_is_where_locate_says(layout):
    counts = random_counts(layout, 1)
    for index, beat in enumerate(beats.to_ints(beats.pack(counts, layout)[0])):
        assert beat < 1 << layout.beat_bits
        for lane, value in enumerate(beats.fields(beat, layout.word, layout.one_slice.bits)):
            channel, y, x = beats.locate(layout, index, lane)
            count = counts[0, channel, y, x] if channel < layout.channels else 0
            assert value == layout.cut(count)[index % layout.slices]


@pytest.mark.parametrize("channels, lanes, bits", [(1, 1, 2), (10, 4, 9), (10, 10, 17), (5, 3, 40)])
def test_logits(channels, lanes, bits):
    core = readout(channels, lanes, bits)
    logits = np.random.default_rng(0).integers(-1 << bits - 1, 1 << bits - 1, (4, channels))
    logits[0, 0], logits[1, 0] = -1 << bits - 1, (1 << bits - 1) - 1
    words = beats.pack_logits(logits, core)
    assert words.shape == (4, core.groups, -(-lanes * bits // 32))
    assert (beats.unpack_logits(words, core) == logits).all()


def test_logits_of_several_positions():
    core = readout(5, 2, 12, positions=(2, 3))
    logits = np.random.default_rng(0).integers(-2048, 2048, (4, 5, 2, 3))
    words = beats.pack_logits(logits, core)
    assert words.shape == (4, 6 * 3, 1)
    assert beats.fields(int(words[1, 4, 0]), 2, 12) == [v & 0xfff for v in logits[1, 2:4, 0, 1]]
    assert (beats.unpack_logits(words, core) == logits).all()


def test_absent_lanes_of_logits_are_ignored():
    core = readout(3, 2, 8)
    words = beats.pack_logits(np.array([[1, -2, 3]]), core)
    words[0, 1, 0] |= 0x7f00
    assert beats.unpack_logits(words, core).tolist() == [[1, -2, 3]]
