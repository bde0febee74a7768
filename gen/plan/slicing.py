"""How trains may be cut into slices (:class:`hw.maps.MapConfig`)."""

from gen.errors import FitError
from gen.ir.layers import INPUT
from gen.ir.network import Network
from hw.maps import SLICE_STEPS

__all__ = ["slicings"]

# Spikes of a neuron in a slice of its train. The encoder looks at all of them in one expression,
# and Verilator reads no line of twice as many.
_MOST_SPIKES = 128


def slicings(network: Network) -> list[int]:
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
