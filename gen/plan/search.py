"""The search for a plan: for each objective, the trials that are compared and the best of them."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from hw.config import ArrayConfig

from .trials import Trial, Trials
from .workload import Workload

__all__ = ["Search"]

# Steps down in logic cells are tried if a mapping is too large by at most this factor.
_HOPE = 1.2

# The finest ratio between two intervals that are tried.
_STEP = 1.01


class Search:
    """A search among the trial mappings of one network for one board.

    Parameters
    ----------
    trials : the mappings
    workload : the samples whose spikes decide
    """

    def __init__(self, trials: Trials, workload: Workload) -> None:
        self._trials, self._workload = trials, workload

    def keep(self, interval: float) -> Trial:
        """The cheapest mapping that keeps an interval. Where there is no room for it, the interval
        becomes longer until there is."""
        slowest = self._workload.slowest(self._trials.narrowest())
        while interval < slowest:
            trial = self._at(interval)
            if self._trials.fits(trial, _HOPE):
                trial = self._lean(trial, interval)
                if self._trials.fits(trial):
                    return trial
            interval *= 1.1
        return self.smallest(None)  # if it does not fit, the build says what is short

    def smallest(self, interval: float | None) -> Trial:
        """The mapping with the fewest logic cells, whether it fits or not. If an interval is given
        and can be kept, the mapping keeps it.

        One lane a layer does not take the fewest cells: few lanes make narrow words, and choosing
        among many narrow words takes cells.
        """
        if interval is not None:
            return self._lean(self._at(interval), interval)
        intervals = np.geomspace(self._workload.slowest(self._trials.widest()),
                                 self._workload.slowest(self._trials.narrowest()), 6)
        starts = sorted((self._at(interval) for interval in intervals), key=_cells)
        return min((self._lean(start, math.inf) for start in starts[:3]), key=_cells)

    def throughput(self) -> Trial:
        """The mapping with the shortest interval that fits, found by bisection."""
        best = self.smallest(None)
        low, high = float(best.config.input.beats), best.interval
        while high > low * _STEP:
            interval = math.sqrt(low * high)
            trial = self._at(interval)
            if not self._trials.fits(trial) and self._trials.fits(trial, _HOPE):
                trial = self._lean(trial, interval)
            if not self._trials.fits(trial) or trial.interval >= high:
                low = interval
            else:
                best, high = trial, trial.interval
        return self._lean(self._trimmed(best), best.interval)

    def latency(self, interval: float | None) -> Trial:
        """The mapping with the fewest clocks from the first beat to the last logits that fits, and
        that keeps an interval if one is given. The search steps down in latency from the fastest
        pipeline."""
        return self._climb(
            self.throughput(), lambda other: -self._workload.latency(other.config),
            lambda other: self._trials.fits(other) and (
                interval is None or other.interval <= interval))

    def _at(self, interval: float) -> Trial:
        return self._trials.trial(self._trials.at(interval))

    def _trimmed(self, trial: Trial) -> Trial:
        """A mapping of the same interval without lanes and replicas that do not serve it."""
        other = self._at(trial.interval)
        worse = other.interval > trial.interval or _cells(other) > _cells(trial)
        return trial if worse or not self._trials.fits(other) else other

    def _lean(self, trial: Trial, interval: float) -> Trial:
        """Steps down in logic cells, as long as the interval is kept."""
        interval = max(interval, trial.interval)
        return self._climb(trial, lambda other: -_cells(other),
                           lambda other: other.interval <= interval)

    def _climb(self, trial: Trial, value: Callable[[Trial], float],
               allowed: Callable[[Trial], bool]) -> Trial:
        """Move to the best neighbour of a mapping until no neighbour is better."""
        best = value(trial)
        while True:
            around = [(value(other), k, other)
                      for k, other in enumerate(map(self._trials.trial, self._steps(trial.config)))
                      if allowed(other)]
            better = max(around, default=None)
            if better is None or better[0] <= best:
                return trial
            best, _, trial = better

    def _steps(self, config: ArrayConfig) -> Iterator[ArrayConfig]:
        """Configurations in which one layer has the next number of lanes, or one replica more or
        less."""
        lanes = {core.name: core.lanes for core in config.cores}
        replicas = {core.name: core.replicas for core in config.cores}
        for core in config.cores:
            rows = core.most_replicas
            counts = self._trials.lane_counts(core)
            place = counts.index(core.lanes)
            for count in counts[max(0, place - 1):place + 2]:
                for copies in range(max(1, core.replicas - 1), min(rows, core.replicas + 1) + 1):
                    if (count, copies) != (core.lanes, core.replicas):
                        yield self._trials.config(lanes | {core.name: count},
                                                  replicas | {core.name: copies})


def _cells(trial: Trial) -> int:
    return trial.needs.cells
