"""Layers of neurons that fire in each time-step, in integers (docs/methods.md, 8).

A map is then a *train*: ``(T, N, C, H, W)``, the spikes of each time-step. Only the input is no
train; it charges the membranes with its counts in every wake step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hw.dynamics import Dynamics
from hw.maps import MapConfig, grown

if TYPE_CHECKING:
    from .charged import Charged
    from .neurons import Neurons, Readout

__all__ = ["charge_range", "encoded", "largest", "logits", "trains"]

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
    fired, _ = program.run(charges, *(_wide(values) for values in (
        layer.initial, layer.threshold, layer.bias)))
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
    images : whether a source is the input, for each source
    levels : of each source, greatest count of all time-steps together
    """
    awake = dynamics.charged
    low = high = np.zeros(layer.channels, dtype=np.int64)
    for synapses, image, top in zip(layer.synapses, images, levels, strict=True):
        least, most = synapses.charge_range(top * awake if image else top)
        low, high = low + least, high + most
    low, high = low + awake * layer.bias.clip(max=0), high + awake * layer.bias.clip(min=0)
    start = layer.initial if dynamics.signed else layer.initial.clip(max=0)
    return low + start, high + layer.initial


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


def largest(windows: np.ndarray) -> np.ndarray:
    """Changes of the greatest count in a window: accumulated maximum pooling (docs/methods.md, 8).

    Parameters
    ----------
    windows : ``(T, ..., k, k)`` spikes
    """
    counts = windows.cumsum(axis=0).max(axis=(-2, -1))
    return np.diff(counts, axis=0, prepend=np.zeros_like(counts[:1]))
