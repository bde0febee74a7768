"""The design of a network for a board: planned, or in the place of another network's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from boards import Board
from gen.errors import FitError, NetworkError
from gen.ir.network import Network
from gen.plan.mapping import map_config, map_network, options
from gen.plan.planner import plan, warn_unless_kept
from gen.plan.sequences import plan_sequences
from gen.plan.workload import Calibration, calibrate

from . import clocking, selftest
from .design import Design

__all__ = ["design_for", "design_in_place"]


def design_for(network: Network, board: Board, *, lanes: dict[str, int] | None = None,
               interval: int | None = None, objective: str | None = None, code: str = "phase",
               calibration: Calibration | None = None, baud: int = 1_000_000,
               clock_hz: float | None = None, stream: int | None = None, interleaved: int = 1,
               differential: Mapping[str, Sequence[str]] | None = None,
               reloadable: bool = False, selftests: int = 0) -> Design:
    """Plan a network for a board.

    Parameters
    ----------
    lanes : layer name -> lanes; :mod:`gen.plan.planner` chooses those of other layers
    interval : clocks an image to aim for; there is a warning if the board has no room for that
    objective, code, differential : see :func:`gen.plan.planner.plan`
    calibration : samples whose spikes decide; by default those that travel with the network
    baud : speed of the serial link, if that is the board's link (:meth:`boards.Board.linked`)
    clock_hz : limit of the fabric's clock, the board's default if None; the clock is the fastest
        that the board can make and that is not above it
    stream : rows of the input that are a block, if the device is to take sequences that go on block
        by block (:mod:`gen.ir.blocks`); 0 for the shortest block that the network takes.
        ``interval`` is then that of a block
    interleaved : sequences that a sample holds side by side (:mod:`gen.ir.interleaved`)
    reloadable : whether a host may load another network of the same shape (:mod:`hw.loader`)
    selftests : samples that the device tests itself with, of those that travel with the network

    Raises
    ------
    FitError
        If the options contradict the network or each other.
    NetworkError
        If the network can't take sequences in such blocks, or so many side by side.
    DataError
        If there are no calibration samples.
    BuildError
        If the board has no such clock.
    """
    line = None if board.connector else baud
    clock = clocking.require(board, clock_hz or board.clock_hz, line)
    workload = calibrate(network, calibration)
    choose = (plan if stream is None and interleaved == 1 else
              partial(plan_sequences, stream=stream, interleaved=interleaved))
    chosen = choose(network, board, code=code, interval=interval, objective=objective, lanes=lanes,
                    differential=differential, reloadable=reloadable, workload=workload)
    warn_unless_kept(board, interval, chosen)
    config = replace(chosen.config, selftests=selftests)
    return Design(config=config, placement=chosen.needs.placement, clock=clock, baud=line,
                  interval=chosen.interval, calibration=workload.source, network=network,
                  board=board, image=chosen.image | selftest.image(network, config))


def design_in_place(network: Network, design: Design) -> Design:
    """The design of a network that takes the place of another one on a device whose memories may be
    loaded.

    Raises
    ------
    FitError
        If the memories may not be loaded, or the network is not of the shape of the device.
    """
    if not design.config.reloadable:
        raise FitError(f"{design.network.name} was built without --reloadable, so its memories "
                       f"can't be loaded: build it anew")
    given = options(design.config)
    if differs := _difference(network, design, given):
        raise FitError(f"{network.name} is not of the shape of {design.network.name} in its "
                       f"build: {differs}; build it anew (python -m gen build)")
    config, image = map_network(network, **given)
    return replace(design, network=network, config=config,
                   image=image | selftest.image(network, config))


def _difference(network, design, given):
    """What is different about the shape of a network, but for the widths that it needs."""
    try:
        config = map_config(network, **(given | {"membranes": {}}))
    except (FitError, NetworkError) as error:
        return str(error)
    for before, now in zip(design.config.layers, config.layers, strict=False):
        wide = (replace(now, membrane_bits=before.membrane_bits)
                if before in design.config.cores and now in config.cores else now)
        if before != wide:
            return f"{now.name} differs"
    if replace(design, network=network).digest != design.digest or (
            len(config.layers) != len(design.config.layers)):
        return "the input or the number of layers differs"
    return None
