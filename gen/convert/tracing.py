"""Tracing of modules with ``torch.fx``.

A loop over the elements of a sequence needs their number, and a branch may ask for a size. So
modules are traced beside a sample: values know their shape, loops are unrolled, and branches are
those that the sample takes.
"""

import inspect
import operator
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import Argument, Target, map_arg

from gen.errors import ConversionError

from .foreign import Activation
from .qcfs import ClipQuan, Qcfs
from .recurrent import Recurrent
from .uniform import Uniform
from .usercode import first_line

__all__ = ["culprit", "line_of", "trace"]

_GATED = ("its gates need products, which accumulate-only lanes don't have; use "
          "nn.RNN(nonlinearity='relu'), or gen.convert.recurrent.Recurrent, dense or diagonal")
"""Why a gated cell is refused."""

_TORCH, _HERE = Path(torch.__file__).parent, Path(__file__).parent
"""Whose frames are not the user's."""

_FRAME = re.compile(r'File "(.+?)", line (\d+), in ')

_RECURRENT = nn.RNNBase | nn.RNNCellBase


def trace(module: nn.Module, input_shape: tuple[int, ...], activation: Activation | None
          ) -> fx.GraphModule:
    """The graph of a module. Its nodes have their shapes for one sample of zeros as
    ``meta["sizes"]``, or as ``meta["failed"]`` why PyTorch can't compute them; recurrent layers
    don't have first states of zeros.

    Parameters
    ----------
    input_shape : of one sample
    activation : see :func:`gen.convert.lower.lower`

    Raises
    ------
    ConversionError
        If the module needs several inputs, or a recurrent layer has gates, or a first state that is
        not zeros. That of a cell may be the result of its call before.
    Exception
        Of ``torch.fx`` or the module, if it can't be traced.
    """
    _require_one_input(module)
    traced = fx.GraphModule(module, _Tracer(activation, input_shape).trace(module))
    traced.graph.eliminate_dead_code()
    return traced


def line_of(node: fx.Node) -> str:
    """``FILE:LINE`` of the user's code that made a node, or nothing if none did."""
    return _own_line(_FRAME.findall(node.stack_trace or ""))


def culprit(module: nn.Module, error: BaseException) -> tuple[str, str]:
    """The innermost part of a module whose code raised an error, its path and its class, and
    ``FILE:LINE`` of the user's code that did, or nothing."""
    parts = {id(part): path for path, part in module.named_modules()}
    frames = list(traceback.walk_tb(error.__traceback__))
    line = _own_line([(frame.f_code.co_filename, str(number)) for frame, number in frames])
    for frame, _ in reversed(frames):
        part = frame.f_locals.get("self")
        if path := parts.get(id(part)):
            return f"{path} ({type(part).__name__})", line
    return type(module).__name__, line


def _own_line(lines: Sequence[tuple[str, str]]) -> str:
    """The innermost of some lines that is the user's."""
    own = [f"{Path(file).name}:{line}" for file, line in lines
           if not {_TORCH, _HERE} & set(Path(file).parents)]
    return own[-1] if own else ""


def _require_one_input(module: nn.Module) -> None:
    """Refuse a module of which other arguments than the first have no default."""
    _, *others = inspect.signature(module.forward).parameters.values()
    for other in others:
        named = other.kind in (other.POSITIONAL_ONLY, other.POSITIONAL_OR_KEYWORD,
                               other.KEYWORD_ONLY)
        if named and other.default is other.empty:
            raise ConversionError(f"input {other.name!r}: a network has one input")


def _inherits(module: nn.Module) -> bool:
    """Whether a module computes what its base class in torch.nn does."""
    home = getattr(type(module).forward, "__module__", "")
    return (home.startswith("torch.nn.") and "forward" not in vars(module)
            and not isinstance(module, nn.Sequential))


class _Samples(int):
    """The number of samples, which a graph keeps open.

    Members
    -------
    of : the value whose first axis it is
    """

    of: fx.Proxy


class _Shaped(fx.Proxy):
    """A value whose axes have numbers, other than that of the samples."""

    tracer: "_Tracer"

    def __getattr__(self, name: str) -> Any:
        value = self.tracer.values.get(self.node)
        if not isinstance(value, torch.Tensor):
            return super().__getattr__(name)
        match name:
            case "shape":
                return self._sizes(value)
            case "size":
                return lambda dim=None: self.shape if dim is None else self.shape[dim]
            case "dim":
                return value.dim
            case "ndim" | "device" | "dtype":
                return getattr(value, name)
        return super().__getattr__(name)

    def _sizes(self, value: torch.Tensor) -> tuple[int, ...]:
        first, *others = value.shape or (0,)
        if first == 1:
            first = _Samples(first)
            first.of = self
        return (first, *others)


class _Tracer(fx.Tracer):
    """Computes every value for a sample of zeros.

    Members
    -------
    values : by their nodes; of those that can't be computed there is None
    """

    def __init__(self, activation: Activation | None, input_shape: tuple[int, ...]):
        super().__init__()
        # Python looks for the lines along this path, which the user's code may have spoilt.
        self.record_stack_traces = isinstance(sys.path, list)
        self._activation = activation
        self.values: dict[fx.Node, object] = {}
        self._sample = torch.zeros(1, *input_shape)
        self._computes = False

    # Methods that torch.fx calls.

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None
                             ) -> tuple[Any, list[Any]]:
        # The other arguments keep their defaults.
        return root_fn, [self.root, self.create_proxy("placeholder", "input", (), {})]

    def is_leaf_module(self, m: nn.Module, path: str) -> bool:
        foreign = self._activation is not None and self._activation.matches(m)
        own = isinstance(m, Qcfs | ClipQuan | Recurrent | Uniform)
        return foreign or own or _inherits(m) or super().is_leaf_module(m, path)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Shaped(node, self)

    def create_proxy(self, *args: Any, **kwargs: Any) -> fx.Proxy:
        proxy = super().create_proxy(*args, **kwargs)
        if proxy.node not in self.values:
            self._compute(proxy.node)
        return proxy

    def create_arg(self, a: Any) -> Argument:
        if isinstance(a, _Samples):
            shape = self.create_proxy("call_function", getattr, (a.of, "shape"), {})
            a = self.create_proxy("call_function", operator.getitem, (shape, 0), {})
        return super().create_arg(a)

    def iter(self, obj: fx.Proxy) -> Iterator:
        value = self.values.get(obj.node)
        if not isinstance(value, torch.Tensor | tuple | list):
            return super().iter(obj)
        return iter([self.create_proxy("call_function", operator.getitem, (obj, k), {})
                     for k in range(len(value))])

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._computes:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...],
                    kwargs: dict[str, Any]) -> Any:
        if self._computes:
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        if isinstance(m, _RECURRENT) and self.is_leaf_module(m, path):
            where = f"{path} ({type(m).__name__})"
            if not isinstance(m, nn.RNN | nn.RNNCell):
                raise ConversionError(f"{where}: {_GATED}")
            args, kwargs = _without_zeros(*args, **kwargs), {}
            if len(args) > 1 and not (isinstance(m, nn.RNNCell) and isinstance(args[1], fx.Proxy)):
                raise ConversionError(f"{where}: its first state must be zeros: leave it out")
        return super().call_module(m, forward, args, kwargs)

    # Its own.

    @torch.no_grad()
    def _compute(self, node: fx.Node) -> None:
        args, kwargs = map_arg((node.args, node.kwargs), self._value_of)
        failed = [other.meta["failed"] for other in node.all_input_nodes if "failed" in other.meta]
        self._computes = True
        try:
            value = None if failed else self._value(node.op, node.target, args, kwargs)
        except Exception as error:  # It may be said better when the graph is lowered.
            value = None
            failed = [f"{type(error).__name__}: {first_line(error)}"]
        finally:
            self._computes = False
        self.values[node] = value
        if isinstance(value, torch.Tensor):
            node.meta["sizes"] = tuple(value.shape)
        if failed:
            node.meta["failed"] = failed[0]

    def _value_of(self, node: fx.Node) -> Any:
        if node not in self.values:
            self._compute(node)
        return self.values[node]

    def _value(self, op: str, target: Target, args: Any, kwargs: Any) -> object:
        match op:
            case "placeholder":
                return self._sample
            case "get_attr":
                return _attribute(self.root, str(target))
            case "call_module":
                return self.root.get_submodule(str(target))(*args, **kwargs)
            case "call_method":
                return getattr(args[0], str(target))(*args[1:], **kwargs)
        return target(*args, **kwargs) if callable(target) else None


def _attribute(root: nn.Module, path: str) -> object:
    folder, _, name = path.rpartition(".")
    return getattr(root.get_submodule(folder), name)


def _without_zeros(*args: object, **kwargs: object) -> tuple[object, ...]:
    """The arguments of a recurrent layer or cell. A first state of zeros is left out."""
    named = (kwargs[name] for name in ("input", "hx") if name in kwargs)
    x, state = (*args, *named, None)[:2]
    return (x,) if state is None or _is_zeros(state) else (x, state)


def _is_zeros(state: object) -> bool:
    if isinstance(state, fx.Proxy):
        target = state.node.target
        return getattr(target, "__name__", target) in ("zeros_like", "new_zeros")
    return isinstance(state, torch.Tensor) and not state.any()
