"""How many clocks a sample takes, layer by layer: the formulas of docs/architecture.md.

They count what a layer needs when its input is there and its output is taken; the slowest layer
sets the interval between samples.
"""

import numpy as np

__all__ = ["gathering_clocks", "row_clocks", "row_events", "row_words"]


def _planes(fmap, counts):
    """``(N, C, H, W)`` counts -> ``(planes, N, chunks, H, W)`` spikes in each word."""
    n = len(counts)
    padded = np.zeros((n, fmap.chunks * fmap.word, fmap.height, fmap.width), dtype=np.int64)
    padded[:, :fmap.channels] = counts.reshape(n, fmap.channels, fmap.height, fmap.width)
    words = padded.reshape(n, fmap.chunks, fmap.word, fmap.height, fmap.width)
    return np.stack([((words >> k & 1) if fmap.code == "phase" else words > k).sum(axis=2)
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


def _events(core, counts):
    """For each group of lanes ``(steps, N, OY, OX, taps)`` spikes in each word, and ``(taps,)``
    which words are connected."""
    planes = [_planes(source.map, c) for source, c in zip(core.sources, counts, strict=True)]
    height, width = core.sources[0].positions
    n = len(counts[0])
    steps = np.stack([np.concatenate([
        np.zeros((n, height, width, source.taps), dtype=np.int64) if plane is None
        else _tap_spikes(source, spikes[plane])
        for source, spikes, plane in zip(core.sources, planes, charge.planes, strict=True)], axis=3)
        for charge in core.schedule.charges])
    for mask in core.masks:
        yield steps, np.array([mask >> tap & 1 for tap in range(core.taps)])


def row_clocks(core, counts, *, idle=True):
    """Clocks that the lanes of a core work on each output row of each sample, ``(N, OY)``.

    Parameters
    ----------
    counts : counts of each source, ``(N, C, H, W)``
    idle : count the clocks that only double the potential; without them it is the rows added
    """
    clocks = 0
    for spikes, connected in _events(core, counts):
        events = spikes @ connected
        clocks += (events.sum(axis=0) + idle * core.schedule.idle_clocks(events)
                   + len(core.schedule.operations))
    return clocks.sum(axis=2)


def row_events(core, counts):
    """Events that the lanes of a core take for each output row of each sample: its spikes, and
    those without one, which double or end a potential, ``(N, OY)``; see :func:`row_clocks`."""
    number = 0
    for spikes, connected in _events(core, counts):
        events = spikes @ connected
        number += (events.sum(axis=0) + core.schedule.idle_clocks(events) + (events[-1] == 0))
    return number.sum(axis=2)


def row_words(core, counts):
    """Words of spikes that a core reads for each output row of each sample, and the empty ones that
    end or double a potential, ``(N, OY)``; see :func:`row_clocks`."""
    words = 0
    for spikes, connected in _events(core, counts):
        events = (spikes > 0) @ connected
        words += events.sum(axis=0) + core.schedule.idle_clocks(events) + (events[-1] == 0)
    return words.sum(axis=2)


def gathering_clocks(source):
    """Clocks that gathering the windows of an output row takes."""
    columns = source.kernel[1] + (source.positions[1] - 1) * source.stride[1]
    return columns * source.kernel[0] * source.map.chunks
