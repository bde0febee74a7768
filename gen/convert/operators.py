"""What each operator of PyTorch makes of the descriptions in :mod:`gen.convert.lowered`.

Convolutions turn a map into a charge, batch norm scales a charge, an addition concatenates charges
(a map that is added becomes the charge of a diagonal 1x1 convolution), and an activation turns a
charge into the map of a new layer.
"""

import inspect
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.fx.node import Target

from .activations import ActivationOperators
from .channelwise import Evened
from .elements import State
from .foreign import Activation
from .qcfs import ClipQuan, Qcfs
from .shapes import BATCH, Blocks
from .tables import FUNCTIONS, HINTS, METHODS, SUPPORTED, layer_of, operator_of
from .uniform import Uniform
from .usercode import first_line
from .values import Charge, Constant, Map

__all__ = ["Operators"]


class Operators(ActivationOperators):
    """Applies operators one by one, and collects the layers.

    Parameters
    ----------
    activation : QCFS-like class of another library, treated as a :class:`~gen.convert.qcfs.Qcfs`
    input_shape : ``(C, H, W)``
    """

    def __init__(self, activation: Activation | None, input_shape: tuple[int, int, int]) -> None:
        super().__init__(input_shape)
        self._activation = activation

    def function(self, target: Target, args: Sequence[object],
                 kwargs: Mapping[str, object]) -> object:
        """Apply a function of PyTorch or Python.

        Raises
        ------
        ConversionError
            If it, or the way it is called, has no counterpart.
        """
        name = getattr(target, "__name__", str(target))
        if _known((args, kwargs)):
            return self._computed(target, args, kwargs)
        return self._call(FUNCTIONS.get(target), name, args, kwargs)

    def method(self, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """Apply a method of a tensor; ``args`` begins with the tensor.

        Raises
        ------
        ConversionError
            If it, or the way it is called, has no counterpart.
        """
        if _known((args, kwargs)):
            return self._computed(operator.methodcaller(name, *_values(args[1:]),
                                                        **_values(kwargs)), args[:1], {})
        return self._call(METHODS.get(name), name, args, kwargs)

    def _computed(self, target: Any, args: Sequence[object], kwargs: Mapping[str, object]
                  ) -> object:
        """The result of a function of numbers and constants alone, such as the weights that a
        module computes."""
        try:
            result = target(*_values(args), **_values(kwargs))
        except Exception as error:  # of any function that a module may call
            self.refuse(f"can't be computed ({type(error).__name__}: {first_line(error)})")
        return Constant(self.where, result) if isinstance(result, torch.Tensor) else result

    def _call(self, method: str | None, name: str, args: Sequence[object],
              kwargs: Mapping[str, object]) -> object:
        if method is None:
            self.refuse(HINTS.get(name, SUPPORTED))
        apply = getattr(self, method)
        try:
            inspect.signature(apply).bind(*args, **kwargs)
        except TypeError as error:
            self.refuse(f"these arguments are not supported: {error}")
        return apply(*args, **kwargs)

    def module(self, module: nn.Module, path: str, x: object) -> object:
        """Apply a module that the traced one has at ``path``.

        Raises
        ------
        ConversionError
            If its class or its settings have no counterpart, or ``x`` is not what it needs.
        """
        if self._activation is not None and self._activation.matches(module):
            (step,), levels = self._activation.read(module, path)
            return self._fire(x, path, float(step), levels, floor=self._activation.floor)
        if isinstance(module, Evened | Uniform):
            return self._fire(x, path, module.step, module.levels, floor=module.floor,
                              symmetric=module.symmetric)
        if method := layer_of(module):
            return getattr(self, method)(module, path, x)
        if found := operator_of(module):
            method, given = found
            return getattr(self, method)(x, *given)
        self.refuse(f"this type of module is not supported; "
                    f"{HINTS.get(type(module).__name__, SUPPORTED)}")

    def _qcfs(self, module: Qcfs, path: str, x: object) -> object:
        step = float(module.step.detach())
        if not 0 < step < float("inf"):
            self.refuse(f"the step must be positive, not {step!r}")
        return self._fire(x, path, step, module.levels, symmetric=module.symmetric)

    def _clip_quan(self, module: ClipQuan, path: str, x: object) -> object:
        return self._fire(x, path, 1 / module.levels, module.levels, floor=True)

    def _getattr(self, x: object, name: str) -> object:
        if name == "T" or name != "shape":
            self.refuse(f"attribute {name!r} is not supported; {SUPPORTED}")
        return self._sizes(x)


def _known(given: object) -> bool:
    """Whether nothing in arguments depends on the input."""
    if isinstance(given, tuple | list):
        return all(map(_known, given))
    if isinstance(given, Mapping):
        return all(map(_known, given.values()))
    return given is not BATCH and not isinstance(given, Map | Charge | Blocks | State)


def _values(given: Any) -> Any:
    """Arguments with tensors in the place of constants."""
    if isinstance(given, Constant):
        return given.value
    if isinstance(given, tuple | list):
        return type(given)(map(_values, given))
    if isinstance(given, Mapping):
        return {key: _values(value) for key, value in given.items()}
    return given
