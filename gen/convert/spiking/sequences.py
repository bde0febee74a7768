"""Networks whose time-steps are the rows of a map (docs/methods.md, 17).

The spikes of a recurrent layer come back a time-step later. So its time-steps follow each other
while those of other neurons do, and the potentials are kept meanwhile.
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
    """The name of a layer that takes time-steps in rows, if there is one: a recurrent one."""
    return next((layer.name for layer in layers
                 if isinstance(layer, Layer) and layer.recurrent), None)


def in_rows(layers: Sequence[Layer | Sums], shape: _Shape, why: str) -> tuple[Layer, ...]:
    """The layers, each of them a vector of neurons, for an input that is a vector, too.

    Parameters
    ----------
    shape : of the input
    why : name of the layer that takes time-steps in rows

    Raises
    ------
    ConversionError
        If a layer is a map of neurons, or neurons have what lasts for no row.
    """
    sizes, made = {INPUT: shape}, []
    for layer in layers:
        if isinstance(layer, Sums):
            raise ConversionError(f"{layer.name}: is a pooling, which a network with the recurrent "
                                  f"layer {why} can't have; pool the events before")
        terms = tuple(_vector(layer, term, sizes.get(term.source, (len(layer.bias), 1, 1)), why)
                      for term in layer.terms)
        _check(layer)
        made.append(replace(layer, terms=terms))
        sizes[layer.name] = (len(layer.bias), 1, 1)
    return tuple(made)


def _vector(layer: Layer, term: Term, size: _Shape, why: str) -> Term:
    if term.weight.shape[2:] != size[1:] or any(term.padding):
        raise ConversionError(f"{layer.name}: is a map of neurons, which a network with the "
                              f"recurrent layer {why} can't have; its layers must be linear ones, "
                              f"behind an nn.Flatten")
    if term.groups == 1:
        return Term(term.source, term.weight.reshape(-1, prod(size), 1, 1))
    if size[1:] != (1, 1):
        raise ConversionError(f"{layer.name}: its weights see {term.groups} groups of a map, which "
                              f"a network with the recurrent layer {why} can't have; use a linear "
                              f"layer behind an nn.Flatten")
    return replace(term, stride=(1, 1))


def _check(layer):
    neuron = layer.neuron
    if neuron is not None and (neuron.start != (neuron.rest if neuron.zero else 0)).any():
        raise ConversionError(f"{layer.name}: its potential begins with "
                              f"{float(neuron.start.flat[0]):.4g} and is reset to "
                              f"{float(neuron.rest.flat[0]):.4g}; in a network that is recurrent "
                              f"both must be the same")
