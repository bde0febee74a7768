"""Where each memory of a design goes: block RAM, LUT RAM or logic.

Left alone, Yosys weighs these against each other by costs of its own, which know nothing of what
else a device has to hold. Here the choice is made for the whole design, and put on every memory as
an attribute that Yosys obeys (``ram_style``), so that what is predicted is what is synthesised.

How many block RAMs a memory takes is arithmetic on the shapes that Yosys' libraries list
(``techlibs/*/brams*.txt``) and on what its pass ``memory_libmap`` does where a memory is deeper
than a block: the words of equal low address bits lie side by side.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

__all__ = ["Memory", "Placement", "blocks", "luts", "ffs", "cells", "place"]

@dataclass(frozen=True)
class _Technology:
    """Memories of a family.

    ``shapes`` are pairs (units, width, depth, cost) of block RAM; units are those of the board's
    budget. ``grain`` is the number of bits that are written together: a word of a RAM takes whole
    grains. ``ram`` are shapes (width, depth, LUTs) of RAM in LUTs; there is none if empty, and RAM
    is made of flip-flops then. ``page`` are the rows of a ROM that one LUT holds. A bit of a word
    takes ``rom_choice`` and ``ram_choice`` LUTs for each page or turn after the first, measured
    with random contents, and beside blocks one LUT for each ``chosen`` words after the first that
    lie side by side. ``collides`` says whether Yosys adds a register and a multiplexer that give
    the old word when one is read and written in the same clock: 7-series needs none, and the
    commands for ECP5 and iCE40 declare that nothing depends on it. A RAM of ``shallow`` words or
    fewer stays out of blocks: it is a queue or a small map, and the slow output of a block would be
    in its path; on Gowin's devices, where nextpnr finds it hard to place RAM in LUTs, and on iCE40,
    which has none, only a lone word stays out. A block is used if it saves ``worth`` LUTs, so that
    its wires are worth it, and ``share`` of a device's blocks are used. A flip-flop may need the
    LUT of its cell (``needs_lut``), and RAM may fill ``crowd`` cells for each of its LUTs.
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
    """A block that is ``width`` wide, and half as wide as often as its bytes of 9 bits allow."""
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
                          ((6, 32, 4), (3, 64, 4)), 64, 1.5, 0.5, 3, False),
    "ECP5": _Technology(_shapes(1, 128, 36, 512), 9, ((4, 16, 6),), 16, 1.5, 1.0, 2, False),
    "Gowin": _Technology(_shapes(1, 128, 36, 512), 9, ((4, 16, 6),), 16, 1.5, 2.0, 2, True,
                         shallow=1, needs_lut=True, crowd=8 / 6),
    "iCE40": _Technology(((1, 16, 256, 64), (1, 8, 512, 64), (1, 4, 1024, 64), (1, 2, 2048, 64)),
                         1, (), 16, 2.4, 1.0, 1, False, shallow=1, worth=24, share=1,
                         needs_lut=True),
}


@dataclass(frozen=True)
class Memory:
    """Shape of a memory with one read port, and one write port unless it is a ROM.

    ``varying`` are the columns that are not the same in all rows, where that is known: Yosys stores
    no others. Memories of a shape are equal, whatever they hold.
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
    best = None
    for units, width, depth, cost in technology.shapes:
        turns = -(-memory.depth // depth)
        if memory.rom or technology.grain == 1 and width == 16:
            count = -(-turns * memory.columns // width)
        elif width < 9:
            count = turns * -(-memory.columns // width)
        else:
            count = -(-turns * -(-memory.columns // 9) // (width // 9))
        if best is None or count * cost < best[0]:
            best = (count * cost, count * units, turns)
    return best[1:]


def luts(family: str, memory: Memory, *, block: bool) -> int:
    """LUTs of a memory, those beside its blocks among them."""
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
    """Flip-flops of a memory: its output, where that is not inside a block."""
    technology = _TECHNOLOGIES[family]
    if block:
        return 2 * memory.width + 8 if technology.collides and not memory.rom else 0
    if memory.rom:
        return _columns(memory)
    if technology.ram and memory.depth > 1:
        return memory.width
    return memory.width * (memory.depth + 1)


def cells(family: str, memory: Memory, *, block: bool) -> float:
    """Logic cells of a memory: its LUTs, and those of flip-flops that none of them is in front of.
    A ROM's output is behind its LUTs."""
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
    in_blocks : their shapes
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
    """LUTs, and flip-flops where they take the place of LUTs."""
    alone = 0 if _TECHNOLOGIES[family].ram else ffs(family, memory, block=block)
    return luts(family, memory, block=block) + alone


def place(family: str, memories: Counter, brams: float) -> Placement:
    """Choose what goes to block RAM: what saves the most LUTs for each block, while there are any.

    Shapes alone decide, whatever columns vary, so that an array can be planned without contents.

    Parameters
    ----------
    family : name of the device's family
    memories : how many of each :class:`Memory` the design has
    brams : block RAMs of the device
    """
    technology, chosen, used = _TECHNOLOGIES[family], set(), 0
    gains = []
    for memory, copies in memories.items():
        if not memory.rom and memory.depth <= technology.shallow:
            continue
        memory = replace(memory, varying=None)
        needs = blocks(family, memory)
        saved = _area(family, memory, block=False) - _area(family, memory, block=True)
        if saved >= technology.worth * needs:
            gains.append((-saved / needs, memory.width, memory.depth, memory.rom, copies * needs))
    for _, width, depth, rom, needs in sorted(gains):
        if used + needs <= technology.share * brams:
            used += needs
            chosen.add(Memory(width, depth, rom))
    return Placement(family, frozenset(chosen), used)
