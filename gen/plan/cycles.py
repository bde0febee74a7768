"""How many clocks a sample takes, layer by layer: the formulas of docs/architecture.md.

They count what a layer needs when its input is there and its output is taken. The slowest layer
decides the interval between samples.
"""

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from hw.layers import CoreConfig
from hw.maps import SourceConfig

__all__ = ["first_clocks", "gathering_clocks", "row_clocks", "row_events", "row_words",
           "window_clocks"]


# Slices that are on their way from the window to the lanes: the length of a moving average.
_WINDOWS = 4


def _planes(fmap, counts):
    """``(N, C, H, W)`` counts -> ``(planes, N, chunks, H, W)`` spikes in each word."""
    n = len(counts)
    padded = np.zeros((n, fmap.chunks * fmap.word, fmap.height, fmap.width),
                      dtype=object if counts.dtype == object else np.int64)
    padded[:, :fmap.channels] = counts.reshape(n, fmap.channels, fmap.height, fmap.width)
    words = padded.reshape(n, fmap.chunks, fmap.word, fmap.height, fmap.width)
    return np.stack([fmap.has_spike(words, k).sum(axis=2).astype(np.int64)
                     for k in range(fmap.planes)])


def _tap_spikes(source, words):
    """``(N, chunks, H, W)`` spikes -> ``(N, OY, OX, taps)`` events, in the order of the taps."""
    if source.lanes is not None:
        words = (words > 0).astype(np.int64)
    (py, px), (sy, sx) = source.padding, source.stride
    words = np.pad(words, ((0, 0), (0, 0), (py, py), (px, px)))
    view = np.lib.stride_tricks.sliding_window_view(words, source.kernel, axis=(2, 3))
    view = view[:, :, ::sy, ::sx].transpose(0, 2, 3, 5, 4, 1)
    return view.reshape(*view.shape[:3], source.taps)


def _events(core, counts, *, words=False):
    """For each group of lanes the events of each charge, ``(charges, N, OY, OX)``: the spikes that
    are connected to the group, or the words in which there are any."""
    planes = [_planes(source.map, c) for source, c in zip(core.sources, counts, strict=True)]
    height, width = core.sources[0].positions
    n = len(counts[0])
    spikes = np.stack([np.concatenate([
        np.zeros((n, height, width, source.taps), dtype=np.int64) if plane is None
        else _tap_spikes(source, replayed[plane])
        for source, replayed, plane in zip(core.sources, planes, charge.planes, strict=True)],
        axis=3) for charge in core.schedule.charges])
    for mask in core.masks:
        connected = np.array([mask >> tap & 1 for tap in range(core.taps)])
        yield (spikes > 0 if words else spikes) @ connected


def _by_row(groups: Iterable[np.ndarray]) -> np.ndarray:
    """``(N, OY, OX)`` of each group of lanes -> the sums over a row's groups and positions,
    ``(N, OY)``."""
    return functools.reduce(np.add, groups).sum(axis=2)


def row_clocks(core: CoreConfig, counts: Sequence[np.ndarray], *, idle: bool = True,
               window: float | None = None) -> np.ndarray:
    """Clocks that the lanes of a core work on each output row of each sample, ``(N, OY)``.

    Parameters
    ----------
    counts : counts of each source, ``(N, C, H, W)``
    idle : whether clocks count in which the lanes only double the potential; in all other clocks
        they add a row
    window : clocks that gathering a window takes, if trains have several slices: the lanes wait for
        each of them. By default from the sources as they are
    """
    if core.slices > 1 and idle:
        window = window_clocks(core) if window is None else window
        return _by_row(_sliced_clocks(core, events, window) for events in _events(core, counts))
    return _by_row(events.sum(axis=0) + idle * (_idle_clocks(core, events) + _leading_clocks(core))
                   + len(core.schedule.operations) for events in _events(core, counts))


def _sliced_clocks(core, events, window):
    """Clocks of a group of lanes, ``(N, OY, OX)``. While the lanes work on a slice, the window of
    the next one is gathered. Windows wait in queues, so what counts is the mean work on a few
    slices."""
    work = np.stack([
        events[[number for number in numbers if number is not None]].sum(axis=0) + operations
        for numbers, operations in zip(core.scan.numbers, _slice_operations(core), strict=True)],
        axis=-1).astype(float)
    work[..., 0] += _idle_clocks(core, events) + _leading_clocks(core)
    in_turn = np.pad(work.reshape(*work.shape[:2], -1), ((0, 0), (0, 0), (_WINDOWS - 1, 0)),
                     mode="wrap")
    smooth = np.lib.stride_tricks.sliding_window_view(in_turn, _WINDOWS, axis=-1).mean(axis=-1)
    return np.maximum(smooth, window).reshape(work.shape).sum(axis=-1)


def _slice_operations(core):
    """Operations beside the events, of the steps that end in each slice."""
    turns = {number: turn for turn, numbers in enumerate(core.scan.numbers) for number in numbers}
    operations, turn, charges = [0] * core.slices, 0, 0
    for step in core.schedule.steps:
        charges += len(step.charges)
        if step.charges:
            turn = turns[charges - 1]
        operations[turn] += len(step.adds) + len(step.fires)
    return operations


def row_events(core: CoreConfig, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Events that the lanes of a core take for each output row of each sample, ``(N, OY)``: the
    spikes, and the events without a spike that double or end a potential.

    Parameters
    ----------
    counts : see :func:`row_clocks`
    """
    return _by_row(_with_empty(core, events) for events in _events(core, counts))


def row_words(core: CoreConfig, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Words of spikes that a core reads for each output row of each sample, ``(N, OY)``, and the
    empty words that double or end a potential.

    Parameters
    ----------
    counts : see :func:`row_clocks`
    """
    return _by_row(_with_empty(core, events) for events in _events(core, counts, words=True))


def _with_empty(core, events):
    """Events of all charges, and those that are empty: one for each clock that only doubles the
    potential, and one at the end of a step if its last charge has no event."""
    ends = sorted(core.schedule.ends)
    return (events.sum(axis=0) + _idle_clocks(core, events)
            + (events[ends] == 0).sum(axis=0))


def _idle_clocks(core, events):
    """Clocks without a spike that the charges take. Where trains have several slices, only those
    of the input do, which come first."""
    images = sum(charge.number is None for charge in core.schedule.charges)
    return core.schedule.idle_clocks(events[:images] if core.slices > 1 else events)


def _leading_clocks(core):
    """Clocks of the slices of a train that end before the first time-step of the run."""
    if not core.sends_slices:
        return 0
    fired, steps = sum(bool(step.fires) for step in core.schedule.steps), core.out.slice_steps
    return 2 * ((core.out.slices * steps - fired) // steps)


def gathering_clocks(source: SourceConfig, groups: int) -> int:
    """Clocks that gathering the windows of an output row takes.

    Parameters
    ----------
    groups : of lanes: each of them has the windows of all slices, if trains have several
    """
    if source.map.slices > 1:
        return source.positions[1] * groups * source.map.slices * first_clocks(source)
    columns = source.kernel[1] + (source.positions[1] - 1) * source.stride[1]
    return columns * source.kernel[0] * source.map.chunks


def window_clocks(core: CoreConfig) -> int:
    """Clocks that gathering a whole window takes, of the slowest source."""
    return max(map(first_clocks, core.sources))


def first_clocks(source: SourceConfig) -> int:
    """Clocks that gathering the first window of an output row takes."""
    return math.prod(source.kernel) * source.map.chunks
