"""What a traced module is lowered to: layers in real numbers.

A count's value is ``step * factor``; ``factor`` is the division of the average poolings on the way,
which the receiving weights absorb (docs/methods.md, 4).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import fx

from gen.ir.layers import Pool

from .curves import Curve
from .results import Result
from .terms import Form, Term
from .values import Map, gathered, spread_over

__all__ = ["Fire", "Lowered", "Out", "Place", "Relu"]


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
    ``bias`` is ``(O,)``.

    Those of a ``curve`` stand together for one channel of another activation.
    """

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    cap: float = math.inf
    curve: Curve | None = None

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
    node : name of a node of its graph; empty of a layer of ones, which the module does not have
    shape : ``(C, H, W)`` of the layer
    form : axes that the node's result has in PyTorch
    phases : of the node's result, see :func:`gen.convert.values.spread_over`
    made : what the node's result is made of: by this layer and others; None of the read-out
    joint : whether what the layers of the node compute is put together to its result
    factor : what the sums of a pooling are multiplied by
    exact : the activation that several layers stand for, unless they are that activation
    whole : whether the node computes the sums, too, and not only what comes of them
    ahead : whether the node is given what the layers keep
    """

    node: str
    shape: tuple[int, int, int]
    form: Form = Form.MAP
    phases: tuple[int, int] = (1, 1)
    made: Map | None = None
    joint: bool = False
    factor: float = 1.0
    exact: Callable[[torch.Tensor], torch.Tensor] | None = None
    whole: bool = False
    ahead: bool = False

    @property
    def result(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of the node's result."""
        if self.made is not None:
            return self.made.shape
        (channels, height, width), (rows, columns) = self.shape, self.phases
        return channels // (rows * columns), height * rows, width * columns

    def spread(self, result: torch.Tensor) -> torch.Tensor:
        """A result of the node as ``(N, C, H, W)``, with its positions spread over channels."""
        return spread_over(self.form.as_map(result, self.result), self.phases)


@dataclass(frozen=True)
class Lowered:
    """Result of :func:`gen.convert.lower.lower`.

    Members
    -------
    layers : in order
    input : of the module; its one part has the counts
    module : traced, without its last functions
    places : of each layer in it, by the layer's name
    results : of the module as it was; the read-out has their channels one after the other
    before : the same before its ReLUs were calibrated, if they are
    """

    layers: tuple[Fire | Relu | Pool | Out, ...]
    input: Map
    module: fx.GraphModule
    places: Mapping[str, Place]
    results: tuple[Result, ...]
    before: "Lowered | None" = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        return self.input.shape

    @property
    def input_form(self) -> Form:
        """The axes of the input."""
        return self.input.form

    def counted(self, x: torch.Tensor) -> torch.Tensor:
        """What the module is given, as values 0..1 of counts, ``(N, C, H, W)``."""
        x = self.input.form.as_map(x, self.input.shape)
        if self.input.offset is not None:
            x = x - self.input.offset[:, None, None]
        return x / self.input.parts[0].gain[:, None, None]

    def real(self, values: torch.Tensor) -> torch.Tensor:
        """What the module is given for values 0..1, of its own axes."""
        index = self.input.form.as_map(
            torch.arange(values[0].numel()).reshape(values[:1].shape), self.input.shape)
        channel = torch.empty(values[0].numel(), dtype=torch.long)
        channel[index.flatten()] = torch.arange(index.numel()) // index[0, 0].numel()
        channel = channel.reshape(values.shape[1:])
        offset = self.input.offset
        values = values * self.input.parts[0].gain[channel]
        return values if offset is None else values + offset[channel]

    @property
    def readout(self) -> Place:
        """Where the sums of the read-out are computed."""
        return self.places[self.layers[-1].name]

    def parted(self, scores: torch.Tensor) -> Iterator[tuple[Result, torch.Tensor]]:
        """The scores of each of the module's results, ``(N, C, H, W)``, from those of the read-out:
        ``(N, C)``, or ``(N, C, H, W)`` if it has several positions."""
        maps = gathered(scores.reshape(-1, *self.readout.shape), self.readout.phases)
        parts = maps.split([result.shape[0] for result in self.results], dim=1)
        yield from zip(self.results, parts, strict=True)

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
        return replace(self, before=self, layers=tuple(
            layer.calibrated(steps[layer.name], levels, floor) if isinstance(layer, Relu) else layer
            for layer in self.layers))
