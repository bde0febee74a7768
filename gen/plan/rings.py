"""How many rows the spike memories hold: as many as keep the pipeline moving, and no more.

Imagine an array in which every layer works evenly. It takes one unit of time for a sample, and
begins an output row as soon as the rows that it looks at are there. A row occupies the memory from
the time at which its first beat is sent until no window looks at it any more. An array whose rings
hold the rows of this schedule is as fast as its slowest layer, because the real array does nothing
later than the imagined one. In front of a residual addition, the ring of the short path holds the
rows by which the layers of the long path lag behind.
"""

import functools
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gen.errors import FitError, unknown
from hw.config import ArrayConfig
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig

__all__ = ["ring_rows", "rows_of", "with_rings", "with_rows"]

# Rows that a layer may be late.
_SPARE = 3

# Times that differ by less are the same.
_SAME = 1e-9


def rows_of(source: SourceConfig) -> int:
    """Rows of a source's spike memory. A source that was given none has two whole maps."""
    assert source.rows is not None
    return source.rows


def with_rings(config: ArrayConfig, rows: Mapping[str, Sequence[int]] | None = None
               ) -> ArrayConfig:
    """The configuration with rows in each spike memory.

    Parameters
    ----------
    rows : layer name -> rows of the spike memory of each source, from as many as
        :func:`ring_rows` says to two whole maps; layers not named have the former

    Raises
    ------
    FitError
        If a memory can't have the rows that are given for it.
    """
    layers, rows = [], dict(rows or {})
    for layer, least in zip(config.layers, ring_rows(config), strict=True):
        given = tuple(rows.pop(layer.name, least))
        most = [max(few, 2 * source.map.height)
                for source, few in zip(layer.sources, least, strict=True)]
        if len(given) != len(least) or not all(
                low <= few <= high for low, few, high in zip(least, given, most, strict=True)):
            raise FitError(f"rows of {layer.name} must be from {list(least)} to {most}, not "
                           f"{list(given)}")
        layers.append(layer.with_rows(given))
    if rows:
        raise FitError(f"rows: {unknown('layer', min(rows), [x.name for x in config.layers])}")
    return replace(config, layers=tuple(layers))


def with_rows(config: ArrayConfig, index: int, core: CoreConfig) -> CoreConfig:
    """A core that replaces layer ``index`` of a configuration, with the rows that it needs
    there."""
    layers = (*config.layers[:index], core, *config.layers[index + 1:])
    return core.with_rows(ring_rows(replace(config, layers=layers))[index])


def ring_rows(config: ArrayConfig) -> tuple[tuple[int, ...], ...]:
    """For each layer, the rows of the spike memory of each source.

    They are enough if every layer works evenly. Because layers are sometimes late, there is room
    for ``_SPARE`` rows more, unless a memory would become larger than two whole maps. Blocks of a
    sequence may be short, and memories hold as many as there is room for.
    """
    return _ring_rows(config.input.height, config.continues, tuple(
        (len(layer.shares), tuple(map(_column, layer.sources))) for layer in config.layers))


def _column(source):
    """The source with a map that is one column wide, which needs as many rows."""
    fmap = MapConfig(1, source.map.height, 1, 1, 1)
    return SourceConfig(fmap, source.layer, (source.kernel[0], 1), (source.stride[0], 1),
                        (source.padding[0], 0), below=source.below, continues=source.continues)


# Trial mappings differ in lanes, and few in replicas.
@functools.lru_cache(maxsize=1024)
def _ring_rows(height, blocks, layers):
    least, roomy = (_needed(height, layers, spare) for spare in (0, _SPARE))
    return tuple(tuple(max(source.least_rows, many if blocks or few > 2 * source.map.height else
                           min(many, 2 * source.map.height))
                       for source, few, many in zip(sources, *rows, strict=True))
                 for (_, sources), *rows in zip(layers, least, roomy, strict=True))


def _needed(height, layers, spare):
    """Rows of the spike memories of each layer, if each layer begins ``spare`` rows late."""
    # The last of so many samples is like the one before it.
    samples = len(layers) + 3
    sent = {-1: [(row / height, (row + 1) / height) for row in range(samples * height)]}
    left = {}
    for index, (replicas, sources) in enumerate(layers):
        others = tuple(source for source in sources if source.layer != index)
        sent[index], left[index] = _even(replicas, others, sent, samples, spare)

    def rows(index, source):
        if source.layer == index:  # a recurrent layer looks at its rows as it sends the next one
            return source.padding[0] + 1
        shares = (replace(source, first=k, every=layers[index][0])
                  for k in range(layers[index][0]))
        return max(_rows(share, sent[source.layer], times, samples)
                   for share, times in zip(shares, left[index], strict=True))

    return [[rows(index, source) for source in sources]
            for index, (_, sources) in enumerate(layers)]


def _even(replicas, sources, sent, samples, spare):
    """When the first and the last beat of each output row leave a layer that works evenly, and when
    each replica leaves its rows."""
    height = sources[0].positions[0]
    each = min(map(_looked_at, sources)) / -(-height // replicas)
    left: list[list[float]] = [[] for _ in range(replicas)]
    rows, end = [], 0
    for sample in range(samples):
        for row in range(height):
            mine = left[row % replicas]
            begin = max(mine[-1] if mine else 0, *(
                _came(source, sent[source.layer], sample, row) + spare / source.map.height
                for source in sources))
            mine.append(begin + each)
            rows.append((max(begin, end), max(mine[-1], end)))
            end = rows[-1][1]
    return rows, left


def _looked_at(source):
    """The share of a map that is not left out at its edges. While the rest comes, the layer has
    nothing to do."""
    return 1 + sum(min(0, edge) for edge in source.edges[0]) / source.map.height


def _came(source, sent, sample, row):
    """When the rows that an output row looks at are there."""
    height = source.map.height
    edge = min(row * source.stride[0] - source.padding[0] + source.kernel[0], height)
    last = sample * height + edge - 1
    return sent[last][1] if last >= 0 and (edge > 0 or source.continues) else 0


def _rows(share, sent, left, samples):
    """Rows that one replica's memory has to hold.

    Parameters
    ----------
    sent : when the first and the last beat of each row of the map are sent
    left : when each output row is left
    """
    height, tops = share.map.height, share.tops
    reach = 0
    for row in range((samples - 1) * height, samples * height):
        sample, out_row = divmod(bisect_right(left, sent[row][0] + _SAME), len(tops))
        reach = max(reach, row + 1 - sample * height - tops[out_row])
    return max(reach + share.beyond, share.least_rows)
