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

import numpy as np
import torch

from gen.errors import ConversionError
from gen.ir.layers import INPUT

from .grid import limits
from .lowered import Fire, Lowered, Out, Pool, Relu, Term
from .uniform import Uniform
from .widths import BITS

__all__ = ["keep_whole"]

log = logging.getLogger(__name__)

_IDENTITY_BITS = 16

_WHOLE, _RATIO, _TIE = 1e-3, 1e-6, 1e-9
"""How near to a whole number a weight, a ratio of units, and the border of a count must be."""

_MOST_THETA = float(1 << 36)

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
    and by layer the share of the charges that can arrive for which a count differs from the file's.

    Raises
    ------
    ConversionError
        If weights are wider than they may be.
    """
    steps = {layer.name: float(np.float32(layer.step)) for layer in lowered.neurons}
    steps[INPUT] = 1 / input_levels
    ranges, layers, shares, needed = _ranges(lowered, input_levels), [], {}, dict(widths)
    for layer in lowered.layers:
        if not isinstance(layer, Pool) and any(term.unit is not None for term in layer.terms):
            rows = _rows(layer, steps, ranges, widths[layer.name], lowered.signed)
            if rows is None:
                log.warning("warning: %s: its whole weights have no common unit, so they are "
                            "quantised again", layer.name)
            else:
                layer, shares[layer.name], needed[layer.name] = _kept(layer, rows, steps, lowered)
        layers.append(layer)
    for name, share in shares.items():
        if share:
            log.warning("warning: %s: its whole weights are kept, but for %.2g %% of the charges "
                        "that can arrive a count differs from the file's%s", name, 100 * share,
                        "" if widths[name] == BITS[-1] else "; more --bits bring them closer")
    return replace(lowered, layers=tuple(layers)), needed, shares


def _ranges(lowered: Lowered, input_levels: int) -> _Ranges:
    """Least and greatest count of the input and of each layer."""
    ranges: _Ranges = {INPUT: (0, input_levels)}
    for layer in lowered.layers:
        if isinstance(layer, Fire):
            ranges[layer.name] = (-layer.levels if layer.symmetric else 0, layer.levels)
        elif isinstance(layer, Pool):
            low, high = ranges[layer.source]
            window = layer.kernel[0] * layer.kernel[1] if layer.kind == "sum" else 1
            ranges[layer.name] = (min(0, low * window), high * window)
    return ranges


def _rows(layer: Fire | Relu | Out, steps: Mapping[str, float], ranges: _Ranges, bits: int,
          signed: frozenset[str]) -> _Rows | None:
    """The layer's weights as whole numbers, or None if they have no common unit."""
    found = [_counted(term, steps) for term in layer.terms]
    if any(one is None for one in found):
        return None
    values = [one for one in found if one is not None]
    unit = np.min([value for _, value in values], axis=0)
    if isinstance(layer, Out):
        unit = np.full_like(unit, unit.min())
    weights, room = [], np.full(len(unit), np.inf)
    least, most = np.zeros(len(unit)), np.zeros(len(unit))
    for term, (whole, value) in zip(layer.terms, values, strict=True):
        times = value / unit
        if not (np.abs(times - times.round()) <= _RATIO * times).all():
            return None
        whole = whole * torch.from_numpy(times.round()).reshape(-1, 1, 1, 1)
        flat = whole.flatten(1).numpy()
        low, high = limits(_IDENTITY_BITS if term.identity else bits,
                           not signed.isdisjoint((layer.name, term.source)))
        _require_width(layer.name, flat, low, high, bits)
        with np.errstate(divide="ignore"):
            room = np.minimum(room, np.minimum(high / flat.max(1).clip(0), low / flat.min(1).clip(
                None, -0.0)))
        zero, ten = ranges[term.source]
        least += (flat.clip(0) * zero + flat.clip(None, 0) * ten).sum(1)
        most += (flat.clip(0) * ten + flat.clip(None, 0) * zero).sum(1)
        weights.append(whole)
    return _Rows(weights, unit, least, most, np.floor(room))


def _counted(term: Term, steps: Mapping[str, float]) -> tuple[torch.Tensor, np.ndarray] | None:
    """The weights of a term in whole numbers, and the value of one for a count; or None."""
    unit = term.unit
    if unit is None and term.identity:
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


def _kept(layer: Fire | Relu | Out, rows: _Rows, steps: Mapping[str, float], lowered: Lowered
          ) -> tuple[Fire | Out, float, int]:
    """The layer with whole weights on its grid, the share of charges whose count differs, and the
    bits that its weights need."""
    if isinstance(layer, Out):
        made, factor = _read_out(layer, rows, steps), None
        share = 0.0
        factor = np.full(len(rows.unit), rows.unit[0] / made.scale)
    elif isinstance(layer, Fire):
        made, factor, share = _neurons(layer, rows, steps, lowered)
    else:
        raise ValueError(f"{layer.name}: this ReLU has no step; calibrate the layers first")
    needed = [BITS[0]]
    for term, weight in zip(layer.terms, rows.weights, strict=True):
        if not term.identity:
            pairs = not lowered.signed.isdisjoint((layer.name, term.source))
            grid = weight.flatten(1).numpy() * factor.round()[:, None]
            needed.append(_bits(grid, pairs))
    return made, share, max(needed)


def _on_grid(layer: Fire | Out, rows: _Rows, factor: np.ndarray, unit: np.ndarray,
             steps: Mapping[str, float]) -> tuple[Term, ...]:
    """Terms whose weights are ``factor`` times whole numbers, for a ``unit`` ``(O,)`` of charge."""
    return tuple(
        replace(term, weight=(weight * torch.from_numpy(factor * unit / (
            steps[term.step] * term.factor)).reshape(-1, 1, 1, 1)))
        for term, weight in zip(layer.terms, rows.weights, strict=True))


def _neurons(layer: Fire, rows: _Rows, steps: Mapping[str, float], lowered: Lowered
             ) -> tuple[Fire, np.ndarray, float]:
    step = steps[layer.name]
    borders = _borders(layer, rows, step, lowered)
    factor, theta, initial = _searched(borders, rows, step)
    reached = np.ceil((borders.counts * theta[:, None] - initial[:, None]) / factor[:, None]).clip(
        rows.least[:, None], rows.most[:, None] + 1)
    share = np.abs(reached - borders.charges).sum(1) / (rows.most - rows.least + 1)
    bias = initial if layer.floor else initial - np.floor(theta / 2)
    unit = step / theta
    made = replace(layer, terms=_on_grid(layer, rows, factor, unit, steps),
                   bias=torch.from_numpy(bias * unit), theta=torch.from_numpy(theta))
    return made, factor, float(share.max())


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
    for m in range(1, int(min(rows.room.max(), _most_factor(borders))) + 1):
        for more in _TRIED:
            theta = (np.floor(slope * m) + more).clip(1)
            line = counts * theta[:, None]
            low = np.where(below, line - m * charges, -np.inf).max(1)
            high = np.where(above, line - m * (charges - 1) - 1, np.inf).min(1)
            missing = (low - high).clip(0) / m
            better = (missing < gap) & (m <= rows.room)
            middle = np.floor((low + high) / 2)
            initial = np.where(low > high, middle, np.clip(np.round(m * borders.initial), low, high))
            for kept, value in zip(best, (np.full_like(slope, m), theta, initial), strict=True):
                np.copyto(kept, value, where=better)
            gap = np.where(better, missing, gap)
        if not gap.any():
            break
    return best[0], best[1], best[2]


def _most_factor(borders: _Borders) -> int:
    """A factor beyond which there is nothing to find."""
    return max(16, 2 * borders.counts.size)


def _read_out(layer: Out, rows: _Rows, steps: Mapping[str, float]) -> Out:
    """The read-out with the least factor for which the order of any two scores is the file's."""
    bias = layer.bias.double().numpy() / rows.unit
    factor = next((m for m in range(1, int(min(rows.room.min(), 1 << 8)) + 1)
                   if _ordered(bias, m)), 1)
    unit = rows.unit / factor
    terms = _on_grid_of_read_out(layer, rows, factor, unit, steps)
    return replace(layer, terms=terms, bias=torch.from_numpy(np.round(bias * factor) * unit),
                   scale=float(unit[0]))


def _on_grid_of_read_out(layer, rows, factor, unit, steps):
    return _on_grid(layer, rows, np.full_like(unit, factor), unit, steps)


def _ordered(bias: np.ndarray, factor: int) -> bool:
    """Whether charges with rounded biases are in the order of those with biases that are not."""
    exact = bias[:, None] - bias
    exact = np.where(np.abs(exact - exact.round()) <= _TIE * (1 + np.abs(bias)), exact.round(), exact)
    whole = np.round(bias * factor)
    ours = whole[:, None] - whole
    return bool((np.floor(exact) == np.floor(ours / factor)).all() and (
        (exact == exact.round()) == (ours % factor == 0)).all())
