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

from .events import events, words

__all__ = ["first_clocks", "gathering_clocks", "row_clocks", "row_events", "row_words",
           "window_clocks"]


# Slices that are on their way from the window to the lanes: the length of a moving average.
_WINDOWS = 4


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
    groups = events(core, counts)
    if not idle:
        return _by_row(group.adding.sum(axis=0) + core.schedule.additions for group in groups)
    if core.slices > 1:
        window = window_clocks(core) if window is None else window
        work = (_sliced_clocks(core, group, window) for group in groups)
    else:
        work = (_clocks(core, group) for group in groups)
    if core.live is None:
        return _by_row(work)
    return _read_in_time(work, (_all(read) + 1 for read in words(core, counts)))


def _read_in_time(work, reads):
    """Clocks of the lanes on each output row, ``(N, OY)``, if the words for them are read one a
    clock, whether or not any of their spikes count. Reading can be a turn ahead.

    Parameters
    ----------
    work, reads : clocks of each group of lanes, ``(N, OY, OX)``
    """
    turns = []
    for clocks in (work, reads):
        in_turn = np.stack(list(clocks), axis=-1)
        in_turn = in_turn.reshape(*in_turn.shape[:2], -1)
        turns.append((in_turn + np.roll(in_turn, 1, axis=-1)) / 2)
    return np.maximum(*turns).sum(axis=-1)


def _clocks(core, group):
    """Clocks of a group of lanes, ``(N, OY, OX)``."""
    return (group.adding.sum(axis=0) + group.doubling + _leading_clocks(core)
            + len(core.schedule.operations))


def _sliced_clocks(core, group, window):
    """Clocks of a group of lanes, ``(N, OY, OX)``. While the lanes work on a slice, the window of
    the next one is gathered. Windows wait in queues, so what counts is the mean work on a few
    slices."""
    work = np.stack([
        group.adding[[number for number in numbers if number is not None]].sum(axis=0) + operations
        for numbers, operations in zip(core.scan.numbers, _slice_operations(core), strict=True)],
        axis=-1).astype(float)
    work[..., 0] += group.doubling + _leading_clocks(core)
    in_turn = np.pad(work.reshape(*work.shape[:2], -1), ((0, 0), (0, 0), (_WINDOWS - 1, 0)),
                     mode="wrap")
    smooth = np.lib.stride_tricks.sliding_window_view(in_turn, _WINDOWS, axis=-1).mean(axis=-1)
    return np.maximum(smooth, window).reshape(work.shape).sum(axis=-1)


def _slice_operations(core):
    """Operations beside the events, of the steps that end in each slice."""
    turns = {number: turn for turn, numbers in enumerate(core.scan.numbers) for number in numbers}
    operations, turn, charges = [0] * core.slices, 0, 0
    for step, length in zip(core.schedule.steps, core.schedule.lengths, strict=True):
        charges += len(step.charges)
        if step.charges:
            turn = turns[charges - 1]
        operations[turn] += length
    return operations


def row_events(core: CoreConfig, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Events that the lanes of a core take for each output row of each sample, ``(N, OY)``: the
    spikes, and the events without a spike that double or end a potential.

    Parameters
    ----------
    counts : see :func:`row_clocks`
    """
    return _by_row(map(_all, events(core, counts)))


def row_words(core: CoreConfig, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Words of spikes that a core reads for each output row of each sample, ``(N, OY)``, and the
    empty words that double or end a potential.

    Parameters
    ----------
    counts : see :func:`row_clocks`
    """
    return _by_row(map(_all, words(core, counts)))


def _all(group):
    """``(N, OY, OX)`` events of all kinds."""
    return group.adding.sum(axis=0) + group.doubling + group.ending


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
