"""Operators over the elements of a sequence (docs/methods.md, 15); the others are in
:mod:`gen.convert.operators`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from .recurrent import Recurrent
from .shapes import Blocks, ShapeOperators
from .terms import Form, Term
from .values import Charge, Map

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


@dataclass(frozen=True)
class State:
    """The second result of an ``nn.RNN``: the states of its last element, ``(1, N, features)``."""

    last: Map


class ElementOperators(ShapeOperators):
    """Operators on maps whose rows are elements."""

    def _fed_back(self, path: str, value: object, own: torch.Tensor) -> Charge:
        """The sums of a layer with those that its own results add to the next element.

        Parameters
        ----------
        path : of the module that has the weights
        own : recurrent weights, as in :class:`gen.convert.recurrent.Recurrent`
        """
        x = self._sums(value)
        if x.spread:
            self.refuse("an enlarged map has no elements in order; enlarge after the recurrence")
        channels, per_group = own.shape[:2]
        if channels != x.shape[0]:
            self.refuse(f"expects {channels} channels, but its input has {x.shape[0]}")
        name = self._free_name(x, path)
        term = Term(path, name, name, 1.0, own, padding=(1, 0), groups=channels // per_group,
                    below=-1)
        return replace(x, terms=(*x.terms, term))

    def _recurrent(self, module: Recurrent, path: str, value: object) -> Map:
        x = self._fed_back(path, value, module.own.detach().clone())
        if x.form not in (Form.MAP, Form.CHANNELS):
            self.refuse(f"needs {Form.CHANNELS.label}, but its input is {x.form.label}: "
                        f"x.transpose(1, 2)")
        inner = self.module(module.activation, f"{path}.activation", x)
        if not isinstance(inner, Map) or not inner.plain:
            self.refuse(f"its activation must be Qcfs, ClipQuan or a ReLU: {SIGNED}")
        return inner

    def module(self, module: nn.Module, path: str, x: object) -> object:
        """Apply a module; see :meth:`gen.convert.operators.Operators.module`."""
        raise NotImplementedError

    def _cell(self, module: nn.RNNCell, path: str, value: object) -> Map:
        self.refuse("must be called for each element of a sequence, in a loop")

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
        charge = self._convolved(x, path, weight, bias)
        states = self._relu(self._fed_back(path, charge, back), whole=True)
        return states, State(self._rows(states, range(x.shape[1])[-1:], Form.VECTOR))

    def _getitem(self, x: object, index: object) -> object:
        return x.last if isinstance(x, State) and index in (0, -1) else super()._getitem(x, index)

    def _squeeze(self, value: object, *dims: object, dim: object = None) -> Map | Charge:
        given = dims if dim is None else (dim,)
        if isinstance(value, State) and (not given or given[0] in (0, -3, (0,), [0])):
            return value.last
        return super()._squeeze(value, *given)

    def _tensor(self, x: object) -> Map | Charge:
        if isinstance(x, State):
            self.refuse("is given the last states of all layers: take those of one layer, h[-1]")
        return super()._tensor(x)

    def _transpose(self, value: object, dim0: int, dim1: int) -> object:
        """Swap the channels and the elements, the elements and the samples, or the blocks of
        channels and their channels."""
        axes = sorted((dim0, dim1))
        if isinstance(value, Blocks) and axes == [1, 2]:
            return replace(value, swapped=not value.swapped)
        x = self._tensor(value)
        form = _SWAPPED.get((x.form, tuple(sorted(axis % 3 for axis in axes))))
        if form is None:
            self.refuse("only the elements and the features of a sequence can be swapped, "
                        "x.transpose(1, 2), or, if the features come last, the samples and the "
                        "elements, x.transpose(0, 1)")
        return replace(x, form=form)

    def _permute(self, value: object, *axes: object, dims: Sequence[int] = ()) -> object:
        given = axes or dims
        order = tuple(given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given)
        if order == (*range(len(order)),):
            return value
        swapped = {(0, 2, 1): (1, 2), (1, 0, 2): (0, 1), (0, 2, 1, 3, 4): (1, 2)}
        return self._transpose(value, *swapped.get(order, (0, 2)))
