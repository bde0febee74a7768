"""The figures of a plan, as the command ``fit`` shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import boards
from boards import Board
from gen.errors import FitError
from gen.ir.network import Network
from gen.ir.spikes import held, map_spikes
from gen.system.progress import working

from . import resources, room
from .floor import require_possible
from .kinds import kind
from .planner import plan_or_reason, warn_unless_kept
from .trials import Plan
from .workload import Calibration, Workload, calibrate

__all__ = ["fit"]

_RESOURCES = ("luts", "ffs", "cells", "brams")


def fit(network: Network, *, board: str, lanes: dict[str, int] | None = None,
        interval: int | None = None, objective: str | None = None, code: str = "phase",
        calibration: Calibration | None = None,
        differential: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """Choose lanes and replicas, and predict their figures.

    Parameters
    ----------
    board : name of a board, see :data:`boards.BOARDS`
    lanes, interval, objective, code, differential : see :func:`gen.plan.planner.plan`
    calibration : the samples; by default those that travel with the network

    Returns
    -------
    ``network``, ``board``, ``device``, ``clock_hz``, ``objective``, ``calibration`` (what the
    samples are), ``images`` (how many); ``fits``, whether the mapping is predicted to fit and to
    meet the request, and ``reason``, the sentence that says why not, or None;
    ``interval_cycles``, ``images_per_second``, ``latency_cycles``, ``latency_us``, ``bottleneck``
    (a layer's name or ``"input"``), ``utilisation`` (share of the clocks in which a lane adds,
    over all lanes); ``luts``, ``ffs``, ``cells``, ``brams``, ``budget``, ``cell`` (what a logic
    cell of the device is called), ``cell_limit`` (how many of them a design may fill); and
    ``layers``, the input and each layer, with ``name``, ``kind``, ``spikes`` (received),
    ``clocks``, ``luts``, ``ffs``, ``cells``, ``brams``, ``memories``, ``lanes``, ``replicas`` and
    ``utilisation``. Figures that there are none of, such as lanes of a pooling, are None.

    If the device is far too small for the network with any mapping, none is chosen. Then the
    figures are None and there are no layers.

    Raises
    ------
    FitError
        If the options contradict the network or each other.
    """
    target = boards.find(board)
    request = {"network": network.name, "board": target.name, "device": target.device,
               "clock_hz": target.clock_hz, "objective": objective}
    try:
        require_possible(network, target, code)
    except FitError as error:
        return {**request, **_refused(str(error)), **_limits(target), "layers": []}
    workload = calibrate(network, calibration)
    with working(f"{network.name} for {board}: lanes and replicas"):
        chosen, why = plan_or_reason(network, target, workload, code=code, interval=interval,
                                     objective=objective, lanes=lanes,
                                     differential=differential)
    if why is None:
        warn_unless_kept(target, interval, chosen)
    return {**request, "calibration": workload.source, "images": len(workload.counts),
            "fits": why is None, "reason": why, **_totals(chosen, workload, target.clock_hz),
            **_limits(target), "layers": list(_layers(chosen, workload))}


def _refused(reason: str) -> dict[str, Any]:
    """The result if no mapping can fit."""
    figures = ("calibration", "images", "interval_cycles", "images_per_second", "latency_cycles",
               "latency_us", "bottleneck", "timesteps", "slice_steps", "utilisation", *_RESOURCES)
    return {"fits": False, "reason": reason, **dict.fromkeys(figures)}


def _totals(plan: Plan, workload: Workload, clock_hz: int) -> dict[str, Any]:
    """Figures of the whole array."""
    latency, utilisation = workload.latency(plan.config), _utilisation(plan, workload)
    lanes = {core.name: core.lanes * core.replicas for core in plan.config.cores}
    return {
        "interval_cycles": round(plan.interval),
        "images_per_second": clock_hz / plan.interval,
        "latency_cycles": round(latency), "latency_us": latency / clock_hz * 1e6,
        "bottleneck": workload.bottleneck(plan.config),
        "timesteps": workload.network.timesteps,
        "slice_steps": min(workload.network.timesteps, plan.config.input.most_steps),
        "utilisation": sum(utilisation[name] * number for name, number in lanes.items())
        / sum(lanes.values()),
        **{what: getattr(plan.needs, what) for what in _RESOURCES}}


def _layers(plan, workload):
    """Figures of the input and of each layer."""
    clocks, utilisation = workload.all_clocks(plan.config), _utilisation(plan, workload)
    lanes = {core.name: {"lanes": core.lanes, "replicas": core.replicas,
                         "utilisation": utilisation[core.name]} for core in plan.config.cores}
    none = dict.fromkeys((*_RESOURCES, "lanes", "replicas", "utilisation"))
    yield {"name": "input", "kind": "input", "clocks": clocks["input"],
           "spikes": _mean_spikes(plan.config.input, workload.counts), "memories": [], **none}
    for layer in plan.config.layers:
        spikes = sum(_mean_spikes(source.map, held(source, received)) for source, received in zip(
            layer.sources, workload.sources(plan.config, layer), strict=True))
        yield {"name": layer.name, "kind": kind(layer).NAME, "clocks": clocks[layer.name],
               "spikes": spikes, **none, **plan.needs.layers[layer.name],
               "memories": resources.layer_memories(layer, plan.needs.placement),
               **lanes.get(layer.name, {})}


def _utilisation(plan: Plan, workload: Workload) -> dict[str, float]:
    """Core name -> share of the clocks in which its lanes add."""
    return {core.name: workload.adds(plan.config, core) / core.replicas / plan.interval
            for core in plan.config.cores}


def _limits(board: Board) -> dict[str, Any]:
    return {"budget": asdict(board.budget), "cell": board.family.cell,
            "cell_limit": room.cell_limit(board)}


def _mean_spikes(fmap, counts) -> float:
    return float(map_spikes(fmap, counts).mean())
