"""The fewest logic cells that a network may take on a board, from a few mappings and without its
spikes: whether a search would find room is known in a moment."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from boards import Board
from gen.errors import FitError
from gen.ir.network import Network

from . import resources, room
from .mapping import map_config
from .slicing import slicings

__all__ = ["floor", "hopeless", "require_possible"]

# Turns that the lanes of all layers take at a position.
_TURNS = (1, 2, 4, 8, 16)

# Nothing is searched for if layers in their smallest forms take more than this factor times the
# logic cells that may be filled. Predictions are within 15 %.
_HOPE = 1.2


def floor(network: Network, board: Board, *, code: str = "phase",
          lanes: Mapping[str, int] | None = None,
          differential: Mapping[str, Sequence[str]] | None = None,
          reloadable: bool = False) -> int:
    """Logic cells that any mapping of a network takes at least, about: the fewest of each layer in
    any of the mappings that are tried, all layers together.

    Parameters
    ----------
    code, lanes, differential, reloadable : see :func:`gen.plan.planner.plan`

    Raises
    ------
    FitError
        If the options contradict the network.
    """
    def tried(slice_steps: int) -> Iterator[resources.Prediction]:
        for turns in _TURNS:
            config = map_config(network, lanes={**_lanes(network, turns), **(lanes or {})},
                                code=code, slice_steps=slice_steps, differential=differential,
                                membranes={} if reloadable else None)
            yield resources.predict(config, board.family.name, board.budget.brams)

    return min(_together(tried(slice_steps)) for slice_steps in slicings(network))


def hopeless(network: Network, board: Board, *, code: str = "phase",
             lanes: Mapping[str, int] | None = None,
             differential: Mapping[str, Sequence[str]] | None = None,
             reloadable: bool = False) -> str | None:
    """The sentence about a network that no mapping brings onto a board, or None if a search may
    find one. The parameters are those of :func:`floor`."""
    cells = floor(network, board, code=code, lanes=lanes, differential=differential,
                  reloadable=reloadable)
    if cells <= _HOPE * room.cell_limit(board):
        return None
    return room.too_large(network.name, board, cells, room.memory_bits(network, code))


def require_possible(network: Network, board: Board, code: str = "phase") -> None:
    """Refuse a network that is :func:`hopeless`, or has too many bits, before long work.

    Raises
    ------
    FitError
        The message says what is missing.
    """
    room.require_memory(network.name, board, room.memory_bits(network, code))
    if why := hopeless(network, board, code=code):
        raise FitError(why)


def _lanes(network: Network, turns: int) -> dict[str, int]:
    """Lanes of each layer with synapses, for so many turns at a position."""
    return {layer.name: -(-network.shapes[layer.name][0] // turns)
            for layer in network.layers if layer.synapses}


def _together(tried: Iterable[resources.Prediction]) -> int:
    """The fewest cells of each layer, and of what is around the array, together."""
    least: dict[str | None, float] = {}
    for needs in tried:
        for name, figures in needs.layers.items():
            least[name] = min(figures["cells"], least.get(name, math.inf))
    return round(sum(least.values()))
