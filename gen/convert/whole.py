"""Layers whose weights are whole numbers already: they stay as they are (docs/onnx.md).

A channel's charge ``C`` is a whole number, and its count is at least ``k`` if ``C >= K(k)``. A
neuron with the weights ``m W``, the threshold ``theta`` and the initial potential ``V`` has the
same counts if for all ``k``, ``m (K - 1) < k theta - V <= m K``. The least ``m`` for which there
are such numbers is taken. There are for some ``m`` less than the number of counts, unless halves
are rounded to even counts.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
import torch

from gen.errors import ConversionError
from gen.ir.layers import INPUT, Pool

from .grid import limits
from .lowered import Fire, Lowered, Out, Relu
from .terms import Term
from .uniform import Uniform
from .widths import BITS, WIDE_BITS

__all__ = ["keep_whole"]

log = logging.getLogger(__name__)

_WHOLE, _RATIO, _TIE = 1e-3, 1e-6, 1e-9
"""How near to a whole number a weight, a ratio of units, and the border of a count must be."""

_DIGITS = 9
"""Digits of a bias that count, in units of charge."""

_MOST_THETA, _MOST_FACTOR = float(1 << 36), 256

# Borders that are looked at for all factors together: a few seconds.
_MOST_WORK = 1 << 25

_TRIED = (0, 1, -1)
"""Thresholds that are tried, from the whole number below the exact one."""

_Ranges = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class _Rows:
    """The whole weights of a layer, and what a unit of charge is in counts.

    Members
    -------
    weights : of each term, ``(O, ...)`` whole numbers in float64, in one unit for all terms
    unit : ``(O,)`` value of a unit of charge
    least, most : ``(O,)`` of the charge that can arrive
    room : ``(O,)`` greatest factor for which the weights are not too wide
    """

    weights: list[torch.Tensor]
    unit: np.ndarray
    least: np.ndarray
    most: np.ndarray
    room: np.ndarray


@dataclass(frozen=True)
class _Among:
    """What a layer lies among.

    Members
    -------
    steps, ranges : by layer the value of a count, and the least and the greatest count
    bits : the widest that the layer's weights may be
    lowered : all layers
    """

    steps: Mapping[str, float]
    ranges: Mapping[str, tuple[int, int]]
    bits: int
    lowered: Lowered

    def paired(self, layer: Fire | Out, term: Term) -> bool:
        """Whether the opposite of each weight is needed, too."""
        return not self.lowered.signed.isdisjoint((layer.name, term.source))


def keep_whole(lowered: Lowered, widths: Mapping[str, int], input_levels: int
               ) -> tuple[Lowered, dict[str, int], dict[str, float]]:
    """Fix the thresholds of layers whose weights are whole numbers, so that they stay so.

    Parameters
    ----------
    lowered : calibrated layers
    widths : by layer, the widest that weights may be
    input_levels : greatest count of a pixel

    Returns
    -------
    The layers, whose weights are whole on the grid of their thresholds; the widths that they need;
    and for each of these layers the share of the charges that can arrive at its worst channel for
    which a count differs from the file's, about which there is a warning.

    Raises
    ------
    ConversionError
        If weights are wider than they may be.
    """
    steps = {layer.name: float(np.float32(layer.step)) for layer in lowered.neurons}
    steps[INPUT] = 1 / input_levels
    ranges: _Ranges = {INPUT: (0, input_levels)}
    for layer in lowered.layers:
        ranges[layer.name] = _range(layer, ranges)
    made, needed, shares = {}, dict(widths), {}
    for layer in lowered.charged:
        if all(term.unit is None for term in layer.terms):
            continue
        kept = _kept(layer, _Among(steps, ranges, widths[layer.name], lowered))
        if kept is None:
            log.warning("warning: %s: its whole weights have no common unit, so they are "
                        "quantised again", layer.name)
            continue
        made[layer.name], needed[layer.name], shares[layer.name] = kept
        if shares[layer.name]:
            log.warning("warning: %s: its whole weights are kept, but for %.2g %% of the charges "
                        "that can arrive a count differs from the file's%s", layer.name,
                        100 * shares[layer.name], "" if widths[layer.name] == BITS[-1] else
                        "; more --bits bring them closer")
    layers = tuple(made.get(layer.name, layer) for layer in lowered.layers)
    return replace(lowered, layers=layers), needed, shares


@singledispatch
def _range(layer: Fire | Relu | Pool | Out, ranges: _Ranges) -> tuple[int, int]:
    """Least and greatest count of a layer; none of one without counts."""
    return 0, 0


@_range.register
def _(layer: Fire, ranges: _Ranges) -> tuple[int, int]:
    return -layer.levels if layer.symmetric else 0, layer.levels


@_range.register
def _(layer: Pool, ranges: _Ranges) -> tuple[int, int]:
    low, high = ranges[layer.source]
    window = layer.kernel[0] * layer.kernel[1] if layer.kind == "sum" else 1
    return min(0, low * window), high * window


def _rows(layer: Fire | Out, place: _Among, common: bool) -> _Rows | None:
    """The layer's weights as whole numbers, or None if they have no common unit.

    Parameters
    ----------
    common : whether all channels need the same unit
    """
    found = [_counted(term, place.steps) for term in layer.terms]
    if any(one is None for one in found):
        return None
    values = [one for one in found if one is not None]
    unit = np.min([value for _, value in values], axis=0)
    if common:
        unit = np.full_like(unit, unit.min())
    weights, room = [], np.full(len(unit), np.inf)
    least, most = np.zeros(len(unit)), np.zeros(len(unit))
    for term, (whole, value) in zip(layer.terms, values, strict=True):
        times = value / unit
        if not (np.abs(times - times.round()) <= _RATIO * times).all():
            return None
        low, high = limits(WIDE_BITS if term.wide else place.bits,
                           place.paired(layer, term))
        _require_width(layer.name, whole.numpy(), low, high, place.bits)
        whole = whole * torch.from_numpy(times.round()).reshape(-1, 1, 1, 1)
        flat = whole.flatten(1).numpy()
        with np.errstate(divide="ignore"):
            room = np.minimum(room, np.minimum(high / flat.max(1).clip(0), low / flat.min(1).clip(
                None, -0.0)))
        if room.min() < 1:
            return None
        few, many = place.ranges[term.source]
        least += (flat.clip(0) * few + flat.clip(None, 0) * many).sum(1)
        most += (flat.clip(0) * many + flat.clip(None, 0) * few).sum(1)
        weights.append(whole)
    return _Rows(weights, unit, least, most, np.floor(room))


def _counted(term: Term, steps: Mapping[str, float]) -> tuple[torch.Tensor, np.ndarray] | None:
    """The weights of a term in whole numbers, and the value of one for a count; or None."""
    unit = term.unit
    if unit is None and term.wide:
        unit = term.weight.flatten(1).abs().amax(1)
    if unit is None:
        return None
    unit = torch.where(unit > 0, unit.double(), 1.0)
    ratio = term.weight.double() / unit[:, None, None, None]
    whole = ratio.round()
    if not (ratio - whole).abs().max() <= _WHOLE:
        return None
    return whole, unit.numpy() * steps[term.step] * term.factor


def _require_width(name: str, weights: np.ndarray, low: int, high: int, bits: int) -> None:
    if weights.min() < low or weights.max() > high:
        least = max(_bits(weights, low == -high), BITS[0])
        raise ConversionError(
            f"{name}: its whole weights need {least} bits, and may have {bits}; " + (
                f"give it --bits {name}={least}" if least in BITS else
                f"a device has weights of {BITS[0]} to {BITS[-1]} bits: train with fewer"))


def _bits(weights: np.ndarray, symmetric: bool) -> int:
    """Bits that weights need, with the opposite of each if ``symmetric``."""
    least = weights.min() + 1 if not symmetric else weights.min()
    return int(max(weights.max(), -least, 0)).bit_length() + 1


@singledispatch
def _kept(layer: Fire | Relu | Out, place: _Among) -> tuple[Fire | Out, int, float] | None:
    """The layer with whole weights on its grid, the bits that they need, and the share of charges
    for which a count differs; None if it has no common unit."""
    raise ValueError(f"{layer.name}: this ReLU has no step; calibrate the layers first")


@_kept.register
def _(layer: Fire, place: _Among) -> tuple[Fire | Out, int, float] | None:
    rows = _rows(layer, place, common=False)
    if rows is None:
        return None
    step = place.steps[layer.name]
    borders = _borders(layer, rows, step, place.lowered)
    factor, theta, initial = _searched(borders, rows, step)
    bias = initial if layer.floor else initial - np.floor(theta / 2)
    made = replace(layer, terms=_on_grid(layer, rows, factor, step / theta, place.steps),
                   bias=torch.from_numpy(bias * step / theta), theta=torch.from_numpy(theta))
    begin = np.ceil((borders.counts * theta[:, None] - initial[:, None]) / factor[:, None]).clip(
        rows.least[:, None], rows.most[:, None] + 1)
    differing = np.abs(begin - borders.charges).sum(1) / (rows.most - rows.least + 1)
    return made, _needed(layer, rows, factor, place), float(differing.max())


@_kept.register
def _(layer: Out, place: _Among) -> tuple[Fire | Out, int, float] | None:
    rows = _rows(layer, place, common=True)
    if rows is None:
        return None
    most = int(min(rows.room.min(), _MOST_FACTOR))
    bias, m = _ranked(layer.bias.double().numpy() / rows.unit, most)
    if m is None:
        log.warning("warning: %s: its whole weights are kept, but biases are rounded, so scores "
                    "that are nearly equal may change places%s", layer.name,
                    "" if place.bits == BITS[-1] else "; more --bits bring them closer")
    factor = np.full_like(rows.unit, m or most)
    unit = rows.unit / factor
    made = replace(layer, terms=_on_grid(layer, rows, factor, unit, place.steps),
                   bias=torch.from_numpy(bias * unit), scale=float(unit[0]))
    return made, _needed(layer, rows, factor, place), 0.0


def _needed(layer: Fire | Out, rows: _Rows, factor: np.ndarray, place: _Among) -> int:
    """The bits of the weights."""
    return max(BITS[0], *(
        _bits(weight.flatten(1).numpy() * factor[:, None], place.paired(layer, term))
        for term, weight in zip(layer.terms, rows.weights, strict=True) if not term.wide))


def _on_grid(layer: Fire | Out, rows: _Rows, factor: np.ndarray, unit: np.ndarray,
             steps: Mapping[str, float]) -> tuple[Term, ...]:
    """Terms whose weights are ``factor`` times whole numbers, for a ``unit`` ``(O,)`` of charge."""
    return tuple(
        replace(term, unit=None, weight=weight * torch.from_numpy(factor * unit / (
            steps[term.step] * term.factor)).reshape(-1, 1, 1, 1))
        for term, weight in zip(layer.terms, rows.weights, strict=True))


@dataclass(frozen=True)
class _Borders:
    """Where counts begin.

    Members
    -------
    counts : ``(1, K)`` counts but the least
    charges : ``(O, K)`` least whole charge for each, within those that can arrive and one more
    initial : ``(O,)`` the initial potential, in units of charge
    """

    counts: np.ndarray
    charges: np.ndarray
    initial: np.ndarray


def _borders(layer: Fire, rows: _Rows, step: float, lowered: Lowered) -> _Borders:
    counts = np.arange(1 - layer.levels if layer.symmetric else 1, layer.levels + 1.0)[None]
    theta, bias = (step / rows.unit)[:, None], (layer.bias.double().numpy() / rows.unit)[:, None]
    border = (counts - (0 if layer.floor else 0.5)) * theta - bias
    tie = np.abs(border - border.round()) <= _TIE * (1 + np.abs(counts) * theta + np.abs(bias))
    charges = np.where(tie, border.round(), np.ceil(border))
    activation = layer.activation and lowered.module.get_submodule(layer.activation)
    if isinstance(activation, Uniform) and activation.even and not layer.floor:
        charges += tie & (counts % 2 == 1)
    initial = bias + (0 if layer.floor else theta / 2)
    return _Borders(counts, charges.clip(rows.least[:, None], rows.most[:, None] + 1),
                    initial[:, 0])


def _searched(borders: _Borders, rows: _Rows, step: float
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least factor of each channel, its threshold and its initial potential, for which all
    counts are those of the borders; where there are none, those with the least contradiction."""
    slope = (step / rows.unit).clip(None, _MOST_THETA)
    best = [np.ones_like(slope), np.ones_like(slope), np.zeros_like(slope)]
    gap = np.full_like(slope, np.inf)
    counts, charges = borders.counts, borders.charges
    # A border that is beyond all charges binds from one side only.
    below, above = charges <= rows.most[:, None], charges > rows.least[:, None]
    most = min(rows.room.max(), _MOST_FACTOR, max(1, _MOST_WORK // charges.size))
    for m in range(1, int(most) + 1):
        for more in _TRIED:
            theta = (np.floor(slope * m) + more).clip(1)
            line = counts * theta[:, None]
            low = np.where(below, line - m * charges, -np.inf).max(1)
            high = np.where(above, line - m * (charges - 1) - 1, np.inf).min(1)
            missing = (low - high).clip(0) / m
            better = (missing < gap) & (m <= rows.room)
            middle = np.floor((low + high) / 2)
            initial = np.round(m * borders.initial).clip(low, high)
            initial = np.where(low > high, middle, initial)
            for kept, value in zip(best, (np.full_like(slope, m), theta, initial), strict=True):
                np.copyto(kept, value, where=better)
            gap = np.where(better, missing, gap)
        if not gap.any():
            break
    return best[0], best[1], best[2]


def _ranked(bias: np.ndarray, most: int) -> tuple[np.ndarray, int | None]:
    """Whole biases and the least factor for which any two scores are in the order of those with the
    biases of the file; or rounded ones for the factor ``most`` and None if that is too small.

    Whole numbers that are added to two biases change their order only with the biases' fractions.
    So there are as many places between two whole numbers as there are different fractions.
    """
    near = bias.round(_DIGITS)
    fractions, place = np.unique((near - np.floor(near)).round(_DIGITS), return_inverse=True)
    if len(fractions) > most:
        return np.round(bias * most), None
    return np.floor(near) * len(fractions) + place, len(fractions)
