"""The layers of a module, as its operators are applied (:mod:`gen.convert.operators`)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import torch

from gen.errors import ConversionError
from gen.ir.layers import INPUT, Pool

from .curves import Curve, Function, leaky
from .lowered import Fire, Out, Place, Relu
from .terms import Form, Term
from .values import Charge, Map, Part, joined, joined_sums, over_phases

__all__ = ["Collector"]


class Collector:
    """Layers that have been found so far.

    Parameters
    ----------
    input_shape : ``(C, H, W)``

    Members
    -------
    layers, places : see :class:`gen.convert.lowered.Lowered`
    node : name of the graph's node whose operator is next
    where : what that operator is, for people to read
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self._input_shape = input_shape
        self.layers: list[Fire | Relu | Pool | Out] = []
        self.places: dict[str, Place] = {}
        self.node, self.where = "", ""
        self._names = {INPUT}
        self._ones: dict[tuple[int, int], str] = {}

    def refuse(self, why: str) -> NoReturn:
        """Refuse the present operator.

        Raises
        ------
        ConversionError
            Always; the message says where the operator is, and ``why``.
        """
        raise ConversionError(f"{self.where}: {why}")

    def finish(self, results: Sequence[Map | Charge]) -> None:
        """Make the read-out of the module's results: their channels one after the other.

        Raises
        ------
        ConversionError
            If they have not one size.
        """
        self.where = "the module's results"
        if len({x.phases for x in results}) > 1:
            self.refuse("an enlarged map and another one can't be computed together; return one of "
                        "them")
        sizes = [x.shape[1:] for x in results]
        if len(set(sizes)) > 1:
            self.refuse(f"must be maps of one size, or all have one position, not of "
                        f"{' and '.join(map(str, dict.fromkeys(sizes)))}; return those of one size")
        out = results[0] if len(results) == 1 else self._joined(results)
        x = self._charged(out)
        self._append(Out(self._name(x, "readout"), x.terms, x.bias),
                     Place(self.node, x.stored, Form.MAP, x.phases))

    def _shape_of(self, layer: str) -> tuple[int, int, int]:
        """``(C, H, W)`` of a layer, or of the input."""
        return self._input_shape if layer == INPUT else self.places[layer].shape

    def _append(self, layer: Fire | Relu | Pool | Out, place: Place) -> None:
        self.layers.append(layer)
        self.places[layer.name] = place

    def _name(self, x: Charge, otherwise: str) -> str:
        """A layer's name: that of the first weights that charge it, if there are any."""
        weights = [term.path for term in x.terms if not term.wide]
        return self._unique(weights[0] if weights else otherwise)

    def _free_name(self, x: Charge, otherwise: str) -> str:
        """The name that :meth:`_name` would give."""
        before = set(self._names)
        name = self._name(x, otherwise)
        self._names = before
        return name

    def _unique(self, path: str) -> str:
        name, n = path, 1
        while name in self._names:
            n += 1
            name = f"{path}_{n}"
        self._names.add(name)
        return name

    # What is given to an operator.

    def _counts(self, x: object, *forms: Form) -> Map:
        """``x``, which must be spikes, of one of the forms. Sums become spikes by neurons that keep
        them as they are, but for their steps."""
        x = self._of_form(x, *forms)
        return self._kept(x) if isinstance(x, Charge) else x

    def _of_form(self, x: object, *forms: Form) -> Map | Charge:
        """``x``, which must have one of the forms."""
        x = self._tensor(x)
        if x.form not in forms:
            if Form.VECTOR in forms and x.form in (Form.MAP, Form.CHANNELS):
                self.refuse("needs a Flatten before it")
            needs = " or ".join(form.label for form in forms)
            self.refuse(f"needs {needs}, but its input is {x.form.label}")
        return x

    def _tensor(self, x: object) -> Map | Charge:
        if not isinstance(x, Map | Charge):
            self.refuse(f"must be given a tensor, not {type(x).__name__}")
        return x

    def _joined(self, given: Sequence[Map | Charge]) -> Map | Charge:
        """Channels one after the other."""
        maps = [x for x in given if isinstance(x, Map)]
        if len(maps) == len(given):
            return joined(maps)
        return joined_sums([self._charged(x) for x in given])

    def _sums(self, x: object) -> Charge:
        """The sums that an activation sees."""
        return self._charged(self._tensor(x))

    def _charged(self, x: Map | Charge) -> Charge:
        """Values as sums: each is multiplied by 1."""
        if isinstance(x, Charge):
            return x
        flat = self._unspread(x)
        channels = flat.shape[0]
        ones = torch.ones(channels, 1, 1, 1)
        terms = tuple(replace(part.term(self.node, ones, channels), wide=True,
                              identity=part.whole and part.channels == channels)
                      for part in flat.parts)
        bias = torch.zeros(channels) if flat.offset is None else flat.offset
        return Charge(terms, bias, x.shape, x.form, x.phases)

    def _unspread(self, x: Map) -> Map:
        """The spread map, as a map of its own."""
        offset = None if x.offset is None else over_phases(x.offset, x.phases)
        return Map(x.parts, x.stored, x.form, offset)

    # Layers of neurons.

    def _relu(self, value: object, inplace: bool = False, cap: float = math.inf, *,
              whole: bool = False) -> Map:
        if isinstance(value, Map) and cap == math.inf and _nonnegative(value):
            return value
        x = self._sums(value)
        name = self._name(x, self.node)
        return self._activated(Relu(name, x.terms, x.bias, cap), x, whole=whole)

    def _fire(self, value: object, path: str, step: float, levels: int, *, floor: bool = False,
              symmetric: bool = False) -> Map:
        x = self._sums(value)
        name = self._name(x, path)
        return self._activated(
            Fire(name, x.terms, x.bias, path, step, levels, floor, symmetric), x, signed=symmetric)

    def _activated(self, layer: Fire | Relu, x: Charge, *, signed: bool = False,
                   whole: bool = False) -> Map:
        made = Map((Part.all_of(layer.name, x.stored, signed),), x.shape, x.form, None, x.phases)
        self._append(layer, Place(self.node, x.stored, x.form, x.phases, made, whole=whole))
        return made

    def _kept(self, x: Charge) -> Map:
        """Neurons that send sums of both signs as they are."""
        return self._curved(x, leaky(torch.ones(x.shape[0])), ahead=True)

    def _curved(self, value: object, function: Function, *, ahead: bool = False) -> Map:
        """Neurons of an activation that is several ReLUs of the same sum.

        Parameters
        ----------
        ahead : whether the present node is given the sums of both, as they are kept
        """
        x = self._sums(value)
        names = [self._name(x, self.node) for _ in function.curves]
        parts = tuple(_curve_part(name, x, curve)
                      for name, curve in zip(names, function.curves, strict=True))
        offset = torch.full((x.shape[0],), function.offset) if function.offset else None
        made = Map(parts, x.shape, x.form, offset, x.phases)
        for part, curve in zip(parts, function.curves, strict=True):
            shape = (part.channels, *x.stored[1:])
            self._append(_curve_layer(part.source, x, curve),
                         Place(self.node, shape, x.form, x.phases, made, joint=True,
                               exact=function.exact, ahead=ahead))
        return made

    def _with_ones(self, x: Map) -> Map:
        """The map with its offset as a part: that of neurons that always send the value 1. Beyond
        the map's edge there are then zeros."""
        if x.offset is None:
            return x
        # Ones lie where a layer's values do, so it must be one that has a value at each place.
        beside = next((part for part in x.parts if all(axis.inside for axis in part.axes)), None)
        if beside is None:
            self.refuse("a constant is added to zeros around a map, and more zeros come around "
                        "them; pad once")
        rows, columns = beside.axes
        flat = self._unspread(x)
        assert flat.offset is not None
        part = Part.all_of(self._constant(beside), (1, rows.size, columns.size))
        channels = torch.arange(flat.shape[0])
        part = replace(part, axes=(rows, columns), of=0 * channels, to=channels, gain=flat.offset)
        return replace(x, parts=(*x.parts, part), offset=None)

    def _constant(self, beside: Part) -> str:
        """The layer of ones that has the size of a part's layer."""
        size = beside.axes[0].size, beside.axes[1].size
        if size not in self._ones:
            name = self._ones[size] = self._unique("ones")
            term = Term(name, beside.source, beside.step, beside.factor,
                        torch.zeros(1, beside.channels, 1, 1), wide=True)
            made = Map((Part.all_of(name, (1, *size)),), (1, *size), Form.MAP)
            self._append(Relu(name, (term,), torch.ones(1), 1.0),
                         Place("", (1, *size), Form.MAP, made=made))
        return self._ones[size]


def _nonnegative(x: Map) -> bool:
    """Whether no value can be negative."""
    return (not x.signed and all(bool((part.gain >= 0).all()) for part in x.parts)
            and (x.offset is None or bool((x.offset >= 0).all()))
            and x.parts[0].source != INPUT)


def _curve_part(name: str, x: Charge, curve: Curve) -> Part:
    channels = x.stored[0]
    part = Part.all_of(name, (channels * curve.number, *x.stored[1:]))
    return replace(part, to=torch.arange(channels).repeat_interleave(curve.number),
                   gain=curve.over(x.phases).gain.flatten())


def _curve_layer(name: str, x: Charge, curve: Curve) -> Relu:
    """A layer whose neurons see the sums of ``x``, each on a slope of its own."""
    spread, number = curve.over(x.phases), curve.number
    slope, shift = spread.slope.flatten(), spread.shift.flatten()
    terms = tuple(replace(
        term, weight=term.weight.repeat_interleave(number, 0) * slope[:, None, None, None],
        unit=None if term.unit is None else term.unit.repeat_interleave(number) * slope.abs(),
        identity=term.identity and number == 1) for term in x.terms)
    return Relu(name, terms, x.bias.repeat_interleave(number) * slope + shift, curve.cap, curve)
