"""Beats that a virtual board has recorded, compared with :meth:`Network.run`.

The board appends a line for each beat that leaves a layer: the layer's number, and the beat in
hexadecimal digits. The file is up to date when the last layer has sent.
"""

from pathlib import Path

from gen.ir.beats import to_ints
from gen.ir.network import Trace
from hw.config import ArrayConfig

from .streams import Stream, layer_streams

__all__ = ["difference", "read"]


def read(path: str | Path) -> list[tuple[int, int]]:
    """The layer and the beat of each line of a record.

    Raises
    ------
    OSError
        If it can't be read.
    """
    with open(path, encoding="ascii") as file:
        pairs = [line.split() for line in file]
    return [(int(layer), int(beat, 16)) for layer, beat in pairs]


def difference(config: ArrayConfig, records: list[tuple[int, int]], trace: Trace) -> str | None:
    """The first thing, layer by layer, in which the record of one sample differs from a run.

    Parameters
    ----------
    config : of the array
    records : what :func:`read` returns
    trace : of the sample, which is the only one

    Returns
    -------
    A phrase, or ``None`` if each beat of each layer is as it should be.
    """
    found = (_in_layer(stream, [beat for layer, beat in records if layer == number], trace)
             for number, stream in enumerate(layer_streams(config)))
    return next(filter(None, found), None)


def _in_layer(stream: Stream, seen: list[int], trace: Trace) -> str | None:
    (due,) = stream.pack(stream.expected(trace))
    expected = to_ints(due)
    if len(seen) != len(expected):
        return f"{stream.name} sent {len(seen)} beats instead of {len(expected)}"
    for beat, (wanted, got, mask) in enumerate(zip(expected, seen, stream.masks, strict=True)):
        if (wanted ^ got) & mask:
            place = stream.difference(0, beat, wanted & mask, got & mask)
            return ("{layer}, channel {channel}, y {y}, x {x}: {got} instead of "
                    "{expected}".format(**place))
    return None
