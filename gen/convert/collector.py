"""The layers of a module, as its operators are applied (:mod:`gen.convert.operators`)."""

import math
from dataclasses import replace
from typing import NoReturn

import torch

from gen.errors import ConversionError
from gen.ir.layers import INPUT, Pool

from .lowered import Charge, Fire, Form, Map, Out, Place, Relu

__all__ = ["Collector"]


class Collector:
    """Layers that have been found so far.

    Members
    -------
    layers, places : see :class:`gen.convert.lowered.Lowered`
    node : name of the graph's node whose operator is next
    where : what that operator is, for people to read
    """

    def __init__(self) -> None:
        self.layers: list[Fire | Relu | Pool | Out] = []
        self.places: dict[str, Place] = {}
        self.node, self.where = "", ""
        self._names = {INPUT}

    def refuse(self, why: str) -> NoReturn:
        """Refuse the present operator.

        Raises
        ------
        ConversionError
            Always; the message says where the operator is, and ``why``.
        """
        raise ConversionError(f"{self.where}: {why}")

    def finish(self, out: object) -> None:
        """Make the read-out of the module's result.

        Raises
        ------
        ConversionError
            If the result is not one score for each class, or one for each class and element.
        """
        self.where = "the module's result"
        if isinstance(out, Map):
            self.refuse("must be the sums of a last Linear or 1x1 Conv2d (the class scores), not "
                        "an activation or a pool")
        if not isinstance(out, Charge):
            self.refuse("must be one tensor")
        if out.shape[1:] != (1, 1) and out.form not in (Form.CHANNELS, Form.ELEMENTS):
            self.refuse(f"must be one score for each class, or for each class and element of a "
                        f"sequence, not a map of {out.shape[1:]}")
        self._append(Out(self._name(out, "readout"), out.terms, out.bias), out)

    def _append(self, layer: Fire | Relu | Pool | Out, x: Map | Charge, factor: float = 1.0, *,
                whole: bool = False) -> None:
        self.layers.append(layer)
        self.places[layer.name] = Place(self.node, x.shape, x.form, factor, whole)

    def _name(self, x: Charge, otherwise: str) -> str:
        """A layer's name: that of the first weights that charge it, if there are any."""
        weights = [term.path for term in x.terms if not term.identity]
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

    def _relu(self, value: object, inplace: bool = False, cap: float = math.inf, *,
              whole: bool = False) -> Map:
        x = self._sums(value)
        name = self._name(x, self.node)
        return self._activated(Relu(name, x.terms, x.bias, cap), x, whole)

    def _fire(self, value: object, path: str, step: float, levels: int, *, floor: bool = False,
              symmetric: bool = False) -> Map:
        x = self._sums(value)
        name = self._name(x, path)
        fire = Fire(name, x.terms, x.bias, path, step, levels, floor, symmetric)
        return replace(self._activated(fire, x), signed=symmetric)

    def _sums(self, x: object) -> Charge:
        if not isinstance(x, Charge):
            self.refuse("an activation must follow a Conv2d, a Linear or a residual addition "
                        "(pool and flatten after it)")
        return x

    def _activated(self, layer: Fire | Relu, x: Charge, whole: bool = False) -> Map:
        self._append(layer, x, whole=whole)
        return Map(layer.name, layer.name, 1.0, x.shape, x.form)

    def _pool(self, kind: str, path: str, value: object, kernel: tuple[int, int],
              stride: tuple[int, int], padding: tuple[int, int], factor: float) -> Map:
        x = self._counts(value, Form.MAP, Form.CHANNELS)
        if x.above:
            self.refuse("pool before elements are selected or padded, not after it")
        if kind == "max" and x.signed:
            self.refuse("the greatest of counts with a sign is not that of two neurons; use an "
                        "average pooling, or a Qcfs that is not symmetric")
        size = self._size(x, kernel, stride, padding)
        pool = Pool(self._unique(path), x.source, kind, kernel, stride, padding)
        x = replace(x, source=pool.name, factor=x.factor * factor, shape=(x.shape[0], *size))
        self._append(pool, x, x.factor)
        return x

    def _counts(self, x: object, *forms: Form) -> Map:
        """``x``, which must be spikes, of one of the forms."""
        if isinstance(x, Charge):
            self.refuse("an activation (Qcfs or ReLU) must come between the layer before and this "
                        "one: neurons send spikes, not sums")
        if not isinstance(x, Map):
            self.refuse(f"must be given a tensor, not {x!r}")
        if x.form not in forms:
            if Form.VECTOR in forms and x.form in (Form.MAP, Form.CHANNELS):
                self.refuse("needs a Flatten before it")
            needs = " or ".join(form.label for form in forms)
            self.refuse(f"needs {needs}, but its input is {x.form.label}")
        return x

    def _tensor(self, x: object) -> Map | Charge:
        if not isinstance(x, Map | Charge):
            self.refuse(f"must be given a tensor, not {x!r}")
        return x

    def _size(self, x: Map, kernel: tuple[int, int], stride: tuple[int, int],
              padding: tuple[int, int]) -> tuple[int, int]:
        height, width = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(
            x.shape[1:], kernel, stride, padding, strict=True))
        if min(height, width) < 1:
            self.refuse(f"a kernel of {kernel} does not fit a map of {x.shape[1:]}")
        return height, width

    def _charged(self, x: Map | Charge) -> Charge:
        if isinstance(x, Charge):
            return x
        channels = x.shape[0]
        term = x.term(self.node, torch.ones(channels, 1, 1, 1), groups=channels, identity=True)
        return Charge((term,), torch.zeros(channels), x.shape, x.form)
