"""Changes of counts: their digits, and what they are taken from."""

import numpy as np
import pytest

from gen.ir.beats import pack, to_ints
from hw.changes import Changes
from hw.maps import MapConfig, SourceConfig, signed_digits

from .streams import STALLS, run


def source(channels=5, height=6, width=1, levels=7, word=2, stride=1, kernel=1):
    fmap = MapConfig(channels, height, width, levels, word, "change")
    return SourceConfig(fmap, 0, (kernel, 1), (stride, 1), (kernel - 1, 0), below=0)


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 6, 7, 15, 21, 22, 63, 255])
def test_digits_of_every_change(levels):
    digits = MapConfig(1, 1, 1, levels, 1, "change").digits
    for change in range(-levels, levels + 1):
        both = signed_digits(change, digits)
        more, less = both & (1 << digits) - 1, both >> digits
        assert more - less == change
        assert less < 1 << digits
        places = more | less
        assert more & less == 0
        assert places & places >> 1 == 0, "two neighbours are not 0"
    assert signed_digits(levels, digits) >> digits - 1 & 1, "the greatest count needs all digits"
    array = np.arange(-levels, levels + 1)
    assert signed_digits(array, digits).tolist() == [signed_digits(int(k), digits) for k in array]


def test_arrays_of_rows_and_their_changes():
    rows = np.array([[3, 1], [1, 7], [4, 7]])
    assert [row.tolist() for row in Changes.model(source(), rows)] == [
        [signed_digits(change, 4) for change in row] for row in ((3, 1), (-2, 6), (3, 0))]


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("options", [
    {}, {"stride": 2}, {"stride": 3, "height": 7}, {"width": 3, "levels": 5, "word": 3},
    {"channels": 2, "height": 4}, {"height": 1}, {"stride": 2, "height": 1, "kernel": 2}], ids=str)
def test_samples_that_follow_each_other(options, stalls):
    own = source(**options)
    fmap = own.arriving
    rng = np.random.default_rng(0)
    counts = rng.integers(0, fmap.levels + 1, (4, fmap.channels, fmap.height, fmap.width))
    changes = np.stack([np.stack(Changes.model(own, sample.swapaxes(0, 1))).swapaxes(0, 1)
                        for sample in counts])
    dut = Changes(own)
    received, _ = run(dut, [(dut.i, _beats(fmap, counts))], [(dut.o, 4 * own.map.beats)],
                      stalls=stalls)
    assert received == _beats(own.map, changes)


def _beats(fmap, values):
    return to_ints(pack(values, fmap).reshape(len(values) * fmap.beats, -1))


@pytest.mark.parametrize("bad", [{"kernel": 2, "padding": (0, 0)}, {"padding": (0, 0), "below": 1},
                                 {"padding": (1, 0), "below": -1, "every": 2}], ids=str)
def test_windows_that_can_not_have_changes(bad):
    kernel = bad.pop("kernel", 1)
    with pytest.raises(ValueError, match="received as changes"):
        SourceConfig(source().map, 0, (kernel, 1), (1, 1), **bad)
