"""Boards as data on top of amaranth-boards: device, clock, link, budget, toolchains."""

from .arty_a7 import arty_a7, arty_a7_100
from .board import Board, Budget

__all__ = ["BOARDS", "Board", "Budget", "UnknownBoard", "find"]

BOARDS = (arty_a7, arty_a7_100)


class UnknownBoard(LookupError):
    """No board has that name."""


def find(name: str) -> Board:
    """The board called `name`.

    Raises
    ------
    UnknownBoard
        If there is none; the message names those there are.
    """
    for board in BOARDS:
        if board.name == name:
            return board
    known = ", ".join(board.name for board in BOARDS)
    raise UnknownBoard(f"board must be one of {known}, not {name!r}")
