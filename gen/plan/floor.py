"""The fewest logic cells that a network may take on a board, from a few mappings and without its
spikes: whether a search would find room is known in a moment."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from boards import Board
from gen.errors import FitError
from gen.ir.network import Network
from hw.config import ArrayConfig

from . import resources, room
from .mapping import map_config
from .slicing import slicings

__all__ = ["Floor", "floor", "require_possible"]

_Tried: TypeAlias = tuple[ArrayConfig, resources.Prediction]

# Turns that the lanes of all layers take at a position.
_TURNS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Floor:
    """What a network takes at least, about.

    Parameters
    ----------
    cells : the fewest of each layer in any of the mappings that are tried, all layers together
    config : the mapping with the fewest
    """

    cells: int
    config: ArrayConfig


def floor(network: Network, board: Board, *, code: str = "phase",
          lanes: Mapping[str, int] | None = None,
          differential: Mapping[str, Sequence[str]] | None = None,
          reloadable: bool = False) -> Floor:
    """What any mapping of a network takes at least, about.

    Parameters
    ----------
    code, lanes, differential, reloadable : see :func:`gen.plan.planner.plan`

    Raises
    ------
    FitError
        If the options contradict the network.
    """
    def tried(slice_steps: int) -> Iterator[_Tried]:
        for turns in _TURNS:
            config = map_config(network, lanes={**_lanes(network, turns), **(lanes or {})},
                                code=code, slice_steps=slice_steps, differential=differential,
                                membranes={} if reloadable else None)
            yield config, resources.predict(config, board.family.name, board.budget.brams)

    groups = [list(tried(slice_steps)) for slice_steps in slicings(network)]
    config, _ = min(itertools.chain(*groups), key=lambda each: each[1].cells)
    return Floor(min(map(_together, groups)), config)


def require_possible(network: Network, board: Board, code: str = "phase") -> None:
    """Refuse a network that certainly does not fit, before long work: by its bits alone, or because
    it takes at least :data:`gen.plan.room.FAR` times the logic cells.

    Raises
    ------
    FitError
        The message says what is missing.
    """
    room.require_memory(network.name, board, room.memory_bits(network, code))
    cells = floor(network, board, code=code).cells
    if cells > room.FAR * room.cell_limit(board):
        raise FitError(room.far_too_large(network.name, board, cells,
                                          room.memory_bits(network, code)))


def _lanes(network: Network, turns: int) -> dict[str, int]:
    """Lanes of each layer with synapses, for so many turns at a position."""
    return {layer.name: -(-network.shapes[layer.name][0] // turns)
            for layer in network.layers if layer.synapses}


def _together(tried: Iterable[_Tried]) -> int:
    """The fewest cells of each layer, and of what is around the array, together."""
    least: dict[str | None, float] = {}
    for _, needs in tried:
        for name, figures in needs.layers.items():
            least[name] = min(figures["cells"], least.get(name, math.inf))
    return round(sum(least.values()))
