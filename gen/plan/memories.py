"""Where each memory of a design goes: block RAM, LUT RAM or logic.

By default Yosys weighs these by its own costs, without regard to the rest of the design. This
module chooses for the whole design. Its choice is an attribute of each memory (``ram_style``),
which Yosys obeys, so the prediction equals the result of synthesis.

The number of block RAMs of a memory follows from the shapes that Yosys' libraries list
(``techlibs/*/brams*.txt``), and from its pass ``memory_libmap``: in a memory that is deeper than a
block, the words of equal low address bits lie side by side.
"""

import functools
from collections import Counter
from dataclasses import dataclass, field, replace

__all__ = ["Memory", "Placement", "blocks", "cells", "ffs", "luts", "place"]


@dataclass(frozen=True)
class _Technology:
    """Memories of a family.

    Parameters
    ----------
    shapes : of block RAM, tuples (units, width, depth, cost) in the units of the board's budget;
        Yosys takes the shape whose blocks cost least together
    grain : bits that are written together; a word of a RAM takes whole grains
    ram : shapes of RAM in LUTs, tuples (width, depth, LUTs); if empty, RAM is made of flip-flops
    page : rows of a ROM that one LUT holds
    rom_choice, ram_choice : LUTs that a bit of a word takes for each page or turn after the first,
        measured with random contents
    chosen : words side by side in blocks, after the first, that a LUT for each bit chooses from
    collides : whether Yosys adds a register and a multiplexer that return the old word when a word
        is read and written in the same clock. 7-series needs none, and the commands for ECP5 and
        iCE40 declare that nothing depends on the word
    shallow : a RAM of at most this many words stays out of blocks. It is a queue or a small map,
        and the slow output of a block would be in its path. On Gowin nextpnr finds it hard to place
        RAM in LUTs, and iCE40 has none, so there only a single word stays out
    worth : LUTs that a block must save to be worth its wires
    share : of the device's blocks that may be used
    needs_lut : whether a flip-flop may need the LUT of its cell
    crowd : cells that a LUT of a RAM may fill
    """

    shapes: tuple[tuple[float, int, int, int], ...]
    grain: int
    ram: tuple[tuple[int, int, int], ...]
    page: int
    rom_choice: float
    ram_choice: float
    chosen: int
    collides: bool
    shallow: int = 32
    worth: int = 48
    share: float = 0.96
    needs_lut: bool = False
    crowd: float = 1


def _shapes(units, cost, width, depth):
    """Shapes of a block of this width, and of half the width as often as its 9-bit bytes allow."""
    shapes = []
    while width >= 9:
        shapes.append((units, width, depth, cost))
        width, depth = width // 2, depth * 2
    for narrow in (4, 2, 1):
        shapes.append((units, narrow, depth, cost))
        depth *= 2
    return tuple(shapes)


_TECHNOLOGIES = {
    "7-series": _Technology(_shapes(0.5, 129, 36, 512) + _shapes(1, 257, 72, 512), 9,
                          ((6, 32, 4), (3, 64, 4)), 64, 1.5, 0.5, 3, False, shallow=64),
    "ECP5": _Technology(_shapes(1, 128, 36, 512), 9, ((4, 16, 6),), 16, 1.5, 1.0, 2, False),
    "Gowin": _Technology(_shapes(1, 128, 36, 512), 9, ((4, 16, 6),), 16, 1.5, 2.0, 2, True,
                         shallow=1, needs_lut=True, crowd=8 / 6),
    "iCE40": _Technology(((1, 16, 256, 64), (1, 8, 512, 64), (1, 4, 1024, 64), (1, 2, 2048, 64)),
                         1, (), 16, 2.4, 1.0, 1, False, shallow=1, worth=24, share=1,
                         needs_lut=True),
}


@dataclass(frozen=True)
class Memory:
    """The shape of a memory with one read port, and with one write port unless it is a ROM.

    Memories of the same shape are equal, whatever their contents.

    Parameters
    ----------
    width : bits of a row
    depth : rows
    rom : whether it is a ROM
    varying : number of columns that differ between rows, if it is known. Yosys stores only these
    """

    width: int
    depth: int
    rom: bool
    varying: int | None = field(default=None, compare=False)

    @property
    def columns(self) -> int:
        """Bits of a row that are stored."""
        return self.width if self.varying is None else self.varying


def blocks(family: str, memory: Memory) -> float:
    """Block RAMs of a memory, in the units of :class:`boards.Budget`."""
    return _block(family, memory)[0]


def _block(family, memory):
    """Block RAMs of a memory in the shape that Yosys takes, and the words side by side in it."""
    technology = _TECHNOLOGIES[family]
    options = []
    for units, width, depth, cost in technology.shapes:
        turns = -(-memory.depth // depth)
        if memory.rom or (technology.grain == 1 and width == 16):
            count = -(-turns * memory.columns // width)
        elif width < 9:
            count = turns * -(-memory.columns // width)
        else:
            count = -(-turns * -(-memory.columns // 9) // (width // 9))
        options.append((count * cost, count * units, turns))
    return min(options, key=lambda option: option[0])[1:]


def luts(family: str, memory: Memory, *, block: bool) -> int:
    """LUTs of a memory, including those beside its blocks."""
    technology = _TECHNOLOGIES[family]
    if block:
        turns = _block(family, memory)[1]
        choice = memory.columns * ((turns - 1) // technology.chosen)
        old = memory.width + 8 if technology.collides and not memory.rom else 0
        return choice + old
    if memory.rom:
        pages = -(-memory.depth // technology.page)
        return round(_columns(memory) * (1 + technology.rom_choice * (pages - 1)))
    if memory.depth == 1:
        return 0
    if not technology.ram:
        return round(memory.width * memory.depth)
    return min(
        -(-memory.width // width) * -(-memory.depth // depth) * cost
        + round(technology.ram_choice * memory.width * (-(-memory.depth // depth) - 1))
        for width, depth, cost in technology.ram)


def _columns(memory):
    """Columns of a ROM that can differ."""
    return min(memory.columns, 1 << min(memory.depth, memory.width))


def ffs(family: str, memory: Memory, *, block: bool) -> int:
    """Flip-flops of a memory: its output register, unless that is inside a block."""
    technology = _TECHNOLOGIES[family]
    if block:
        return 2 * memory.width + 8 if technology.collides and not memory.rom else 0
    if memory.rom:
        return _columns(memory)
    if technology.ram and memory.depth > 1:
        return memory.width
    return memory.width * (memory.depth + 1)


def cells(family: str, memory: Memory, *, block: bool) -> float:
    """Logic cells of a memory: those of its LUTs, and those of flip-flops without a LUT in front.
    The output register of a ROM is behind LUTs."""
    technology, own = _TECHNOLOGIES[family], luts(family, memory, block=block)
    if memory.rom:
        return own
    alone = memory.width if block and technology.collides else ffs(family, memory, block=block)
    return technology.crowd ** (not block) * own + technology.needs_lut * alone


@dataclass(frozen=True)
class Placement:
    """Which memories of a design go to block RAM.

    Parameters
    ----------
    family : name of the device's family
    in_blocks : shapes of the memories in block RAM
    brams : block RAMs that they take, if all their columns are stored
    """

    family: str
    in_blocks: frozenset[Memory]
    brams: float

    def style(self, memory: Memory) -> str:
        """The value of ``ram_style``: ``"block"``, ``"distributed"`` or ``"logic"``."""
        if memory in self.in_blocks:
            return "block"
        return "logic" if memory.rom or not _TECHNOLOGIES[self.family].ram else "distributed"


def _area(family, memory, *, block):
    """LUTs, plus flip-flops where these take the place of LUTs."""
    alone = 0 if _TECHNOLOGIES[family].ram else ffs(family, memory, block=block)
    return luts(family, memory, block=block) + alone


# Memories of the same shape are equal.
@functools.lru_cache(maxsize=4096)
def _gain(family, memory):
    """LUTs that each block RAM of a memory saves, or 0 if that is too few or the memory stays out
    of blocks; and its block RAMs."""
    technology, memory = _TECHNOLOGIES[family], replace(memory, varying=None)
    needs = blocks(family, memory)
    saved = _area(family, memory, block=False) - _area(family, memory, block=True)
    out = not memory.rom and memory.depth <= technology.shallow
    return (0 if out or saved < technology.worth * needs else saved / needs), needs


def place(family: str, memories: Counter[Memory], brams: float) -> Placement:
    """Choose the memories that go to block RAM: those that save the most LUTs for each block, as
    long as blocks are left.

    The choice does not depend on which columns vary, so an array can be planned without contents.

    Parameters
    ----------
    family : name of the device's family
    memories : how many of each :class:`Memory` the design has
    brams : block RAMs of the device
    """
    technology = _TECHNOLOGIES[family]
    chosen, gains = set(), []
    used: float = 0
    for memory, copies in memories.items():
        saved, needs = _gain(family, memory)
        if saved:
            gains.append((-saved, memory.width, memory.depth, memory.rom, copies * needs))
    for _, width, depth, rom, needs in sorted(gains):
        if used + needs <= technology.share * brams:
            used += needs
            chosen.add(Memory(width, depth, rom))
    return Placement(family, frozenset(chosen), used)
