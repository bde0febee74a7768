"""Methods whose neurons say more with a spike, or in a time-step (docs/methods.md, 9).

Their layers are scaled as those of the other methods are (:meth:`gen.ir.layer.Layer.timed`), which
leaves ``share`` wake steps to bring what all the charge of a sample is.
"""

from gen.errors import ConversionError
from gen.ir.layer import Layer
from hw.dynamics import MOST_PHASES, Dynamics

__all__ = ["CODINGS", "begun", "share"]

_BURST = 5

_PROBE = 4


def _no_sleep(method, sleep):
    if sleep:
        raise ConversionError(f"{method} has no steps of sleep; casc has")


def _bursting(method, levels, timesteps, burst):
    """Neurons that send up to ``burst`` spikes, and all of their levels in so many steps."""
    if levels % burst:
        raise ConversionError(f"{method}: the spikes of a time-step, {burst}, must divide the "
                              f"levels of the neurons, {levels}; choose others (--burst)")
    return Dynamics(timesteps or levels // burst, burst=burst)


def _group(levels: int, timesteps: int | None, sleep: int | None, depth: int,
           burst: int | None = None) -> Dynamics:
    """Group neurons (Lv et al. [6])."""
    _no_sleep("group", sleep)
    return _bursting("group", levels, timesteps, burst or levels)


def _burst(levels: int, timesteps: int | None, sleep: int | None, depth: int,
           burst: int | None = None) -> Dynamics:
    """Burst neurons, the hidden layers of hybrid coding (Chen et al. [7])."""
    _no_sleep("burst", sleep)
    return _bursting("burst", levels, timesteps, burst or _BURST)


def _srp(levels: int, timesteps: int | None, sleep: int | None, depth: int,
         probe: int | None = None) -> Dynamics:
    """Neurons that are left without charge after some steps are silent (Hao et al. [9])."""
    _no_sleep("srp", sleep)
    if probe == 0:
        raise ConversionError("srp needs at least 1 step that probes (--probe); without it is qcfs")
    return Dynamics(timesteps or levels, probe=_PROBE if probe is None else probe)


def _one_spike(levels: int, timesteps: int | None, sleep: int | None, depth: int) -> Dynamics:
    """One spike, whose phase is its weight (after Hwang, Kung [8])."""
    _no_sleep("one-spike", sleep)
    phases = timesteps or (4 * levels // 3).bit_length()
    if phases > MOST_PHASES:
        raise ConversionError(f"neurons of {levels} levels take {phases} phases; {MOST_PHASES} are "
                              f"the most: take fewer levels, or --timesteps {MOST_PHASES}")
    return Dynamics(1, phases=phases)


CODINGS = {"group": _group, "burst": _burst, "one-spike": _one_spike, "srp": _srp}
"""Method -> its dynamics, as :data:`gen.convert.methods.METHODS`."""

_FLOOR = frozenset({"burst", "one-spike"})
"""Methods whose neurons begin with an empty membrane, apart from the bias."""


def share(levels: int, dynamics: Dynamics) -> int:
    """Wake steps that bring what all the charge of a sample is.

    Parameters
    ----------
    levels : of the quantised neurons
    """
    return 1 if dynamics.phases else levels // dynamics.burst


def begun(layer: Layer, method: str, *, half: bool) -> Layer:
    """The layer, which has time-steps already, with the initial potential of the method, and with
    its thresholds.

    Parameters
    ----------
    half : whether the initial potential holds half a threshold
    """
    return layer.without_half(method == "one-spike", half) if method in _FLOOR else layer
