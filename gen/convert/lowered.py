"""What a traced module is lowered to: layers in real numbers, and what flows between them.

* a :class:`Map` of spike counts, ``value = counts * step * factor`` (``factor`` is the division of
  the average poolings on the way, which the receiving weights absorb, docs/methods.md, 4);
* a :class:`Charge`, a sum of convolutions of maps and a bias: what membranes receive.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import fx
from torch.nn import functional as F

from gen.ir.layers import Pool

__all__ = ["Charge", "Fire", "Form", "Lowered", "Map", "Out", "Place", "Relu", "Term"]


class Form(Enum):
    """The axes that PyTorch has for a map ``(C, H, W)``. Rows are the elements of a sequence."""

    MAP = "a map of (C, H, W)", 4
    VECTOR = "flattened", 2
    CHANNELS = "a sequence of (channels, elements)", 3
    ELEMENTS = "a sequence of (elements, features)", 3
    FLATTENED = "a flattened sequence of (elements, features)", 2
    LEADING = "a sequence of (elements, samples, features)", 3

    @property
    def label(self) -> str:
        """What a tensor is, without the axis of the samples."""
        return self.value[0]

    @property
    def axes(self) -> int:
        """The number of axes, with that of the samples."""
        return self.value[1]

    def as_map(self, x: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """A tensor of this form as ``(N, C, H, W)``."""
        if self is Form.LEADING:
            return Form.ELEMENTS.as_map(x.transpose(0, 1), shape)
        if self in (Form.ELEMENTS, Form.FLATTENED):
            x = x.reshape(len(x), shape[1], shape[0]).transpose(1, 2)
        return x.reshape(len(x), *shape)


@dataclass(frozen=True)
class Term:
    """One convolution of one map.

    Members
    -------
    path : of the module whose convolution it is
    source : the layer that sends the counts
    step : the layer whose step the counts have
    factor : of the map, see :class:`Map`
    weight : ``(O, I / groups, KY, KX)`` real numbers
    stride, padding, below : see :class:`gen.ir.synapses.Synapses`
    groups : as in ``torch.nn.Conv2d``
    identity : whether this is the diagonal of a residual connection, which is not trained and has
        as many bits as it needs
    unit : ``(O,)``: the weights of each output channel are whole multiples of it; or None
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
    below: int | None = None
    unit: torch.Tensor | None = None

    def convolved(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The convolution of ``(N, C, H, W)`` values with weights like :attr:`weight`."""
        if self.below is None:
            return F.conv2d(x, weight, None, self.stride, self.padding, 1, self.groups)
        above, beside = self.padding
        x = F.pad(x, (beside, beside, max(0, above), max(0, self.below)))
        x = x[:, :, max(0, -above):x.shape[2] - max(0, -self.below)]
        return F.conv2d(x, weight, None, self.stride, 0, 1, self.groups)


@dataclass(frozen=True)
class Fire:
    """Neurons: ``n = clip(floor(charge / step + 1/2), 0, levels)``, or with ``floor``, which rounds
    down, ``clip(floor(charge / step), 0, levels)``. If they are ``symmetric``, counts are clipped
    at ``-levels`` and not at 0. They are recurrent if they are the source of one of their terms.

    ``activation`` is the path of the module that has the step and the levels, or None for a
    calibrated ReLU. Layers that share the module share its step. ``bias`` is ``(O,)``. ``theta``
    are the thresholds ``(O,)`` if they are given, in whole numbers.
    """

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    activation: str | None
    step: float
    levels: int
    floor: bool = False
    symmetric: bool = False
    theta: torch.Tensor | None = None

    @property
    def key(self) -> tuple[str | None, str | None]:
        """A key that is equal for layers that share a step."""
        return (self.activation, None) if self.activation is not None else (None, self.name)


@dataclass(frozen=True)
class Relu:
    """A plain ReLU, up to a value of ``cap``. It becomes neurons when its range is calibrated.
    ``bias`` is ``(O,)``."""

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    cap: float = math.inf

    def calibrated(self, step: float, levels: int, floor: bool) -> Fire:
        """Neurons whose counts cover ``0..step * levels``."""
        return Fire(self.name, self.terms, self.bias, None, step, levels, floor)


@dataclass(frozen=True)
class Out:
    """The read-out: the charge of the last layer, which never fires. ``bias`` is ``(classes,)``.
    ``scale`` is the value of a unit of charge, if it is given."""

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    scale: float | None = None


@dataclass(frozen=True)
class Place:
    """Where the traced module computes a layer's result.

    Members
    -------
    node : name of a node of its graph
    shape : ``(C, H, W)`` of the result
    form : axes that the result has in PyTorch
    factor : of a :class:`Map`
    whole : whether the node computes the sums, too, and not only what comes of them
    """

    node: str
    shape: tuple[int, int, int]
    form: Form = Form.MAP
    factor: float = 1.0
    whole: bool = False


@dataclass(frozen=True)
class Lowered:
    """Result of :func:`lower`: the layers in order, the traced module, the place of each layer in
    it, by the layer's name, and the axes of its input."""

    layers: tuple[Fire | Relu | Pool | Out, ...]
    input_shape: tuple[int, int, int]
    module: fx.GraphModule
    places: Mapping[str, Place]
    input_form: Form = Form.MAP

    @property
    def charged(self) -> tuple[Fire | Relu | Out, ...]:
        """The layers with terms."""
        return tuple(layer for layer in self.layers if not isinstance(layer, Pool))

    @property
    def neurons(self) -> tuple[Fire, ...]:
        """The layers of neurons whose steps are known."""
        return tuple(layer for layer in self.layers if isinstance(layer, Fire))

    @property
    def signed(self) -> frozenset[str]:
        """Names of the layers whose counts have a sign: symmetric neurons, and pools of them."""
        names: set[str] = set()
        for layer in self.layers:
            if layer.source in names if isinstance(layer, Pool) else (
                    isinstance(layer, Fire) and layer.symmetric):
                names.add(layer.name)
        return frozenset(names)

    @property
    def relus(self) -> tuple[Relu, ...]:
        """The ReLUs that are not calibrated yet."""
        return tuple(layer for layer in self.layers if isinstance(layer, Relu))

    def calibrated(self, steps: Mapping[str, float], levels: int, floor: bool) -> "Lowered":
        """The same with neurons for its ReLUs.

        Parameters
        ----------
        steps : of each ReLU, by its name
        levels : greatest spike count of the neurons
        floor : whether the neurons round down
        """
        return replace(self, layers=tuple(
            layer.calibrated(steps[layer.name], levels, floor) if isinstance(layer, Relu) else layer
            for layer in self.layers))


@dataclass(frozen=True)
class Map:
    """Spike counts: ``value = counts * step * factor``.

    Members
    -------
    source : the layer that sends the counts
    step : the layer whose step the counts have
    factor : division of the average poolings on the way
    shape : ``(C, H, W)`` of the counts
    form : axes that the values have in PyTorch
    above : rows of zeros above the layer's map, or, if negative, rows at its beginning that are
        left out
    signed : whether counts have a sign
    """

    source: str
    step: str
    factor: float
    shape: tuple[int, int, int]
    form: Form
    above: int = 0
    signed: bool = False

    def term(self, path: str, weight: torch.Tensor, *, stride: tuple[int, int] = (1, 1),
             padding: tuple[int, int] = (0, 0), groups: int = 1, identity: bool = False,
             unit: torch.Tensor | None = None) -> Term:
        """A convolution of the map, see :class:`Term`."""
        below = padding[0] if self.above else None
        return Term(path, self.source, self.step, self.factor, weight, stride,
                    (padding[0] + self.above, padding[1]), groups, identity, below, unit)


@dataclass(frozen=True)
class Charge:
    """What membranes receive: the sum of ``terms`` and of a bias ``(C,)``.

    Members
    -------
    shape : ``(C, H, W)`` of the charge
    form : axes that it has in PyTorch
    """

    terms: tuple[Term, ...]
    bias: torch.Tensor
    shape: tuple[int, int, int]
    form: Form

    def scaled(self, gain: torch.Tensor, shift: torch.Tensor) -> "Charge":
        """The charge times ``gain`` plus ``shift``, both ``(C,)``: a batch norm."""
        terms = tuple(replace(t, weight=t.weight * gain[:, None, None, None], unit=t.unit if t.unit
                              is None else t.unit * gain.abs()) for t in self.terms)
        return replace(self, terms=terms, bias=self.bias * gain + shift)
