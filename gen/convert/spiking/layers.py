"""From a graph of operations to layers: weights, then neurons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import numpy as np

from gen.errors import ConversionError, NetworkError
from gen.ir.synapses import out_size

from .graph import INPUT, OUTPUT, Flatten, Graph, Neuron, Node, Pooling, Scale, Weights

__all__ = ["Layer", "Sums", "Term", "layers_of"]

_Shape: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Term:
    """A convolution of the spikes of a layer.

    Parameters
    ----------
    source : name of a layer, or :data:`INPUT`
    weight : ``(O, I / groups, KY, KX)``
    stride, padding, groups : see :class:`.graph.Weights`
    """

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    def times(self, factor: np.ndarray) -> "Term":
        """With the weights of each output channel times ``(O,)`` factors."""
        return replace(self, weight=self.weight * factor[:, None, None, None])


@dataclass(frozen=True, eq=False)
class Layer:
    """What charges neurons, and the neurons.

    Parameters
    ----------
    terms, bias : the charge of a time-step; ``(O,)``
    neuron : with parameters ``(O,)``; ``None`` for a read-out, which adds up its charge
    """

    name: str
    terms: tuple[Term, ...]
    bias: np.ndarray
    neuron: Neuron | None

    @property
    def recurrent(self) -> bool:
        """Whether its own spikes charge it, those of the time-step before."""
        return any(term.source == self.name for term in self.terms)


@dataclass(frozen=True)
class Sums:
    """A pooling of spikes: sums of windows."""

    name: str
    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Spikes:
    """Spikes of a layer, times a factor for each channel."""

    source: str
    shape: _Shape
    factor: np.ndarray
    flat: bool


@dataclass(frozen=True, eq=False)
class _Current:
    """Charge of a time-step."""

    terms: tuple[Term, ...]
    bias: np.ndarray
    shape: _Shape
    flat: bool


_Value: TypeAlias = _Spikes | _Current


def layers_of(graph: Graph) -> tuple[tuple[Layer | Sums, ...], _Shape]:
    """The layers, sources first and the read-out last, and the shape of the input.

    If the last node fires, the read-out counts the spikes of each of its neurons.

    Raises
    ------
    ConversionError
        If the operations can't be put so. The message names the node.
    """
    return _Layers(graph).made()


class _Layers:
    def __init__(self, graph):
        channels, *position = graph.shape
        if len(position) > 2:
            raise ConversionError(f"the input has the shape {graph.shape}, and may have three axes")
        self._shape = (channels, *position, *[1] * (2 - len(position)))
        self._graph, self._layers = graph, []
        self._values: dict[str, _Value] = {INPUT: _Spikes(
            INPUT, self._shape, np.ones(channels), not position)}

    def made(self):
        for name in self._graph.order():
            if name == INPUT:
                continue
            inputs = [self._values[source] for source in self._graph.inputs(name)]
            try:
                self._values[name] = self._apply(self._graph.nodes[name], name, inputs)
            except NetworkError as error:
                raise ConversionError(str(error)) from error
        for source, name in sorted(self._graph.returning):
            if name in self._values:
                self._return(self._values[source], source, name)
        last = [self._values[source] for source in self._graph.sources[OUTPUT]]
        current = self._summed(last, OUTPUT)
        if all(isinstance(value, _Spikes) for value in last):
            current = self._counting(last)
        self._layers.append(Layer(self._free("out"), current.terms, current.bias, None))
        return tuple(self._layers), self._shape

    def _return(self, value, source, name):
        """Let the spikes of a layer charge it."""
        value = _identity(value) if isinstance(value, _Spikes) else value
        if {term.source for term in value.terms} != {name}:
            raise ConversionError(f"{source}: brings the spikes of {name} back to it, and others "
                                  f"with them; these need weights of their own")
        if value.shape != self._values[name].shape:
            raise ConversionError(f"{source}: brings a map of {value.shape} back to {name}, which "
                                  f"has {self._values[name].shape}")
        self._layers = [
            replace(layer, terms=layer.terms + value.terms, bias=layer.bias + value.bias)
            if layer.name == name else layer for layer in self._layers]

    def _free(self, name):
        taken = {layer.name for layer in self._layers} | set(self._graph.nodes)
        while name in taken:
            name += "_"
        return name

    def _counting(self, values):
        """Of spikes, each neuron's own."""
        terms, channels = [], prod(values[0].shape)
        for value in values:
            if prod(value.shape) != channels:
                raise ConversionError("the output adds up maps of different shapes")
            eye = np.eye(channels).reshape(channels, *value.shape)
            terms.append(Term(value.source, eye * value.factor[:, None, None]))
        return _Current(tuple(terms), np.zeros(channels), (channels, 1, 1), True)

    def _apply(self, node: Node, name: str, inputs: Sequence[_Value]) -> _Value:
        """What comes of the values that go into a node."""
        match node:
            case Weights():
                return self._weighted(node, name, inputs)
            case Pooling():
                return self._pooled(node, name, inputs)
            case Flatten():
                return replace(_only(inputs, name), flat=True)
            case Scale():
                return _scaled(node, name, _only(inputs, name))
            case Neuron():
                return self._fired(node, name, inputs)

    def _weighted(self, node: Weights, name: str, inputs: Sequence[_Value]) -> _Value:
        terms, shapes = [], set()
        for value in inputs:
            if not isinstance(value, _Spikes):
                raise ConversionError(f"{name}: gets the result of weights without neurons between "
                                      f"them; multiply the weights, or put neurons there")
            terms.append(_term(node, name, value))
            (above, beside), kernel = node.padding, terms[-1].weight.shape[2:]
            shapes.add((len(node.weight), *out_size(
                value.shape[1:], kernel, node.stride, ((above, above), (beside, beside)), name)))
        if len(shapes) != 1:
            raise ConversionError(f"{name}: its inputs have different shapes")
        return _Current(tuple(terms), np.array(node.bias, dtype=np.float64), shapes.pop(),
                        node.linear)

    def _pooled(self, node: Pooling, name: str, inputs: Sequence[_Value]) -> _Value:
        value, share = _only(inputs, name), 1 / prod(node.kernel) if node.average else 1.0
        size = out_size(value.shape[1:], node.kernel, node.stride, ((0, 0), (0, 0)), name)
        if isinstance(value, _Current):
            terms = tuple(_with_pooling(term, node, share) for term in value.terms)
            scale = share * prod(node.kernel)
            return _Current(terms, value.bias * scale, (value.shape[0], *size), value.flat)
        self._layers.append(Sums(name, value.source, node.kernel, node.stride))
        return _Spikes(name, (value.shape[0], *size), value.factor * share, False)

    def _fired(self, node: Neuron, name: str, inputs: Sequence[_Value]) -> _Value:
        current = self._summed(inputs, name)
        names = ("decay", "gain", "threshold", "drift", "rest", "start", "current")
        neuron = replace(node, **{
            field: _channels(getattr(node, field), current, name) for field in names
            if getattr(node, field) is not None})
        self._layers.append(Layer(name, current.terms, current.bias, neuron))
        return _Spikes(name, current.shape, np.ones(current.shape[0]), current.flat)

    def _summed(self, inputs, name):
        """All the charge of a node."""
        currents = [_identity(value) if isinstance(value, _Spikes) else value for value in inputs]
        if len({value.shape for value in currents}) != 1:
            raise ConversionError(f"{name}: adds up maps of different shapes")
        return _Current(tuple(term for value in currents for term in value.terms),
                        sum(value.bias for value in currents), currents[0].shape,
                        all(value.flat for value in currents))


def _scaled(node, name, value):
    factor = _channels(node.factor, value, name)
    shift = _channels(node.shift, value, name)
    if isinstance(value, _Current):
        return replace(value, terms=tuple(term.times(factor) for term in value.terms),
                       bias=value.bias * factor + shift)
    if shift.any():
        raise ConversionError(f"{name}: adds something to spikes; it must come after weights and "
                              f"before neurons")
    return replace(value, factor=value.factor * factor)


def _only(inputs, name):
    if len(inputs) != 1:
        raise ConversionError(f"{name}: has {len(inputs)} inputs, and may have one")
    return inputs[0]


def _identity(value):
    channels = value.shape[0]
    return _Current((Term(value.source, value.factor.reshape(channels, 1, 1, 1), groups=channels),),
                    np.zeros(channels), value.shape, value.flat)


def _channels(values, value, name):
    """Parameters as ``(C,)``, if all neurons of a channel have the same."""
    values, shape = np.asarray(values, dtype=np.float64), value.shape
    given = values
    if values.size == prod(shape) and values.shape in (values.shape[:1], shape[:values.ndim]):
        values = values.reshape(shape)
    elif values.ndim == 1 and values.size == shape[0]:
        values = values[:, None, None]
    elif values.size == 1:
        values = values.reshape(())
    try:
        values = np.broadcast_to(values, shape).reshape(shape[0], -1)
    except ValueError:
        raise ConversionError(f"{name}: parameters of the shape {given.shape} don't fit a map of "
                              f"{shape}") from None
    if (values != values[:, :1]).any():
        raise ConversionError(f"{name}: the neurons of a channel differ in a parameter, and must "
                              f"have the same")
    return values[:, 0].copy()


def _term(node, name, value):
    """The term of a node with weights."""
    weight, shape = np.asarray(node.weight, dtype=np.float64), value.shape
    if node.linear:
        if not (value.flat or node.flattens) and shape[1:] != (1, 1):
            raise ConversionError(f"{name}: a linear layer gets a map of {shape}; flatten it")
        if weight.shape[1] != prod(shape):
            raise ConversionError(f"{name}: takes {weight.shape[1]} values, and gets "
                                  f"{prod(shape)}")
        return Term(value.source, weight.reshape(-1, *shape) * value.factor[:, None, None])
    if weight.shape[1] * node.groups != shape[0] or weight.shape[0] % node.groups:
        raise ConversionError(f"{name}: takes {weight.shape[1] * node.groups} channels, and gets "
                              f"{shape[0]}")
    factor = value.factor.reshape(node.groups, -1).repeat(len(weight) // node.groups, axis=0)
    return Term(value.source, weight * factor[:, :, None, None], node.stride, node.padding,
                node.groups)


def _with_pooling(term, pool, share):
    """A convolution and a pooling behind it as one convolution."""
    (sy, sx), (ky, kx) = term.stride, pool.kernel
    height, width = term.weight.shape[2:]
    weight = np.zeros((*term.weight.shape[:2], height + sy * (ky - 1), width + sx * (kx - 1)))
    for y in range(ky):
        for x in range(kx):
            weight[:, :, y * sy:y * sy + height, x * sx:x * sx + width] += share * term.weight
    return replace(term, weight=weight, stride=(sy * pool.stride[0], sx * pool.stride[1]))
