"""Networks with time-steps, from quantised ones (docs/methods.md, 8).

A quantised network fires after all the charge of a sample. The methods of the literature fire in
every time-step instead. All of them run on the weights of one and the same quantised network; what
differs is when charge arrives and what a neuron may do.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from gen.errors import ConversionError, NetworkError, unknown
from gen.ir.batches import batches
from gen.ir.layers import INPUT
from gen.ir.network import Network
from hw.dynamics import Dynamics

from .codings import CODINGS, begun, share

__all__ = ["METHODS", "OPTIONS", "depth_of", "enough_steps", "levels_of", "quiet_steps", "stepped"]


def _qcfs(levels: int, timesteps: int | None, sleep: int | None, depth: int) -> Dynamics:
    """Integrate and fire (Bu et al. [1])."""
    if sleep:
        raise ConversionError("qcfs has no steps of sleep; casc has")
    return Dynamics(timesteps or levels)


def _threshold_balance(levels: int, timesteps: int | None, sleep: int | None,
                       depth: int) -> Dynamics:
    """Integrate and fire, with half a step of charge in equal shares (Deng, Gu [2])."""
    if sleep:
        raise ConversionError("threshold-balance has no steps of sleep; casc has")
    if timesteps not in (None, levels):
        raise ConversionError(f"threshold-balance has as many time-steps as the neurons have "
                              f"levels, {levels}, not {timesteps}")
    return Dynamics(levels)


def _casc(levels: int, timesteps: int | None, sleep: int | None, depth: int) -> Dynamics:
    """Consistent integrate and fire, awake and asleep (Li et al. [5])."""
    cycles, rest = divmod(timesteps or levels, levels)
    if rest or not cycles:
        raise ConversionError(f"casc is awake for as many time-steps as the neurons have levels, "
                              f"{levels}, or a multiple of them, not {timesteps}")
    enough = enough_steps(levels, depth) - levels
    return Dynamics(levels, enough if sleep is None else sleep, cycles, signed=True,
                    bound="elapsed")


def _st_bif(levels: int, timesteps: int | None, sleep: int | None, depth: int) -> Dynamics:
    """Spikes that are taken back, until all neurons are quiet (You et al. [3])."""
    if sleep is not None:
        raise ConversionError("st-bif has no steps of sleep of its own; give the time-steps")
    steps = timesteps or enough_steps(levels, depth)
    return Dynamics(1, steps - 1, signed=True, bound="levels")


METHODS: dict[str, Callable[..., Dynamics]] = {
    "qcfs": _qcfs, "threshold-balance": _threshold_balance, "casc": _casc, "st-bif": _st_bif,
    **CODINGS}
"""Method -> its dynamics, from the levels of the neurons, the numbers of time-steps and of steps of
sleep that are asked for, the number of layers of neurons on the longest path, and what is asked for
besides (:data:`OPTIONS`)."""

OPTIONS = {"burst": ("group", "burst"), "probe": ("srp",)}
"""Option -> methods that have it."""

_SHARED = frozenset({"threshold-balance"})
"""Methods whose neurons get half a threshold in equal shares, and not before the first step."""


def enough_steps(levels: int, depth: int) -> int:
    """Time-steps after which all neurons are quiet (docs/methods.md, eq. 15).

    Parameters
    ----------
    levels : of the neurons
    depth : layers of neurons on the longest path (:func:`depth_of`)
    """
    return levels + (depth - 1) * (levels - 1)


def stepped(network: Network, method: str, *, timesteps: int | None = None,
            sleep: int | None = None, burst: int | None = None, probe: int | None = None,
            floor: Collection[str] = ()) -> Network:
    """A quantised network as it fires in every time-step. Its metadata say ``method``,
    ``schedule`` and ``timesteps`` (all of them), and with ``one-spike`` ``phases``.

    When all neurons are quiet (:meth:`Network.quiet`), the counts of ``casc``, in one cycle, and of
    ``st-bif`` are those of the quantised network. So are those of ``group`` in one time-step.

    Parameters
    ----------
    network : without time-steps
    method : one of :data:`METHODS`
    timesteps : in which the input charges the membranes (by default as many as the neurons have
        levels), or all of them (``st-bif``; by default as many as are enough); of ``one-spike`` the
        phases (by default so many that a spike is as near as can be to the greatest count)
    sleep : further steps of each cycle (``casc``; by default as many as are enough)
    burst : the most spikes in a time-step (``group``, ``burst``; by default as many as levels, and
        5)
    probe : time-steps that come before the others, do not count, and tell which neurons to silence
        (``srp``; by default 4)
    floor : names of the layers whose neurons round down

    Raises
    ------
    ConversionError
        If the method does not exist, the numbers don't suit it, or the network's layers differ in
        what it needs to be the same.
    """
    if method not in METHODS:
        raise ConversionError(unknown("method", method, METHODS))
    if timesteps is not None and timesteps < 1:
        raise ConversionError(f"there must be at least 1 time-step, not {timesteps}")
    if network.dynamics is not None:
        raise ConversionError(f"{network.name} has time-steps already")
    levels = levels_of(network, method)
    asked = _asked(method, burst=burst, probe=probe)
    try:
        dynamics = METHODS[method](levels, timesteps, sleep, depth_of(network), **asked)
        times = share(levels, dynamics)
        said = {"method": method, "schedule": "step", "timesteps": dynamics.timesteps,
                **({"phases": dynamics.phases} if dynamics.phases else {})}
        return replace(network, metadata={**network.metadata, **said}, layers=tuple(
            begun(layer.timed(dynamics, times, method not in _SHARED and layer.name not in floor),
                  method, half=layer.name not in floor)
            for layer in network.layers))
    except (ValueError, NetworkError) as error:
        raise ConversionError(f"{method}: {error}") from error


def quiet_steps(network: Network, images: np.ndarray) -> tuple[int, float]:
    """The number of the last time-step in which a neuron spikes, for raw ``images``, and the share
    of the images for which all neurons are quiet after the last time-step."""
    last, quiet = 0, 0
    for part in batches(network, len(images)):
        trace = network.run(network.encode(images[part]))
        spiking = np.any([train.any(axis=tuple(range(1, train.ndim)))
                          for train in trace.trains.values()], axis=0)
        last = max(last, int(np.max(np.flatnonzero(spiking) + 1, initial=0)))
        quiet += int(np.all(list(network.quiet(trace).values()), axis=0).sum())
    return last, quiet / len(images)


def _asked(method, **options):
    """Those of the options that are given."""
    asked = {name: value for name, value in options.items() if value is not None}
    for name in asked:
        if method not in OPTIONS[name]:
            raise ConversionError(f"{method} has no --{name}; it is for "
                                  f"{' and '.join(OPTIONS[name])}")
    return asked


def levels_of(network: Network, method: str) -> int:
    """Those that all neurons have; with ``st-bif`` and ``one-spike`` the most.

    Raises
    ------
    ConversionError
        If there are no neurons, or they differ.
    """
    levels = network.neuron_levels
    if not levels:
        raise ConversionError(f"{network.name} has no neurons, so it takes no time-steps")
    if method not in ("st-bif", "one-spike") and len(set(levels.values())) > 1:
        different = ", ".join(f"{name} {top}" for name, top in levels.items())
        raise ConversionError(f"{method} needs neurons that all have the same number of levels, "
                              f"not {different}")
    return max(levels.values())


def depth_of(network: Network) -> int:
    """Layers of neurons on the longest path."""
    depth = {INPUT: 0}
    for layer in network.layers:
        longest = max(depth[source] for source in layer.sources)
        depth[layer.name] = longest + (layer in network.neurons)
    return max(depth.values())
