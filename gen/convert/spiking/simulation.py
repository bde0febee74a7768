"""A spiking network in real numbers, time-step by time-step: what its integers are compared
with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from .graph import INPUT
from .layers import Layer, Sums

__all__ = ["simulate"]


def simulate(layers: Sequence[Layer | Sums], train: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of each layer, and the charge of the read-out, in each time-step, in float64.

    Parameters
    ----------
    train : ``(T, N, C, H, W)`` input of each time-step

    Returns
    -------
    Layer name -> ``(T, N, C, H, W)``
    """
    values = {INPUT: torch.from_numpy(np.array(train, dtype=np.float64))}
    for layer in layers:
        if isinstance(layer, Sums):
            values[layer.name] = _each(values[layer.source], lambda x, layer=layer: F.avg_pool2d(
                x, layer.kernel, layer.stride, divisor_override=1))
            continue
        current = torch.as_tensor(layer.bias)[:, None, None] + sum(
            _each(values[term.source], _charging(term))
            for term in layer.terms if term.source != layer.name)
        back = [_charging(term) for term in layer.terms if term.source == layer.name]
        values[layer.name] = (current if layer.neuron is None else
                              _fired(layer.neuron, current, back))
    return {name: value.numpy() for name, value in values.items() if name != INPUT}


def _each(train, function):
    """A function of maps, of those of all time-steps."""
    made = function(train.flatten(0, 1))
    return made.unflatten(0, train.shape[:2])


def _charging(term):
    """The charge of maps."""
    weight = torch.as_tensor(term.weight)
    return lambda spikes: F.conv2d(spikes, weight, stride=term.stride, padding=term.padding,
                                   groups=term.groups)


def _fired(neuron, current, back):
    """Spikes of neurons.

    Parameters
    ----------
    current : of other layers
    back : charges of the neurons' own spikes, a time-step later
    """
    decay, gain, threshold, drift, rest, start = (
        torch.as_tensor(np.asarray(values))[:, None, None] for values in (
            neuron.decay, neuron.gain, neuron.threshold, neuron.drift, neuron.rest, neuron.start))
    potential, spent, fired = start.expand(current.shape[1:]), torch.zeros(()), []
    left = 0 if neuron.current is None else torch.as_tensor(neuron.current)[:, None, None]
    spikes = arrived = torch.zeros_like(current[0])
    for now in current:
        arrived = left * arrived + gain * (now + sum(own(spikes) for own in back))
        potential = decay * potential + arrived + drift - spent
        spikes = (potential > threshold if neuron.strict else potential >= threshold).double()
        if neuron.burst != 1:
            most = neuron.burst or float("inf")
            spikes = torch.floor(potential / threshold).clamp(0, most)
        spent = spikes * threshold if neuron.delayed else torch.zeros(())
        if neuron.zero:
            potential = torch.where(spikes > 0, rest, potential)
        elif not neuron.delayed:
            potential = potential - spikes * threshold
        fired.append(spikes)
    return torch.stack(fired)
