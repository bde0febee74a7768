"""A spiking network in real numbers, as a graph of operations, wherever it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

import numpy as np

from gen.errors import ConversionError

__all__ = ["INPUT", "OUTPUT", "Flatten", "Graph", "Neuron", "Node", "Pooling", "Scale", "Weights"]

INPUT, OUTPUT = "input", "output"
"""Names of the ends of a graph."""


def _nothing():
    return np.zeros(())


@dataclass(frozen=True, eq=False)
class Weights:
    """A convolution, or a linear layer.

    Parameters
    ----------
    weight : ``(O, I / groups, KY, KX)``; of a linear layer ``(O, I)``
    bias : ``(O,)``
    stride, padding : ``(y, x)``
    groups : as in ``torch.nn.Conv2d``
    flattens : whether a linear layer takes a map as a vector
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    flattens: bool = False

    @property
    def linear(self) -> bool:
        """Whether it takes a vector."""
        return self.weight.ndim == 2


@dataclass(frozen=True)
class Pooling:
    """Sums, or means if ``average``, of windows; all pairs are ``(y, x)``."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    average: bool


@dataclass(frozen=True)
class Flatten:
    """A map becomes a vector, channels first."""


@dataclass(frozen=True, eq=False)
class Scale:
    """A factor for each channel, or for each neuron, and what is added then: arrays that broadcast
    with the map."""

    factor: np.ndarray
    shift: np.ndarray = field(default_factory=_nothing)


@dataclass(frozen=True, eq=False)
class Neuron:
    """Neurons that leak, integrate and fire (docs/methods.md, 17).

    In a time-step ::

        V <- decay V + gain I + drift        spike = V >= threshold, or > if strict

    and then the threshold is subtracted, or the potential becomes ``rest``. With a synaptic current
    ``I <- current I + gain charge``, that is added in the place of the charge.

    Parameters
    ----------
    decay, gain, threshold, drift, rest, start : numbers, or arrays that broadcast with the map.
        ``start`` is the potential before the first time-step
    zero : whether the potential becomes ``rest``, and the threshold is not subtracted
    strict : see :class:`hw.dynamics.Membrane`
    delayed : whether the threshold is subtracted after the next decay
    burst : the most spikes in a time-step; 0 if all that the potential is worth
    current : what is left of a synaptic current after a time-step, or ``None`` if there is none
    """

    decay: np.ndarray
    gain: np.ndarray
    threshold: np.ndarray
    drift: np.ndarray = field(default_factory=_nothing)
    rest: np.ndarray = field(default_factory=_nothing)
    start: np.ndarray = field(default_factory=_nothing)
    zero: bool = False
    strict: bool = False
    delayed: bool = False
    burst: int = 1
    current: np.ndarray | None = None


Node: TypeAlias = Weights | Pooling | Flatten | Scale | Neuron


@dataclass(frozen=True)
class Graph:
    """Operations and what feeds them.

    Parameters
    ----------
    nodes : name -> operation, without the two ends
    sources : name, or :data:`OUTPUT` -> names of the nodes, or :data:`INPUT`, whose values are
        added up and go in
    shape : of the input, ``(C, H, W)``, or ``(features,)``
    """

    nodes: Mapping[str, Node]
    sources: Mapping[str, Sequence[str]]
    shape: tuple[int, ...]

    @cached_property
    def returning(self) -> frozenset[tuple[str, str]]:
        """Edges over which the spikes of neurons come back to them, through no other neurons: these
        arrive a time-step later."""
        readers: dict[str, list[str]] = {}
        for name, found in self.sources.items():
            for source in found:
                readers.setdefault(source, []).append(name)
        edges = set()
        for name, node in self.nodes.items():
            if isinstance(node, Neuron):
                reached, todo = {name}, list(readers.get(name, ()))
                while todo:
                    reader = todo.pop()
                    if reader not in reached and not isinstance(self.nodes.get(reader), Neuron):
                        reached.add(reader)
                        todo += readers.get(reader, ())
                edges |= {(source, name) for source in self.sources.get(name, ())
                          if source in reached}
        return frozenset(edges)

    def inputs(self, name: str) -> list[str]:
        """What goes into a node, or into :data:`OUTPUT`, within a time-step."""
        return [source for source in self.sources[name] if (source, name) not in self.returning]

    def order(self) -> list[str]:
        """The nodes that the output depends on, those of :meth:`inputs` first.

        Raises
        ------
        ConversionError
            If there is a loop through several layers of neurons, or a node is fed by nothing.
        """
        try:
            found = list(TopologicalSorter({
                name: self.inputs(name) for name in self.sources}).static_order())
        except CycleError as error:
            loop = " -> ".join(reversed(error.args[1]))
            raise ConversionError(f"{loop}: is a loop through several layers of neurons, or "
                                  f"through none; only the spikes of a layer can come back, to "
                                  f"that layer alone") from error
        needed, todo = set(), [OUTPUT]
        while todo:
            name = todo.pop()
            if name == INPUT or name in needed:
                continue
            if not self.sources.get(name):
                raise ConversionError(f"{name}: nothing feeds it")
            if not self.inputs(name):
                raise ConversionError(f"{name}: is fed by {', '.join(self.sources[name])} alone, "
                                      f"through which its own spikes come back; spikes that come "
                                      f"back need weights of their own")
            needed.add(name)
            todo += self.sources[name]
        return [name for name in found if name in needed and name != OUTPUT]
