"""Lanes and replicas of each layer: a balanced pipeline that the device has room for.

The objective decides the interval, and :mod:`gen.plan.search` finds the plan for it.
:mod:`gen.plan.pipeline` adds the time for which layers wait for each other.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from boards import Board
from gen.errors import FitError
from gen.ir.layers import INPUT
from gen.ir.network import Network
from hw.device import register_map
from hw.maps import SLICE_STEPS

from .mapping import map_config
from .room import predicted_shortage
from .search import Search
from .trials import Plan, Trial, Trials
from .workload import Workload

__all__ = ["OBJECTIVES", "plan", "plan_or_reason", "warn_unless_kept"]

log = logging.getLogger(__name__)

OBJECTIVES = ("throughput", "latency", "smallest")
"""Objectives for which a mapping can be chosen."""

# Of two plans for the same request the cheaper one is taken unless the other takes this many times
# fewer clocks.
_ALIKE = 1.02

# Spikes of a neuron in a slice of its train. The encoder looks at all of them in one expression,
# and Verilator reads no line of twice as many.
_MOST_SPIKES = 128

# Deeper spike memories are worth it where the interval is more than so many times as long without.
_CLEARLY = 1.01

# How often a shorter interval is tried where layers wait for each other, and then longer ones.
_ATTEMPTS = 3
_LONGER = (1.03, 1.06, 1.1)


def plan(network: Network, board: Board, *, code: str = "phase", interval: int | None = None,
         objective: str | None = None, lanes: dict[str, int] | None = None,
         differential: Mapping[str, Sequence[str]] | None = None, reloadable: bool = False,
         workload: Workload | None = None) -> Plan:
    """Choose lanes and replicas.

    Parameters
    ----------
    board : where the network is to run
    code : how layers replay each other's counts, ``"phase"`` or ``"rate"``
    interval : clocks a sample that the array is to keep
    objective : ``"throughput"``, the shortest interval that fits; ``"latency"``, the fewest clocks
        from the first beat to the last logits that fit; ``"smallest"``, the fewest logic cells.
        The last two keep an interval if it is given. Without an objective the interval is kept at
        the least cost, as far as the board has room. Without either, the interval is that of the
        slowest layer with a lane a channel
    lanes : layer name -> lanes, for the layers whose lanes are given
    differential : see :func:`gen.plan.mapping.map_config`
    reloadable : whether a host may load the memories, see ``membranes`` there
    workload : the samples whose spikes decide; by default those that travel with the network

    Raises
    ------
    FitError
        If an objective is given and nothing fits, or nothing keeps the interval; or if the link has
        too few addresses for the input and the logits.
    """
    chosen, why = plan_or_reason(network, board, workload or Workload(network), code=code,
                                 interval=interval, objective=objective, lanes=lanes,
                                 differential=differential, reloadable=reloadable)
    if why and objective:
        raise FitError(why)
    return chosen


def warn_unless_kept(board: Board, interval: int | None, found: Plan) -> None:
    """Log a warning if a plan takes more clocks than the interval that was asked for."""
    if interval is not None and round(found.interval) > interval:
        log.warning("warning: the interval of %s is not kept on %s: by prediction an image takes "
                    "%s clocks", f"{interval:,}", board.name, f"{round(found.interval):,}")


def plan_or_reason(network: Network, board: Board, workload: Workload, *, code: str,
                   interval: int | None, objective: str | None,
                   lanes: dict[str, int] | None,
                   differential: Mapping[str, Sequence[str]] | None = None,
                   reloadable: bool = False) -> tuple[Plan, str | None]:
    """The best plan that was found, and the sentence that says why it does not meet the request,
    or None if it does. The parameters are those of :func:`plan`.

    Raises
    ------
    FitError
        If the options contradict each other or the network; or if the link has too few addresses.
    """
    if objective == "throughput" and interval is not None:
        raise FitError("the objective throughput takes the shortest interval; an interval can be "
                       "given with latency, smallest or no objective")
    if network.dynamics is not None and code != "phase":
        raise FitError(f"{network.name} fires in time-steps, so its counts have no code; leave "
                       f"--code out")
    _require_addresses(network, code)
    found = []
    for slice_steps in _slicings(network):
        trials = Trials(network, board, workload, code=code, slice_steps=slice_steps,
                        lanes=lanes or {}, differential=differential or {},
                        reloadable=reloadable)
        found.append((trials, _search(trials, workload, objective, interval)))
    trials, best = _best(found, workload, objective, interval)
    chosen = trials.plan(best if objective == "smallest" else _roomy(trials, best, workload))
    if objective is None:
        interval = None  # as far as the board has room
    why = predicted_shortage(network.name, board, chosen.needs, interval=interval, lanes=lanes)
    if why is None and interval is not None and chosen.interval > interval:
        clocks = "1 clock" if interval == 1 else f"{interval:,} clocks"
        why = (f"{network.name} on {board.name} can't keep {clocks} an image: by prediction it "
               f"takes {chosen.interval:,.0f}")
    return chosen, why


def _slicings(network: Network) -> list[int]:
    """The lengths of the slices of trains that are worth a try, the longest first: the shorter, the
    fewer bits are looked at together, and the more windows are gathered.

    Raises
    ------
    FitError
        If a map has too many spikes in a time-step.
    """
    if network.dynamics is None or network.dynamics.phases:
        return [1]
    spikes = {name: high - low for name, (low, high) in network.spans.items() if name != INPUT}
    most = max(spikes, key=lambda name: spikes[name])
    if spikes[most] > _MOST_SPIKES:
        raise FitError(f"{most} sends up to {spikes[most]} spikes in a time-step, and "
                       f"{_MOST_SPIKES} are the most that the array takes: let neurons send "
                       f"fewer, or sum fewer of them")
    if network.dynamics.events:
        if spikes[most] * network.timesteps > _MOST_SPIKES:
            raise FitError(f"{most} sends up to {spikes[most]} spikes in each of "
                           f"{network.timesteps} time-steps, and {_MOST_SPIKES} are the most that "
                           f"the array takes together of a network with events: take fewer "
                           f"time-steps, or sum fewer spikes")
        return [network.timesteps]
    longest = min(SLICE_STEPS, network.timesteps, _MOST_SPIKES // spikes[most])
    return sorted({-(-longest >> k) for k in range(longest.bit_length())}, reverse=True)


def _search(trials: Trials, workload: Workload, objective: str | None,
            interval: int | None) -> Trial:
    search = Search(trials, workload)
    if objective is None:
        default = workload.slowest(trials.widest())
        return _waiting(lambda aim: search.keep(aim or default), trials, workload, interval)
    return _waiting({"throughput": lambda _: search.throughput(), "latency": search.latency,
                     "smallest": search.smallest}[objective], trials, workload, interval)


def _best(found: list[tuple[Trials, Trial]], workload: Workload, objective: str | None,
          interval: int | None) -> tuple[Trials, Trial]:
    """The trial that is best for the objective; without one, the cheapest of those that keep the
    interval, or that are about as fast as the fastest one."""
    fitting = [(trials, trial) for trials, trial in found if trials.fits(trial)] or found
    fastest = min(trial.interval for _, trial in fitting)
    limit = {None: max(interval or 0, _ALIKE * fastest), "throughput": fastest}.get(
        objective, max(interval or math.inf, fastest))

    def merit(each):
        trials, trial = each
        return {"latency": workload.latency(trial.config) if objective == "latency" else 0,
                "smallest": trial.needs.cells}.get(objective or "", 0), trials.cost(trial)

    return min(((trials, trial) for trials, trial in fitting if trial.interval <= limit),
               key=merit)


def _roomy(trials: Trials, trial: Trial, workload: Workload) -> Trial:
    """The trial with deeper spike memories, where these cost no block RAM and layers clearly wait
    less for each other."""
    for better in (trials.roomiest, trials.roomier):
        roomy = _timed(better(trial), workload)
        if trial.interval < _CLEARLY * roomy.interval:
            return trial
    return roomy if trials.fits(roomy) else trial


def _require_addresses(network: Network, code: str) -> None:
    # The host's view does not depend on lanes.
    try:
        register_map(map_config(network, code=code))
    except ValueError as error:
        raise FitError(f"{network.name} fits no board: {error}; a smaller input, fewer levels of "
                       f"it (--input-levels) or fewer answers in a sample would help") from error


def _waiting(choose: Callable[[float | None], Trial], trials: Trials, workload: Workload,
             interval: int | None) -> Trial:
    """The trial that ``choose`` finds for an interval, with the interval that is predicted for
    layers that wait for each other. If that is longer, the search aims at a shorter one. Layers
    with replicas may also be faster than the search takes them to be, so that it finds no room for
    what there is room for. Therefore it aims at longer intervals, too, before it gives up."""
    if interval is None:
        return _timed(choose(None), workload)
    aim: float = interval
    tried: list[Trial] = []
    for attempt in range(_ATTEMPTS + len(_LONGER)):
        if attempt >= _ATTEMPTS:
            aim = _LONGER[attempt - _ATTEMPTS] * interval
        tried.append(_timed(choose(aim), workload))
        if tried[-1].interval <= interval and trials.fits(tried[-1]):
            return tried[-1]
        aim *= interval / tried[-1].interval
    return min(tried, key=lambda trial: (not trials.fits(trial), trial.interval))


def _timed(trial: Trial, workload: Workload) -> Trial:
    return replace(trial, interval=workload.interval(trial.config))
