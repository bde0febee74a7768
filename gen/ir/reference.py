"""The integer network in PyTorch's own operators, in float64. A comparison "with PyTorch" uses it.

It shares no arithmetic with :meth:`gen.ir.network.Network.run`, which must give the same values.
"""

import numpy as np
import torch
from torch.nn import functional as F

from .layers import INPUT
from .network import Network

__all__ = ["torch_run"]


def torch_run(network: Network, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Spike counts of every layer by its name, and the read-out's potentials.

    A network guarantees that sums stay below 2^53, so float64 holds them exactly in any order of
    summation (docs/methods.md, 6).

    Parameters
    ----------
    network : any
    counts : ``(N, C, H, W)`` input counts
    """
    values = {INPUT: torch.from_numpy(np.asarray(counts, dtype=np.float64))}
    with torch.inference_mode():
        for layer in network.layers:
            if layer.name in layer.sources:
                values[layer.name] = _elements(layer, values)
            else:
                values[layer.name] = _OPERATORS[layer.type](
                    layer, *(values[source] for source in layer.sources))
    return {name: value.numpy().astype(np.int64) for name, value in values.items()}


def _pool(layer, counts):
    if layer.kind == "max":
        return F.max_pool2d(counts, layer.kernel, layer.stride, layer.padding)
    return F.avg_pool2d(counts, layer.kernel, layer.stride, layer.padding, divisor_override=1)


def _elements(layer, values):
    """A recurrent layer, over and over: after so many passes, so many of its rows are right. This
    is slow, but has nothing in common with how the network does it."""
    others = [values[source] for source in layer.sources if source != layer.name]
    blank = layer.out_shape([tuple(counts.shape[1:]) for counts in others])
    own = torch.zeros(len(others[0]), *blank, dtype=torch.float64)
    while True:
        filled = iter(others)
        now = _neurons(layer, *(own if source == layer.name else next(filled)
                                for source in layer.sources))
        if torch.equal(now, own):
            return now
        own = now


def _potential(layer, *inputs):
    potential = torch.tensor(layer.initial, dtype=torch.float64)[:, None, None]
    for bundle, counts in zip(layer.synapses, inputs, strict=True):
        weights = torch.tensor(bundle.weights, dtype=torch.float64)
        (above, below), (left, right) = bundle.edges
        counts = F.pad(counts, (left, right, max(0, above), max(0, below)))
        counts = counts[:, :, max(0, -above):counts.shape[2] - max(0, -below)]
        potential = potential + F.conv2d(counts, weights, stride=bundle.stride,
                                         groups=bundle.groups)
    return potential


def _leaked(value, leak):
    for shift in leak:
        part = torch.floor(value / 2 ** abs(shift))
        value = value - part if shift >= 0 else value + part
    return value


def _lasting(layer, lasting, charge):
    """Row by row, with divisions in the place of shifts."""
    membrane, current = lasting.membrane, torch.zeros(()).double()
    threshold = torch.tensor(layer.threshold, dtype=torch.float64)[:, None]
    least = threshold + membrane.strict
    potential, fired = torch.zeros(()).double(), list[torch.Tensor]()
    for now in charge.unbind(dim=2):
        spent = (fired[-1] if fired and membrane.delayed else 0) * threshold
        current = now if lasting.current is None else _leaked(current, lasting.current) + now
        potential = potential - spent + current
        fired.append((potential >= least).double())
        if membrane.reset == "zero":
            potential = potential * (1 - fired[-1])
        elif not membrane.delayed:
            potential = potential - fired[-1] * threshold
        potential = _leaked(potential, membrane.leak)
    return torch.stack(fired, dim=2)


def _neurons(layer, *inputs):
    if layer.lasting is not None:
        return _lasting(layer, layer.lasting, _potential(layer, *inputs))
    threshold = torch.tensor(layer.threshold, dtype=torch.float64)[:, None, None]
    counts = torch.div(_potential(layer, *inputs), threshold, rounding_mode="floor")
    return counts.clamp(0, layer.levels)


_OPERATORS = {"neurons": _neurons, "pool": _pool, "readout": _potential}
"""By the type of a layer."""
