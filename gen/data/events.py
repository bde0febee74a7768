"""Recordings of event cameras, and the counts in windows of time that a network takes.

An event is a pixel, a polarity (0 darker, 1 brighter) and a time in microseconds. Three kinds of
files are read, told apart by their suffixes. Events are counted from 0.

* ``.bin``, of N-MNIST and N-Caltech101. An event has 40 bits, the most significant first: 8 of x, 8
  of y, 1 of polarity and 23 of time. One in row 240, which these sensors do not have, is no event:
  it tells that the clock ran over, and the times from there on are 2^13 us later.
* ``.bs2``, the two-dimensional spikes of SLAYER. They are the same 40 bits, but row 240
  is a row like the others.
* ``.npy``, a row of records with the integers ``x``, ``y``, ``t``, and ``p`` or ``polarity``, which
  is 0 and 1, or -1 and 1. Other fields are ignored.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gen.errors import DataError, unknown
from gen.system import files
from gen.system.progress import bar

from .datasets import read_array

__all__ = ["LAYOUTS", "Binned", "Events", "as_frames", "as_rows", "as_steps",
           "as_trains", "bins", "read_events",
           "write_counts"]

_BYTES = 5
_OVERFLOW_ROW = 240
_OVERFLOW = 1 << 13

# 53 million events of 5 bytes; a recording of N-MNIST has some 4,000.
_MOST_BYTES = 1 << 28
# As many as a map of a network may have.
_MOST_COUNTS = 1 << 28

# Bits of an input count, of which a time-step has one.
_MOST_STEPS = 24

_MOST = {"x": (1 << 16) - 1, "y": (1 << 16) - 1, "t": (1 << 62) - 1}

_RANGES = {"width": (1, 1 << 16), "height": (1, 1 << 16), "window": (1, 1 << 62),
           "levels": (1, 255), "start": (0, 1 << 62), "elements": (1, _MOST_COUNTS)}


@dataclass(frozen=True, eq=False)
class Events:
    """A recording.

    Parameters
    ----------
    x, y : ``(N,)`` integers in ``0..65535``, column and row of each event
    polarity : ``(N,)``, 0 and 1, or -1 and 1, which become 0 and 1
    t : ``(N,)`` integers in ``0..2^62 - 1``, microseconds, none less than the one before
    source : where the events come from, for errors

    Raises
    ------
    DataError
        If there are no events, a number is out of range, or time runs backwards.
    """

    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray
    t: np.ndarray
    source: str = "events"

    def __post_init__(self) -> None:
        if not len(self.t):
            raise DataError(f"{self.source}: has no events; leave it out")
        for name, most in _MOST.items():
            values = getattr(self, name)
            self._refuse((values < 0) | (values > most), f"{name} must lie in 0..{most}", values)
        low = -1 if (self.polarity == -1).any() else 0
        self._refuse((self.polarity != low) & (self.polarity != 1),
                     f"polarity must be {low} or 1", self.polarity)
        for name, values, dtype in (("x", self.x, np.uint16), ("y", self.y, np.uint16),
                                    ("polarity", self.polarity == 1, np.uint8),
                                    ("t", self.t, np.int64)):
            object.__setattr__(self, name, values.astype(dtype))
        if (back := np.diff(self.t) < 0).any():
            k = int(back.argmax()) + 1
            raise DataError(f"{self.source}: time runs backwards at event {k}, from "
                            f"{self.t[k - 1]} to {self.t[k]} us; sort the events or cut them there")

    def __len__(self) -> int:
        return len(self.t)

    def _refuse(self, wrong, what, values):
        if wrong.any():
            k = int(wrong.argmax())
            raise DataError(f"{self.source}: {what}, not {values[k]} as in event {k}; correct it "
                            f"or leave it out")


@dataclass(frozen=True, eq=False)
class Binned:
    """Result of :func:`bins`.

    Members
    -------
    counts : ``(elements, 2, height, width)`` bytes; the second axis is the polarity
    clipped : number of counts that were greater than the levels
    outside : number of events before the first window or after the last one
    """

    counts: np.ndarray
    clipped: int
    outside: int


def read_events(path: str | os.PathLike) -> Events:
    """The events in a file, which is not trusted: its size is checked before memory is allocated.

    Raises
    ------
    DataError
        If the file can't be read, is of another kind, is cut short or too large, or holds no
        recording (see :class:`Events`).
    """
    read = _READERS.get(Path(path).suffix.lower())
    if read is None:
        raise DataError(f"{path}: is no file of events by its suffix; known are "
                        f"{', '.join(_READERS)}: write its events as .npy, records of x, y, p, t")
    try:
        files.require_regular(path)
        size = os.stat(path).st_size
    except (OSError, ValueError) as error:  # a zero byte in the name
        raise DataError(f"{path}: can't be read: "
                        f"{getattr(error, 'strerror', None) or error}") from error
    if size > _MOST_BYTES:
        raise DataError(f"{path}: has {size:,} bytes, more than {_MOST_BYTES:,}; cut it into "
                        f"several files")
    x, y, polarity, t = read(path)
    return Events(x, y, polarity, t, str(path))


def _packed(path, *, overflows):
    """x, y, polarity and time of events of 40 bits."""
    try:
        with files.open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    if len(data) % _BYTES:
        raise DataError(f"{path}: has {len(data)} bytes, which is not a whole number of events of "
                        f"{_BYTES} bytes; fetch it again")
    x, y, high, middle, low = np.frombuffer(data, np.uint8).reshape(-1, _BYTES).T
    t = (high & 127).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    if not overflows:
        return x, y, high >> 7, t
    over = y == _OVERFLOW_ROW
    t += np.cumsum(over) * _OVERFLOW
    return x[~over], y[~over], high[~over] >> 7, t[~over]


def _records(path):
    """x, y, polarity and time of an array of records."""
    records = read_array(path, records=True)
    fields = {name: kind for name, (kind, *_) in (records.dtype.fields or {}).items()}
    polarity = "p" if "p" in fields else "polarity"
    names = ("x", "y", polarity, "t")
    if records.ndim != 1 or not all(
            name in fields and fields[name].kind in ("iub" if name == polarity else "iu")
            for name in names):
        raise DataError(f"{path}: must hold a row of records with integers x, y, p or polarity, "
                        f"and t, not {str(records.dtype)[:100]} of the shape {records.shape}")
    return tuple(records[name] for name in names)


_READERS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    ".bin": partial(_packed, overflows=True), ".bs2": partial(_packed, overflows=False),
    ".npy": _records}


def bins(events: Events, *, width: int, height: int, window: int, levels: int,
         elements: int | None = None, start: int = 0) -> Binned:
    """Count the events of each pixel and polarity in windows of time.

    Element k has the events with ``start + k window <= t < start + (k + 1) window``: one at the
    border of two windows is in the later one.

    Parameters
    ----------
    width, height : of the sensor, in pixels
    window : microseconds
    levels : 1 to 255; greater counts become this
    elements : number of windows; by default up to the last event. Later events are left out
    start : when the first window begins, in microseconds. Earlier events are left out

    Raises
    ------
    DataError
        If a parameter is out of range, an event is not on the sensor, all are before ``start`` and
        ``elements`` is not given, or there would be more than 2^28 counts.
    """
    _require_ranges(width=width, height=height, window=window, levels=levels, start=start,
                    elements=1 if elements is None else elements)
    _require_sensor(events, width, height)
    element = (events.t - start) // window
    elements = int(element[-1]) + 1 if elements is None else elements
    if elements < 1:
        raise DataError(f"{events.source}: its last event is at {events.t[-1]} us, before the "
                        f"first window, which begins at {start} us; begin earlier")
    shape = (elements, 2, height, width)
    if math.prod(shape) > _MOST_COUNTS:
        raise DataError(f"{events.source}: {elements:,} elements of 2 x {height} x {width} counts "
                        f"are more than {_MOST_COUNTS:,}; take fewer elements, a longer window or "
                        f"a later start")
    taken = (element >= 0) & (element < elements)
    cells, found = np.unique(
        np.ravel_multi_index((element[taken], events.polarity[taken], events.y[taken],
                              events.x[taken]), shape), return_counts=True)
    counts = np.zeros(shape, np.uint8)
    counts.reshape(-1)[cells] = np.minimum(found, levels)
    return Binned(counts, int((found > levels).sum()), int((~taken).sum()))


def _require_ranges(**values):
    for name, value in values.items():
        least, most = _RANGES[name]
        if type(value) is not int or not least <= value <= most:
            raise DataError(f"{name} must be an integer from {least:,} to {most:,}, not {value!r}")


def _require_sensor(events, width, height):
    """All events are on a sensor of this size."""
    off = (events.x >= width) | (events.y >= height)
    if off.any():
        k = int(off.argmax())
        raise DataError(f"{events.source}: event {k} is at column {events.x[k]}, row "
                        f"{events.y[k]}, outside of a sensor of {width} x {height} pixels; give "
                        f"the size of the sensor")


def as_frames(counts: np.ndarray) -> np.ndarray:
    """Counts ``(elements, 2, height, width)`` as they are: each element is a sample."""
    return counts


def as_rows(counts: np.ndarray) -> np.ndarray:
    """Counts ``(elements, 2, height, width)`` as one sequence ``(1, 2 height width, elements, 1)``:
    each element is a row, each pixel of a polarity a channel."""
    return np.ascontiguousarray(counts.reshape(len(counts), -1).T)[None, :, :, None]


def as_steps(counts: np.ndarray) -> np.ndarray:
    """Counts ``(elements, 2, height, width)`` as one sample ``(1, elements, 2, height, width)``:
    each element is a time-step."""
    return counts[None]


def as_trains(counts: np.ndarray) -> np.ndarray:
    """Counts ``(elements, 2, height, width)`` as one sample ``(1, 2, height, width)``, 32 bits a
    pixel: the bits of its count are those of its events in each time-step, the first in the
    highest, one bit each (see :class:`hw.maps.MapConfig`).

    Raises
    ------
    DataError
        If there are more than 24 elements, or several events of a pixel in one.
    """
    if len(counts) > _MOST_STEPS:
        raise DataError(f"{len(counts)} elements are more than a train may have time-steps, "
                        f"{_MOST_STEPS}: take fewer elements or a longer window")
    if counts.max(initial=0) > 1:
        raise DataError("a train has one event of a pixel in a time-step; give --levels 1")
    places = np.arange(len(counts), dtype=np.uint32)[::-1]
    return (counts.astype(np.uint32) << places[:, None, None, None]).sum(
        axis=0, dtype=np.uint32)[None]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "frames": as_frames, "rows": as_rows, "steps": as_steps, "trains": as_trains}
"""Shapes that networks take: those of images, of sequences, and, of networks that spike already,
those of calibration data and of their input."""


def write_counts(paths: Sequence[str | os.PathLike], out: str | os.PathLike, *, width: int,
                 height: int, window: int, levels: int = 255, elements: int | None = None,
                 start: int = 0, layout: str = "frames", progress: bool = True) -> dict:
    """Read recordings, and write their counts, one behind the other, to a ``.npy`` file.

    Parameters
    ----------
    paths : files of :func:`read_events`
    width, height, window, levels, elements, start : see :func:`bins`
    layout : one of :data:`LAYOUTS`
    progress : show a bar on standard error

    Returns
    -------
    ``output``; ``shape`` of its array; ``files``; ``events``; ``elements``, all windows together;
    ``clipped`` counts; ``outside``, the events that are in no window.

    Raises
    ------
    DataError
        If a file can't be read, its events can't be binned, or sequences differ in length.
    OutputError
        If the file can't be written.
    """
    if layout not in LAYOUTS:
        raise DataError(unknown("layout", layout, LAYOUTS))
    if layout == "trains" and elements is None:
        raise DataError("trains have as many elements as the network has time-steps: give "
                        "--elements")
    if not paths:
        raise DataError("no recordings are given")
    files.require_output(out, inputs=paths)
    parts: list[np.ndarray] = []
    total = dict.fromkeys(("events", "elements", "clipped", "outside"), 0)
    for path in bar(paths, desc="events", unit="file", disable=not progress):
        events = read_events(path)
        binned = bins(events, width=width, height=height, window=window, levels=levels,
                      elements=elements, start=start)
        parts.append(LAYOUTS[layout](binned.counts))
        if parts[-1].shape[1:] != parts[0].shape[1:]:
            elements_at = 1 if layout == "steps" else 2
            raise DataError(f"{path}: the number of elements is {parts[-1].shape[elements_at]}, "
                            f"not {parts[0].shape[elements_at]} as in {paths[0]}; give one for all "
                            f"sequences")
        for name, value in (("events", len(events)), ("elements", len(binned.counts)),
                            ("clipped", binned.clipped), ("outside", binned.outside)):
            total[name] += value
    shape = _write(out, parts)
    return {"output": str(out), "shape": list(shape), "files": len(paths), **total}


def _write(out, parts):
    """Write arrays to a ``.npy`` file as one, without a copy of them all; its shape."""
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    with files.replacing(out) as draft, draft.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(parts[0].dtype), "fortran_order": False,
                   "shape": shape})
        for part in parts:
            file.write(part.data)
    return shape
