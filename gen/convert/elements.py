"""Operators over the elements of a sequence (docs/methods.md, 15); the others are in
:mod:`gen.convert.operators`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from .collector import Collector
from .lowered import Charge, Form, Map
from .recurrent import Recurrent

__all__ = ["GATED", "ElementOperators", "State"]

GATED = ("its gates need products, which accumulate-only lanes don't have; use "
         "nn.RNN(nonlinearity='relu'), or gen.convert.recurrent.Recurrent, dense or diagonal")
"""Why a gated cell is refused."""

_IN_TIME = {Form.MAP: 2, Form.CHANNELS: 2, Form.ELEMENTS: 1}
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
        x = self._counts(value, Form.ELEMENTS)
        if module.nonlinearity != "relu":
            self.refuse(f"nonlinearity must be 'relu', not {module.nonlinearity!r}")
        for name, needed in (("num_layers", 1), ("batch_first", True), ("bidirectional", False)):
            if getattr(module, name) != needed:
                hint = "; use an nn.RNN for each layer" if name == "num_layers" else ""
                self.refuse(f"{name} must be {needed}, not {getattr(module, name)}{hint}")
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
        axis = _IN_TIME.get(x.form, 0)
        before, *after = index if isinstance(index, tuple) else (index,)
        if (axis and before == slice(None) and len(after) >= axis
                and all(part == slice(None) for part in (*after[:axis - 1], *after[axis:]))):
            chosen, rows = after[axis - 1], x.shape[1]
            if isinstance(chosen, int) and chosen in (-1, rows - 1) and x.shape[2] == 1:
                return self._last(x, 1, Form.MAP if x.form is Form.MAP else Form.VECTOR)
            if isinstance(chosen, slice) and (chosen.stop, chosen.step) == (None, None):
                few = len(range(rows)[chosen])
                if few:
                    return self._last(x, few, x.form)
        self.refuse("only the last elements of a sequence can be selected: x[:, :, k:], or "
                    "x[:, k:] if the features come last")

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
        """Swap the channels and the elements."""
        x = self._tensor(value)
        swapped = {Form.CHANNELS: Form.ELEMENTS, Form.ELEMENTS: Form.CHANNELS}
        if sorted(axis % 3 for axis in axes) != [1, 2] or x.form not in swapped:
            self.refuse("only the elements and the features of a sequence can be swapped: "
                        "x.transpose(1, 2)")
        return replace(x, form=swapped[x.form])

    def _permute(self, value: object, *axes: object) -> Map | Charge:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], Sequence) else axes
        if tuple(order) != (0, 2, 1):
            self.refuse("only the elements and the features of a sequence can be swapped: "
                        "x.permute(0, 2, 1)")
        return self._transpose(value, 1, 2)

    def _flattened(self, x: Map | Charge) -> Map | Charge:
        return replace(x, form=_FLAT[x.form])
