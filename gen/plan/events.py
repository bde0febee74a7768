"""The events that the lanes of a core get, from the spikes of its sources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gen.ir.spikes import held
from gen.ir.synapses import sliding_windows
from hw.layers import CoreConfig

__all__ = ["Events", "events", "words"]


@dataclass(frozen=True)
class Events:
    """The events of a group of lanes at each output position of each sample.

    Parameters
    ----------
    adding : of each charge, ``(charges, N, OY, OX)``: those that add a row
    doubling : ``(N, OY, OX)``, those that only double the potential; they take a clock, too
    ending : ``(N, OY, OX)``, those that add no row and end a step; they take none
    """

    adding: np.ndarray
    doubling: np.ndarray
    ending: np.ndarray


def events(core: CoreConfig, counts: Sequence[np.ndarray]) -> Iterator[Events]:
    """The events of each group of lanes.

    Parameters
    ----------
    counts : counts of each source, ``(N, C, H, W)``
    """
    planes = _planes(core, counts)
    spikes = _spikes(core, planes)
    if core.live is None:
        return (_all(core, adding) for adding in _connected(core, spikes))
    return (_some(core, *group) for group in _live(core, planes, spikes))


def words(core: CoreConfig, counts: Sequence[np.ndarray]) -> Iterator[Events]:
    """The words that a core reads for each group of lanes, and the empty ones, as :func:`events`
    has what comes of them if all spikes count."""
    return (_all(core, read) for read in _connected(core, _spikes(core, _planes(core, counts)) > 0))


def _all(core, adding):
    """Events if all spikes count. A charge without a spike has an event that adds nothing, because
    the potential doubles or a step ends."""
    schedule, ends = core.schedule, sorted(core.schedule.ends)
    return Events(adding, schedule.idle_clocks(adding, core.skips),
                  (adding[ends] == 0).sum(axis=0))


def _some(core, adding, read, first, last):
    """Events if some spikes do not count. A word without those that do is dropped, except for the
    first word of a plane that doubles the potential, and the last word of a step.

    Parameters
    ----------
    adding : spikes of each charge that count, ``(charges, N, OY, OX)``
    read : words that have any spikes
    first, last : whether the first and the last of them have any that count
    """
    # Whether a word was read before; and in the same step.
    begun, charged = (np.zeros(adding.shape[1:], dtype=bool) for _ in range(2))
    doubling, ending = (np.zeros(adding.shape[1:], dtype=np.int64) for _ in range(2))
    for number, charge in enumerate(core.schedule.charges):
        is_last = number in core.schedule.ends
        ends = ~last[number] & is_last
        entered = begun & ((read[number] > 0) | charged | is_last) if core.skips else begun
        doubles = ~first[number] & entered & charge.double
        # Of a single word, both are the same event.
        doubling += doubles & ~(ends & (read[number] <= 1))
        ending += ends
        begun |= (read[number] > 0) | is_last
        charged = (charged | (read[number] > 0)) & (not is_last)
    return Events(adding, doubling, ending)


def _connected(core, spikes):
    """``(charges, N, OY, OX)`` of each group of lanes: the sums of the taps that are connected to
    it."""
    for mask in core.masks:
        yield spikes @ _bits(mask, core.taps)


def _live(core, planes, spikes):
    """For each group of lanes the arguments of :func:`_some`."""
    channels = [_windows(source, own) for source, own in zip(core.sources, planes, strict=True)]
    for mask, bits in zip(core.masks, core.live, strict=True):
        reads = (spikes > 0) & _bits(mask, core.taps).astype(bool)
        live = np.where(reads, spikes, 0)
        for number, charge in enumerate(core.schedule.charges):
            tap = 0
            for source, own, plane in zip(core.sources, channels, charge.planes, strict=True):
                if source.lanes is None and plane is not None:
                    for place, kept in enumerate(bits[tap:tap + source.taps]):
                        live[number, ..., tap + place] = _kept(source, own[plane], place, kept)
                tap += source.taps
        yield (live.sum(axis=4), reads.sum(axis=4), _at_first(live > 0, reads),
               _at_first(live[..., ::-1] > 0, reads[..., ::-1]))


def _kept(source, channels, tap, bits):
    """``(N, OY, OX)`` spikes of a tap that count.

    Parameters
    ----------
    channels : ``(N, chunks, word, OY, OX, KY, KX)`` spikes
    bits : see :attr:`hw.layers.CoreConfig.live`
    """
    column, chunk = divmod(tap, source.map.chunks)
    kx, ky = divmod(column, source.kernel[0])
    kept = np.flatnonzero(_bits(bits, source.map.word))
    return channels[:, chunk, :, :, :, ky, kx][:, kept].sum(axis=1)


def _at_first(adds, reads):
    """Whether the first word that is read adds anything, ``(..., taps)`` -> ``(...)``."""
    return np.take_along_axis(adds, reads.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def _bits(mask, count):
    return np.array([mask >> k & 1 for k in range(count)])


def _planes(core, counts):
    """The spikes of each source, see :func:`_channels`."""
    return [_channels(source.map, held(source, own))
            for source, own in zip(core.sources, counts, strict=True)]


def _spikes(core, planes):
    """``(charges, N, OY, OX, taps)`` events of each word, if all spikes count."""
    empty = (planes[0].shape[1], *core.sources[0].positions)
    return np.stack([np.concatenate([
        np.zeros((*empty, source.taps), dtype=np.int64) if plane is None
        else _tap_spikes(source, replayed[plane].sum(axis=2))
        for source, replayed, plane in zip(core.sources, planes, charge.planes, strict=True)],
        axis=3) for charge in core.schedule.charges])


def _channels(fmap, counts):
    """``(N, C, H, W)`` counts -> ``(planes, N, chunks, word, H, W)`` spikes, 0 or 1."""
    n = len(counts)
    padded = np.zeros((n, fmap.chunks * fmap.word, fmap.height, fmap.width),
                      dtype=object if counts.dtype == object else np.int64)
    padded[:, :fmap.channels] = counts.reshape(n, fmap.channels, fmap.height, fmap.width)
    words = padded.reshape(n, fmap.chunks, fmap.word, fmap.height, fmap.width)
    return np.stack([fmap.has_spike(words, k).astype(np.uint8) for k in range(fmap.planes)])


def _tap_spikes(source, words):
    """``(N, chunks, H, W)`` spikes -> ``(N, OY, OX, taps)`` events, in the order of the taps."""
    if source.lanes is not None:
        words = words > 0
    view = _windows(source, words.astype(np.int64)).transpose(0, 2, 3, 5, 4, 1)
    return view.reshape(*view.shape[:3], source.taps)


def _windows(source, maps):
    """``(..., H, W)`` maps -> ``(..., OY, OX, KY, KX)`` windows."""
    return sliding_windows(maps, source.kernel, source.stride, source.edges)
