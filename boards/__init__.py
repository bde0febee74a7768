"""Boards as data on top of amaranth-boards: device, clock, link, budget, toolchains."""

from difflib import get_close_matches

from .arty_a7 import arty_a7, arty_a7_100
from .board import Board, Budget, Family, NoLink, Pll
from .ecp5 import ecpix5_85, orangecrab_85f, ulx3s_85f
from .ice40 import ice40_hx8k, icebreaker
from .nexys4_ddr import nexys4_ddr
from .nitefury import litefury, nitefury
from .pcie import Pcie
from .tang import tang_nano_9k, tang_primer_20k

__all__ = ["BOARDS", "Board", "Budget", "Family", "NoLink", "Pcie", "Pll", "UnknownBoard", "find"]

BOARDS = (arty_a7, arty_a7_100, nexys4_ddr, litefury, nitefury, ulx3s_85f, ecpix5_85,
          orangecrab_85f, icebreaker, ice40_hx8k, tang_nano_9k, tang_primer_20k)


class UnknownBoard(LookupError):
    """No board has that name."""


def find(name: str, link: str | None = None) -> Board:
    """The board called `name`, with its own link or another one.

    Raises
    ------
    UnknownBoard
        If there is none; the message names those there are.
    NoLink
        If it does not have that link.
    """
    for board in BOARDS:
        if board.name == name:
            return board if link is None else board.linked(link)
    known = [board.name for board in BOARDS]
    near = get_close_matches(str(name), known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownBoard(f"there is no board {name!r}; {guess}known are {', '.join(known)}")
