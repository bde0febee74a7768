"""Operators that only arrange values: slices, concatenations, zeros around a map, and enlargements
(docs/methods.md, 18). The weights of the next layer absorb all of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .linear import Edges, LinearOperators
from .terms import Form, Term
from .values import Charge, Map

__all__ = ["BATCH", "Blocks", "ShapeOperators"]

BATCH = object()
"""The number of samples, which a graph keeps open."""

_AXES: dict[Form, tuple[str, ...]] = {
    Form.MAP: ("samples", "channels", "rows", "columns"), Form.VECTOR: ("samples", "channels"),
    Form.CHANNELS: ("samples", "channels", "rows"), Form.ELEMENTS: ("samples", "rows", "channels"),
    Form.LEADING: ("rows", "samples", "channels"), Form.FLATTENED: ("samples", "channels"),
    Form.COLUMNS: ("samples", "channels", "columns"), Form.PLANE: ("samples", "rows", "columns"),
    Form.SINGLE: ("samples",)}
"""What the axes of a form are."""

# One row alone, or one column, has its elements in their order whatever else it is.
_FORMS: dict[tuple[str, ...], Form] = {
    **{axes: form for form, axes in _AXES.items() if form is not Form.FLATTENED},
    ("samples", "rows"): Form.VECTOR, ("samples", "columns"): Form.VECTOR}
"""The form that has some axes."""

_FLAT = {Form.ELEMENTS: Form.FLATTENED, Form.FLATTENED: Form.FLATTENED}
"""What flattening makes of a form; a vector of the others."""


@dataclass(frozen=True)
class Blocks:
    """A map whose channels are blocks, an axis of its own, on the way of a shuffle.

    Members
    -------
    number : of blocks
    swapped : whether the axis of the blocks comes after that of the channels in one
    """

    of: Map | Charge
    number: int
    swapped: bool = False


class ShapeOperators(LinearOperators):
    """Operators that compute nothing."""

    # Sizes.

    def _size_of(self, x: object, dim: int | None = None) -> object:
        sizes = self._sizes(x)
        return sizes if dim is None else sizes[dim]

    def _len(self, x: object) -> object:
        return self._sizes(x)[0]

    def _sizes(self, x: object) -> tuple[object, ...]:
        """The shape of a tensor, as PyTorch has it."""
        x = self._tensor(x)
        if x.form in (Form.VECTOR, Form.FLATTENED):
            return BATCH, x.shape[0] * x.shape[1] * x.shape[2]
        size = {"samples": BATCH, "channels": x.shape[0], "rows": x.shape[1],
                "columns": x.shape[2]}
        return tuple(size[axis] for axis in _AXES[x.form])

    def _axis(self, x: Map | Charge, dim: object) -> str:
        """What an axis is."""
        axes = _AXES[x.form]
        if not isinstance(dim, int) or not -len(axes) <= dim < len(axes):
            self.refuse(f"there is no axis {dim!r} of {x.form.label}")
        return axes[dim]

    # Slices.

    def _getitem(self, x: object, index: object) -> object:
        if not isinstance(x, Map | Charge):
            return self._entry(x, index)
        parts = list(index) if isinstance(index, tuple) else [index]
        axes = _AXES[x.form]
        if ... in parts:
            k = parts.index(...)
            parts[k:k + 1] = [slice(None)] * (len(axes) - len(parts) + 1)
        if len(parts) > len(axes):
            self.refuse(f"has more indices than {x.form.label} has axes")
        for axis, part in zip(axes, parts, strict=False):
            x = self._indexed(x, axis, part)
        return self._without(x, {axis for axis, part in zip(axes, parts, strict=False)
                                 if isinstance(part, int)})

    def _entry(self, x: object, index: object) -> object:
        """An entry of what is not a tensor."""
        if isinstance(x, tuple | list) and isinstance(index, int | slice):
            try:
                return x[index]
            except IndexError:
                pass
        self.refuse(f"there is no entry {index!r}")

    def _without(self, x: Map | Charge, gone: set[str]) -> Map | Charge:
        """A tensor without some of its axes, which have the size 1."""
        left = tuple(axis for axis in _AXES[x.form] if axis not in gone)
        if gone and left == ("samples", "channels", "columns") and x.shape[2] == 1:
            left = "samples", "channels", "rows"
        if gone and left not in _FORMS:
            self.refuse(f"can't leave out the {' and the '.join(sorted(gone))} of {x.form.label}")
        return replace(x, form=_FORMS[left]) if gone else x

    def _indexed(self, x: Map | Charge, axis: str, part: object) -> Map | Charge:
        """A slice of an axis, or one place of it, which leaves the size 1."""
        if part == slice(None):
            return x
        size = {"channels": x.shape[0], "rows": x.shape[1], "columns": x.shape[2]}.get(axis)
        if size is None or not isinstance(part, slice | int) or (
                isinstance(part, slice) and not _whole_numbers(part)):
            self.refuse("can be indexed by whole numbers and slices alone, and not by samples")
        if isinstance(part, int) and not -size <= part < size:
            self.refuse(f"there is no place {part} among {size}")
        places = range(size)[slice(part, part + 1 or None) if isinstance(part, int) else part]
        if not places or places.step < 0:
            self.refuse(f"a slice must have places, in their order, not {part}")
        return self._placed(x, axis, places)

    def _placed(self, x: Map | Charge, axis: str, places: range) -> Map | Charge:
        """Those places of an axis alone."""
        if axis == "channels":
            if x.form is Form.FLATTENED or (x.form is Form.VECTOR and x.shape[1:] != (1, 1)):
                self.refuse("features of a flattened map can't be sliced; slice the map's channels")
            taken = x.taken(torch.tensor(places))
            if isinstance(taken, Map) and not taken.parts:
                self.refuse("leaves channels of zeros alone")
            return taken
        return self._rows(x, places, x.form, int(axis == "columns"))

    def _rows(self, x: Map | Charge, places: range, form: Form, axis: int = 0) -> Any:
        """Those rows (axis 0) or columns (axis 1) alone."""
        if x.spread:
            self.refuse("an enlarged map can't be sliced; slice before it is enlarged")
        if isinstance(x, Charge):
            return replace(self._cut(x, places, axis), form=form)
        seen = x.seen(lambda lies: lies.sliced(places), axis, len(places))
        assert seen is not None
        return replace(seen, form=form)

    def _cut(self, x: Charge, places: range, axis: int) -> Charge:
        """Those rows of sums alone: windows begin later, and end earlier."""
        if axis or places.step != 1:
            self.refuse("sums can be cut to some of their rows; slice columns, or every other row, "
                        "after the activation")

        def cut(term: Term) -> Term:
            above = term.padding[0]
            below = above if term.below is None else term.below
            left = x.shape[1] - places.stop
            return replace(term, padding=(above - places.start * term.stride[0], term.padding[1]),
                           below=below - left * term.stride[0])
        return replace(x, terms=tuple(map(cut, x.terms)),
                       shape=(x.shape[0], len(places), x.shape[2]))

    def _narrow(self, x: object, dim: int, start: int, length: int) -> object:
        x = self._tensor(x)
        size = self._sizes(x)[dim]
        start = start + size if isinstance(size, int) and start < 0 else start
        return self._indexed(x, self._axis(x, dim), slice(start, start + length))

    def _chunk(self, x: object, chunks: int, dim: int = 0) -> object:
        size = self._sizes(x)[dim]
        return self._split(x, -(-size // chunks) if isinstance(size, int) else 1, dim)

    def _split(self, x: object, split_size_or_sections: int | Sequence[int], dim: int = 0
               ) -> object:
        x, given = self._tensor(x), split_size_or_sections
        size = self._sizes(x)[dim]
        if not isinstance(size, int):
            self.refuse("must be along another axis than that of the samples")
        lengths = list(given) if isinstance(given, Iterable) else [
            min(given, size - start) for start in range(0, size, given)]
        starts = [sum(lengths[:k]) for k in range(len(lengths))]
        return tuple(self._narrow(x, dim, start, length)
                     for start, length in zip(starts, lengths, strict=True))

    # Concatenations.

    def _cat(self, tensors: Sequence[object], dim: int = 0) -> Map | Charge:
        given = [self._tensor(x) for x in tensors]
        if self._axis(given[0], dim) != "channels":
            self.refuse("can join channels alone, not samples, rows or columns")
        if {x.form for x in given} & {Form.VECTOR, Form.FLATTENED} and any(
                x.shape[1:] != (1, 1) for x in given):
            self.refuse("flattened maps can't be joined; join the channels of the maps, then "
                        "flatten")
        if len({x.phases for x in given}) > 1:
            self.refuse("an enlarged map and another one can't be joined; join the maps before "
                        "they are enlarged")
        if len({(x.form, x.shape[1:]) for x in given}) > 1:
            self.refuse(f"the maps must have one size, not "
                        f"{' and '.join(str(x.shape[1:]) for x in given)}")
        return self._joined(given)

    # Zeros around a map.

    def _pad(self, x: object, pad: Sequence[int], mode: str = "constant",
             value: float | None = None) -> Map:
        x = self._counts(x, Form.MAP, Form.CHANNELS)
        if mode != "constant" or value:
            self.refuse(f"must pad with zeros, not with {value or mode!r}: neurons beyond the edge "
                        f"send nothing; train with zero padding")
        sides = list(pad)
        if not all(type(n) is int for n in sides):
            self.refuse(f"must pad with whole numbers of zeros, not {pad}")
        if x.form is Form.CHANNELS:
            sides = [0, 0, *sides]
        sides += [0] * (6 - len(sides))
        left, right, above, below, first, last = sides[:6]
        if any(sides[6:]) or min(first, last) < 0:
            self.refuse(f"can't pad so many axes: {pad!r}")
        edges: Edges = ((above, below), (left, right))
        if any(map(any, edges)):
            if x.spread:
                self.refuse("an enlarged map can't be padded on its own; give the padding to the "
                            "convolution")
            x = self._padded(self._with_ones(x), edges)
        return _more_channels(x, first, last) if first or last else x

    # Enlargements.

    def _upsampled(self, value: object, scale: tuple[int, int]) -> Map:
        """Each value of a map in a block of ``scale`` rows and columns."""
        x = self._counts(value, Form.MAP, Form.CHANNELS)
        if x.spread:
            self.refuse("follows another enlargement; make one of both")
        n = scale[0] * scale[1]
        parts = []
        for part in x.parts:
            if not all(axis.whole for axis in part.axes):
                self.refuse("enlarge before elements are selected or padded, not after it")
            to = (part.to[:, None] * n + torch.arange(n)).flatten()
            parts.append(replace(part, of=part.of.repeat_interleave(n), to=to,
                                 gain=part.gain.repeat_interleave(n)))
        shape = (x.shape[0], x.shape[1] * scale[0], x.shape[2] * scale[1])
        return replace(x, parts=tuple(parts), shape=shape, phases=scale)

    def _pixel_shuffle(self, value: object, upscale_factor: int) -> Map | Charge:
        x, r = self._of_form(value, Form.MAP), upscale_factor
        if x.spread:
            self.refuse("follows another enlargement; make one of both")
        if x.shape[0] % (r * r):
            self.refuse(f"needs a multiple of {r * r} channels, not {x.shape[0]}")
        if isinstance(x, Map) and x.offset is not None:
            x = self._with_ones(x)
        if isinstance(x, Map) and not all(axis.whole for part in x.parts for axis in part.axes):
            self.refuse("enlarge before elements are selected or padded, not after it")
        shape = (x.shape[0] // (r * r), x.shape[1] * r, x.shape[2] * r)
        return replace(x, shape=shape, phases=(r, r))

    # Bookkeeping.

    def _flatten(self, value: object, start_dim: int = 0, end_dim: int = -1) -> object:
        if isinstance(value, Blocks):
            return self._shuffled(value) if (start_dim, end_dim) == (1, 2) else self.refuse(
                "must flatten the blocks and their channels: x.flatten(1, 2)")
        x = self._tensor(value)
        last = end_dim in (-1, x.form.axes - 1)
        if start_dim == 0 and last and x.shape == (1, 1, 1):
            return replace(x, form=Form.SINGLE)
        if start_dim != 1 or not last:
            self.refuse(f"must keep the batch and flatten the rest (start_dim=1), not "
                        f"start_dim={start_dim}, end_dim={end_dim}")
        return self._flattened(x)

    def _flattened(self, x: Map | Charge) -> Map | Charge:
        if x.form is Form.LEADING:
            self.refuse("the samples must come first: x.transpose(0, 1)")
        return replace(x, form=_FLAT.get(x.form, Form.VECTOR))

    def _view(self, value: object, *sizes: object) -> object:
        if len(sizes) == 1 and isinstance(sizes[0], Iterable):
            sizes = tuple(sizes[0])
        x = value.of if isinstance(value, Blocks) else self._tensor(value)
        features = x.shape[0] * x.shape[1] * x.shape[2]
        batch = sizes[0] if sizes else None
        rest = [n for n in sizes[1:] if isinstance(n, int)]
        if (batch is not BATCH and batch not in (-1, 1)) or len(rest) < len(sizes) - 1:
            self.refuse("must keep the samples, as the first axis: x.flatten(1)")
        open_ = [k for k, n in enumerate(rest) if n == -1]
        for k in open_:
            rest[k] = features // max(1, abs(math.prod(rest)))
        if math.prod(rest) != features or len(open_) > (batch is BATCH):
            self.refuse(f"must have {features} values a sample, not {sizes!r}")
        if isinstance(value, Blocks):
            x = self._shuffled(value)
        return self._shaped(x, tuple(rest))

    def _shaped(self, x: Map | Charge, sizes: tuple[int, ...]) -> object:
        """A tensor with other axes."""
        if (BATCH, *sizes) == self._sizes(x):
            return x
        if not sizes:
            return replace(x, form=Form.SINGLE)
        if len(sizes) == 1:
            return self._flattened(x)
        own = dict(zip(_AXES[x.form], self._sizes(x), strict=True))
        if x.form is not Form.LEADING and list(sizes) == [n for n in own.values() if n not in (
                1, BATCH)]:
            return self._without(x, {axis for axis, n in own.items() if n == 1})
        if x.form is Form.MAP and len(sizes) == 4 and sizes[2:] == x.shape[1:]:
            return Blocks(x, sizes[0])
        if x.form is Form.VECTOR and x.shape[1:] == (1, 1) and len(sizes) == 3:
            c, h, w = sizes
            if isinstance(x, Charge) and (laid_out := self._laid_out(x, (c, h, w))):
                return laid_out
            # Each position has neurons of its own, as those of an enlargement by the whole size.
            return replace(x, shape=(c, h, w), form=Form.MAP, phases=(h, w)) if (
                not isinstance(x, Map) or x.offset is None) else self._shaped(
                    self._with_ones(x), sizes)
        if x.form is Form.VECTOR and sizes == x.shape:
            return replace(x, form=Form.MAP)
        if len(sizes) == 3 and sizes[1:] == (1, 1) and x.shape[1:] == (1, 1):
            return replace(x, form=Form.MAP)
        self.refuse(f"can't be seen as {sizes} values a sample; supported are flattening, giving a "
                    f"vector the shape of a map, and channels in groups that are shuffled")

    def _unflatten(self, x: object, dim: int, sizes: Sequence[int]) -> object:
        if dim not in (1, -1):
            self.refuse(f"must unflatten the features, dim=1, not {dim}")
        return self._view(x, BATCH, *sizes)

    def _shuffled(self, x: Blocks) -> Map | Charge:
        """The channels of blocks as one axis."""
        channels = torch.arange(x.of.shape[0])
        if x.swapped:
            channels = channels.reshape(x.number, -1).T.flatten()
        return x.of.taken(channels)

    def _channel_shuffle(self, value: object, groups: int) -> Map | Charge:
        return self._shuffled(Blocks(self._of_form(value, Form.MAP), groups, swapped=True))

    def _squeeze(self, value: object, *dims: object) -> Map | Charge:
        x = self._tensor(value)
        given = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
        axes = {self._axis(x, dim) for dim in given} if given else set(_AXES[x.form])
        return self._without(x, {axis for axis, size in zip(_AXES[x.form], self._sizes(x),
                                                            strict=True)
                                 if axis in axes and size == 1})


def _whole_numbers(part: slice) -> bool:
    return all(n is None or type(n) is int for n in (part.start, part.stop, part.step))


def _more_channels(x: Map, first: int, last: int) -> Map:
    """A map with channels of zeros before and after its own."""
    phases = x.phases[0] * x.phases[1]
    parts = tuple(replace(part, to=part.to + first * phases) for part in x.parts)
    offset = x.offset
    if offset is not None:
        offset = torch.cat((torch.zeros(first), offset, torch.zeros(last)))
    return replace(x, parts=parts, offset=offset,
                   shape=(x.shape[0] + first + last, *x.shape[1:]))
