"""Lanes and replicas of a device that takes a sequence block by block (:mod:`gen.ir.blocks`)."""

from dataclasses import replace

from boards import Board
from gen.ir.blocks import answering, block, least_block
from gen.ir.network import Network

from . import resources
from .mapping import map_network, options
from .planner import plan
from .trials import Plan
from .workload import Workload

__all__ = ["plan_blocks"]


def plan_blocks(network: Network, board: Board, *, rows: int, code: str, interval: int | None,
                objective: str | None, lanes: dict[str, int] | None, workload: Workload) -> Plan:
    """The plan for blocks, whose interval is that of a block.

    Lanes are chosen for whole sequences, as long as the network's, with an answer after each block:
    a device that takes block after block does the same work.

    Parameters
    ----------
    rows : of the input that are a block; 0 for the shortest block that the network takes
    code, interval, objective, lanes, workload : see :func:`gen.plan.planner.plan`

    Raises
    ------
    FitError
        As :func:`gen.plan.planner.plan`.
    NetworkError
        If the network can't take sequences in such blocks.
    """
    rows = rows or least_block(network)
    heights, blocks = block(network, rows).shapes, max(1, network.input_shape[1] // rows)
    whole = answering(network, rows, blocks)
    work = Workload(whole, workload.counts[:, :, :rows * blocks], workload.source)
    chosen = plan(whole, board, code=code, interval=interval and interval * blocks, workload=work,
                  objective=objective, lanes=lanes)
    given = options(chosen.config)
    config, image = map_network(
        network, lanes=given["lanes"], code=given["code"], slice_steps=given["slice_steps"],
        replicas={name: min(copies, heights[name][1])
                  for name, copies in given["replicas"].items()}, stream=rows)
    needs = resources.predict(config, board.family.name, board.budget.brams, image)
    return replace(chosen, config=config, image=image, needs=needs,
                   interval=chosen.interval / blocks)
