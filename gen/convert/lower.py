"""A PyTorch module as a list of layers: synapses, neurons, pools and a read-out.

``torch.fx`` traces the module; an interpreter then runs its graph on descriptions
(:mod:`gen.convert.lowered`) instead of tensors, with operators of its own
(:mod:`gen.convert.operators`).
"""

from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import Argument, Target

from gen.errors import ConversionError

from .cells import folded, unstacked
from .channelwise import evened
from .final import OVER_CLASSES, Output, apart
from .foreign import Activation, refuse_spiking
from .lowered import Lowered
from .operators import Operators
from .recurrent import Recurrent
from .results import Result
from .rewrites import functions_last, laid_out, parted, reordered, reshaped
from .scale import UNIT, InputScale
from .terms import Form
from .tracing import culprit, line_of, trace
from .usercode import first_line
from .values import Charge, Constant, Map

__all__ = ["lower", "takes_sequences"]

_OVER_TIME = (nn.Conv1d, nn.RNN, nn.RNNCell, nn.AvgPool1d, nn.MaxPool1d, Recurrent)

_ELEMENTS_FIRST = (("transpose", 0, 1), ("transpose", 1, 0), ("permute", 1, 0, 2),
                   ("permute", (1, 0, 2)))
"""Functions or methods, and their arguments, that bring the elements before the samples."""


def lower(module: nn.Module, input_shape: tuple[int, ...], activation: Activation | None = None,
          scale: InputScale = UNIT) -> Lowered:
    """Trace ``module`` and lower it to layers.

    Parameters
    ----------
    module : is put into evaluation mode; dropouts vanish, batch norms are folded
    input_shape : of one sample: ``(C, H, W)``; ``(features,)`` for a module that takes vectors; for
        one that takes sequences ``(channels, elements)``, or ``(elements, features)`` if its first
        module is an ``nn.RNN`` or an ``nn.Linear``, or if it swaps samples and elements first
    activation : QCFS-like class of another library, treated as a :class:`~gen.convert.qcfs.Qcfs`
    scale : what the module is given for the least and for the greatest count

    Raises
    ------
    ConversionError
        The message names the path and type of the module, or the function, that has no
        counterpart, and says why.
    """
    module.eval()
    refuse_spiking(module, activation)
    if activation is not None:
        activation.require(module)
    try:
        traced = trace(module, input_shape, activation)
    except ConversionError:
        raise
    except (Exception, SystemExit) as error:
        part, line = culprit(module, error)
        why = ", ".join(filter(None, (f"{type(error).__name__}: {first_line(error)}", line)))
        raise ConversionError(f"torch.fx can't trace {part} ({why}); forward must be free of "
                              f"data-dependent control flow") from error
    unstacked(traced)
    folded(traced)
    reordered(traced, activation)
    parted(traced, activation)
    if activation is not None:
        evened(traced, activation)
    reshaped(traced, activation)
    functions_last(traced)
    outputs = apart(traced)
    form, shape = _input(traced, input_shape)
    operators = Operators(activation, shape)
    given = scale.map(shape, form)
    lowering = _Lowering(traced, operators, [output.node for output in outputs])
    with torch.no_grad():
        lowering.run(given)
    made = []
    for output in outputs:
        if output.node not in lowering.results:
            raise ConversionError(f"{output.label}: must be a tensor that depends on the input")
        made.append(lowering.results[output.node])
        _check_axis(output, made[-1])
    operators.finish(made)
    return Lowered(tuple(operators.layers), given, traced, operators.places, tuple(
        Result(output.name, x.shape, x.form, output.function)
        for output, x in zip(outputs, made, strict=True)))


def _check_axis(output: Output, scores: Map | Charge) -> None:
    """Refuse a last function that does not go over the classes of each position."""
    if output.function not in OVER_CLASSES:
        return
    layout = scores.form.layout
    axis = output.axis_of(len(layout))
    if "C" in layout:
        channels = layout.index("C")
    else:
        channels = 1 if len(layout) > 1 and scores.shape[1:] == (1, 1) else -2
    if axis == channels:
        return
    over = f", dim={channels}" if channels > 0 else ""
    what = f"its {output.function} has no dim, which PyTorch takes for {axis}, and so" if (
        output.axis is None) else f"its {output.function}"
    raise ConversionError(f"{output.label}: {what} does not go over the channels{over}; leave it "
                          f"out, and apply it to the scores")


def takes_sequences(module: nn.Module) -> bool:
    """Whether a sample of a module has two axes and not three: one of them is time."""
    kinds = [type(part) for part in module.modules()]
    return any(issubclass(kind, _OVER_TIME) for kind in kinds) and not any(
        issubclass(kind, nn.Conv2d) for kind in kinds)


def _input(traced: fx.GraphModule, sample: tuple[int, ...]
           ) -> tuple[Form, tuple[int, int, int]]:
    """The form of the input, and its shape ``(C, H, W)``, for samples of a shape. Vectors have that
    of the map that they are seen as first. Of a sequence the first axis is that of the elements if
    the first module takes it so."""
    match sample:
        case (features,):
            return Form.VECTOR, laid_out(traced) or (features, 1, 1)
        case (first, second):
            users = [user for node in traced.graph.nodes if node.op == "placeholder"
                     for user in node.users]
            if any(_takes_elements(traced, user) for user in users):
                return Form.ELEMENTS, (second, first, 1)
            return Form.CHANNELS, (first, second, 1)
        case (channels, height, width):
            return Form.MAP, (channels, height, width)
    raise ConversionError(f"a sample must have the shape (C, H, W), (features,) or that of a "
                          f"sequence, not {sample}")


def _takes_elements(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node's operator needs a sequence whose features come last."""
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.RNN | nn.Linear)
    called = (str(getattr(node.target, "__name__", node.target)), *node.args[1:])
    return called in _ELEMENTS_FIRST


class _Lowering(fx.Interpreter):
    """Runs a graph on maps and charges."""

    def __init__(self, module: fx.GraphModule, operators: Operators, outputs: list[str]):
        super().__init__(module)
        self.extra_traceback = False
        self.results: dict[str, Map | Charge] = {}
        self._operators, self._outputs = operators, outputs
        self._scope = ""

    # Methods that the interpreter calls, one method for each kind of node.

    def run_node(self, n: fx.Node) -> object:
        self._scope, self._operators.node = ", ".join(filter(None, (_scope(n), line_of(n)))), n.name
        try:
            result = super().run_node(n)
        except ConversionError:
            raise
        except Exception:
            if "failed" in n.meta:
                self._operators.refuse(f"can't be computed ({n.meta['failed']})")
            raise
        if n.name in self._outputs and isinstance(result, Map | Charge):
            self.results[n.name] = result
        return result

    def get_attr(self, target: Target, args: tuple[Argument, ...],
                 kwargs: dict[str, Any]) -> object:
        return Constant(str(target), self.fetch_attr(str(target)).detach())

    def call_module(self, target: Target, args: tuple[Argument, ...],
                    kwargs: dict[str, Any]) -> object:
        path = str(target)
        module = self.fetch_attr(path)
        self._operators.where = f"{path} ({type(module).__name__})"
        if len(args) != 1 or kwargs:
            self._operators.refuse("a module takes one tensor")
        return self._operators.module(module, path, args[0])

    def call_function(self, target: Target, args: tuple[Argument, ...],
                      kwargs: dict[str, Any]) -> object:
        self._within(getattr(target, "__name__", str(target)))
        return self._operators.function(target, args, kwargs)

    def call_method(self, target: Target, args: tuple[Argument, ...],
                    kwargs: dict[str, Any]) -> object:
        name = str(target)
        self._within(name)
        return self._operators.method(name, args, kwargs)

    def _within(self, name: str) -> None:
        self._operators.where = f"function {name!r} (in {self._scope})"

    def output(self, target: Target, args: tuple[Argument, ...],
               kwargs: dict[str, Any]) -> object:
        return args[0]


def _scope(node: fx.Node) -> str:
    """Path of the module whose forward created ``node``."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return path or "the top module"
