"""Layers of neurons that fire in each time-step, in integers (docs/methods.md, 8).

A map is then a *train*: ``(T, N, C, H, W)``, the spikes of each time-step. Only the input is no
train; it charges the membranes with its counts in every wake step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gen.errors import NetworkError
from hw.dynamics import Dynamics
from hw.maps import MapConfig, grown

from .layer import INPUT, Layer

if TYPE_CHECKING:
    from .charged import Charged
    from .network import Network
    from .neurons import Neurons, Readout

__all__ = ["arrived", "charge_range", "check_steps", "encoded", "largest", "logits", "trains"]

# Bits of a train for which numpy has a number.
_WIDTH = 62


def _charges(layer: "Charged", dynamics: Dynamics, inputs: Sequence[np.ndarray]
             ) -> tuple[np.ndarray | int, list[np.ndarray | int]]:
    """Charge of the input in a wake step, and of the spikes in each time-step."""
    image: np.ndarray | int = 0
    spikes: list[np.ndarray | int] = [0] * dynamics.timesteps
    for synapses, values in zip(layer.synapses, inputs, strict=True):
        if values.ndim == 4:
            image = image + synapses.charge(values)
        else:
            spikes = [before + synapses.charge(now)
                      for before, now in zip(spikes, values, strict=True)]
    return image, spikes


def _maps(dynamics: Dynamics, inputs: Sequence[np.ndarray]) -> list[MapConfig]:
    """What a schedule has to know of the sources."""
    return [MapConfig(1, 1, 1, 1, 1) if values.ndim == 4 else
            MapConfig(1, 1, 1, 1, 1, "train", dynamics.timesteps) for values in inputs]


def _wide(values: np.ndarray) -> np.ndarray:
    """``(C,)`` for ``(N, C, H, W)``."""
    return values[:, None, None]


def trains(layer: "Neurons", dynamics: Dynamics, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Spikes of the neurons in each time-step, ``(T, N, C, H, W)``.

    They are 0 or 1. Neurons that take spikes back have -1, too. A burst has up to 64 spikes. A
    spike in one of several phases counts its weight, up to 2**14.

    Parameters
    ----------
    inputs : ``(N, C, H, W)`` counts of the input, or ``(T, N, C, H, W)`` trains
    """
    image, spikes = _charges(layer, dynamics, inputs)
    program = layer.schedule(_maps(dynamics, inputs))
    if program.steps[0].fires:
        arriving = iter([image + spikes[0], *spikes[1:]])
    else:
        arriving = iter([image, *spikes])
    # Spikes of no train are no charge.
    charges = [next(arriving) if step.charges else 0 for step in program.steps]
    fired, _ = program.run(charges, _wide(layer.initial), _wide(layer.threshold),
                           _wide(layer.bias))
    return np.stack(np.broadcast_arrays(*fired)).astype(np.int16)


def logits(layer: "Readout", dynamics: Dynamics, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Potentials of the read-out after each time-step, ``(T, N, C, H, W)``; steps that don't count
    change nothing."""
    image, spikes = _charges(layer, dynamics, inputs)
    now: np.ndarray | int = _wide(layer.initial)
    potentials = []
    for number, (awake, charge) in enumerate(zip(dynamics.awake, spikes, strict=True)):
        if number >= dynamics.probe:
            now = now + charge + awake * (image + _wide(layer.bias))
        potentials.append(now)
    return np.stack(np.broadcast_arrays(*potentials))


def charge_range(layer: "Charged", dynamics: Dynamics, images: Sequence[bool],
                 levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest charge, the initial potential among it, that has arrived when the neurons
    fire, in any time-step; without spikes that are taken back also what arrives after a spike.

    Parameters
    ----------
    images : whether a source charges by the same in all wake steps, for each source
    levels : of each source, greatest count of all time-steps together
    """
    awake = dynamics.charged
    low = high = np.zeros(layer.channels, dtype=np.int64)
    for synapses, image, top in zip(layer.synapses, images, levels, strict=True):
        least, most = synapses.charge_range(top * awake if image else top)
        low, high = low + least, high + most
    low, high = low + awake * layer.bias.clip(max=0), high + awake * layer.bias.clip(min=0)
    start = layer.initial if dynamics.signed else layer.initial.clip(max=0)
    most, membrane = layer.initial, dynamics.membrane
    if membrane.delayed:
        # Of a potential that has reached the threshold, and has leaked since.
        start = start - layer.threshold
    if membrane.leak or membrane.reset == "zero":
        # What is less than 0 in the beginning may be gone later.
        most = most.clip(min=0)
    return low + start, high + most


def encoded(train: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    """A train as it travels, ``(N, C, H, W)``, see :class:`hw.maps.MapConfig`. What has more bits
    than 62 are Python's integers.

    Parameters
    ----------
    train : ``(T, N, C, H, W)`` spikes of each time-step
    span : least and greatest of them
    """
    low, levels = span
    wide = len(train) * (levels.bit_length() + (-low).bit_length()) > _WIDTH
    result = np.zeros(train.shape[1:], dtype=object if wide else np.int64)
    for fired in train.astype(result.dtype):
        result = grown(result, fired, low=low, levels=levels)
    return result


def arrived(counts: np.ndarray, dynamics: Dynamics | None) -> np.ndarray:
    """Counts of the input; or, if they hold a train (see :class:`hw.maps.MapConfig`), that,
    ``(T, N, C, H, W)``."""
    if dynamics is None or not dynamics.events:
        return counts
    bits = dynamics.events.bit_length()
    places = bits * np.arange(dynamics.timesteps)[::-1]
    return counts[None] >> places.reshape(-1, 1, 1, 1, 1) & dynamics.events


def largest(windows: np.ndarray) -> np.ndarray:
    """Changes of the greatest count in a window: accumulated maximum pooling (docs/methods.md, 8).

    Parameters
    ----------
    windows : ``(T, ..., k, k)`` spikes
    """
    counts = windows.cumsum(axis=0).max(axis=(-2, -1))
    return np.diff(counts, axis=0, prepend=np.zeros_like(counts[:1]))


def check_steps(network: "Network") -> None:
    """Refuse a network whose layers do not take the same time-steps, or that can't take any.

    Raises
    ------
    NetworkError
        The message names the layer.
    """
    first, *others = (layer for layer in network.layers if layer.synapses)
    for layer in others:
        if _shared(layer) != _shared(first):
            raise NetworkError(f"{layer.name}: its time-steps are not those of {first.name}")
    if first.dynamics is None:
        return
    if network.positions != (1, 1):
        raise NetworkError(f"{network.readout.name}: with time-steps the read-out must be one "
                           f"position, not {network.positions}")
    _check_events(network, first.dynamics)
    for layer in network.layers:
        if not (layer.synapses or first.dynamics.events) and INPUT in layer.sources:
            raise NetworkError(f"{layer.name}: pools the input, which a network with time-steps "
                               f"can't; use a convolution")


def _shared(layer: Layer) -> Dynamics | None:
    """The time-steps of a layer, as all layers have to have them."""
    return None if layer.dynamics is None else layer.dynamics.shared


def _check_events(network: "Network", dynamics: Dynamics) -> None:
    """The counts of an input that is a train have its bits."""
    top = (1 << dynamics.events.bit_length() * dynamics.timesteps) - 1
    if dynamics.events and (network.input_levels, network.pixel_max) != (top, top):
        raise NetworkError(f"an input of {dynamics.timesteps} time-steps with up to "
                           f"{dynamics.events} spikes each has pixels and counts up to {top}, not "
                           f"{network.pixel_max} and {network.input_levels}")
