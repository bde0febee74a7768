"""Operators over the elements of a sequence (docs/methods.md, 15); the others are in
:mod:`gen.convert.operators`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from .collector import Collector
from .lowered import Charge, Form, Map
from .recurrent import Recurrent

__all__ = ["SIGNED", "ElementOperators", "State"]

SIGNED = ("a tanh is not made of whole steps; train with Qcfs(levels, symmetric=True), in "
          "a recurrent layer with gen.convert.recurrent.Recurrent, whose values have a sign, too")
"""Why a tanh is refused."""

_BOTH_WAYS = ("bidirectional must be False: its second direction begins with the last element, and "
              "neurons fire element by element, as they arrive")

_SWAPPED: dict[tuple[Form, tuple[int, ...]], Form] = {
    (Form.CHANNELS, (1, 2)): Form.ELEMENTS, (Form.ELEMENTS, (1, 2)): Form.CHANNELS,
    (Form.ELEMENTS, (0, 1)): Form.LEADING, (Form.LEADING, (0, 1)): Form.ELEMENTS}
"""What swapping two axes makes of a form."""

_IN_TIME = {Form.MAP: 2, Form.CHANNELS: 2, Form.ELEMENTS: 1, Form.LEADING: 0}
"""The axis of the elements."""

_FLAT = {Form.MAP: Form.VECTOR, Form.CHANNELS: Form.VECTOR, Form.VECTOR: Form.VECTOR,
         Form.ELEMENTS: Form.FLATTENED, Form.FLATTENED: Form.FLATTENED}
"""What flattening makes of a form."""


@dataclass(frozen=True)
class State:
    """The second result of an ``nn.RNN``: the states of its last element, ``(1, N, features)``."""

    last: Map


class ElementOperators(Collector):
    """Operators on maps whose rows are elements."""

    def _fed_back(self, path: str, value: object, own: torch.Tensor) -> Charge:
        """The sums of a layer with those that its own results add to the next element.

        Parameters
        ----------
        path : of the module that has the weights
        own : recurrent weights, as in :class:`gen.convert.recurrent.Recurrent`
        """
        x = self._sums(value)
        channels, per_group = own.shape[:2]
        if channels != x.shape[0]:
            self.refuse(f"expects {channels} channels, but its input has {x.shape[0]}")
        name = self._free_name(x, path)
        term = Map(name, name, 1.0, x.shape, x.form, above=1).term(
            path, own, groups=channels // per_group)
        return replace(x, terms=(*x.terms, replace(term, below=-1)))

    def _recurrent(self, module: Recurrent, path: str, value: object) -> Map:
        x = self._fed_back(path, value, module.own.detach().clone())
        if x.form not in (Form.MAP, Form.CHANNELS):
            self.refuse(f"needs {Form.CHANNELS.label}, but its input is {x.form.label}: "
                        f"x.transpose(1, 2)")
        inner = self.module(module.activation, f"{path}.activation", x)
        if not isinstance(inner, Map):
            self.refuse("its activation must be Qcfs, ClipQuan or a ReLU")
        return inner

    def module(self, module: nn.Module, path: str, x: object) -> object:
        """Apply a module; see :meth:`gen.convert.operators.Operators.module`."""
        raise NotImplementedError

    def _rnn(self, module: nn.RNN, path: str, value: object) -> tuple[Map, State]:
        """One layer; :func:`gen.convert.cells.unstacked` has taken several apart."""
        if module.nonlinearity != "relu":
            self.refuse(f"nonlinearity must be 'relu', not {module.nonlinearity!r}: {SIGNED}")
        if module.bidirectional:
            self.refuse(_BOTH_WAYS)
        x = self._counts(value, Form.ELEMENTS, Form.LEADING)
        if module.batch_first is not (x.form is Form.ELEMENTS):
            self.refuse(f"its input is {x.form.label}: batch_first must be "
                        f"{x.form is Form.ELEMENTS}, or the input x.transpose(0, 1)")
        if module.input_size != x.shape[0]:
            self.refuse(f"expects {module.input_size} features, but its input has {x.shape[0]}")
        own = {name: value.detach() for name, value in module.named_parameters()}
        bias = torch.zeros(module.hidden_size)
        if module.bias:
            bias = own["bias_ih_l0"] + own["bias_hh_l0"]
        weight, back = (own[name].clone()[:, :, None, None]
                        for name in ("weight_ih_l0", "weight_hh_l0"))
        charge = Charge((x.term(path, weight),), bias, (module.hidden_size, *x.shape[1:]), x.form)
        states = self._relu(self._fed_back(path, charge, back), whole=True)
        return states, State(self._last(states, 1, Form.VECTOR))

    def _last(self, x: Map, rows: int, form: Form) -> Map:
        """The last rows of a map."""
        return replace(x, shape=(x.shape[0], rows, x.shape[2]), form=form,
                       above=x.above - (x.shape[1] - rows))

    def _select(self, x: Map, index: object) -> Map:
        """The last elements of a sequence."""
        parts = list(index) if isinstance(index, tuple) else [index]
        axis, rows = _IN_TIME.get(x.form, len(parts)), x.shape[1]
        chosen = parts.pop(axis) if len(parts) > axis else None
        one = isinstance(chosen, int) and chosen in (-1, rows - 1) and x.shape[2] == 1
        few = int(one)
        if isinstance(chosen, slice) and (chosen.stop, chosen.step) == (None, None):
            few = len(range(rows)[chosen])
        if few and all(part == slice(None) for part in parts):
            return self._last(x, few, Form.VECTOR if one and x.form is not Form.MAP else x.form)
        self.refuse("only the last elements of a sequence, or all of them together, can be used: "
                    "x[:, :, k:], or x[:, k:] if the features come last")

    def _pad(self, x: object, pad: Sequence[int], mode: str = "constant",
             value: float | None = None) -> Map:
        x = self._counts(x, Form.MAP, Form.CHANNELS)
        sides = tuple(pad) if x.form is Form.MAP else (0, 0, *pad)
        match sides:
            case (0, 0, int() as above, 0) if above >= 0 and mode == "constant" and not value:
                return replace(x, shape=(x.shape[0], x.shape[1] + above, x.shape[2]),
                               above=x.above + above)
        self.refuse("only zeros before the first element can be added, for a causal convolution; "
                    "other padding belongs to the convolution")

    def _transpose(self, value: object, *axes: int) -> Map | Charge:
        """Swap the channels and the elements, or the elements and the samples."""
        x = self._tensor(value)
        form = _SWAPPED.get((x.form, tuple(sorted(axis % 3 for axis in axes))))
        if form is None:
            self.refuse("only the elements and the features of a sequence can be swapped, "
                        "x.transpose(1, 2), or, if the features come last, the samples and the "
                        "elements, x.transpose(0, 1)")
        return replace(x, form=form)

    def _permute(self, value: object, *axes: object) -> Map | Charge:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], Sequence) else axes
        swapped = {(0, 2, 1): (1, 2), (1, 0, 2): (0, 1)}.get(tuple(order), (0, 2))
        return self._transpose(value, *swapped)

    def _flattened(self, x: Map | Charge) -> Map | Charge:
        if x.form is Form.LEADING:
            self.refuse("the samples must come first: x.transpose(0, 1)")
        return replace(x, form=_FLAT[x.form])
