"""What a module does with its scores, which hosts do instead, and modules with several results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from gen.errors import ConversionError

__all__ = ["FINAL", "Output", "apart", "named"]

FINAL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(1),
    "sigmoid": torch.sigmoid, "relu": torch.relu, "tanh": torch.tanh}
"""Functions of scores ``(N, classes, ...)`` that are left to the host, by their names."""

_OVER_CLASSES = ("softmax", "log_softmax")

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
    axis : over which it goes, if it does
    """

    name: str
    node: str
    function: str = ""
    axis: int | None = None

    def of(self, scores: torch.Tensor) -> torch.Tensor:
        """The result for scores ``(N, classes, ...)``."""
        return FINAL[self.function](scores) if self.function else scores


def apart(traced: fx.GraphModule) -> tuple[Output, ...]:
    """Take last functions out of a graph, and join its results along their second axis.

    Raises
    ------
    ConversionError
        If the module returns something else than tensors.
    """
    graph = traced.graph
    end = next(node for node in graph.nodes if node.op == "output")
    outputs, nodes = [], []
    for name, node in named(end.args[0]).items():
        if not isinstance(node, fx.Node):
            raise ConversionError(f"the module's result{f' {name}' if name else ''}: must be a "
                                  f"tensor, not {node!r}")
        function, axis = _last(traced, node)
        node = node.all_input_nodes[0] if function else node
        nodes.append(node)
        outputs.append(Output(name, node.name, function, axis))
    if not nodes:
        raise ConversionError("the module returns nothing")
    if len(nodes) > 1:
        with graph.inserting_before(end):
            nodes = [graph.call_function(torch.cat, (nodes, 1))]
    end.args = (nodes[0],)
    graph.eliminate_dead_code()
    return tuple(outputs)


def named(result: object) -> dict[str, Any]:
    """The results of a module by their names: keys, or places; one alone has no name."""
    if isinstance(result, Mapping):
        return {str(key): value for key, value in result.items()}
    if isinstance(result, tuple | list):
        return {str(k) if len(result) > 1 else "": value for k, value in enumerate(result)}
    return {"": result}


def _last(traced: fx.GraphModule, node: fx.Node) -> tuple[str, int | None]:
    """The function of :data:`FINAL` that a node is, or nothing, and its axis."""
    name = ""
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        name = _MODULES.get(type(module), "")
        axis = getattr(module, "dim", None)
    else:
        name = (_FUNCTIONS.get(node.target, "") if node.op == "call_function" else
                str(node.target) if node.op == "call_method" and node.target in FINAL else "")
        axis = node.kwargs.get("dim", (*node.args, None, None)[1])
    if len(node.all_input_nodes) != 1 or (name in _OVER_CLASSES and axis not in (1, -1)):
        return "", None
    return name, axis if name in _OVER_CLASSES else None
