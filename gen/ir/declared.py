"""What a network file says of its method, compared with what its layers do."""

from collections.abc import Callable

from gen.errors import NetworkError, unknown
from hw.dynamics import Dynamics

from .network import Network

__all__ = ["METHODS", "check_method"]


def _unbounded(dynamics: Dynamics) -> bool:
    """Whether neurons fire as their charge says, until the charge ends."""
    return (dynamics.sleep, dynamics.bound, dynamics.phases, dynamics.probe) == (0, None, 0, 0)


def _single(dynamics: Dynamics) -> bool:
    """Also with one spike in a time-step at most."""
    return _unbounded(dynamics) and dynamics.burst == 1


METHODS: dict[str, Callable[[Dynamics], bool]] = {
    "qcfs": _single,
    "threshold-balance": _single,
    "casc": lambda dynamics: dynamics.signed and dynamics.bound == "elapsed",
    "st-bif": lambda dynamics: dynamics.signed and dynamics.once,
    "group": _unbounded,
    "burst": _unbounded,
    "one-spike": lambda dynamics: dynamics.phases > 0,
    "srp": lambda dynamics: dynamics.probe > 0,
}
"""Method -> whether time-steps are its own."""

_LEVELLED = ("threshold-balance", "casc")
"""Methods whose neurons have as many levels as the input charges them in time-steps of a cycle."""


def check_method(network: Network) -> None:
    """Refuse a network whose metadata name a method, a schedule or a number of time-steps that its
    layers do not have.

    Raises
    ------
    NetworkError
        If they contradict each other.
    """
    dynamics, said = network.dynamics, network.metadata
    method, schedule, timesteps = map(said.get, ("method", "schedule", "timesteps"))
    steps = dynamics is not None
    fire = "in every time-step" if steps else "once, after all the charge"
    if schedule not in (None, "step" if steps else "settle"):
        raise NetworkError(f"the metadata say schedule {schedule!r}, but the neurons fire {fire}")
    if timesteps is not None and (not steps or timesteps != network.timesteps):
        does = f"has {network.timesteps}" if steps else "has none"
        raise NetworkError(f"the metadata say {timesteps!r} time-steps, but the network {does}")
    if method is None:
        return
    if method not in METHODS:
        raise NetworkError(unknown("method in the metadata", str(method), METHODS))
    if dynamics is not None and not _suits(method, dynamics, network):
        raise NetworkError(f"the metadata say method {method}, but the time-steps of the layers "
                           f"are not of that method")


def _suits(method: str, dynamics: Dynamics, network: Network) -> bool:
    levelled = set(network.neuron_levels.values()) <= {dynamics.wake}
    return METHODS[method](dynamics) and (levelled or method not in _LEVELLED)
