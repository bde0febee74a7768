"""LUTs, flip-flops, logic cells and block RAMs of a design, predicted from its configuration.

A design is a sum of parts. What a part takes beside its memories is linear in a few numbers that
its configuration gives (its *features*), with coefficients for each device family that
``bench/calibrate.py`` measures with Yosys; they are in ``coefficients.json``. Memories are placed
by :mod:`gen.plan.memories`, so that their block RAMs are exact.
"""

import functools
import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth import Shape

from hw.config import BANK_ROWS, CoreConfig
from hw.device import packing
from hw.link import MAX_WORDS
from hw.select import command_layout

from ..errors import FitError
from . import memories
from .memories import Memory, Placement

__all__ = ["PARTS", "Part", "Prediction", "core_size", "layer_memories", "parts", "placement",
           "predict"]

COEFFICIENTS = Path(__file__).with_name("coefficients.json")

_MODELLED = ("luts", "ffs", "cells")


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Prediction:
    """The predicted resources of a design.

    Parameters
    ----------
    luts, ffs, cells, brams : see :class:`gen.build.synthesis.Resources`
    layers : layer name -> the same four figures of this layer, as a dict; the link and the
        registers around the array are under ``None``
    placement : tells which memories go to block RAM
    """

    luts: int
    ffs: int
    cells: int
    brams: float
    layers: dict
    placement: Placement


PARTS = ("spikes", "window", "select", "fetch", "queue", "encoder", "lanes", "merge", "pool",
         "device", "feeder", "collector")
"""Kinds of parts."""


def _bits(count):
    """Bits of a signal that counts to ``count``, or 0 if it never moves."""
    return max(1, (count - 1).bit_length()) if count > 1 else 0


def _walk(loops, address, size=(1, 1)):
    """Features of a nest of loops; see :class:`hw.sequence.Sequence`."""
    turning = [count for count in loops if count > 1]
    return {"places": len(turning) * address, "address": address, "loops": len(turning),
            "turns": sum(map(_bits, turning)), "plane": sum(map(_bits, size))}


def _address(source):
    return _bits(max(2, source.map.beats * source.banks))


def _spikes(layer, source, copies, occupancy=True):
    fmap, depth = source.map, max(2, source.map.beats * source.banks)
    stored = [Memory(fmap.beat_bits, depth, False)]
    if occupancy:
        stored.append(Memory(fmap.planes, depth, False))
    features = {"one": 1, "address": _address(source),
                "occupancy": occupancy * fmap.planes * fmap.word,
                "compared": occupancy * (fmap.code == "rate") * fmap.levels * fmap.beat_bits}
    return Part("spikes", layer.name, features, tuple(stored), copies)


def _window(layer, source, copies):
    height, width = source.positions
    (ky, kx), fmap = source.kernel, source.map
    walk = _walk((height, kx + (width - 1) * source.stride[1], ky, fmap.chunks), _address(source),
                 (fmap.height, fmap.width))
    features = {"one": 1, "occupancy": source.taps * fmap.planes, "planes": fmap.planes, **walk}
    return Part("window", layer.name, features, (), copies)


def _select(core, copies):
    height, width = core.sources[0].positions
    walks = [_walk((height, width), _address(source)) for source in core.sources]
    features = {"one": 1, "taps": core.taps, "held": core.taps * len(core.schedule.charges),
                "masked": core.taps * (len(set(core.masks)) > 1) * len(core.schedule.charges),
                "index": _bits(core.groups * core.taps), "groups": _bits(core.groups),
                "sources": len(core.sources),
                **{name: sum(walk[name] for walk in walks) for name in walks[0]}}
    return Part("select", core.name, features, (), copies)


def _fetch(core, copies):
    offsets = [source.offset(tap) for source in core.sources for tap in range(source.taps)]
    starts = [row or 0 for bases in core.row_bases for row in bases]
    sources = len(core.sources)
    entry = _varying(range(sources)) + _varying(offsets) + _varying(starts)
    table = Memory(sum(max(1, _bits(count)) for count in (
        sources, max(offsets) + 1, core.weight_rows)), max(2, core.groups * core.taps), True, entry)
    features = {"one": 1, "corners": sum(map(_address, core.sources)), "entry": entry,
                "chosen": sum(source.map.word * source.map.planes for source in core.sources),
                "word": max(source.map.word for source in core.sources),
                "index": _bits(core.groups * core.taps)}
    return Part("fetch", core.name, features, (table,), copies)


def _varying(values):
    """Bits that differ between the values."""
    seen = 0
    for value in values:
        seen |= value ^ values[0]
    return seen.bit_count()


def _queue(layer, width, depth, copies):
    return Part("queue", layer.name, {"one": 1, "width": width, "levels": _bits(depth)},
                _waiting(width, depth), copies)


def _waiting(width, depth):
    """Memory of a :class:`hw.stream.Queue`, whose last entry waits in the output register."""
    return (Memory(width, depth - 1, False),) if depth > 1 else ()


def _command_bits(core):
    return Shape.cast(command_layout(core)).width


def _word_bits(core):
    return max(source.map.word for source in core.sources) + max(
        1, (max(2, core.weight_rows) - 1).bit_length()) + 2


def _encoder(core, copies):
    word = max(source.map.word for source in core.sources)
    return Part("encoder", core.name, {
        "one": 1, "word": word, "word_bits": word * _bits(word), "row": _bits(core.weight_rows),
        "adder": (word > 1) * _bits(core.weight_rows)}, (), copies)


def _lanes(core, copies):
    lanes, bits = core.lanes, core.membrane_bits
    count = 0 if core.out is None else core.out.bits
    phase = core.schedule.code == "phase"
    clamped = phase and count and core.schedule.levels != (1 << count) - 1
    rows_held = core.groups * len(core.schedule.rows)
    features = {"one": 1, "lanes": lanes, "membranes": lanes * bits,
                "weights": lanes * core.weight_bits,
                "counts": lanes * count, "rated": lanes * count * (not phase),
                "clamped": lanes * count * bool(clamped),
                "logits": lanes * bits * (core.out is None),
                "row": _bits(rows_held),
                "results": lanes * (count or bits) * (core.sources[0].positions != (1, 1))}
    # A row of a replica's results waits there. Otherwise there are two results, or none if there is
    # only one position.
    row = core.sources[0].positions[1] * core.groups if copies > 1 else 2
    waiting = 0 if core.sources[0].positions == (1, 1) else max(2, row)
    stored = (*(Memory(lanes * core.weight_bits, max(2, rows), True)
                for rows in core.weight_banks),
              Memory(lanes * bits, max(2, rows_held), True),
              *_waiting(lanes * (count or bits), waiting))
    return Part("lanes", core.name, features, stored, copies)


def _core(core):
    copies, share = core.replicas, core.shares[0]
    yield from (_spikes(core, source, copies) for source in share.sources)
    yield from (_window(core, source, copies) for source in share.sources)
    yield _select(share, copies)
    yield _fetch(share, copies)
    yield _queue(core, _command_bits(share), 3, copies)
    yield _queue(core, _word_bits(core), 4, copies)
    yield _encoder(share, copies)
    yield _lanes(share, copies)
    if copies > 1:
        beat = core.out.beat_bits
        yield Part("merge", core.name, {"one": 1, "streams": copies, "chosen": copies * beat,
                                        "beat": beat}, _waiting(beat, 3))


def _pool(pool):
    source, fmap = pool.source, pool.source.map
    height, width = source.positions
    (ky, kx), out = source.kernel, pool.out
    features = {"one": 1, "counts": fmap.beat_bits, "results": out.beat_bits,
                "compared": fmap.beat_bits * (pool.kind == "max"),
                **_walk((height, width, fmap.chunks, ky, kx), _address(source),
                        (fmap.height, fmap.width))}
    yield Part("pool", pool.name, features)
    yield _spikes(pool, source, 1, occupancy=False)


def _frame(config):
    """The parts around the array."""
    readout, words = config.readout, packing(config)
    yield Part("device", None, {"one": 1, "classes": readout.channels},
               (Memory(32, MAX_WORDS + 1, False), *_waiting(config.input.beat_bits, 3)))
    yield Part("feeder", None, {"one": 1, "window": 32 * words.per_beat,
                                "beats": _bits(words.beats)},
               (Memory(32, words.words, False),))
    yield Part("collector", None, {"one": 1, "beat": readout.logit_bits},
               (Memory(readout.membrane_bits, readout.channels, False),))


def parts(config, image: dict | None = None) -> list[Part]:
    """All parts of the design around an array of this configuration.

    With ``image``, the contents of the memories (:func:`gen.plan.mapping.map_network`), the
    memories know which of their columns vary.
    """
    found = list(_frame(config))
    for layer in config.layers:
        found += _layer(layer) if image is None else (
            _filled(part, layer, image) for part in _layer(layer))
    return found


def _filled(part, core, image):
    if part.kind != "lanes":
        return part
    rows = image[f"{core.port}.weights"].rows
    contents = [rows[k:k + BANK_ROWS] for k in range(0, len(rows), BANK_ROWS)]
    contents.append(image[f"{core.port}.parameters"].rows)
    filled = [replace(memory, varying=_varying(held))
              for memory, held in zip(part.memories, contents, strict=False)]
    return replace(part, memories=(*filled, *part.memories[len(filled):]))


# Trial mappings differ in only a layer or two.
@functools.lru_cache(maxsize=1024)
def _layer(layer):
    return tuple(_core(layer) if isinstance(layer, CoreConfig) else _pool(layer))


def placement(config, family: str, brams: float) -> Placement:
    """Where the memories of a design go; see :func:`gen.plan.memories.place`.

    Parameters
    ----------
    family : name of the device's family
    brams : block RAMs of the device
    """
    return _placement(parts(config), family, brams)


def _placement(all_parts, family, brams):
    stored = Counter()
    for part in all_parts:
        for memory in part.memories:
            stored[memory] += part.copies
    return memories.place(family, stored, brams)


_NAMES = {"spikes": ("counts", "occupancy"), "fetch": ("table",), "queue": ("queue",),
          "lanes": ("weights", "parameters")}


def layer_memories(layer, placed: Placement) -> list[dict]:
    """Memories of a layer: ``name``, ``width``, ``depth``, ``style`` and ``copies`` of each."""
    return [{"name": name, "width": memory.width, "depth": memory.depth,
             "style": placed.style(memory), "copies": part.copies}
            for part in _layer(layer)
            for name, memory in zip(_NAMES.get(part.kind, ()), part.memories, strict=False)]


@functools.cache
def _coefficients(family):
    table = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    if family not in table:
        raise FitError(f"nothing has been measured for {family}; python -m bench calibrate does "
                       f"that for {', '.join(sorted(table))}")
    return table[family]


def predict(config, family: str, brams: float, image: dict | None = None) -> Prediction:
    """The predicted resources of an array and the design around it on a device.

    Parameters
    ----------
    config : :class:`hw.config.ArrayConfig`
    family : name of the device's family
    brams : block RAMs of the device
    image : contents of the memories, by name (:func:`gen.plan.mapping.map_network`). Columns that
        never vary are not stored, so the number of block RAMs is exact with it, and an upper
        bound without it
    """
    all_parts, total = parts(config, image), _coefficients(family)["total"]
    placed = _placement(all_parts, family, brams)
    layers = {part.layer: dict.fromkeys((*_MODELLED, "brams"), 0) for part in all_parts}
    for part in all_parts:
        figures = layers[part.layer]
        for what in _MODELLED:
            figures[what] += total[what] * _size(family, part, what, placed.in_blocks)
        figures["brams"] += _blocks(family, part, placed.in_blocks)
    return Prediction(
        **{what: round(sum(figures[what] for figures in layers.values())) for what in _MODELLED},
        brams=sum(figures["brams"] for figures in layers.values()),
        layers={name: {**figures, **{what: round(figures[what]) for what in _MODELLED}}
                for name, figures in layers.items()},
        placement=placed)


def _size(family, part, what, in_blocks):
    """One figure of a part, including its memories."""
    model, memory_size = _coefficients(family)[part.kind][what], getattr(memories, what)
    stored = {True: 0, False: 0}
    for memory in part.memories:
        block = memory in in_blocks
        stored[block] += memory_size(family, memory, block=block)
    return part.copies * (stored[True] + model["memory"] * stored[False] + sum(
        model.get(name, 0) * value for name, value in part.features.items()))


def _blocks(family, part, in_blocks):
    return part.copies * sum(memories.blocks(family, memory) for memory in part.memories
                             if memory in in_blocks)


def core_size(core, family: str) -> tuple[float, float]:
    """Logic cells and block RAMs of one layer of neurons, if block RAM is not short."""
    own = _layer(core)
    stored = Counter({memory: 1 for part in own for memory in part.memories})
    in_blocks = memories.place(family, stored, math.inf).in_blocks
    return (sum(_size(family, part, "cells", in_blocks) for part in own),
            sum(_blocks(family, part, in_blocks) for part in own))
