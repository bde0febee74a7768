from dataclasses import replace

import pytest

from hw.maps import MapConfig, SourceConfig


def source():
    return SourceConfig(MapConfig(5, 4, 4, 3, 2), -1, (3, 3), (1, 1), (1, 1))


def test_map_sizes():
    fmap = MapConfig(channels=5, height=4, width=3, levels=12, word=2)
    assert (fmap.bits, fmap.planes, fmap.chunks, fmap.beats, fmap.beat_bits) == (4, 4, 3, 36, 8)
    assert MapConfig(5, 4, 3, 12, 2, "rate").planes == 12


@pytest.mark.parametrize("timesteps, slices, steps, missing", [
    (1, 1, 1, 0), (16, 1, 16, 0), (17, 2, 9, 1), (32, 2, 16, 0), (35, 3, 12, 1), (64, 4, 16, 0)])
def test_slices(timesteps, slices, steps, missing):
    fmap = MapConfig(5, 4, 3, 2, 2, "train", timesteps, -1)
    assert (fmap.slices, fmap.slice_steps, fmap.missing) == (slices, steps, missing)
    assert (fmap.beats, fmap.beat_bits) == (4 * 3 * 3 * slices, 2 * 3 * steps)
    train = int("421" * timesteps, 8) % (1 << 3 * timesteps)
    cut = fmap.cut(train)
    assert sum(part << 3 * steps * k for k, part in enumerate(reversed(cut))) == train
    for plane in range(fmap.planes):
        slice_index, number = divmod(plane // 3 + missing, steps)
        assert fmap.has_spike(train, plane) == fmap.one_slice.has_spike(
            cut[slice_index], number * 3 + plane % 3)


def test_offsets_follow_the_columns():
    taps = source()
    assert taps.taps == 27
    assert [taps.offset(t) for t in (0, 1, 3, 9, 26)] == [0, 1, 12, 3, 32]


@pytest.mark.parametrize("bad,message", [
    ({"channels": 0}, r"^channels must be a positive integer, not 0$"),
    ({"levels": 2.5}, r"^levels must be a positive integer, not 2\.5$"),
    ({"code": "ttfs"}, r"^code must be 'phase', 'rate', 'train' or 'change', not 'ttfs'$"),
])
def test_bad_maps(bad, message):
    with pytest.raises(ValueError, match=message):
        MapConfig(**dict({"channels": 1, "height": 1, "width": 1, "levels": 1, "word": 1}, **bad))


@pytest.mark.parametrize("height,kernel,stride,padding,least", [
    (8, 3, 1, 1, 3), (8, 3, 1, 0, 3), (8, 3, 2, 1, 3), (8, 1, 1, 0, 1), (8, 8, 1, 0, 8),
    (1, 3, 1, 1, 1), (2, 5, 1, 2, 3), (1, 5, 1, 2, 2), (4, 3, 1, 2, 3), (2, 7, 1, 3, 4)])
def test_rows_of_a_window(height, kernel, stride, padding, least):
    def source(rows=None):
        return SourceConfig(MapConfig(1, height, 1, 1, 1), -1, (kernel, 1), (stride, 1),
                            (padding, 0), rows=rows)

    assert source(least).rows == source().least_rows == least
    assert source().rows == max(2 * height, least)
    with pytest.raises(ValueError, match=rf"^rows must be at least {least} for a kernel of "
                                         rf"{kernel} rows, not {least - 1}$"):
        source(least - 1)


@pytest.mark.parametrize("field,value,message", [
    ("kernel", (0, 3), r"kernel must be at least 1, not \(0, 3\)"),
    ("stride", (1, 0), r"stride must be at least 1, not \(1, 0\)"),
    ("padding", (0, -1), "padding must have columns of zeros, not -1"),
    ("first", -1, "first must be at least 0, not -1"),
    ("every", 0, "every must be at least 1, not 0"),
    ("kernel", (7, 3), r"kernel must fit the map and its padding, not \(7, 3\)")])
def test_a_window_that_can_not_be(field, value, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(source(), **{field: value})


@pytest.mark.parametrize("above, below, tops, rows", [
    (1, -1, range(-1, 5), 2),     # a recurrence looks at the row above
    (2, 0, range(-2, 4), 3),      # a causal convolution of three rows
    (-5, 0, range(5, 6), 1),      # the last row alone
])
def test_windows_that_are_not_centred(above, below, tops, rows):
    kernel = 3 if above == 2 else 1
    window = SourceConfig(MapConfig(4, 6, 1, 1, 4), 0, (kernel, 1), (1, 1), (above, 0), below=below)
    assert window.edges == ((above, below), (0, 0))
    assert window.positions == (len(tops), 1)
    assert window.tops == tops
    assert window.least_rows <= rows
