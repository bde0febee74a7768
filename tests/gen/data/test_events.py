import io
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.data import events as module
from gen.data.events import (
    LAYOUTS,
    Events,
    as_frames,
    as_rows,
    as_steps,
    as_trains,
    bins,
    read_events,
    write_counts,
)
from gen.errors import DataError, OutputError
from gen.ir.layers import INPUT
from gen.ir.network import Network
from tests.networks import neurons, readout, synapses
from tests.sequences import recurrence

SOME = [(3, 1, 1, 0), (33, 0, 0, 999), (3, 1, 1, 1000), (3, 1, 1, 1500), (0, 33, 0, 70_000)]
"""x, y, polarity, time."""

RECORD = [("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("t", "<i8")]


def packed(events):
    """Events of 40 bits."""
    return b"".join((x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for x, y, p, t in events)


def recording(events):
    x, y, p, t = np.array(events, np.int64).T
    return Events(x, y, p, t)


def listed(events):
    return list(zip(*(field.tolist() for field in (
        events.x, events.y, events.polarity, events.t)), strict=True))


def saved(path, events, dtype=RECORD):
    np.save(path, np.array(events, dtype))
    return path


def counted(events, width, height, window, levels, elements, start=0):
    """As :func:`bins`, event by event."""
    counts = np.zeros((elements, 2, height, width), np.uint8)
    for x, y, p, t in events:
        for k in range(elements):
            if start + k * window <= t < start + (k + 1) * window:
                counts[k, p, y, x] = min(counts[k, p, y, x] + 1, levels)
    return counts


class TestRead:
    @pytest.mark.parametrize("suffix", [".bin", ".bs2", ".BIN"])
    def test_packed(self, suffix, tmp_path):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(packed(SOME))
        events = read_events(path)
        assert listed(events) == SOME
        assert (len(events), events.source) == (len(SOME), str(path))

    def test_every_bit(self, tmp_path):
        path = tmp_path / "x.bs2"
        path.write_bytes(bytes([1, 2, 0x83, 4, 5]) + b"\xff" * 5)
        assert listed(read_events(path)) == [(1, 2, 1, 0x30405), (255, 255, 1, (1 << 23) - 1)]

    def test_the_clock_runs_over(self, tmp_path):
        """Times after row 240 are 2^13 us later each time; the marks are no events."""
        mark, last = (0, 240, 0, 0), (1 << 23) - 1
        path = tmp_path / "x.bin"
        path.write_bytes(packed([(1, 2, 1, last), mark, (1, 3, 0, last), mark, mark,
                                 (4, 5, 1, last), mark]))
        assert listed(read_events(path)) == [
            (1, 2, 1, last), (1, 3, 0, last + 8192), (4, 5, 1, last + 3 * 8192)]

    def test_a_row_of_240_may_be_a_row(self, tmp_path):
        path = tmp_path / "x.bs2"
        path.write_bytes(packed([(0, 240, 0, 7), (1, 2, 1, 7)]))
        assert listed(read_events(path)) == [(0, 240, 0, 7), (1, 2, 1, 7)]

    @pytest.mark.parametrize("dtype", [
        RECORD, [("t", ">u8"), ("polarity", "?"), ("y", "u1"), ("x", ">i2")],
        [("x", "i8"), ("other", "f4", (3,)), ("y", "i8"), ("t", "u4"), ("p", "i1")]], ids=str)
    def test_records(self, dtype, tmp_path):
        records = np.zeros(len(SOME), dtype)
        for name, values in zip(("x", "y", "p", "t"), zip(*SOME, strict=True), strict=True):
            records[name if name in records.dtype.names else "polarity"] = values
        np.save(tmp_path / "x.npy", records)
        assert listed(read_events(tmp_path / "x.npy")) == SOME

    def test_polarity_with_a_sign(self, tmp_path):
        path = saved(tmp_path / "x.npy", [(0, 0, -1, 0), (0, 0, 1, 0)],
                     [("x", "u1"), ("y", "u1"), ("p", "i1"), ("t", "i4")])
        assert read_events(path).polarity.tolist() == [0, 1]

    def test_int_of_64_bits(self, tmp_path):
        events = [(65_535, 65_535, 1, (1 << 62) - 1)]
        assert listed(read_events(saved(tmp_path / "x.npy", events))) == events


SIGNED = [("x", "i8"), ("y", "i8"), ("p", "i8"), ("t", "i8")]


def npy(events, dtype=SIGNED):
    stream = io.BytesIO()
    np.save(stream, np.array(events, dtype))
    return stream.getvalue()


def lying(shape, descr):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 5


FIELDS = "[('x', '<u2'), ('y', '<u2'), ('p', '|u1'), ('t', '<i8')]"

NO_EVENTS = {
    "empty": ("x.bin", b"", "has no events; leave it out"),
    "empty bs2": ("x.bs2", b"", "has no events; leave it out"),
    "no records": ("x.npy", npy([]), "has no events; leave it out"),
    "only marks": ("x.bin", packed([(0, 240, 0, 0)] * 2), "has no events; leave it out"),
    "cut short": ("x.bin", packed(SOME)[:-2],
                  "has 23 bytes, which is not a whole number of events of 5 bytes; fetch it again"),
    "backwards": ("x.bin", packed([(0, 0, 0, 5), (0, 0, 0, 5), (0, 0, 0, 4)]),
                  "time runs backwards at event 2, from 5 to 4 us; sort the events"),
    "backwards, unsigned": ("x.npy", npy([(0, 0, 0, 5), (0, 0, 0, 4)], [
        ("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "u8")]), "time runs backwards at event 1"),
    "left": ("x.npy", npy([(0, 0, 0, 0), (-1, 0, 0, 0)]),
             r"x must lie in 0\.\.65535, not -1 as in event 1; correct it or leave it out"),
    "below": ("x.npy", npy([(0, 65_536, 0, 0)]), r"y must lie in 0\.\.65535, not 65536 as in"),
    "before": ("x.npy", npy([(0, 0, 0, -5)]), r"t must lie in 0\.\.\d+, not -5 as in event 0"),
    "late": ("x.npy", npy([(0, 0, 0, 2**64 - 1)], [
        ("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "u8")]), r"t must lie in 0\.\.\d+, not 184"),
    "polarity 2": ("x.npy", npy([(0, 0, 1, 0), (0, 0, 2, 0)]),
                   "polarity must be 0 or 1, not 2 as in event 1"),
    "three polarities": ("x.npy", npy([(0, 0, -1, 0), (0, 0, 0, 0)]),
                         "polarity must be -1 or 1, not 0 as in event 1"),
    "other suffix": ("x.dat", b"", r"is no file of events by its suffix; known are \.bin, \.bs2, "),
    "no suffix": ("x", b"", r"is no file of events by its suffix; .*: write its events as \.npy"),
    "text": ("x.npy", b"x,y,p,t", "is not an .npy file of records: its header can't be read"),
    "numbers": ("x.npy", npy([1, 2], "i8"), "is not an .npy file of records: it holds int64"),
    "1 TiB": ("x.npy", lying("(1099511627776,)", FIELDS),
              "is not an .npy file of records: it has 5 bytes, which is not the shape"),
    "wide": ("x.npy", lying("(1,)", "[('x', '|u1', (99999,)*999)]"),
             "is not an .npy file of records: its header can't be read"),
    "objects": ("x.npy", lying("(1,)", FIELDS.replace("|u1", "|O")),
                r"is not an .npy file of records: it holds \[\('x'"),
    "one": ("x.npy", npy((0, 0, 0, 0)), "is not an .npy file of records: it holds one value"),
    "a table": ("x.npy", npy([[(0, 0, 0, 0)]]), r"must hold a row of records .* shape \(1, 1\)"),
    "floats": ("x.npy", npy([(0, 0, 0, 0)], [("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "f8")]),
               "must hold a row of records with integers x, y, p or polarity, and t, not"),
    "no time": ("x.npy", npy([(0, 0, 0)], [("x", "u1"), ("y", "u1"), ("p", "u1")]),
                "must hold a row of records"),
    "times of numpy": ("x.npy", npy([(0, 0, 0, 0)], [
        ("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "M8[us]")]), "must hold a row of records"),
    "several": ("x.npy", npy([(0, 0, 0, 0)], [
        ("x", "u1", (2,)), ("y", "u1"), ("p", "u1"), ("t", "u8")]), "must hold a row of records"),
}


class TestRefused:
    @pytest.mark.parametrize("name, data, message", NO_EVENTS.values(), ids=NO_EVENTS)
    def test_files(self, name, data, message, tmp_path):
        (tmp_path / name).write_bytes(data)
        tracemalloc.start()
        with pytest.raises(DataError, match=f"/{name}: {message}") as caught:
            read_events(tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) <= 500

    def test_no_file(self, tmp_path):
        for suffix in (".bin", ".npy"):
            os.mkfifo(tmp_path / f"pipe{suffix}")
            (tmp_path / f"folder{suffix}").mkdir()
            for name, why in {"pipe": "Not a regular file", "folder": "Is a directory",
                              "none": "No such file", "\0": "embedded null byte"}.items():
                with pytest.raises(DataError, match=f"{name}{suffix}: can't be read.*: {why}"):
                    read_events(tmp_path / f"{name}{suffix}")

    @pytest.mark.parametrize("suffix", [".bin", ".npy"])
    def test_a_file_without_end(self, suffix, tmp_path):
        """No byte of it is read."""
        path = tmp_path / f"x{suffix}"
        path.touch()
        os.truncate(path, 5 << 40)
        with pytest.raises(DataError, match="bytes, more than 268,435,456; cut it into several"):
            read_events(path)


class TestBins:
    def test_windows_are_half_open(self):
        binned = bins(recording(SOME), width=34, height=34, window=1000, levels=255, elements=2)
        assert binned.counts.shape == (2, 2, 34, 34)
        assert binned.counts.dtype == np.uint8
        assert {tuple(map(int, at)): int(binned.counts[tuple(at)])
                for at in np.argwhere(binned.counts)} == {
            (0, 1, 1, 3): 1, (0, 0, 0, 33): 1, (1, 1, 1, 3): 2}
        assert (binned.clipped, binned.outside) == (0, 1)

    def test_up_to_the_last_event(self):
        events = recording([(0, 0, 0, 0), (0, 0, 0, 2000)])
        assert [len(bins(events, width=1, height=1, window=window, levels=1).counts)
                for window in (999, 1000, 2000, 2001)] == [3, 3, 2, 1]

    def test_clipped(self):
        events = recording([(k % 2, 0, 1, 0) for k in range(599)])
        binned = bins(events, width=2, height=1, window=1, levels=255)
        assert binned.counts.tolist() == [[[[0, 0]], [[255, 255]]]]
        assert binned.clipped == 2
        assert bins(events, width=2, height=1, window=1, levels=1).counts.sum() == 2
        fewer = recording([(k % 3 // 2, 0, 1, 0) for k in range(300)])
        assert bins(fewer, width=2, height=1, window=1, levels=100).clipped == 1

    def test_start(self):
        events = recording([(0, 0, 0, 10), (0, 0, 0, 20), (0, 0, 0, 29), (0, 0, 0, 30)])
        binned = bins(events, width=1, height=1, window=10, levels=9, start=20)
        assert binned.counts[:, 0, 0, 0].tolist() == [2, 1]
        assert binned.outside == 1

    def test_nothing_in_the_windows(self):
        binned = bins(recording([(0, 0, 0, 10)]), width=1, height=1, window=1, levels=9, elements=3)
        assert (binned.counts.any(), binned.outside) == (False, 1)

    @settings(deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1),
                              st.integers(0, 60)), min_size=1, max_size=60),
           st.integers(1, 25), st.integers(1, 4), st.integers(1, 6), st.integers(0, 30))
    def test_as_counted_one_by_one(self, events, window, levels, elements, start):
        events.sort(key=lambda event: event[3])
        binned = bins(recording(events), width=4, height=3, window=window, levels=levels,
                      elements=elements, start=start)
        assert np.array_equal(
            binned.counts, counted(events, 4, 3, window, levels, elements, start))
        every = counted(events, 4, 3, window, 255, elements, start)
        assert binned.clipped == (every > levels).sum()
        assert binned.outside == len(events) - every.sum()

    @pytest.mark.parametrize("changed, message", [
        ({"width": 33}, "event 1 is at column 33, row 0, outside of a sensor of 33 x 34 pixels; "),
        ({"height": 33}, "event 4 is at column 0, row 33, outside of a sensor of 34 x 33 pixels"),
        ({"start": 70_001, "elements": None},
         "its last event is at 70000 us, before the first window, which begins at 70001 us; begin"),
        ({"elements": 1 << 28}, "268,435,456 elements of 2 x 34 x 34 counts are more than"),
        ({"window": 1, "width": 65_536, "elements": None}, "70,001 elements of 2 x 34 x 65536 cou"),
        ({"levels": 256}, "levels must be an integer from 1 to 255, not 256"),
        ({"levels": 0}, "levels must be an integer from 1 to 255, not 0"),
        ({"window": 0}, "window must be an integer from 1 to"),
        ({"window": 1.5}, "window must be an integer from 1 to .*, not 1.5"),
        ({"width": 0}, "width must be an integer from 1 to"),
        ({"height": -1}, "height must be an integer from 1 to"),
        ({"start": -1}, "start must be an integer from 0 to"),
        ({"elements": 0}, "elements must be an integer from 1 to"),
    ])
    def test_refused(self, changed, message):
        fixed = {"width": 34, "height": 34, "window": 1000, "levels": 7, "elements": 3}
        with pytest.raises(DataError, match=message):
            bins(recording(SOME), **fixed | changed)


def test_layouts():
    counts = np.arange(3 * 2 * 4 * 5, dtype=np.uint8).reshape(3, 2, 4, 5)
    assert as_frames(counts) is counts
    rows = as_rows(counts)
    assert rows.shape == (1, 40, 3, 1)
    for polarity, y, x in ((0, 0, 0), (1, 2, 3), (0, 3, 4)):
        channel = (polarity * 4 + y) * 5 + x
        assert rows[0, channel, :, 0].tolist() == counts[:, polarity, y, x].tolist()


def test_trains_are_the_bits_of_time_steps():
    counts = (np.random.default_rng(0).random((24, 2, 3, 4)) < 0.4).astype(np.uint8)
    steps, trains = as_steps(counts), as_trains(counts)
    assert np.array_equal(steps, counts[None])
    assert (trains.shape, trains.dtype) == ((1, 2, 3, 4), np.uint32)
    for number in range(24):
        assert np.array_equal(trains[0] >> 23 - number & 1, counts[number])
    with pytest.raises(DataError, match=r"^25 elements are more than a train may have time-steps"):
        as_trains(np.zeros((25, 2, 3, 4), np.uint8))
    with pytest.raises(DataError, match=r"^a train has one event of a pixel in a time-step; give "):
        as_trains(2 * counts)


class TestWrite:
    SENSOR = {"width": 34, "height": 34, "window": 1000, "progress": False}

    @pytest.fixture
    def paths(self, tmp_path):
        (tmp_path / "a.bin").write_bytes(packed(SOME))
        return [tmp_path / "a.bin", saved(tmp_path / "b.npy", [(0, 0, 1, 2500)] * 3)]

    def test_frames(self, paths, tmp_path):
        result = write_counts(paths, tmp_path / "out", levels=2, **self.SENSOR)
        assert result == {"output": str(tmp_path / "out"), "shape": [74, 2, 34, 34], "files": 2,
                          "events": 8, "elements": 74, "clipped": 1, "outside": 0}
        written = np.load(tmp_path / "out")
        assert written.dtype == np.uint8
        assert np.array_equal(written[:71], counted(SOME, 34, 34, 1000, 2, 71))
        assert np.array_equal(written[71:], counted([(0, 0, 1, 2500)] * 2, 34, 34, 1000, 2, 3))

    def test_rows(self, paths, tmp_path):
        result = write_counts(paths, tmp_path / "out.npy", layout="rows", elements=4, **self.SENSOR)
        assert (result["shape"], result["elements"]) == ([2, 2312, 4, 1], 8)
        assert (result["clipped"], result["outside"]) == (0, 1)
        written = np.load(tmp_path / "out.npy")
        assert np.array_equal(written[:1], as_rows(counted(SOME, 34, 34, 1000, 255, 4)))
        assert written[1, 34 * 34, :, 0].tolist() == [0, 0, 3, 0]

    def test_trains(self, paths, tmp_path):
        with pytest.raises(DataError, match=r"^trains have as many elements as the network has "):
            write_counts(paths, tmp_path / "out.npy", layout="trains", levels=1, **self.SENSOR)
        for layout, shape in (("steps", [2, 4, 2, 34, 34]), ("trains", [2, 2, 34, 34])):
            result = write_counts(paths, tmp_path / f"{layout}.npy", layout=layout, elements=4,
                                  levels=1, **self.SENSOR)
            assert result["shape"] == shape
        steps, trains = np.load(tmp_path / "steps.npy"), np.load(tmp_path / "trains.npy")
        assert np.array_equal(as_trains(steps[1]), trains[1:])
        assert trains.any()

    def test_sequences_of_one_length(self, paths, tmp_path):
        with pytest.raises(DataError, match=r"b.npy: the number of elements is 3, not 71 as"):
            write_counts(paths, tmp_path / "out.npy", layout="rows", **self.SENSOR)
        assert not (tmp_path / "out.npy").exists()

    def test_refused(self, paths, tmp_path):
        with pytest.raises(OutputError, match=r"b\.npy: is an input of this command"):
            write_counts(paths, paths[1], **self.SENSOR)
        with pytest.raises(DataError, match="there is no layout 'row'; did you mean 'rows'"):
            write_counts(paths, tmp_path / "out", layout="row", **self.SENSOR)
        with pytest.raises(DataError, match="no recordings are given"):
            write_counts([], tmp_path / "out", **self.SENSOR)

    def test_progress(self, paths, tmp_path, monkeypatch):
        bars = []

        def bar(iterable, **options):
            bars.append(options)
            return iterable
        monkeypatch.setattr(module, "bar", bar)
        write_counts(paths, tmp_path / "out", **self.SENSOR | {"progress": True})
        assert bars == [{"desc": "events", "unit": "file", "disable": False}]


def convolutional(levels):
    """A network of frames of 9 x 7 pixels."""
    rng = np.random.default_rng(0)
    return Network("frames", (2, 7, 9), levels, levels, (
        neurons(rng, "conv", synapses(rng, INPUT, (5, 2, 3, 3), padding=(1, 1)), levels=7),
        readout(rng, "conv", (4, 5, 7, 9))))


@pytest.mark.parametrize("layout, network", [
    ("frames", convolutional(levels=3)),
    ("rows", recurrence(6, fan=2 * 7 * 9))], ids=["frames", "rows"])
def test_a_network_takes_them(layout, network, tmp_path):
    """From a file to logits, as from counts that are made event by event."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 60_000, 3000)).tolist()
    # Most are at a few pixels, so that some counts are clipped.
    some = [(int(rng.integers(9)) // 4, int(rng.integers(7)) // 3, int(rng.integers(2)), t)
            if rng.random() < 0.7 else
            (int(rng.integers(9)), int(rng.integers(7)), int(rng.integers(2)), t) for t in times]
    (tmp_path / "x.bin").write_bytes(packed(some))
    result = write_counts([tmp_path / "x.bin"], tmp_path / "out.npy", width=9, height=7,
                          window=10_000, levels=network.input_levels, elements=6, layout=layout,
                          progress=False)
    assert result["clipped"]
    images = np.load(tmp_path / "out.npy")
    slow = LAYOUTS[layout](counted(some, 9, 7, 10_000, network.input_levels, 6))
    fast, trace = network.run(network.encode(images)), network.run(slow)
    assert np.array_equal(network.encode(images), slow)
    assert np.array_equal(fast.logits, trace.logits)
    for name, counts in trace.counts.items():
        assert np.array_equal(fast.counts[name], counts)
    assert len(np.unique(trace.logits)) > 2
