"""LUTs, flip-flops, logic cells and block RAMs of a design, predicted from its configuration.

A design is a sum of parts. The size of a part without its memories is linear in a few numbers that
its configuration gives (its *features*). ``bench/calibrate.py`` measures the coefficients of each
device family with Yosys, and writes them to ``coefficients.json``. :mod:`gen.plan.memories` places
the memories, so the number of block RAMs is exact.
"""

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gen.errors import FitError
from hw.config import ArrayConfig, MemoryImage
from hw.contents import WORD, shapes
from hw.device import packing, register_map
from hw.layers import BANK_ROWS, CoreConfig, LayerConfig
from hw.registers import MAX_WORDS, SLOTS

from . import memories
from .kinds import kind
from .memories import Memory, Placement
from .parts import Part, counter_bits, queue_memory, varying_bits

__all__ = ["Prediction", "core_size", "layer_memories", "parts", "placement", "predict"]

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
"""File of the measured coefficients."""

_MODELLED = ("luts", "ffs", "cells")


@dataclass(frozen=True)
class Prediction:
    """The predicted resources of a design.

    Parameters
    ----------
    luts, ffs, cells, brams : see :class:`gen.build.synthesis.Resources`
    layers : layer name -> figure -> its value for this layer; the link and the registers around the
        array are under None
    placement : which memories go to block RAM
    """

    luts: int
    ffs: int
    cells: int
    brams: float
    layers: dict[str | None, dict[str, float]]
    placement: Placement


def _frame(config):
    """The parts around the array."""
    readout, words, where = config.readout, packing(config), register_map(config)
    yield Part("device", None, {"one": 1},
               (Memory(32, MAX_WORDS + 1, False), Memory(8, 32, False),
                Memory(32, 2 * words.words, False), Memory(32, SLOTS * where.stride, False),
                *queue_memory(32, config.in_flight), *queue_memory(config.input.beat_bits + 1, 3),
                *_checked(config)))
    yield Part("feeder", None, {"one": 1, "window": 32 * words.per_beat,
                                "beats": counter_bits(words.beats)})
    yield Part("collector", None, {"one": 1, "beat": readout.beat_bits})


def _checked(config):
    """Memories of what the device is checked with. They may be written if the others may."""
    if config.reloadable:
        yield Memory(WORD, max(2, len(shapes(config))), False)
    if config.selftests:
        for shape in shapes(config)[-2:]:
            yield Memory(WORD, max(2, shape.depth), not config.reloadable)


def parts(config: ArrayConfig, image: Mapping[str, MemoryImage] | None = None) -> list[Part]:
    """All parts of a design: of the array, and around it.

    Parameters
    ----------
    image : contents of the memories, by name. With them, it is known which columns vary
    """
    found = list(_frame(config))
    for layer in config.layers:
        if config.reloadable:
            found += (_loadable(part, layer) for part in _layer(layer))
        else:
            found += _layer(layer) if image is None else (
                _filled(part, layer, image) for part in _layer(layer))
    return found


def _loadable(part, core):
    """A part whose memories are written by words, so that each is a memory for each word of a
    row."""
    if part.kind != "lanes":
        return part
    count = len(core.weight_banks) + 1
    stored = [Memory(min(WORD, memory.width - start), memory.depth, False)
              for memory in part.memories[:count] for start in range(0, memory.width, WORD)]
    return replace(part, memories=(*stored, *part.memories[count:]))


def _filled(part, core, image):
    if part.kind != "lanes":
        return part
    rows = image[f"{core.port}.weights"].rows
    contents = [rows[k:k + BANK_ROWS] for k in range(0, len(rows), BANK_ROWS)]
    contents.append(image[f"{core.port}.parameters"].rows)
    filled = [replace(memory, varying=varying_bits(held))
              for memory, held in zip(part.memories, contents, strict=False)]
    return replace(part, memories=(*filled, *part.memories[len(filled):]))


# Trial mappings differ in only a layer or two.
@functools.lru_cache(maxsize=1024)
def _layer(layer):
    return tuple(kind(layer).parts(layer))


def placement(config: ArrayConfig, family: str, brams: float) -> Placement:
    """Where the memories of a design go; see :func:`gen.plan.memories.place`.

    Parameters
    ----------
    family : name of the device's family
    brams : block RAMs of the device
    """
    return _placement(parts(config), family, brams)


def _placement(all_parts: Iterable[Part], family: str, brams: float) -> Placement:
    stored: Counter[Memory] = Counter()
    for part in all_parts:
        for memory in part.memories:
            stored[memory] += part.copies
    return memories.place(family, stored, brams)


_NAMES = {"spikes": ("counts", "occupancy"), "fetch": ("table",), "queue": ("queue",),
          "lanes": ("weights", "parameters"), "changes": ("counts before",),
          "membranes": ("membranes",)}


def layer_memories(layer: LayerConfig, placed: Placement) -> list[dict[str, str | int]]:
    """Memories of a layer: ``name``, ``width``, ``depth``, ``style`` (see
    :meth:`gen.plan.memories.Placement.style`) and ``copies`` of each."""
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


def predict(config: ArrayConfig, family: str, brams: float,
            image: Mapping[str, MemoryImage] | None = None) -> Prediction:
    """The predicted resources of an array and the design around it on a device.

    Parameters
    ----------
    family : name of the device's family
    brams : block RAMs of the device
    image : contents of the memories, by name. Columns that do not vary are not stored, so the
        number of block RAMs is exact with the contents, and an upper bound without them

    Raises
    ------
    FitError
        If nothing has been measured for the family.
    """
    all_parts, total = parts(config, image), _coefficients(family)["total"]
    placed = _placement(all_parts, family, brams)
    layers: dict[str | None, dict[str, float]] = {
        part.layer: dict.fromkeys((*_MODELLED, "brams"), 0) for part in all_parts}
    for part in all_parts:
        figures, own = layers[part.layer], _figures(family, part, placed.in_blocks)
        for what in _MODELLED:
            figures[what] += total[what] * own[what]
        figures["brams"] += own["brams"]
    return Prediction(
        **{what: round(sum(figures[what] for figures in layers.values())) for what in _MODELLED},
        brams=sum(figures["brams"] for figures in layers.values()),
        layers={name: {**figures, **{what: round(figures[what]) for what in _MODELLED}}
                for name, figures in layers.items()},
        placement=placed)


def _figures(family, part, in_blocks):
    """The figures of a part, including its memories."""
    return _sizes(family, part, tuple(memory in in_blocks for memory in part.memories))


# The parts of a layer are those that _layer keeps.
@functools.lru_cache(maxsize=1 << 14)
def _sizes(family, part, inside):
    return {**{what: _size(family, part, what, inside) for what in _MODELLED},
            "brams": part.copies * sum(memories.blocks(family, memory) for memory, block
                                       in zip(part.memories, inside, strict=True) if block)}


def _size(family, part, what, inside):
    model, memory_size = _coefficients(family)[part.kind][what], getattr(memories, what)
    stored = {True: 0, False: 0}
    for memory, block in zip(part.memories, inside, strict=True):
        stored[block] += memory_size(family, memory, block=block)
    return part.copies * (stored[True] + model["memory"] * stored[False] + sum(
        model.get(name, 0) * value for name, value in part.features.items()))


def core_size(core: CoreConfig, family: str) -> tuple[float, float]:
    """Logic cells and block RAMs of one layer of neurons, if block RAM is not short."""
    own = _layer(core)
    stored = Counter({memory: 1 for part in own for memory in part.memories})
    in_blocks = memories.place(family, stored, math.inf).in_blocks
    figures = [_figures(family, part, in_blocks) for part in own]
    return sum(part["cells"] for part in figures), sum(part["brams"] for part in figures)
