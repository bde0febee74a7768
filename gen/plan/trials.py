"""Trial mappings: the cheapest lanes and replicas with which every layer keeps an interval.

A layer gets the cheapest pair of lanes and replicas that keeps the interval, by the formulas of
:mod:`gen.plan.cycles` on real samples and the sizes of :mod:`gen.plan.resources`. So no layer is
faster than the pipeline can use.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from boards import Board
from gen.ir.network import Network
from hw.config import ArrayConfig, MemoryImage
from hw.layers import CoreConfig

from . import resources, room
from .core import busiest
from .cycles import first_clocks, gathering_clocks
from .kinds import kind
from .mapping import Options, map_config, map_network, options
from .rings import rows_of, with_rows
from .workload import Workload

__all__ = ["Plan", "Trial", "Trials"]

# Longer addresses take a smaller share of the logic cells of a design.
_ADDRESSES = 1.005


@dataclass(frozen=True)
class Trial:
    """A mapping, and its predicted figures.

    Parameters
    ----------
    config : shape of the array
    needs : predicted resources
    interval : mean clocks from one sample to the next
    """

    config: ArrayConfig
    needs: resources.Prediction
    interval: float

    @property
    def options(self) -> Options:
        """Arguments of :func:`gen.plan.mapping.map_network`."""
        return options(self.config)


@dataclass(frozen=True)
class Plan(Trial):
    """The mapping that was chosen.

    Parameters
    ----------
    image : contents of the memories, by name; the needs follow from them
    """

    image: dict[str, MemoryImage]


class Trials:
    """Mappings of one network for one board.

    Parameters
    ----------
    network, board : what is mapped, and where to
    workload : the samples whose spikes decide
    code : how layers replay each other's counts, ``"phase"`` or ``"rate"``
    slice_steps : time-steps of a slice of the trains between layers, at most
    lanes : layer name -> lanes, for the layers whose lanes are given
    differential : see :func:`gen.plan.mapping.map_config`
    reloadable : whether a host may load the memories, see ``membranes`` there
    """

    def __init__(self, network: Network, board: Board, workload: Workload, *, code: str,
                 slice_steps: int, lanes: Mapping[str, int],
                 differential: Mapping[str, Sequence[str]], reloadable: bool) -> None:
        self._network, self._board, self._workload = network, board, workload
        self._differential, self._reloadable = differential, reloadable
        self._code, self._slice_steps, self._fixed = code, slice_steps, dict(lanes)
        self._channels = {layer.name: network.shapes[layer.name][0] for layer in network.layers
                          if layer.synapses}
        self._variants: dict[tuple, CoreConfig] = {}
        self._costs: dict[tuple, float] = {}

    def config(self, lanes: Mapping[str, int], replicas: Mapping[str, int]) -> ArrayConfig:
        """The configuration with these lanes and replicas by layer name. Lanes that were given
        take precedence."""
        return map_config(self._network, lanes={**lanes, **self._fixed}, replicas=replicas,
                          code=self._code, slice_steps=self._slice_steps,
                          differential=self._differential,
                          membranes={} if self._reloadable else None)

    def widest(self) -> ArrayConfig:
        """A lane a channel."""
        return self.config(self._channels, {})

    def narrowest(self) -> ArrayConfig:
        """One lane a layer."""
        return self.config(dict.fromkeys(self._channels, 1), {})

    def trial(self, config: ArrayConfig) -> Trial:
        """The trial of a configuration. Its interval is that of the slowest layer."""
        needs = resources.predict(config, self._board.family.name, self._board.budget.brams)
        return Trial(config, needs, self._workload.slowest(config))

    def plan(self, trial: Trial) -> Plan:
        """The plan that a trial becomes with the contents of its memories."""
        _, image = map_network(self._network, **trial.options)
        needs = resources.predict(
            trial.config, self._board.family.name, self._board.budget.brams, image)
        return Plan(trial.config, needs, trial.interval, image)

    def roomiest(self, trial: Trial) -> Trial:
        """The trial with two whole maps in each spike memory, or more where there are more."""
        return self.trial(replace(trial.config, layers=tuple(
            layer.with_rows(tuple(max(rows_of(source), 2 * source.map.height)
                                  for source in layer.sources))
            for layer in trial.config.layers)))

    def roomier(self, trial: Trial) -> Trial:
        """The trial with spike memories as deep as their block RAMs are anyway, up to two whole
        maps. It takes nothing else but for what longer addresses cost."""
        limit, brams = _ADDRESSES * trial.needs.cells, trial.needs.brams
        for index, layer in enumerate(trial.config.layers):
            for k, source in enumerate(layer.sources):
                deeper = (self._with_rows(trial, index, k, rows)
                          for rows in range(2 * source.map.height, source.rows, -1))
                trial = next((other for other in deeper
                              if other.needs.brams <= brams and other.needs.cells <= limit), trial)
        return trial

    def _with_rows(self, trial, index, k, rows):
        config = trial.config
        layer = config.layers[index]
        each = [source.rows for source in layer.sources]
        each[k] = rows
        return self.trial(replace(config, layers=(
            *config.layers[:index], layer.with_rows(tuple(each)), *config.layers[index + 1:])))

    def fits(self, trial: Trial, allowance: float = 1) -> bool:
        """Whether a trial takes at most ``allowance`` times what the board has."""
        return not room.excess(self._board, trial.needs, allowance)

    def cost(self, trial: Trial) -> float:
        """The share of the device that a trial takes, of logic cells and of block RAMs."""
        return self._share(trial.needs.cells, trial.needs.brams)

    def _share(self, cells: float, brams: float) -> float:
        budget = self._board.budget
        return cells / budget.luts + brams / budget.brams

    def at(self, interval: float) -> ArrayConfig:
        """The configuration in which every layer keeps an interval at the least cost. A layer that
        can't keep it is as fast as possible."""
        config = self.widest()
        for _ in range(2):  # the input of a layer depends on the lanes of the layers before it
            config = self.config(*self._assign(config, interval))
        return config

    def _assign(self, config, interval):
        """Lanes and replicas by layer name. The order is from the last layer to the first, because
        the readers of a layer limit the number of words in which it may send its map."""
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
        choices = []
        for lanes in self.lane_counts(config.layers[index], words):
            variant = self._variant(config, index, lanes)
            replicas = self._replicas(config, variant, interval)
            variant = with_rows(config, index, replace(variant, replicas=replicas))
            clocks = self._own_clocks(config, variant)
            choices.append((max(clocks, interval), self._cost(variant), lanes, variant))
        return min(choices, key=lambda choice: choice[:3])[3]

    def lane_counts(self, core: CoreConfig, words: float = math.inf) -> list[int]:
        """Numbers of lanes that are worth a trial, in ascending order: the least for each number
        of turns, with at most ``words`` turns. If the lanes of the layer are given, only they
        are."""
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
        chunks = [source.map.chunks if source.layer >= 0 else 1 for source in core.sources]
        window = max(first_clocks(source) / few
                     for source, few in zip(core.sources, chunks, strict=True))
        gathering = max(gathering_clocks(source, core.groups) / few
                        for source, few in zip(core.sources, chunks, strict=True))
        rows = self._workload.rows(config, core, window=window)
        return float(busiest(core, rows, gathering).mean())

    def _replicas(self, config, core, interval):
        """The fewest replicas that keep the interval, or as many as there are rows."""
        rows = core.most_replicas
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
            self._costs[key] = self._share(
                *resources.core_size(core, self._board.family.name))
        return self._costs[key]


def _variant_key(core, lanes):
    """A key of a core in a trial mapping. It leaves out the masks, which take long to hash for a
    wide layer."""
    return core.name, lanes, tuple(source.map.word for source in core.sources)
