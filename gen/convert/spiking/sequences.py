"""Networks whose time-steps are the rows of a map (docs/methods.md, 17).

The spikes of a recurrent layer come back a time-step later. So its time-steps follow each other
while those of other neurons do, and the potentials are kept meanwhile. Beside them there is room
for synaptic currents.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TypeAlias

from gen.errors import ConversionError

from .graph import INPUT
from .layers import Layer, Sums, Term

__all__ = ["in_rows", "needs_rows"]

_Shape: TypeAlias = tuple[int, int, int]


def needs_rows(layers: Sequence[Layer | Sums]) -> str | None:
    """What takes time-steps in rows, if there is anything: a recurrent layer, or a current that
    lasts."""
    for layer in layers:
        if isinstance(layer, Layer) and layer.recurrent:
            return f"the recurrent layer {layer.name}"
        if isinstance(layer, Layer) and layer.neuron and layer.neuron.current is not None:
            return f"the synaptic currents of {layer.name}"
    return None


def in_rows(layers: Sequence[Layer | Sums], shape: _Shape, why: str) -> tuple[Layer, ...]:
    """The layers, each of them a vector of neurons, for an input that is a vector, too.

    Parameters
    ----------
    shape : of the input
    why : what takes time-steps in rows

    Raises
    ------
    ConversionError
        If a layer is a map of neurons, or neurons have what lasts for no row.
    """
    sizes, made = {INPUT: shape}, []
    for layer in layers:
        if isinstance(layer, Sums):
            raise ConversionError(f"{layer.name}: is a pooling, which a network with {why} "
                                  f"can't have; pool the events before")
        terms = tuple(_vector(layer, term, sizes.get(term.source, (len(layer.bias), 1, 1)), why)
                      for term in layer.terms)
        _check(layer, why)
        made.append(replace(layer, terms=terms))
        sizes[layer.name] = (len(layer.bias), 1, 1)
    return tuple(made)


def _vector(layer: Layer, term: Term, size: _Shape, why: str) -> Term:
    if term.weight.shape[2:] != size[1:] or any(term.padding):
        raise ConversionError(f"{layer.name}: is a map of neurons, which a network with {why} "
                              f"can't have; its layers must be linear ones, behind an nn.Flatten")
    if term.groups == 1:
        return Term(term.source, term.weight.reshape(-1, prod(size), 1, 1))
    if size[1:] != (1, 1):
        raise ConversionError(f"{layer.name}: its weights see {term.groups} groups of a map, which "
                              f"a network with {why} can't have; use a linear layer behind an "
                              f"nn.Flatten")
    return replace(term, stride=(1, 1))


def _check(layer, why):
    neuron = layer.neuron
    if neuron is None:
        return
    rest = neuron.rest if neuron.zero else 0 * neuron.rest
    if (neuron.start != rest).any():
        raise ConversionError(f"{layer.name}: its potential begins with "
                              f"{float(neuron.start.flat[0]):.4g} and is reset to "
                              f"{float(rest.flat[0]):.4g}; in a network with {why} both must be "
                              f"the same")
    if neuron.current is not None and (neuron.drift != (1 - neuron.decay) * rest).any():
        raise ConversionError(f"{layer.name}: its potential leaks towards another value than that "
                              f"of a reset, which neurons with a synaptic current can't")
