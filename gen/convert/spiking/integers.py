"""A spiking network in integers (docs/methods.md, 17): each output channel has an integer
threshold, which puts its weights on a grid, as in equation (5); leaks become shifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch

from gen.convert.grid import best_grid, limits, thresholds
from gen.convert.widths import WIDE, Bits, layer_bits
from gen.errors import ConversionError, NetworkError
from gen.ir import layers as ir
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics, Lasting, Membrane

from .graph import INPUT
from .layers import Layer, Sums
from .leaks import common, shifts

__all__ = ["Input", "in_integers"]


@dataclass(frozen=True)
class Input:
    """How a network is driven.

    Parameters
    ----------
    shape : ``(C, H, W)``
    timesteps : of a run
    levels : greatest count of a pixel of an image, which drives all time-steps alike; its value is
        ``count / levels``
    events : greatest number of spikes of a pixel in a time-step, if the input is a train; or else 0
    rows : whether time-steps are rows of the input; neurons are then vectors
    """

    shape: tuple[int, int, int]
    timesteps: int
    levels: int
    events: int = 0
    rows: bool = False

    @property
    def top(self) -> int:
        """Greatest input count: of a train all its bits."""
        if not self.events:
            return self.levels
        if self.rows:
            return self.events
        return (1 << self.events.bit_length() * self.timesteps) - 1

    @property
    def map(self) -> tuple[int, int, int]:
        """Shape of the input of the network."""
        return (prod(self.shape), self.timesteps, 1) if self.rows else self.shape


def in_integers(layers: Sequence[Layer | Sums], given: Input, *, name: str, bits: Bits,
                burst: int, pixel_max: int, metadata: Mapping[str, object]) -> Network:
    """The network in integers.

    Parameters
    ----------
    burst : the most spikes of a neuron in a time-step
    name, bits, pixel_max, metadata : see :func:`gen.convert.conversion.convert`. The pixels of an
        input that is a train are its bits, whatever ``pixel_max``

    Raises
    ------
    ConversionError
        If there is no such network in integers.
    """
    charged = [layer for layer in layers if isinstance(layer, Layer)]
    widths = layer_bits(bits, [layer.name for layer in charged], WIDE)
    made: list[ir.Layer] = []
    try:
        for layer in layers:
            made += ([ir.Pool(layer.name, layer.source, "sum", layer.kernel, layer.stride)]
                     if isinstance(layer, Sums) else
                     _charged(layer, given, burst, widths[layer.name]))
        return Network(name, given.map, given.top, given.top if given.events else pixel_max,
                       tuple(made), metadata)
    except (NetworkError, ValueError) as error:
        raise ConversionError(f"the converted network is not valid: {error}") from error


def _charged(layer, given, burst, bits):
    """A layer of neurons, or the read-out, and the poolings in front of it."""
    neuron, steps = layer.neuron, given.timesteps
    weights = [torch.from_numpy(term.weight * _worth(term, given)) for term in layer.terms]
    if neuron is None:
        rows = torch.cat([weight.flatten() for weight in weights])[None]
        # Whole numbers, such as those that count spikes, stay as they are.
        unit = (torch.ones(1, dtype=torch.float64)
                if (rows == rows.round()).all() and rows.abs().max() <= limits(bits)[1] else
                best_grid([(rows, limits(bits))]))
        theta = unit.expand(len(layer.bias))
        synapses, bias = _rounded(layer, weights, theta, layer.bias, bits)
        if given.rows:
            return _all_rows(layer, synapses, bias, steps)
        dynamics = Dynamics(steps, events=given.events, burst=burst)
        return [ir.Readout(layer.name, synapses, 0 * bias, dynamics=dynamics, bias=bias)]
    decay = common(neuron.decay, layer.name)
    # What a subtraction leaves does not depend on where a reset would lead.
    rest = neuron.rest if neuron.zero else 0 * neuron.rest
    height = neuron.threshold - rest
    if (height <= 0).any():
        raise ConversionError(f"{layer.name}: its threshold must be above the potential that it is "
                              f"reset to")
    gain = torch.from_numpy(neuron.gain / height)
    weights = [weight * gain[:, None, None, None] for weight in weights]
    theta = thresholds([(weight.flatten(1), limits(bits)) for weight in weights])
    bias = (layer.bias * neuron.gain + neuron.drift - (1 - decay) * rest) / height
    synapses, bias = _rounded(layer, weights, theta, bias, bits)
    heights, membrane = theta.long().numpy(), _membrane(neuron, decay)
    if given.rows:
        current = None if neuron.current is None else shifts(common(neuron.current, layer.name))
        return [ir.Neurons(layer.name, synapses, bias, heights, burst,
                           lasting=Lasting(membrane, steps, current))]
    start = _round(decay * (neuron.start - rest) / height * theta.numpy())
    dynamics = Dynamics(steps, burst=burst, events=given.events, membrane=membrane)
    return [ir.Neurons(layer.name, synapses, start, heights, burst, dynamics=dynamics, bias=bias)]


def _all_rows(layer, synapses, bias, steps):
    """A read-out of the spikes of all rows."""
    pools = [ir.Pool(f"{layer.name}.rows{k or ''}", own.source, "sum", (steps, 1), (1, 1))
             for k, own in enumerate(synapses)]
    synapses = tuple(replace(own, source=pool.name)
                     for own, pool in zip(synapses, pools, strict=True))
    return [*pools, ir.Readout(layer.name, synapses, steps * bias)]


def _worth(term, given):
    """Value of a count of the source."""
    return 1 / given.levels if term.source == INPUT and not given.events else 1.0


def _membrane(neuron, decay):
    return Membrane(shifts(decay), "zero" if neuron.zero else "subtract", neuron.strict,
                    neuron.delayed)


def _rounded(layer, weights, theta, bias, bits):
    """Synapses and bias on the grid."""
    low, high = limits(bits)
    if not all(weight.isfinite().all() for weight in weights) or not np.isfinite(bias).all():
        raise ConversionError(f"{layer.name}: weights and biases must be finite numbers")
    synapses = tuple(
        Synapses(term.source, _round((weight * theta[:, None, None, None]).numpy()).clip(low, high),
                 term.stride, bits=bits, **_edges(layer, term))
        for term, weight in zip(layer.terms, weights, strict=True))
    return synapses, _round(bias * theta.numpy())


def _edges(layer, term):
    """Padding and groups of synapses. What a layer receives of itself is from the row above."""
    if term.source == layer.name:
        return {"padding": (1, 0), "groups": term.groups, "below": -1}
    return {"padding": term.padding, "groups": term.groups}


def _round(values):
    if not np.abs(values).max() < 1 << 53:
        raise ConversionError(f"a value of {np.abs(values).max():.3g} units needs more than 53 "
                              f"bits")
    return np.floor(values + 0.5).astype(np.int64)
