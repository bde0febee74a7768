"""Parts, the pieces of a design that are modelled by themselves, and those that kinds of layers
share."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw.layers import LayerConfig
from hw.maps import SourceConfig

from .memories import Memory

__all__ = ["PARTS", "Part", "address_bits", "counter_bits", "queue", "queue_memory", "spike_memory",
           "varying_bits", "walk_features"]

PARTS = ("spikes", "window", "select", "fetch", "queue", "encoder", "lanes", "quiet", "merge",
         "changes", "membranes", "pool", "device", "feeder", "collector")
"""Kinds of parts."""


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of the design that is modelled by itself.

    Parameters
    ----------
    kind : one of ``PARTS``
    layer : name of the layer that it belongs to, or ``None``
    features : numbers that its size depends on
    memories : inside the piece
    copies : how often the design has the piece
    """

    kind: str
    layer: str | None
    features: dict[str, float]
    memories: tuple[Memory, ...] = ()
    copies: int = 1


def counter_bits(count: int) -> int:
    """Bits of a signal that counts to ``count``, or 0 if it never moves."""
    return max(1, (count - 1).bit_length()) if count > 1 else 0


def walk_features(loops: Sequence[int], address: int, size: tuple[int, int] = (1, 1)
                  ) -> dict[str, float]:
    """Features of a nest of loops; see :class:`hw.sequence.Sequence`.

    Parameters
    ----------
    loops : iterations of each loop
    address : bits of the address
    size : ``(y, x)`` of the map, if the walk finds out what is in the padding
    """
    turning = [count for count in loops if count > 1]
    return {"places": len(turning) * address, "address": address, "loops": len(turning),
            "turns": sum(map(counter_bits, turning)), "plane": sum(map(counter_bits, size))}


def address_bits(source: SourceConfig) -> int:
    """Bits of an address in the spike memory of a source."""
    return counter_bits(max(2, source.beats))


def spike_memory(layer: LayerConfig, source: SourceConfig, copies: int, *,
                 occupancy: bool = True) -> Part:
    """A :class:`hw.spikes.SpikeMemory`."""
    fmap, depth = source.map, max(2, source.beats)
    stored = [Memory(fmap.beat_bits, depth, False)]
    if occupancy:
        stored.append(Memory(fmap.one_slice.planes, depth, False))
    features = {"one": 1, "address": address_bits(source),
                "occupancy": occupancy * fmap.one_slice.planes * fmap.word,
                "compared": occupancy * (fmap.code == "rate") * fmap.levels * fmap.beat_bits}
    return Part("spikes", layer.name, features, tuple(stored), copies)


def varying_bits(values: Sequence[int]) -> int:
    """Number of bits that differ between the values."""
    seen = 0
    for value in values:
        seen |= value ^ values[0]
    return seen.bit_count()


def queue(layer: LayerConfig, width: int, depth: int, copies: int) -> Part:
    """A :class:`hw.stream.Queue`."""
    return Part("queue", layer.name, {"one": 1, "width": width, "levels": counter_bits(depth)},
                queue_memory(width, depth), copies)


def queue_memory(width: int, depth: int) -> tuple[Memory, ...]:
    """The memory of a :class:`hw.stream.Queue`. One entry waits in the output register."""
    return (Memory(width, depth - 1, False),) if depth > 1 else ()
