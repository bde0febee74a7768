"""Lanes and replicas of each layer: a balanced pipeline that the device has room for.

A layer gets the cheapest pair of lanes and replicas that keeps a given interval, by the formulas of
:mod:`gen.plan.cycles` on real samples and the sizes of :mod:`gen.plan.resources`. So no layer is
faster than the pipeline can use. The objective decides the interval. :mod:`gen.plan.pipeline` adds
the time for which layers wait for each other.
"""

import math
from dataclasses import asdict, dataclass, field, replace

import numpy as np

import boards
from boards import Board
from boards.families import ECP5, GOWIN, ICE40, XC7
from gen.errors import FitError
from gen.ir.network import Network
from gen.ir.spikes import map_spikes
from gen.system.progress import working
from hw.config import ArrayConfig, MemoryImage
from hw.device import register_map

from . import resources, room
from .core import turns
from .cycles import gathering_clocks
from .kinds import kind
from .mapping import map_config, map_network, shares
from .rings import with_rows
from .workload import Calibration, Workload, calibrate

__all__ = ["CELL_SHARE", "OBJECTIVES", "Plan", "fit", "plan", "shortage"]

OBJECTIVES = ("throughput", "latency", "smallest")
"""Objectives for which a mapping can be chosen."""

CELL_SHARE = {XC7.name: 0.9, ECP5.name: 0.85, ICE40.name: 0.9, GOWIN.name: 0.85}
"""Family -> the share of a device's logic cells that place and route can fill."""

# Steps down in logic cells are tried if a mapping is too large by at most this factor.
_HOPE = 1.2

# The finest ratio between two intervals that are tried.
_STEP = 1.01

# How often a shorter interval is tried where layers wait for each other.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Plan:
    """A mapping, and its predicted figures.

    Parameters
    ----------
    config : shape of the array
    needs : :class:`gen.plan.resources.Prediction`
    interval : clocks from one sample to the next; during the choice those of the slowest layer
    image : contents of the memories, by name; only of the mapping that is finally chosen
    """

    config: ArrayConfig
    needs: resources.Prediction
    interval: float
    image: dict[str, MemoryImage] = field(default_factory=dict)

    @property
    def shares(self):
        """Arguments of :func:`gen.plan.mapping.map_network`."""
        return shares(self.config)


class _Planner:
    """Mappings of one network for one board."""

    def __init__(self, network, board, workload, *, code, lanes):
        self._network, self._board, self._workload = network, board, workload
        self._code, self._fixed = code, lanes
        self._channels = {layer.name: layer.channels for layer in network.layers
                          if layer.synapses}
        self._variants, self._costs = {}, {}

    def config(self, lanes, replicas):
        return map_config(self._network, lanes=lanes | self._fixed, replicas=replicas,
                          code=self._code)

    def widest(self):
        """A lane a channel."""
        return self.config(self._channels, {})

    def narrowest(self):
        """One lane a layer."""
        return self.config(dict.fromkeys(self._channels, 1), {})

    def plan(self, config):
        budget = self._board.budget
        needs = resources.predict(config, self._board.family.name, budget.brams)
        return Plan(config, needs, self._workload.slowest(config))

    def filled(self, plan):
        """The plan with the contents of its memories, and with the needs that follow from them."""
        _, image = map_network(self._network, **plan.shares, code=self._code)
        needs = resources.predict(
            plan.config, self._board.family.name, self._board.budget.brams, image)
        return replace(plan, needs=needs, image=image)

    def excess(self, plan, allowance=1):
        return _excess(self._board, plan.needs, allowance)

    def at(self, interval):
        """The mapping in which every layer keeps an interval at the least cost, or is as fast as
        possible if it can't keep it."""
        config = self.widest()
        for _ in range(2):  # the input of a layer depends on the lanes of the layers before it
            config = self.config(*self._assign(config, interval))
        return config

    def _assign(self, config, interval):
        """Layers from the last to the first, since the readers of a layer limit the number of words
        in which it may send its map."""
        words = [math.inf] * len(config.layers)
        lanes, replicas = {}, {}
        for index in reversed(range(len(config.layers))):
            layer = config.layers[index]
            if layer.name in self._channels:
                layer = self._cheapest(config, index, interval, words[index])
                lanes[layer.name], replicas[layer.name] = layer.lanes, layer.replicas
            limits = kind(layer).word_limits(layer, interval, words[index])
            for source, limit in zip(layer.sources, limits, strict=True):
                if source.layer >= 0:
                    words[source.layer] = min(words[source.layer], limit)
        return lanes, replicas

    def _cheapest(self, config, index, interval, words):
        """The core with the lanes and replicas that keep the interval at the least cost."""
        core = config.layers[index]
        choices = []
        for lanes in self._lanes(core, words):
            variant = self._variant(config, index, lanes)
            replicas = self._replicas(config, variant, interval)
            variant = with_rows(config, index, replace(variant, replicas=replicas))
            clocks = self._own_clocks(config, variant)
            choices.append((max(clocks, interval), self._cost(variant), lanes, variant))
        return min(choices, key=lambda choice: choice[:3])[3]

    def _lanes(self, core, words):
        """Numbers of lanes that differ in the number of turns they take, at most ``words``."""
        if core.name in self._fixed:
            return [self._fixed[core.name]]
        channels = core.channels
        most, counts, turn = max(1, math.floor(min(words, channels))), set(), 1
        while turn <= most:
            lanes = -(-channels // turn)
            counts.add(lanes)
            # The next number of turns that fewer lanes take.
            turn = max(turn + 1, -(-channels // (lanes - 1))) if lanes > 1 else most + 1
        return sorted(counts)

    def _variant(self, config, index, lanes):
        core = config.layers[index]
        key = _variant_key(core, lanes)
        if key not in self._variants:
            others = {core.name: core.lanes for core in config.cores}
            self._variants[key] = self.config(others | {core.name: lanes}, {}).layers[index]
        return self._variants[key]

    def _own_clocks(self, config, core):
        """Clocks of a core if its sources send their maps in as few words a position as they
        can."""
        rows = self._workload.rows(config, core)
        shares = [rows[:, k::core.replicas].sum(axis=1) for k in range(core.replicas)]
        gathering = turns(core) * max(
            gathering_clocks(source) / (source.map.chunks if source.layer >= 0 else 1)
            for source in core.sources)
        return float(np.maximum(np.max(shares, axis=0), gathering).mean())

    def _replicas(self, config, core, interval):
        """The fewest replicas that keep the interval, or as many as there are rows."""
        rows = 1 if core.out is None else core.out.height
        total = self._own_clocks(config, core)
        for replicas in range(max(1, min(rows, math.ceil(total / interval))), rows):
            if self._own_clocks(config, replace(core, replicas=replicas)) <= interval:
                return replicas
        return rows if total > interval else 1

    def _cost(self, core):
        """The share of the device that a core takes."""
        key = (_variant_key(core, core.lanes), core.replicas,
               tuple(source.rows for source in core.sources))
        if key not in self._costs:
            budget = self._board.budget
            cells, brams = resources.core_size(core, self._board.family.name)
            self._costs[key] = cells / budget.luts + brams / budget.brams
        return self._costs[key]

    # Objectives.

    def keep(self, interval):
        """The cheapest plan that keeps an interval, or a longer one where there is no room."""
        slowest = self._workload.slowest(self.narrowest())
        while interval < slowest:
            plan = self.plan(self.at(interval))
            if not self.excess(plan, _HOPE):
                plan = self._lean(plan, interval)
                if not self.excess(plan):
                    return plan
            interval *= 1.1
        return self.smallest(None)  # if it does not fit, the build says what is short

    def smallest(self, interval):
        """The fewest logic cells. One lane a layer is not the least: few lanes make narrow words,
        and choosing among many narrow words takes cells."""
        slowest = self._workload.slowest(self.narrowest())
        if interval is not None:
            return self._lean(self.plan(self.at(interval)), interval)
        intervals = np.geomspace(self._workload.slowest(self.widest()), slowest, 6)
        starts = sorted((self.plan(self.at(interval)) for interval in intervals), key=_cells)
        return min((self._lean(start, math.inf) for start in starts[:3]), key=_cells)

    def throughput(self):
        """The shortest interval that fits, by bisection."""
        best = self.smallest(None)
        low, high = float(best.config.input.beats), best.interval
        while high > low * _STEP:
            interval = math.sqrt(low * high)
            plan = self.plan(self.at(interval))
            if self.excess(plan) and not self.excess(plan, _HOPE):
                plan = self._lean(plan, interval)
            if self.excess(plan) or plan.interval >= high:
                low = interval
            else:
                best, high = plan, plan.interval
        return self._lean(self._trimmed(best), best.interval)

    def _trimmed(self, plan):
        """A plan of the same interval without lanes and replicas that do not serve it."""
        other = self.plan(self.at(plan.interval))
        worse = other.interval > plan.interval or _cells(other) > _cells(plan)
        return plan if worse or self.excess(other) else other

    def _lean(self, plan, interval):
        """Steps down in logic cells, as long as the interval is kept."""
        interval = max(interval, plan.interval)
        return self._climb(plan, lambda other: -_cells(other),
                           lambda other: other.interval <= interval)

    def latency(self, interval):
        """Steps down in latency from the fastest pipeline that fits."""
        return self._climb(
            self.throughput(), lambda other: -self._workload.latency(other.config),
            lambda other: not self.excess(other) and (
                interval is None or other.interval <= interval))

    def _climb(self, plan, value, allowed):
        """Move to the best neighbour of a plan until no neighbour is better."""
        best = value(plan)
        while True:
            around = [(value(other), k, other)
                      for k, other in enumerate(map(self.plan, self._steps(plan.config)))
                      if allowed(other)]
            better = max(around, default=None)
            if better is None or better[0] <= best:
                return plan
            best, _, plan = better

    def _steps(self, config):
        """Configurations in which one layer has the next number of lanes, or one replica more or
        less."""
        lanes = {core.name: core.lanes for core in config.cores}
        replicas = {core.name: core.replicas for core in config.cores}
        for core in config.cores:
            rows = 1 if core.out is None else core.out.height
            counts = self._lanes(core, math.inf)
            place = counts.index(core.lanes)
            for count in counts[max(0, place - 1):place + 2]:
                for copies in range(max(1, core.replicas - 1), min(rows, core.replicas + 1) + 1):
                    if (count, copies) != (core.lanes, core.replicas):
                        yield self.config(lanes | {core.name: count},
                                          replicas | {core.name: copies})


def cell_limit(board: Board) -> int:
    """Logic cells of a board that a design may fill."""
    return int(CELL_SHARE[board.family.name] * board.budget.luts)


def _cells(plan):
    return plan.needs.cells


def _excess(board, needs, allowance=1):
    """Phrases about the resources that a design needs more than ``allowance`` times of."""
    budget = board.budget
    return [f"{need:,} {words} of {limit:,}" for need, limit, words in (
        (needs.cells, cell_limit(board), f"{board.family.cell}s"),
        (needs.ffs, budget.ffs, "flip-flops"),
        (needs.brams, budget.brams, "block RAMs")) if need > allowance * limit]


def shortage(network: Network, board: Board, needs: resources.Prediction, *,
             allowance: float = 1, interval: int | None = None,
             lanes: dict[str, int] | None = None) -> str | None:
    """The sentence about a plan that is predicted to take more than ``allowance`` times what the
    board has, or None.

    Parameters
    ----------
    needs : predicted resources
    interval, lanes : constraints that the plan had to keep
    """
    excess = _excess(board, needs, allowance)
    if not excess:
        return None
    what = "its smallest mapping" if interval is None else f"{interval:,} clocks an image"
    given = " with the lanes given" if lanes else ""
    needed = {"cells": math.ceil(needs.cells / CELL_SHARE[board.family.name]),
              "ffs": needs.ffs, "brams": needs.brams}
    return room.shortage(
        network.name, board, f"by prediction, {what}{given} needs {', '.join(excess)} that can be "
        f"used", needed, lanes=bool(lanes or interval))


def _variant_key(core, lanes):
    """A key of a core in a trial mapping. It leaves out the masks, which take long to hash for a
    wide layer."""
    return core.name, lanes, tuple(source.map.word for source in core.sources)


def plan(network: Network, board: Board, *, code: str = "phase", interval: int | None = None,
         objective: str | None = None, lanes: dict[str, int] | None = None,
         workload: Workload | None = None) -> Plan:
    """Choose lanes and replicas.

    Parameters
    ----------
    board : where the network is to run
    interval : clocks a sample that the array is to keep
    objective : ``"throughput"``, the shortest interval that fits; ``"latency"``, the fewest clocks
        from the first beat to the last logits that fit; ``"smallest"``, the fewest logic cells.
        The last two keep an interval if it is given. Without an objective the interval is kept at
        the least cost, as far as the board has room. Without both, the interval is that of the
        slowest layer with a lane a channel
    lanes : layers whose lanes are given
    workload : the samples whose spikes decide; by default those that travel with the network

    Raises
    ------
    FitError
        If an objective is given and nothing fits, or nothing keeps the interval; or if the input
        and the logits are more than the link has addresses for.
    """
    chosen, why = _plan(network, board, code, interval, objective, lanes, workload)
    if why and objective:
        raise FitError(why)
    return chosen


def _plan(network, board, code, interval, objective, lanes, workload):
    """A plan, and the sentence that says why it does not meet the request, or None."""
    if objective == "throughput" and interval is not None:
        raise FitError("the objective throughput takes the shortest interval; an interval can be "
                       "given with latency, smallest or no objective")
    _require_addresses(network, code)
    workload = workload or Workload(network)
    planner = _Planner(network, board, workload, code=code, lanes=dict(lanes or {}))
    if objective is None:
        found = _waiting(planner.keep, workload, interval, workload.slowest(planner.widest()))
        interval = None  # as far as the board has room
    else:
        found = _waiting({"throughput": lambda _: planner.throughput(),
                          "latency": planner.latency, "smallest": planner.smallest}[objective],
                         workload, interval)
    chosen = planner.filled(found)
    why = shortage(network, board, chosen.needs, interval=interval, lanes=lanes)
    if why is None and interval is not None and found.interval > interval:
        why = (f"{network.name} on {board.name} can't keep {interval:,} clocks an image: by "
               f"prediction it takes {found.interval:,.0f}")
    return chosen, why


def _require_addresses(network, code):
    # The host's view does not depend on lanes.
    try:
        register_map(map_config(network, code=code))
    except ValueError as error:
        raise FitError(f"{network.name} fits no board: {error}; a smaller input, or fewer levels "
                       f"of it (--input-levels), would help") from error


def _waiting(choose, workload, interval, default=None):
    """The plan that ``choose`` finds for an interval, with its predicted interval. If layers wait
    for each other, the search aims at a somewhat shorter interval."""
    aim, tried = interval or default, []
    while len(tried) < _ATTEMPTS:
        found = choose(aim)
        tried.append(replace(found, interval=workload.interval(found.config)))
        if interval is None or tried[-1].interval <= interval:
            return tried[-1]
        aim *= interval / tried[-1].interval
    return min(tried, key=lambda plan: plan.interval)


def fit(network: Network, *, board: str, lanes: dict[str, int] | None = None,
        interval: int | None = None, objective: str | None = None, code: str = "phase",
        calibration: Calibration | None = None) -> dict:
    """Choose lanes and replicas, and predict their figures.

    Parameters
    ----------
    board : name of a board, see :data:`boards.BOARDS`
    lanes, interval, objective, code : see :func:`plan`
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
    ``layers``, each with ``name``, ``kind``, ``spikes`` (received), ``clocks``, ``luts``, ``ffs``,
    ``cells``, ``brams``, ``memories``, and if it has neurons ``lanes``, ``replicas`` and
    ``utilisation``.

    If the device is too small for the network's memories with any mapping, none is chosen. Then the
    figures are None and there are no layers.

    Raises
    ------
    FitError
        If the options contradict the network or each other.
    """
    target = boards.find(board)
    try:
        room.require_memory(network.name, target, room.memory_bits(network, code))
    except FitError as error:
        return _refused(network, target, objective, str(error))
    workload = calibrate(network, calibration)
    with working(f"{network.name} for {board}: lanes and replicas"):
        chosen, why = _plan(network, target, code, interval, objective, lanes, workload)
    clocks = workload.all_clocks(chosen.config)
    latency = workload.latency(chosen.config)
    adding = {core.name: workload.adds(chosen.config, core) / core.replicas / chosen.interval
              for core in chosen.config.cores}
    everywhere = sum(core.lanes * core.replicas for core in chosen.config.cores)
    layers = [{"name": "input", "kind": "input", "clocks": clocks["input"],
               "spikes": _mean_spikes(chosen.config.input, workload.counts)}]
    for layer in chosen.config.layers:
        layers.append({
            "name": layer.name, "kind": kind(layer).NAME,
            "clocks": clocks[layer.name],
            "spikes": sum(_mean_spikes(source.map, received) for source, received in zip(
                layer.sources, workload.sources(chosen.config, layer), strict=True)),
            **chosen.needs.layers[layer.name],
            "memories": resources.layer_memories(layer, chosen.needs.placement)})
        if layer.name in adding:
            layers[-1] |= {"lanes": layer.lanes, "replicas": layer.replicas,
                           "utilisation": adding[layer.name]}
    return {
        "network": network.name, "board": target.name, "device": target.device,
        "clock_hz": target.clock_hz, "objective": objective,
        "calibration": workload.source, "images": len(workload.counts),
        "fits": why is None, "reason": why,
        "interval_cycles": round(chosen.interval),
        "images_per_second": target.clock_hz / chosen.interval,
        "latency_cycles": round(latency), "latency_us": latency / target.clock_hz * 1e6,
        "bottleneck": workload.bottleneck(chosen.config),
        "utilisation": sum(adding[core.name] * core.lanes * core.replicas
                           for core in chosen.config.cores) / everywhere,
        **{what: getattr(chosen.needs, what) for what in ("luts", "ffs", "cells", "brams")},
        **_limits(target),
        "layers": layers,
    }


def _refused(network, board, objective, reason):
    """The result if no mapping can fit."""
    figures = ("calibration", "images", "interval_cycles", "images_per_second", "latency_cycles",
               "latency_us", "bottleneck", "utilisation", "luts", "ffs", "cells", "brams")
    return {"network": network.name, "board": board.name, "device": board.device,
            "clock_hz": board.clock_hz, "objective": objective, "fits": False, "reason": reason,
            **dict.fromkeys(figures), **_limits(board), "layers": []}


def _limits(board):
    return {"budget": asdict(board.budget), "cell": board.family.cell,
            "cell_limit": cell_limit(board)}


def _mean_spikes(fmap, counts):
    return float(map_spikes(fmap, counts).mean())
