"""Convolutions and poolings of what flows between layers (docs/methods.md, 18)."""

import math
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import torch
from torch.nn import functional as F

from gen.ir.layers import Pool

from .collector import Collector
from .kernels import composed, dense, placed, polyphase, spread, transposed
from .lowered import Place
from .terms import Form, Term
from .values import Axis, Charge, Map, Part, over_phases, spread_over

__all__ = ["Edges", "LinearOperators"]

Edges: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and below a map, and at its left and its right."""

_NO_EDGES: Edges = ((0, 0), (0, 0))

_FEW, _MOST = 4096, 1 << 24
"""Weights that are never too many, and that are always too many, for a kernel that is made of
others."""


class LinearOperators(Collector):
    """Operators whose results are sums."""

    def _convolved(self, value: Map | Charge, path: str, weight: torch.Tensor, bias: torch.Tensor,
                   *, stride: tuple[int, int] = (1, 1), edges: Edges = _NO_EDGES, groups: int = 1,
                   dilation: tuple[int, int] = (1, 1), unit: torch.Tensor | None = None
                   ) -> Charge:
        """A convolution.

        Parameters
        ----------
        path : of the module that has the weights
        weight : ``(O, C / groups, KY, KX)``
        unit : see :class:`gen.convert.terms.Term`
        """
        out = self._windows(value.shape[1:], weight, stride, edges, dilation)
        shape = (len(weight), *out)
        if isinstance(value, Charge):
            if not value.spread and edges == _NO_EDGES and dilation == (1, 1) and _stays_small(
                    value, weight):
                return self._merged(value, path, dense(weight, groups), bias, stride, shape)
            value = self._kept(value)
        if edges != _NO_EDGES:
            value = self._with_ones(value)
        if value.spread:
            return self._over_phases(value, path, spread(weight, dilation), groups, bias, stride,
                                     edges, shape)
        seen = self._padded(value, edges)
        terms = tuple(part.term(path, weight, groups, stride, dilation, unit)
                      for part in seen.parts)
        if seen.offset is not None:
            bias = bias + dense(weight, groups).sum(dim=(2, 3)) @ seen.offset
        return Charge(terms, bias, shape, value.form)

    def _windows(self, size: tuple[int, int], weight: torch.Tensor, stride: tuple[int, int],
                 edges: Edges, dilation: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the result."""
        rows, columns = ((n + sum(edge) - d * (k - 1) - 1) // s + 1 for n, k, s, d, edge in zip(
            size, weight.shape[2:], stride, dilation, edges, strict=True))
        if min(rows, columns) < 1:
            self.refuse(f"a kernel of {tuple(weight.shape[2:])} does not fit a map of {size}")
        return rows, columns

    def _padded(self, x: Map, edges: Edges) -> Map:
        """A map with zeros around it; negative ones are left out."""
        for axis, edge in enumerate(edges):
            if x.shape[axis + 1] + sum(edge) < 1:
                self.refuse(f"leaves nothing of a map of {x.shape[1:]}")
            seen = x.seen(partial(Axis.padded, before=edge[0], after=edge[1]), axis,
                          x.shape[axis + 1] + sum(edge))
            if seen is None:
                self.refuse("zeros come where elements of the map were left out; pad first, then "
                            "leave out")
            x = seen
        return x

    def _merged(self, x: Charge, path: str, weight: torch.Tensor, bias: torch.Tensor,
                stride: tuple[int, int], shape: tuple[int, int, int]) -> Charge:
        """One convolution in the place of two."""
        terms = []
        for term in x.terms:
            kernel = composed(weight, dense(term.weight, term.groups), term.stride)
            step = tuple(a * b for a, b in zip(term.stride, stride, strict=True))
            # Rows below are such that there are as many windows as in the module.
            below = term.below
            if below is None and term.padding[0] >= kernel.shape[2]:
                below = term.padding[0]
            terms.append(replace(term, path=path, weight=kernel, stride=(step[0], step[1]),
                                 groups=1, below=below, wide=False, identity=False, unit=None))
        return Charge(tuple(terms), weight.sum(dim=(2, 3)) @ x.bias + bias, shape, x.form)

    def _over_phases(self, x: Map, path: str, weight: torch.Tensor, groups: int,
                     bias: torch.Tensor, stride: tuple[int, int], edges: Edges,
                     shape: tuple[int, int, int]) -> Charge:
        """A convolution of a map whose positions are spread over channels."""
        common = math.gcd(x.phases[0], stride[0]), math.gcd(x.phases[1], stride[1])
        results = x.phases[0] // common[0], x.phases[1] // common[1]
        steps = stride[0] // common[0], stride[1] // common[1]
        if shape[1] % results[0] or shape[2] % results[1]:
            self.refuse(f"its result of {shape[1:]} does not consist of whole blocks of {results}, "
                        f"as which enlarged maps are computed; choose a padding that keeps the "
                        f"size")
        needs = weight.numel() * math.prod(results) * math.prod(x.phases)
        if needs > _MOST:
            self.refuse(f"needs {needs:,} weights, because each position has its own; use a "
                        f"smaller map, or a layer without padding")
        kernel, before = polyphase(weight, x.phases, stride, (edges[0][0], edges[1][0]))
        flat = self._unspread(x)
        after = tuple((n // r - 1) * s + k - b - size for n, r, s, k, b, size in zip(
            shape[1:], results, steps, kernel.shape[2:], before, flat.shape[1:], strict=True))
        seen = self._padded(flat, ((before[0], after[0]), (before[1], after[1])))
        terms = tuple(part.term(path, kernel, groups, steps) for part in seen.parts)
        bias = over_phases(bias, results)
        if seen.offset is not None:
            bias = bias + dense(kernel, groups).sum(dim=(2, 3)) @ seen.offset
        return Charge(terms, bias, shape, x.form, results)

    def _transposed(self, value: Map | Charge, path: str, weight: torch.Tensor, bias: torch.Tensor,
                    *, stride: tuple[int, int], padding: tuple[int, int], extra: tuple[int, int],
                    groups: int) -> Charge:
        """A transposed convolution.

        Parameters
        ----------
        weight : ``(O, C / groups, KY, KX)``
        extra : output padding
        """
        x = self._kept(value) if isinstance(value, Charge) else self._with_ones(value)
        if x.spread:
            self.refuse("follows an enlargement; only one of the two can be a transposed "
                        "convolution: use nn.Upsample(mode='nearest') and Conv2d")
        out = tuple((n - 1) * s - 2 * p + k + e for n, s, p, k, e in zip(
            x.shape[1:], stride, padding, weight.shape[2:], extra, strict=True))
        if out[0] % stride[0] or out[1] % stride[1] or min(out) < 1:
            self.refuse(f"its result of {out} does not consist of whole blocks of the stride "
                        f"{stride}; choose padding and output_padding so that the size is a "
                        f"multiple of the stride")
        kernel, before = transposed(weight, stride, padding)
        after = tuple(n // s - 1 + k - b - size for n, s, k, b, size in zip(
            out, stride, kernel.shape[2:], before, x.shape[1:], strict=True))
        seen = self._padded(x, ((before[0], after[0]), (before[1], after[1])))
        terms = tuple(part.term(path, kernel, groups) for part in seen.parts)
        return Charge(terms, over_phases(bias, stride), (len(weight), out[0], out[1]), x.form,
                      stride)

    def _laid_out(self, x: Charge, shape: tuple[int, int, int]) -> Charge | None:
        """The features of a linear layer as a map: its windows meet the source one after the other
        (:func:`.kernels.placed`); None if they would meet it twice."""
        size = shape[1:]
        if any(min(term.padding[0], term.padding[0] if term.below is None else term.below,
                   term.padding[1]) < 0 for term in x.terms):
            return None
        terms = [self._covering(term) for term in x.terms]
        biases = x.bias.reshape(shape)
        bias = biases[:, 0, 0]
        if (biases != bias[:, None, None]).any():
            # Ones bring each position its own.
            terms.append(self._biased(terms[0], x.bias))
            bias = torch.zeros_like(bias)
        return Charge(tuple(_at_places(term, size) for term in terms), bias, shape, Form.MAP)

    def _covering(self, term: Term) -> Term:
        """A term of a single window with a tap for all that its source has."""
        (_, rows, columns), (above, beside) = self._shape_of(term.source), term.padding
        below = above if term.below is None else term.below
        ky, kx = term.weight.shape[2:]
        more = columns + 2 * beside - kx, rows + above + below - ky
        return replace(term, weight=F.pad(term.weight, (0, more[0], 0, more[1])))

    def _biased(self, term: Term, bias: torch.Tensor) -> Term:
        """A bias as weights of neurons that send ones, beside a term of a single window."""
        part = replace(Part.all_of(term.source, self._shape_of(term.source)), step=term.step,
                       factor=term.factor)
        weight = torch.zeros(len(bias), 1, *term.weight.shape[2:])
        weight[:, 0, term.padding[0], term.padding[1]] = bias
        ones = self._constant(part)
        return replace(term, source=ones, step=ones, factor=1.0, weight=weight, groups=1, wide=True,
                       identity=False, unit=None)

    # Poolings.

    def _pool(self, kind: str, path: str, value: Map | Charge, kernel: tuple[int, int],
              stride: tuple[int, int], padding: tuple[int, int], factor: float) -> Map | Charge:
        """A sum, times a factor, or a maximum."""
        x = value
        if isinstance(x, Charge):
            if kind == "max":
                self.refuse("the greatest of sums is not known before neurons fire; put an "
                            "activation (Qcfs or ReLU) before or right after it")
            if padding == (0, 0) and not x.spread and _stays_small(
                    x, torch.empty(x.shape[0], 1, *kernel)):
                weight = torch.full((x.shape[0], 1, *kernel), factor)
                return self._convolved(x, path, weight, torch.zeros(x.shape[0]), stride=stride,
                                       groups=x.shape[0])
            x = self._kept(x)
        if x.spread:
            return self._pool_phases(kind, x, kernel, stride, padding, factor)
        if kind == "max":
            self._require_order(x)
        elif padding != (0, 0):
            x = self._with_ones(x)
        if not all(axis.whole for part in x.parts for axis in part.axes):
            self.refuse("pool before elements are selected or padded, not after it")
        edges = (padding[0], padding[0]), (padding[1], padding[1])
        size = self._windows(x.shape[1:], torch.empty(1, 1, *kernel), stride, edges, (1, 1))
        layers = {part.source: part.channels for part in x.parts}
        names = {source: self._unique(path) for source in layers}
        offset = x.offset
        if offset is not None and kind == "sum":
            offset = offset * (factor * kernel[0] * kernel[1])
        made = replace(x, shape=(x.shape[0], *size), offset=offset, parts=tuple(
            _pooled(part, names[part.source], size, factor) for part in x.parts))
        for source, channels in layers.items():
            self._append(Pool(names[source], source, kind, kernel, stride, padding),
                         Place(self.node, (channels, *size), x.form, made=made, joint=True,
                               factor=factor))
        return made

    def _require_order(self, x: Map) -> None:
        """Refuse a maximum of values that are not in the order of their counts."""
        if x.signed:
            self.refuse("the greatest of counts with a sign is not that of two neurons; use an "
                        "average pooling, or a Qcfs that is not symmetric")
        to = torch.cat([part.to for part in x.parts])
        if len(to.unique()) < len(to) or any((part.gain <= 0).any() for part in x.parts):
            self.refuse("the greatest value is not that of the greatest count, because an "
                        "activation of several neurons or a negative factor comes before; use an "
                        "average pooling, or a ReLU")

    def _pool_phases(self, kind: str, x: Map, kernel: tuple[int, int], stride: tuple[int, int],
                     padding: tuple[int, int], factor: float) -> Map:
        """An average over the positions of whole blocks."""
        if kind == "max" or kernel != x.phases or stride != kernel or padding != (0, 0):
            self.refuse(f"an enlarged map can be averaged over its blocks of {x.phases} alone")
        n = kernel[0] * kernel[1]
        parts = tuple(replace(part, to=part.to // n, gain=part.gain * factor) for part in x.parts)
        shape = x.stored
        offset = None if x.offset is None else x.offset * (factor * n)
        return Map(parts, (shape[0] // n, *shape[1:]), x.form, offset)

    def _linear(self, value: Map | Charge, path: str, weight: torch.Tensor, bias: torch.Tensor,
                unit: torch.Tensor | None = None) -> Charge:
        """A linear layer of all features, or of those of each element; ``weight`` is ``(O, I)``."""
        x = value
        channels, rows, width = x.shape
        each = x.form in (Form.ELEMENTS, Form.LEADING)
        features = channels if each else channels * rows * width
        if weight.shape[1] != features:
            self.refuse(f"expects {weight.shape[1]} features, but its input has {features}")
        if each:
            return self._convolved(x, path, weight[:, :, None, None], bias, unit=unit)
        if x.spread:
            x = self._kept(x) if isinstance(x, Charge) else x
            kernel = spread_over(x.form.as_map(weight, x.shape), x.phases)
            x = self._unspread(x)
        else:
            kernel = x.form.as_map(weight, x.shape)
        charge = self._convolved(x, path, kernel, bias, unit=unit)
        return replace(charge, form=Form.VECTOR)


def _at_places(term: Term, size: tuple[int, int]) -> Term:
    """A term of a single window, for each position of a map of a ``size`` with other weights."""
    (above, beside), (ky, kx) = term.padding, term.weight.shape[2:]
    more = (size[0] - 1) * ky, (size[1] - 1) * kx
    return replace(term, weight=placed(dense(term.weight, term.groups), size), stride=(ky, kx),
                   padding=(above + more[0], beside + more[1]), groups=1, identity=False,
                   below=None if term.below is None else term.below + more[0], unit=None)


def _stays_small(x: Charge, weight: torch.Tensor) -> bool:
    """Whether one convolution has not many more weights than two."""
    taps = weight.shape[2:]
    both = weight.numel() + sum(term.weight.numel() for term in x.terms)
    one = sum(len(weight) * term.weight.shape[1] * term.groups
              * ((taps[0] - 1) * term.stride[0] + term.weight.shape[2])
              * ((taps[1] - 1) * term.stride[1] + term.weight.shape[3]) for term in x.terms)
    return one <= max(_FEW, 3 * both)


def _pooled(part: Part, name: str, size: tuple[int, int], factor: float) -> Part:
    rows, columns = (Axis(n, n) for n in size)
    return replace(part, source=name, factor=part.factor * factor, axes=(rows, columns))
