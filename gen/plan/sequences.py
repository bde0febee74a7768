"""Lanes and replicas of a device that takes sequences block by block (:mod:`gen.ir.blocks`), or
several of them side by side (:mod:`gen.ir.interleaved`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from boards import Board
from gen.ir.blocks import answering, block, least_block
from gen.ir.interleaved import interleave, together
from gen.ir.network import Network

from . import resources
from .mapping import map_network, options
from .planner import plan
from .trials import Plan
from .workload import Workload

__all__ = ["plan_sequences"]


def plan_sequences(network: Network, board: Board, *, stream: int | None, interleaved: int,
                   code: str, interval: int | None, objective: str | None,
                   lanes: dict[str, int] | None,
                   differential: Mapping[str, Sequence[str]] | None, reloadable: bool,
                   workload: Workload) -> Plan:
    """The plan, with the interval of one sequence, or of one block of it.

    Lanes are chosen for whole sequences, as long as the network's, with an answer after each block:
    a device that takes block after block does the same work.

    Parameters
    ----------
    stream : rows of the input that are a block; 0 for the shortest block that the network takes;
        ``None`` if samples are whole sequences
    interleaved : sequences side by side
    code, interval, objective, lanes, differential, reloadable, workload : see
        :func:`gen.plan.planner.plan`

    Raises
    ------
    FitError
        As :func:`gen.plan.planner.plan`.
    NetworkError
        If the network can't take sequences in such blocks, or so many side by side.
    """
    whole, blocks = interleave(network, interleaved), 1
    counts = together(workload.counts, interleaved)
    if stream is not None:
        rows = stream = stream or least_block(whole)
        heights = block(whole, rows).shapes
        blocks = network.input_shape[1] // rows
        whole, counts = answering(whole, rows, blocks), counts[:, :, :rows * blocks]
    share = blocks * interleaved
    chosen = plan(whole, board, code=code, interval=interval and interval * share,
                  objective=objective, lanes=lanes, differential=differential,
                  reloadable=reloadable,
                  workload=Workload(whole, counts, workload.source))
    given = options(chosen.config)
    replicas = given["replicas"]
    if stream is not None:
        replicas = {name: min(copies, heights[name][1]) for name, copies in replicas.items()}
    config, image = map_network(
        network, lanes=given["lanes"], replicas=replicas, code=given["code"],
        slice_steps=given["slice_steps"], rows=given["rows"] if stream is None else None,
        stream=stream, interleaved=interleaved, differential=differential,
        membranes=given.get("membranes"))
    needs = resources.predict(config, board.family.name, board.budget.brams, image)
    return replace(chosen, config=config, image=image, needs=needs,
                   interval=chosen.interval / share)
