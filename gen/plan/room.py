"""Whether a board has room for a network, in words."""

import math

import boards
from boards import Board
from gen.errors import FitError
from gen.ir.network import Network

from .kinds import kind

__all__ = ["advice", "memory_bits", "require_fit", "require_memory", "shortage"]

# The ratio of weights of 8 bits to those of 2 bits.
_NARROWER = 4

# The most bits of memory that a LUT can hold.
_LUT_BITS = 64


def memory_bits(network: Network, code: str = "phase") -> int:
    """Bits that every mapping of a network stores: its weights, and for each channel the initial
    potential and at least one threshold."""
    return sum(kind(layer).memory_bits(layer, [network.levels[s] for s in layer.sources], code)
               for layer in network.layers)


def require_memory(name: str, board: Board, bits: int):
    """Refuse a network that can't fit by its bits alone, before long work.

    Raises
    ------
    FitError
        If the memories take more bits than the device has.
    """
    budget = board.budget
    if bits > budget.brams * budget.bram_bits + budget.luts * _LUT_BITS:
        needed = {"brams": math.ceil(bits / budget.bram_bits)}
        raise FitError(shortage(name, board, f"it stores {bits:,} bits, which is "
                                f"{', '.join(_lacking(board, needed))}", needed, lanes=False))


def require_fit(name: str, board: Board, needed: dict[str, float]):
    """Refuse needs that exceed the board's budget.

    Parameters
    ----------
    name : of the network
    needed : any of ``cells``, ``ffs``, ``brams`` -> number, see
        :class:`gen.build.synthesis.Resources`

    Raises
    ------
    FitError
        If a resource is short. The message says which, by how much, and what would help.
    """
    if lacking := _lacking(board, needed):
        raise FitError(shortage(name, board, f"it needs {', '.join(lacking)}", needed))


def shortage(name: str, board: Board, why: str, needed: dict[str, float], *,
             lanes: bool = True) -> str:
    """The sentence about a network that does not fit a board.

    Parameters
    ----------
    name : of the network
    why : what it needs, and what the board has
    needed, lanes : see :func:`advice`
    """
    return (f"{name} does not fit {board.name} ({board.device}): {why}; "
            f"{advice(board, needed, lanes=lanes)}")


def advice(board: Board, needed: dict[str, float], *, lanes: bool = True) -> str:
    """What would help a design that needs more than a board has.

    Parameters
    ----------
    needed : see :func:`require_fit`
    lanes : whether fewer lanes would
    """
    helps = ["fewer lanes (--lanes, --interval, --objective smallest)"] if lanes else []
    if not _lacking(board, {kind: need / _NARROWER for kind, need in needed.items()}):
        helps.append("weights of fewer bits")
    helps = helps or ["fewer weights"]
    # The figures of one family say little about another family, because LUTs and block RAMs differ.
    larger = [other.name for other in boards.BOARDS
              if other.family is board.family and _lacking(other, needed) == []]
    if larger:
        helps.append(f"a larger board ({', '.join(larger)})")
    return f"{', '.join(helps[:-1])}{', or ' if helps[1:] else ''}{helps[-1]} would help"


def _lacking(board, needed):
    budget = board.budget
    return [f"{needed[kind]:,} {words} of {limit:,}" for kind, words, limit in (
        ("cells", f"{board.family.cell}s", budget.luts), ("ffs", "flip-flops", budget.ffs),
        ("brams", "block RAMs", budget.brams)) if needed.get(kind, 0) > limit]
