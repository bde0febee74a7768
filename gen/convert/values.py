"""What flows between the layers of a module while it is lowered (:mod:`gen.convert.operators`).

* a :class:`Map` of values, made of the spike counts of one or several layers. Concatenations,
  slices, constant factors and summands are part of it: nothing is computed until a layer's weights
  absorb them (docs/methods.md, 18);
* a :class:`Charge`, a sum of convolutions and a bias: what membranes receive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from .kernels import dense, mixed, regrouped, spread, widened
from .terms import Form, Term

__all__ = ["Axis", "Charge", "Constant", "Map", "Part", "gathered", "joined", "joined_sums",
           "over_phases", "spread_over", "stored_shape"]


@dataclass(frozen=True)
class Axis:
    """Rows or columns of a map on those of a layer: place ``y`` has what is at ``y * stride -
    before`` there, or 0 where the layer has nothing.

    Members
    -------
    size : rows or columns of the layer
    length : of the map
    """

    size: int
    length: int
    before: int = 0
    stride: int = 1

    @property
    def whole(self) -> bool:
        """Whether all that the layer has is seen as it is."""
        return (self.length, self.before, self.stride) == (self.size, 0, 1)

    @property
    def inside(self) -> bool:
        """Whether the layer has a value at each place."""
        return self.before <= 0 and (self.length - 1) * self.stride - self.before < self.size

    def sliced(self, places: range) -> "Axis":
        """Those places alone."""
        return Axis(self.size, len(places), self.before - places.start * self.stride,
                    self.stride * places.step)

    def padded(self, before: int, after: int) -> "Axis | None":
        """With zeros before and after, or without places if negative; ``None`` if the layer has
        values there, which are no zeros."""
        shows = before > 0 and self.before <= -self.stride
        shows |= after > 0 and self.length * self.stride - self.before < self.size
        if shows:
            return None
        return replace(self, length=self.length + before + after,
                       before=self.before + before * self.stride)

    def edges(self, taps: int, stride: int) -> tuple[int, int]:
        """Zeros before and after the layer that a window needs, which has so many taps, and of
        which the next is ``stride`` further; negative ones are left out."""
        if self.stride == 1:
            return self.before, self.length - self.before - self.size
        windows = (self.length * self.stride - self.stride + 1 - taps) // stride
        return self.before, windows * stride + taps - self.before - self.size


@dataclass(frozen=True)
class Part:
    """Spike counts of one layer in a map: its channel ``of[k]`` is added to the map's channel
    ``to[k]`` with a ``gain[k]``.

    Members
    -------
    source : the layer that sends the counts
    step : the layer whose step the counts have
    factor : division of the average poolings on the way
    channels : of the source
    axes : the rows and the columns
    signed : whether counts have a sign
    """

    source: str
    step: str
    factor: float
    channels: int
    axes: tuple[Axis, Axis]
    of: torch.Tensor
    to: torch.Tensor
    gain: torch.Tensor
    signed: bool = False

    @classmethod
    def all_of(cls, name: str, shape: tuple[int, int, int], signed: bool = False) -> "Part":
        """All that a layer of neurons, or the input, sends."""
        channels = torch.arange(shape[0])
        axes = Axis(shape[1], shape[1]), Axis(shape[2], shape[2])
        return cls(name, name, 1.0, shape[0], axes, channels, channels, torch.ones(shape[0]),
                   signed)

    @property
    def whole(self) -> bool:
        """Whether it is all the layer's channels in their order, each with all that it has."""
        return self.straight and all(axis.whole for axis in self.axes)

    @property
    def straight(self) -> bool:
        """Whether it is all the layer's channels in their order."""
        channels = torch.arange(self.channels)
        return torch.equal(self.of, channels) and torch.equal(self.to, channels)

    def term(self, path: str, weight: torch.Tensor, groups: int, stride: tuple[int, int] = (1, 1),
             dilation: tuple[int, int] = (1, 1), unit: torch.Tensor | None = None) -> Term:
        """A convolution of the map's part, see :class:`gen.convert.terms.Term`.

        Parameters
        ----------
        weight : ``(O, C / groups, KY, KX)`` for all channels of the map
        stride, dilation : on the map
        unit : of the weights; it is lost where gains differ
        """
        if unit is not None:
            same = len(self.gain.abs().unique()) == 1
            unit = unit * float(self.gain[0].abs()) if same else None
        if not self.straight or weight.shape[1] * groups != self.channels:
            weight, groups = mixed(weight, groups, self.channels, self.of, self.to, self.gain)
        elif (self.gain != 1).any():
            gain = self.gain.reshape(groups, -1).repeat_interleave(len(weight) // groups, 0)
            weight = weight * gain[:, :, None, None]
        rows, columns = self.axes
        weight = spread(weight, (dilation[0] * rows.stride, dilation[1] * columns.stride))
        step = stride[0] * rows.stride, stride[1] * columns.stride
        above, below = rows.edges(weight.shape[2], step[0])
        left, right = columns.edges(weight.shape[3], step[1])
        beside = left
        if left != right or not 0 <= left < weight.shape[3]:
            weight, beside = widened(weight, left, right)
        even = above == below and 0 <= above < weight.shape[2]
        return Term(path, self.source, self.step, self.factor, weight, step, (above, beside),
                    groups, below=None if even else below, unit=unit)

    def taken(self, channels: torch.Tensor) -> "Part":
        """The part of the map that has those channels of this one, in their order."""
        new, old = torch.nonzero(channels[:, None] == self.to, as_tuple=True)
        return replace(self, of=self.of[old], to=new, gain=self.gain[old])


class _Spread:
    """What may have its positions spread over channels (:func:`spread_over`)."""

    shape: tuple[int, int, int]
    phases: tuple[int, int]

    @property
    def stored(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of the spread map."""
        return stored_shape(self.shape, self.phases)

    @property
    def spread(self) -> bool:
        """Whether positions are spread over channels."""
        return self.phases != (1, 1)


@dataclass(frozen=True)
class Map(_Spread):
    """Values: those of ``parts``, added up, and of each channel an ``offset``.

    Members
    -------
    shape : ``(C, H, W)``
    form : axes that the values have in PyTorch
    offset : ``(C,)``, also where no part has a value; None: zeros
    phases : of the rows and of the columns, see :func:`spread_over`. The channels of the parts are
        those of the spread map
    """

    parts: tuple[Part, ...]
    shape: tuple[int, int, int]
    form: Form
    offset: torch.Tensor | None = None
    phases: tuple[int, int] = (1, 1)

    @property
    def signed(self) -> bool:
        """Whether counts have a sign."""
        return any(part.signed for part in self.parts)

    @property
    def plain(self) -> bool:
        """Whether the values are those of one layer, as it has them."""
        return (len(self.parts) == 1 and self.parts[0].whole and self.offset is None
                and bool((self.parts[0].gain == 1).all()))

    def scaled(self, gain: torch.Tensor, shift: torch.Tensor) -> "Map":
        """The values times ``gain`` plus ``shift``, both ``(C,)``."""
        over = over_phases(gain, self.phases)
        parts = tuple(replace(part, gain=part.gain * over[part.to]) for part in self.parts)
        offset = shift if self.offset is None else self.offset * gain + shift
        return replace(self, parts=parts, offset=offset if offset.any() else None)

    def seen(self, along: Callable[[Axis], Axis | None], axis: int, length: int) -> "Map | None":
        """The map with another view of its rows (axis 0) or its columns (axis 1), or None if there
        is none."""
        parts = []
        for part in self.parts:
            axes, other = list(part.axes), along(part.axes[axis])
            if other is None:
                return None
            axes[axis] = other
            parts.append(replace(part, axes=(axes[0], axes[1])))
        size = list(self.shape)
        size[axis + 1] = length
        return replace(self, parts=tuple(parts), shape=(size[0], size[1], size[2]))

    def taken(self, channels: torch.Tensor) -> "Map":
        """Those channels alone, in their order."""
        n = self.phases[0] * self.phases[1]
        stored = (channels[:, None] * n + torch.arange(n)).flatten()
        offset = None if self.offset is None else self.offset[channels]
        parts = (part.taken(stored) for part in self.parts)
        return replace(self, parts=tuple(part for part in parts if len(part.to)),
                       shape=(len(channels), *self.shape[1:]), offset=offset)

    def assembled(self, values: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """The spread map ``(N, C, H, W)`` from the values of layers ``(N, C, H, W)``. All parts
        are seen as they are."""
        first = values(self.parts[0].source)
        made = first.new_zeros(len(first), *self.stored)
        for part in self.parts:
            made.index_add_(1, part.to, values(part.source)[:, part.of] * part.gain[:, None, None])
        if self.offset is not None:
            made = made + over_phases(self.offset, self.phases)[:, None, None]
        return made

    def reach(self, values: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """The greatest magnitude of what :meth:`assembled` adds up, for each of its channels."""
        reach = torch.zeros(self.stored[0])
        for part in self.parts:
            greatest = values(part.source).abs().amax(dim=(0, 2, 3))
            reach.index_add_(0, part.to, part.gain.abs() * greatest[part.of])
        return reach if self.offset is None else reach + over_phases(self.offset.abs(), self.phases)


@dataclass(frozen=True)
class Charge(_Spread):
    """What membranes receive: the sum of ``terms`` and of a ``bias``, one for each channel of the
    spread map.

    Members
    -------
    shape : ``(C, H, W)`` of the charge
    form : axes that it has in PyTorch
    phases : see :class:`Map`
    """

    terms: tuple[Term, ...]
    bias: torch.Tensor
    shape: tuple[int, int, int]
    form: Form
    phases: tuple[int, int] = (1, 1)

    def scaled(self, gain: torch.Tensor, shift: torch.Tensor) -> "Charge":
        """The charge times ``gain`` plus ``shift``, both ``(C,)``: a batch norm."""
        gain, shift = over_phases(gain, self.phases), over_phases(shift, self.phases)
        terms = tuple(replace(t, weight=t.weight * gain[:, None, None, None], unit=t.unit if t.unit
                              is None else t.unit * gain.abs()) for t in self.terms)
        return replace(self, terms=terms, bias=self.bias * gain + shift)

    def taken(self, channels: torch.Tensor) -> "Charge":
        """Those channels alone, in their order."""
        n = self.phases[0] * self.phases[1]
        rows = (channels[:, None] * n + torch.arange(n)).flatten()
        terms = []
        for term in self.terms:
            weight, groups = regrouped(dense(term.weight, term.groups)[rows], term.groups)
            terms.append(replace(term, weight=weight, groups=groups,
                                 unit=None if term.unit is None else term.unit[rows],
                                 identity=term.identity and len(rows) == len(term.weight)
                                 and torch.equal(rows, torch.arange(len(rows)))))
        return replace(self, terms=tuple(terms), bias=self.bias[rows],
                       shape=(len(channels), *self.shape[1:]))


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the input.

    Members
    -------
    path : what it is, for people to read
    """

    path: str
    value: torch.Tensor = field(compare=False)


def stored_shape(shape: tuple[int, int, int], phases: tuple[int, int]) -> tuple[int, int, int]:
    """``(C, H, W)`` of a map that is spread, see :func:`spread_over`."""
    return shape[0] * phases[0] * phases[1], shape[1] // phases[0], shape[2] // phases[1]


def over_phases(values: torch.Tensor, phases: tuple[int, int]) -> torch.Tensor:
    """Values for each channel, for those of the spread map."""
    return values.repeat_interleave(phases[0] * phases[1])


def spread_over(x: torch.Tensor, phases: Sequence[int]) -> torch.Tensor:
    """``(N, C, H, W)`` with its positions spread over channels: of each block of ``phases`` rows
    and columns the position ``(y, x)`` is in channel ``(c * rows + y) * columns + x``."""
    (n, c, h, w), (rows, columns) = x.shape, phases
    blocks = x.reshape(n, c, h // rows, rows, w // columns, columns)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(n, c * rows * columns, h // rows, w // columns)


def gathered(x: torch.Tensor, phases: Sequence[int]) -> torch.Tensor:
    """The opposite of :func:`spread_over`."""
    (n, c, h, w), (rows, columns) = x.shape, phases
    blocks = x.reshape(n, c // (rows * columns), rows, columns, h, w)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, -1, h * rows, w * columns)


def joined(given: Sequence[Map]) -> Map:
    """The channels of maps one after the other."""
    parts, offsets, first = [], [], 0
    for x in given:
        parts += [replace(part, to=part.to + first) for part in x.parts]
        offsets.append(torch.zeros(x.shape[0]) if x.offset is None else x.offset)
        first += x.stored[0]
    offset = torch.cat(offsets)
    return replace(given[0], parts=tuple(parts), offset=offset if offset.any() else None,
                   shape=(len(offset), *given[0].shape[1:]))


def joined_sums(given: Sequence[Charge]) -> Charge:
    """The channels of sums one after the other; each sees its own sources."""
    total = sum(x.stored[0] for x in given)
    terms, first = [], 0
    for x in given:
        for term in x.terms:
            whole = dense(term.weight, term.groups)
            weight = whole.new_zeros(total, *whole.shape[1:])
            weight[first:first + len(whole)] = whole
            terms.append(replace(term, weight=weight, groups=1, identity=False, unit=None))
        first += x.stored[0]
    return replace(given[0], terms=tuple(terms), bias=torch.cat([x.bias for x in given]),
                   shape=(sum(x.shape[0] for x in given), *given[0].shape[1:]))
