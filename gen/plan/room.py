"""Whether a board has room for a network, in words."""

import math
from collections.abc import Mapping

import boards
from boards import Board
from boards.families import ECP5, GOWIN, ICE40, XC7
from gen.errors import FitError
from gen.ir.network import Network

from .kinds import kind
from .resources import Prediction

__all__ = ["CELL_SHARE", "advice", "cell_limit", "excess", "memory_bits", "predicted_shortage",
           "require_fit", "require_memory", "too_large"]

CELL_SHARE = {XC7.name: 0.9, ECP5.name: 0.85, ICE40.name: 0.9, GOWIN.name: 0.85}
"""Family -> the share of a device's logic cells that place and route can fill."""

# The ratio of weights of 8 bits to those of 2 bits.
_NARROWER = 4

# The most bits of memory that a LUT can hold.
_LUT_BITS = 64


def memory_bits(network: Network, code: str = "phase") -> int:
    """Bits that every mapping of a network stores: its weights, and for each channel the initial
    potential and at least one threshold."""
    return sum(kind(layer).memory_bits(layer, [network.levels[s] for s in layer.sources], code)
               for layer in network.layers)


def require_memory(name: str, board: Board, bits: int) -> None:
    """Refuse a network that can't fit by its bits alone, before long work.

    Raises
    ------
    FitError
        If the memories take more bits than the device has.
    """
    budget = board.budget
    if bits > budget.brams * budget.bram_bits + budget.luts * _LUT_BITS:
        needed = {"brams": math.ceil(bits / budget.bram_bits)}
        raise FitError(_shortage(name, board, f"it stores {bits:,} bits, which is "
                                 f"{', '.join(_lacking(board, needed))}", needed, lanes=False))


def require_fit(name: str, board: Board, needed: Mapping[str, float]) -> None:
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
        raise FitError(_shortage(name, board, f"it needs {', '.join(lacking)}", needed))


def cell_limit(board: Board) -> int:
    """Logic cells of a board that a design may fill."""
    return int(CELL_SHARE[board.family.name] * board.budget.luts)


def excess(board: Board, needs: Prediction, allowance: float = 1) -> list[str]:
    """Phrases about the resources of which a design is predicted to need more than ``allowance``
    times what it may take; none if it fits."""
    return _lacking(board, {what: getattr(needs, what) for what in ("cells", "ffs", "brams")},
                    cells=cell_limit(board), allowance=allowance)


def predicted_shortage(name: str, board: Board, needs: Prediction, *, allowance: float = 1,
                       interval: int | None = None,
                       lanes: dict[str, int] | None = None) -> str | None:
    """The sentence about a plan that is predicted to take more than ``allowance`` times what the
    board has, or None.

    Parameters
    ----------
    name : of the network
    needs : predicted resources
    interval, lanes : constraints that the plan had to keep
    """
    lacking = excess(board, needs, allowance)
    if not lacking:
        return None
    what = "its smallest mapping" if interval is None else f"{interval:,} clocks an image"
    given = " with the lanes given" if lanes else ""
    needed = {"cells": math.ceil(needs.cells / CELL_SHARE[board.family.name]),
              "ffs": needs.ffs, "brams": needs.brams}
    return _shortage(name, board, f"by prediction, {what}{given} needs {', '.join(lacking)} that "
                     f"can be used", needed, lanes=bool(lanes or interval))


def too_large(name: str, board: Board, cells: int, bits: int) -> str:
    """The sentence about a network of which no mapping can be made to fit.

    Parameters
    ----------
    name : of the network
    cells : logic cells that its layers need at least
    bits : that its memories store at least
    """
    budget, cell = board.budget, board.family.cell
    needed = {"cells": math.ceil(cells / CELL_SHARE[board.family.name]),
              "brams": math.ceil(bits / budget.bram_bits)}
    return _shortage(name, board, f"by prediction, its layers need {cells:,} {cell}s of "
                     f"{cell_limit(board):,} that can be used, with any mapping, and store "
                     f"{bits:,} bits, of which block RAMs hold "
                     f"{int(budget.brams * budget.bram_bits):,}", needed, lanes=False)


def advice(board: Board, needed: Mapping[str, float], *, lanes: bool = True) -> str:
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


def _shortage(name: str, board: Board, why: str, needed: Mapping[str, float], *,
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


def _lacking(board: Board, needed: Mapping[str, float], *, cells: int | None = None,
             allowance: float = 1) -> list[str]:
    """A phrase for each resource of which more than ``allowance`` times the board's amount is
    needed.

    Parameters
    ----------
    needed : see :func:`require_fit`
    cells : how many logic cells count as the board's; by default all of them
    """
    budget = board.budget
    return [f"{needed[kind]:,} {words} of {limit:,}" for kind, words, limit in (
        ("cells", f"{board.family.cell}s", budget.luts if cells is None else cells),
        ("ffs", "flip-flops", budget.ffs),
        ("brams", "block RAMs", budget.brams)) if needed.get(kind, 0) > allowance * limit]
