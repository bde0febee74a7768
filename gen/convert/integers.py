"""The layers of :class:`gen.convert.quantised.QuantisedModel`: real numbers on a grid of
integers."""

from collections.abc import Callable, Iterable, Mapping
from functools import singledispatch
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.errors import ConversionError
from gen.ir.exact import check_levels
from gen.ir.layers import Layer, Neurons, Pool, Readout
from gen.ir.synapses import Synapses

from .grid import Rows, best_grid, limits, thresholds
from .lowered import Fire, Out, Relu
from .pairs import paired_potentials, paired_weights
from .qcfs import floor_ste, round_ste
from .recurrent import fed_back
from .terms import Term
from .widths import WIDE_BITS

__all__ = ["Charged", "Quantised", "Step", "Sum", "quantised_layer"]

Step: TypeAlias = Callable[[str], torch.Tensor]
"""Layer name -> value of a count, see :meth:`gen.convert.quantised.QuantisedModel.step`."""


def _synapses(term: Term, weights: np.ndarray, bits: int) -> Synapses:
    if term.wide:
        bits = max(bits, int(max(weights.max(), -weights.min() - 1)).bit_length() + 1)
    return Synapses(term.source, weights, term.stride, term.padding, term.groups, bits, term.below)


class Quantised(nn.Module):
    """A layer of the lowered network.

    Parameters
    ----------
    name : of the layer
    sources : names of the layers that it looks at
    """

    def __init__(self, name: str, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.name, self.sources = name, sources

    def forward(self, step: Step, *inputs: torch.Tensor) -> torch.Tensor:
        """Counts of each source -> counts, or potentials."""
        raise NotImplementedError

    def in_integers(self, step: Step) -> Layer:
        """The layer of a :class:`Network`."""
        raise NotImplementedError


class _Pooling(Quantised):
    def __init__(self, spec: Pool) -> None:
        super().__init__(spec.name, spec.sources)
        self.spec = spec

    def forward(self, step: Step, *inputs: torch.Tensor) -> torch.Tensor:
        (x,) = inputs
        window = (self.spec.kernel, self.spec.stride, self.spec.padding)
        if self.spec.kind == "max":
            return F.max_pool2d(x, *window)
        return F.avg_pool2d(x, *window, divisor_override=1)

    def in_integers(self, step: Step) -> Layer:
        return self.spec


class Charged(Quantised):
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
        bits = WIDE_BITS if term.wide else self.bits
        return limits(bits, not self.signed.isdisjoint((self.name, term.source)))

    def _scaled(self, ratios: Iterable[torch.Tensor]) -> Rows:
        """Weights relative to the output's unit, a row per channel, and their limits."""
        return [((weight.detach().double() * ratio).flatten(1), self._limits(term))
                for term, weight, ratio in zip(self.terms, self.weights, ratios, strict=True)]

    def _unit(self, step: Step) -> torch.Tensor:
        """Value of ``theta`` units of charge: that of a count, or of a unit of a potential."""
        raise NotImplementedError

    def worth(self, step: Step) -> torch.Tensor:
        """Value of a count, or of a unit of a potential."""
        return self._unit(step)

    def real_sums(self, step: Step, *inputs: torch.Tensor) -> torch.Tensor:
        """The charge of other layers' counts, in values, ``(N, O, H, W)``."""
        charge = self._charge(*self._integers(step), inputs)
        return charge * (self._unit(step) / self.theta)[:, None, None]

    def _ratios(self, step: Step) -> list[torch.Tensor]:
        """Value of a count as it arrives through each term."""
        return [step(term.step) * term.factor for term in self.terms]

    def _integers(self, step: Step) -> tuple[list[torch.Tensor], torch.Tensor]:
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

    def _in_integers(self, step: Step) -> tuple[tuple[Synapses, ...], np.ndarray, np.ndarray]:
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


class _Fire(Charged):
    def __init__(self, spec: Fire, bits: int, step: Step, signed: frozenset[str]) -> None:
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

    def _unit(self, step: Step) -> torch.Tensor:
        return step(self.name)

    def forward(self, step: Step, *inputs: torch.Tensor) -> torch.Tensor:
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

    def in_integers(self, step: Step) -> Layer:
        synapses, bias, theta = self._in_integers(step)
        if self.least:
            return Neurons(self.name, synapses, paired_potentials(bias, theta), theta.repeat(2),
                           self.levels)
        start = 0 * theta if self.floor else theta >> 1
        return Neurons(self.name, synapses, bias + start, theta, self.levels)


class Sum(Charged):
    """The read-out.

    Members
    -------
    scale : value of a unit of a potential
    """

    scale: torch.Tensor

    def __init__(self, spec: Out, bits: int, step: Step, signed: frozenset[str]) -> None:
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

    def _unit(self, step: Step) -> torch.Tensor:
        return self.scale

    def forward(self, step: Step, *inputs: torch.Tensor) -> torch.Tensor:
        """Potentials."""
        return self._charge(*self._integers(step), inputs)

    def in_integers(self, step: Step) -> Layer:
        """The layer of a :class:`Network`."""
        synapses, bias, _ = self._in_integers(step)
        return Readout(self.name, synapses, bias)


@singledispatch
def quantised_layer(layer: Fire | Relu | Pool | Out, widths: Mapping[str, int], step: Step,
                    signed: frozenset[str]) -> Quantised:
    """The module of a lowered layer. A ReLU has none until it is calibrated."""
    raise ValueError(f"{layer.name}: this ReLU has no step; calibrate the layers first")


@quantised_layer.register
def _(layer: Pool, widths: Mapping[str, int], step: Step, signed: frozenset[str]) -> Quantised:
    return _Pooling(layer)


@quantised_layer.register
def _(layer: Fire, widths: Mapping[str, int], step: Step, signed: frozenset[str]) -> Quantised:
    return _Fire(layer, widths[layer.name], step, signed)


@quantised_layer.register
def _(layer: Out, widths: Mapping[str, int], step: Step, signed: frozenset[str]) -> Quantised:
    return Sum(layer, widths[layer.name], step, signed)
