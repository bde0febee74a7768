"""What a traced module is lowered to: layers in real numbers, and what flows between them.

* a :class:`Map` of spike counts, ``value = counts * step * factor`` (``factor`` is the division of
  the average poolings on the way, which the receiving weights absorb, docs/methods.md, 4);
* a :class:`Charge`, a sum of convolutions of maps and a bias: what membranes receive.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import fx

from gen.ir.layers import Pool

__all__ = ["Charge", "Fire", "Lowered", "Map", "Out", "Place", "Term"]


@dataclass(frozen=True)
class Term:
    """One convolution of one map. ``weight`` is ``(O, I / groups, KY, KX)`` and real.

    ``source`` is the layer that sends the counts, ``step`` the layer whose step they have. An
    ``identity`` is the diagonal of a residual connection. It is not trained, and has as many bits
    as it needs.
    """

    path: str
    source: str
    step: str
    factor: float
    weight: torch.Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    identity: bool = False


@dataclass(frozen=True)
class Fire:
    """Neurons: ``n = clip(floor(charge / step + 1/2), 0, levels)``.

    ``step`` and ``levels`` are None for a ReLU until its range is calibrated. ``activation`` is the
    path of the module that has them. Layers that share the module share its step.
    """

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    activation: str | None
    step: float | None
    levels: int | None

    @property
    def key(self) -> tuple[str | None, str | None]:
        """A key that is equal for layers that share a step."""
        return (self.activation, None) if self.activation is not None else (None, self.name)


@dataclass(frozen=True)
class Out:
    """The read-out: the charge of the last layer, which never fires."""

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor


@dataclass(frozen=True)
class Place:
    """Where the traced module computes a layer's result: the name of a node of its graph, the shape
    ``(C, H, W)`` of the result, and the ``factor`` of a :class:`Map`."""

    node: str
    shape: tuple[int, int, int]
    factor: float = 1.0


@dataclass(frozen=True)
class Lowered:
    """Result of :func:`lower`: the layers in order, the traced module, and the place of each layer
    in it, by the layer's name."""

    layers: tuple[Fire | Pool | Out, ...]
    input_shape: tuple[int, int, int]
    module: fx.GraphModule
    places: Mapping[str, Place]

    @property
    def charged(self) -> tuple[Fire | Out, ...]:
        """The layers with terms."""
        return tuple(layer for layer in self.layers if not isinstance(layer, Pool))

    @property
    def neurons(self) -> tuple[Fire, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Fire))

    def replace(self, layers: Iterable) -> "Lowered":
        return replace(self, layers=tuple(layers))


@dataclass(frozen=True)
class Map:
    source: str
    step: str
    factor: float
    shape: tuple[int, int, int]
    flat: bool


@dataclass(frozen=True)
class Charge:
    terms: tuple[Term, ...]
    bias: torch.Tensor
    shape: tuple[int, int, int]
    flat: bool

    def scaled(self, gain: torch.Tensor, shift: torch.Tensor) -> "Charge":
        terms = tuple(replace(t, weight=t.weight * gain[:, None, None, None]) for t in self.terms)
        return replace(self, terms=terms, bias=self.bias * gain + shift)
