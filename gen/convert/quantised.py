"""The network in integers, as a PyTorch module that can be trained (docs/methods.md, 3).

Thresholds come first (eq. 5): each output channel has a fixed integer ``theta``, which defines the
grid of the weights. The only approximation is the rounding of weights, which training takes into
account::

    W = clip(round(w * theta * s_in / s_out))      B = round(b * theta / s_out)
    n = clip(floor((B + (theta >> 1) + sum W n_in) / theta), 0, levels)

A layer that rounds down has no ``theta >> 1``. Counts of a symmetric layer are clipped at
``-levels``; in the network they are pairs of neurons (:mod:`gen.convert.pairs`). ``s_in`` is the
step of the arriving counts, divided by the window of an average pooling. ``round`` is half up. The
read-out has one scale ``u`` for all classes: ``W = round(w * s_in / u)``.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import singledispatch
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.errors import ConversionError
from gen.ir.exact import check_levels
from gen.ir.layers import INPUT, Layer, Neurons, Pool, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses

from .grid import Rows, best_grid, limits, thresholds
from .lowered import Fire, Lowered, Out, Relu
from .pairs import paired_potentials, paired_weights
from .qcfs import floor_ste, round_ste
from .recurrent import fed_back
from .terms import Term
from .widths import Bits, layer_bits

__all__ = ["QuantisedModel"]

_Step: TypeAlias = Callable[[str], torch.Tensor]
"""Layer name -> value of a count, see :meth:`QuantisedModel.step`."""

_WIDE_BITS = 16

# Range of steps in which float32 does not lose digits in training.
_STEPS = (1e-30, 1e30)

# Least value of a trained step, relative to its initial value.
_LEAST = 1e-6


class QuantisedModel(nn.Module):
    """A module that takes spike counts, computes what the hardware computes, and returns scores.

    In evaluation mode all numbers are integers in float64. They are exact if :meth:`to_network`
    makes a valid network: then :meth:`trace` agrees with :meth:`Network.run` in every neuron; the
    counts of layers in ``signed`` are differences of two neurons. In
    training mode the same is computed in float32, which is exact up to 2^24, and weights, biases
    and steps get gradients through the rounding.

    Parameters
    ----------
    lowered : the layers; its ReLUs must be calibrated
    input_levels : greatest input count; an input pixel's value is ``count / input_levels``
    bits : see :func:`gen.convert.widths.layer_bits`

    Members
    -------
    neurons : names of the layers of neurons
    floor : names of those layers whose neurons round down
    signed : names of the layers whose counts have a sign
    steps : the different steps, which are trained

    Raises
    ------
    ConversionError
        If a width, a step, a weight or a bias is out of range.
    ValueError
        If a ReLU is not calibrated.
    """

    input_step: torch.Tensor

    def __init__(self, lowered: Lowered, *, input_levels: int = 255, bits: Bits = 8) -> None:
        super().__init__()
        check_levels(input_levels, "input_levels")
        self.input_shape, self.input_levels = lowered.input_shape, input_levels
        widths = layer_bits(bits, [layer.name for layer in lowered.charged])
        steps = {layer.key: layer.step for layer in lowered.neurons}
        _require_steps(lowered.neurons)
        self.neurons = tuple(layer.name for layer in lowered.neurons)
        self.floor = frozenset(layer.name for layer in lowered.neurons if layer.floor)
        self.signed = lowered.signed
        self.steps = nn.ParameterList(nn.Parameter(torch.tensor(float(s))) for s in steps.values())
        self.register_buffer("input_step", torch.tensor(1 / input_levels, dtype=torch.float64))
        self._keys = {key: k for k, key in enumerate(steps)}
        # Keeps a step positive while it is trained.
        self._least = [step * _LEAST for step in steps.values()]
        self._step_of = {layer.name: layer.key for layer in lowered.neurons}
        self.layers = tuple(_module(layer, widths, self.step, self.signed)
                            for layer in lowered.layers)
        # PyTorch finds their parameters in a list of its own only.
        self._registered = nn.ModuleList(self.layers)

    def step(self, name: str) -> torch.Tensor:
        """Value of one count of the layer ``name``, before any average pooling: a scalar in
        float64."""
        if name == INPUT:
            return self.input_step
        k = self._keys[self._step_of[name]]
        return self.steps[k].double().clamp_min(self._least[k])

    @property
    def logit_step(self) -> float:
        """Value of one unit of a logit."""
        (readout,) = [layer for layer in self.layers if isinstance(layer, _Sum)]
        return float(readout.scale)

    def trace(self, counts: torch.Tensor) -> dict[str, torch.Tensor]:
        """Counts of every layer, and the potentials of the read-out, by layer name.

        Parameters
        ----------
        counts : ``(N, C, H, W)`` input counts in ``0..input_levels``

        Returns
        -------
        Layer name -> ``(N, C, H, W)``, with the input among the names; float64, or float32 in
        training mode.
        """
        dtype = torch.float32 if self.training else torch.float64
        values = {INPUT: counts.to(dtype)}
        for layer in self.layers:
            inputs = [values[source] for source in layer.sources if source != layer.name]
            values[layer.name] = layer(self.step, *inputs)
        return values

    def values(self, counts: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the counts and potentials of a :meth:`trace` are worth, of the layers with
        weights."""
        made = self.trace(counts)
        return {layer.name: made[layer.name] * layer.worth(self.step) for layer in self.layers
                if isinstance(layer, _Charged)}

    def layer(self, name: str) -> "_Charged":
        """The parameters of a layer with weights."""
        return next(layer for layer in self.layers
                    if isinstance(layer, _Charged) and layer.name == name)

    def layer_values(self, name: str, inputs: list[torch.Tensor]) -> torch.Tensor:
        """What a layer sends for the counts of its sources, in values."""
        layer = self.layer(name)
        made = layer(self.step, *inputs)
        return made * layer.worth(self.step).to(made.dtype)

    def sums(self, name: str, trace: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sums of a layer for a :meth:`trace`, in values, without those that its own results
        add."""
        layer = self.layer(name)
        inputs = [trace[source] for source in layer.sources if source != name]
        return layer.real_sums(self.step, *inputs)

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Scores for ``(N, C, H, W)`` input counts, see :meth:`scores`."""
        return self.scores(self.trace(counts))

    def scores(self, trace: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of a :meth:`trace`, the integer potentials times the read-out's scale: ``(N,
        classes)``, or ``(N, classes, elements, 1)`` if there are some for each element."""
        (readout,) = [layer for layer in self.layers if isinstance(layer, _Sum)]
        potentials = trace[readout.name]
        if potentials.shape[2:] == (1, 1):
            potentials = potentials.flatten(1)
        return potentials * readout.scale.to(potentials.dtype)

    @torch.no_grad()
    def to_network(self, name: str, *, pixel_max: int = 255,
                   metadata: Mapping[str, object] | None = None) -> Network:
        """The :class:`Network` with exactly these integers.

        Parameters
        ----------
        name, pixel_max, metadata : of the network

        Raises
        ------
        ConversionError, NetworkError
            If a bias needs more than 53 bits, or the network is not valid.
        """
        layers = tuple(layer.in_integers(self.step) for layer in self.layers)
        return Network(name, self.input_shape, self.input_levels, pixel_max, layers, metadata or {})


def _require_steps(layers: Iterable[Fire]) -> None:
    for layer in layers:
        if not _STEPS[0] <= layer.step <= _STEPS[1]:
            raise ConversionError(f"{layer.name}: the step {layer.step:.3g} is not in "
                                  f"{_STEPS[0]:g}..{_STEPS[1]:g}; scale the weights before "
                                  f"the activation, and those after it the other way")


def _synapses(term: Term, weights: np.ndarray, bits: int) -> Synapses:
    if term.wide:
        bits = max(bits, int(max(weights.max(), -weights.min() - 1)).bit_length() + 1)
    return Synapses(term.source, weights, term.stride, term.padding, term.groups, bits, term.below)


class _Module(nn.Module):
    """A layer of the lowered network.

    Parameters
    ----------
    name : of the layer
    sources : names of the layers that it looks at
    """

    def __init__(self, name: str, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.name, self.sources = name, sources

    def forward(self, step: _Step, *inputs: torch.Tensor) -> torch.Tensor:
        """Counts of each source -> counts, or potentials."""
        raise NotImplementedError

    def in_integers(self, step: _Step) -> Layer:
        """The layer of a :class:`Network`."""
        raise NotImplementedError


class _Pooling(_Module):
    def __init__(self, spec: Pool) -> None:
        super().__init__(spec.name, spec.sources)
        self.spec = spec

    def forward(self, step: _Step, *inputs: torch.Tensor) -> torch.Tensor:
        (x,) = inputs
        window = (self.spec.kernel, self.spec.stride, self.spec.padding)
        if self.spec.kind == "max":
            return F.max_pool2d(x, *window)
        return F.avg_pool2d(x, *window, divisor_override=1)

    def in_integers(self, step: _Step) -> Layer:
        return self.spec


class _Charged(_Module):
    """Real weights, and the integer thresholds ``theta`` ``(O,)`` that put them on a grid.

    Parameters
    ----------
    spec : the layer
    bits : width of its weights
    signed : names of the layers whose counts have a sign
    """

    theta: torch.Tensor

    def __init__(self, spec: Fire | Out, bits: int, signed: frozenset[str]) -> None:
        super().__init__(spec.name, tuple(term.source for term in spec.terms))
        self.bits, self.terms, self.signed = bits, spec.terms, signed
        self.weights = nn.ParameterList(
            nn.Parameter(term.weight.clone(), requires_grad=not term.wide)
            for term in spec.terms)
        self.bias = nn.Parameter(spec.bias.clone())
        for value in (*self.weights, self.bias):
            if not value.isfinite().all():
                raise ConversionError(f"{spec.name}: weights and biases must be finite numbers")

    def _limits(self, term: Term) -> tuple[int, int]:
        """Least and greatest weight; pairs need the opposite of each weight, too."""
        bits = _WIDE_BITS if term.wide else self.bits
        return limits(bits, not self.signed.isdisjoint((self.name, term.source)))

    def _scaled(self, ratios: Iterable[torch.Tensor]) -> Rows:
        """Weights relative to the output's unit, a row per channel, and their limits."""
        return [((weight.detach().double() * ratio).flatten(1), self._limits(term))
                for term, weight, ratio in zip(self.terms, self.weights, ratios, strict=True)]

    def _unit(self, step: _Step) -> torch.Tensor:
        """Value of ``theta`` units of charge: that of a count, or of a unit of a potential."""
        raise NotImplementedError

    def worth(self, step: _Step) -> torch.Tensor:
        """Value of a count, or of a unit of a potential."""
        return self._unit(step)

    def real_sums(self, step: _Step, *inputs: torch.Tensor) -> torch.Tensor:
        """The charge of other layers' counts, in values, ``(N, O, H, W)``."""
        charge = self._charge(*self._integers(step), inputs)
        return charge * (self._unit(step) / self.theta)[:, None, None]

    def _ratios(self, step: _Step) -> list[torch.Tensor]:
        """Value of a count as it arrives through each term."""
        return [step(term.step) * term.factor for term in self.terms]

    def _integers(self, step: _Step) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Weights of each bundle of synapses, and the bias, as integers in float64."""
        unit, theta = self._unit(step), self.theta[:, None, None, None]
        weights = []
        for term, weight, ratio in zip(self.terms, self.weights, self._ratios(step), strict=True):
            grid = round_ste(weight.double() * (theta * (ratio / unit)))
            weights.append(grid.clamp(*self._limits(term)))
        return weights, round_ste(self.bias.double() * self.theta / unit)

    def _charge(self, weights: list[torch.Tensor], bias: torch.Tensor,
                inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The charge of other layers, for :meth:`_integers`."""
        dtype = inputs[0].dtype
        charge, left = bias.to(dtype)[:, None, None], iter(inputs)
        for term, weight in zip(self.terms, weights, strict=True):
            if term.source == self.name:
                continue
            x, weight = next(left), weight.to(dtype)
            # A diagonal as a grouped convolution is slow.
            plain = term.identity and term.below is None
            charge = charge + (x * weight[:, 0] if plain else term.convolved(x, weight))
        return charge

    def _in_integers(self, step: _Step) -> tuple[tuple[Synapses, ...], np.ndarray, np.ndarray]:
        """Synapses, biases and thresholds in integers."""
        weights, bias = self._integers(step)
        if not bias.abs().max() < 1 << 53:
            raise ConversionError(f"{self.name}: a bias is {bias.abs().max():.3g} units of its "
                                  f"weights' grid, more than 53 bits hold")
        own = self.name in self.signed
        synapses = tuple(
            _synapses(term, paired_weights(weight.long().numpy(), source=term.source in self.signed,
                                           own=own), self.bits)
            for term, weight in zip(self.terms, weights, strict=True))
        return synapses, bias.long().numpy(), self.theta.long().numpy()


class _Fire(_Charged):
    def __init__(self, spec: Fire, bits: int, step: _Step, signed: frozenset[str]) -> None:
        super().__init__(spec, bits, signed)
        check_levels(spec.levels, f"{spec.name}: levels")
        self.levels, self.floor = spec.levels, spec.floor
        self.least = -spec.levels if spec.symmetric else 0
        theta = spec.theta
        if theta is None:
            with torch.no_grad():
                ratios = [ratio / step(spec.name) for ratio in self._ratios(step)]
                theta = thresholds(self._scaled(ratios))
        self.register_buffer("theta", theta)

    def _unit(self, step: _Step) -> torch.Tensor:
        return step(self.name)

    def forward(self, step: _Step, *inputs: torch.Tensor) -> torch.Tensor:
        """Counts from charge; if the layer is recurrent, element by element."""
        weights, bias = self._integers(step)
        charge = self._charge(weights, bias, inputs)
        own = [weight.to(charge.dtype) for term, weight in zip(self.terms, weights, strict=True)
               if term.source == self.name]
        if not own:
            return self._fired(charge)
        (weight,) = own
        counts = [self._fired(charge[:, :, :1])]
        for row in charge[:, :, 1:].split(1, dim=2):
            counts.append(self._fired(row + fed_back(weight, counts[-1])))
        return torch.cat(counts, dim=2)

    def _fired(self, charge: torch.Tensor) -> torch.Tensor:
        """Floor division by the threshold, straight through."""
        theta = self.theta.to(charge.dtype)[:, None, None]
        potential = charge if self.floor else charge + torch.div(theta, 2, rounding_mode="floor")
        if not self.training:
            return torch.div(potential, theta, rounding_mode="floor").clamp(self.least, self.levels)
        return floor_ste(potential / theta).clamp(self.least, self.levels)

    def in_integers(self, step: _Step) -> Layer:
        synapses, bias, theta = self._in_integers(step)
        if self.least:
            return Neurons(self.name, synapses, paired_potentials(bias, theta), theta.repeat(2),
                           self.levels)
        start = 0 * theta if self.floor else theta >> 1
        return Neurons(self.name, synapses, bias + start, theta, self.levels)


class _Sum(_Charged):
    scale: torch.Tensor

    def __init__(self, spec: Out, bits: int, step: _Step, signed: frozenset[str]) -> None:
        super().__init__(spec, bits, signed)
        scale = torch.tensor(spec.scale, dtype=torch.float64) if spec.scale else None
        if scale is None:
            with torch.no_grad():
                rows = [(weight.reshape(1, -1), between)
                        for weight, between in self._scaled(self._ratios(step))]
                # The scale is coarse enough for the greatest bias to stay well within 53 bits.
                least = spec.bias.double().abs().max() * 2.0**-50
                scale = torch.maximum(1 / best_grid(rows)[0], least)
        self.register_buffer("scale", scale)
        self.register_buffer("theta", torch.ones(len(spec.bias), dtype=torch.float64))

    def _unit(self, step: _Step) -> torch.Tensor:
        return self.scale

    def forward(self, step: _Step, *inputs: torch.Tensor) -> torch.Tensor:
        return self._charge(*self._integers(step), inputs)

    def in_integers(self, step: _Step) -> Layer:
        synapses, bias, _ = self._in_integers(step)
        return Readout(self.name, synapses, bias)


@singledispatch
def _module(layer: Fire | Relu | Pool | Out, widths: Mapping[str, int], step: _Step,
            signed: frozenset[str]) -> _Module:
    """The module of a lowered layer. A ReLU has none until it is calibrated."""
    raise ValueError(f"{layer.name}: this ReLU has no step; calibrate the layers first")


@_module.register
def _(layer: Pool, widths: Mapping[str, int], step: _Step, signed: frozenset[str]) -> _Module:
    return _Pooling(layer)


@_module.register
def _(layer: Fire, widths: Mapping[str, int], step: _Step, signed: frozenset[str]) -> _Module:
    return _Fire(layer, widths[layer.name], step, signed)


@_module.register
def _(layer: Out, widths: Mapping[str, int], step: _Step, signed: frozenset[str]) -> _Module:
    return _Sum(layer, widths[layer.name], step, signed)
