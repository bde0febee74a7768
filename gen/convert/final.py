"""What a module does with its scores, which hosts do instead, and modules with several results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from gen.errors import ConversionError

__all__ = ["FINAL", "OVER_CLASSES", "Output", "apart", "last_function", "named", "returned"]

FINAL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(1),
    "sigmoid": torch.sigmoid, "relu": torch.relu, "tanh": torch.tanh}
"""Functions of scores ``(N, classes, ...)`` that are left to the host, by their names."""

OVER_CLASSES = ("softmax", "log_softmax")
"""Those that go over the classes."""

_MODULES = {nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax", nn.Sigmoid: "sigmoid",
            nn.ReLU: "relu", nn.Tanh: "tanh"}
_FUNCTIONS: dict[Any, str] = {
    F.softmax: "softmax", torch.softmax: "softmax", F.log_softmax: "log_softmax",
    torch.log_softmax: "log_softmax", torch.sigmoid: "sigmoid", F.sigmoid: "sigmoid",
    F.relu: "relu", torch.relu: "relu", torch.tanh: "tanh", F.tanh: "tanh"}


@dataclass(frozen=True)
class Output:
    """One of a module's results.

    Members
    -------
    name : its key, or its place
    node : of the graph that makes its scores
    function : what makes it of them, one of :data:`FINAL`, or nothing
    axis : over which a function of :data:`OVER_CLASSES` goes; None leaves that to PyTorch
    """

    name: str
    node: str
    function: str = ""
    axis: int | None = None

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"the module's result{f' {self.name}' if self.name else ''}"

    def axis_of(self, axes: int) -> int:
        """The axis over which its function goes, of so many, from 0; -1 if there is none such.
        PyTorch's own choice is the first of one or of three, else the second."""
        axis = self.axis
        if axis is None:
            return 0 if axes in (1, 3) else 1
        return axis % axes if -axes <= axis < axes else -1


def apart(traced: fx.GraphModule) -> tuple[Output, ...]:
    """Take last functions out of a graph, whose results are then a tensor or a tuple of them.

    Raises
    ------
    ConversionError
        If the module returns something else than tensors, or two results of one name.
    """
    graph = traced.graph
    outputs, nodes = [], []
    for name, node in returned(graph).items():
        if not name.isprintable():
            raise ConversionError(f"the module's result {name!r}: its name can't be printed; give "
                                  f"it another key")
        if not isinstance(node, fx.Node):
            raise ConversionError(f"{Output(name, '').label}: must be a tensor, not {node!r}")
        function, axis = last_function(traced, node)
        node = node.all_input_nodes[0] if function else node
        nodes.append(node)
        outputs.append(Output(name, node.name, function, axis))
    if not nodes:
        raise ConversionError("the module returns nothing")
    _end(graph).args = (nodes[0] if len(nodes) == 1 else tuple(nodes),)
    graph.eliminate_dead_code()
    return tuple(outputs)


def returned(graph: fx.Graph) -> dict[str, Any]:
    """What a graph returns, as :func:`named`: nodes, as far as it is a module's result."""
    return named(_end(graph).args[0])


def _end(graph: fx.Graph) -> fx.Node:
    return next(node for node in graph.nodes if node.op == "output")


def named(result: object) -> dict[str, Any]:
    """The results of a module by their names: keys, or places; one alone has no name.

    Raises
    ------
    ConversionError
        If two keys are one name.
    """
    if isinstance(result, Mapping):
        keys: dict[str, object] = {}
        for key in result:
            if keys.setdefault(str(key), key) is not key:
                raise ConversionError(f"the module's results {keys[str(key)]!r} and {key!r} have "
                                      f"one name, {str(key)!r}; give them different keys")
        return {str(key): value for key, value in result.items()}
    if isinstance(result, tuple | list):
        return {str(k) if len(result) > 1 else "": value for k, value in enumerate(result)}
    return {"": result}


def last_function(traced: fx.GraphModule, node: fx.Node) -> tuple[str, int | None]:
    """The function of :data:`FINAL` that a node is, or nothing; and its axis, if it is one of
    :data:`OVER_CLASSES` and has one."""
    name = ""
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        name = _MODULES.get(type(module), "")
        axis = getattr(module, "dim", None)
    else:
        name = (_FUNCTIONS.get(node.target, "") if node.op == "call_function" else
                str(node.target) if node.op == "call_method" and node.target in FINAL else "")
        axis = node.kwargs.get("dim", (*node.args, None, None)[1])
    if len(node.all_input_nodes) != 1 or name not in OVER_CLASSES:
        return (name, None) if len(node.all_input_nodes) == 1 else ("", None)
    return (name, axis) if axis is None or isinstance(axis, int) else ("", None)
