"""Exact rewrites of a traced module before it is lowered."""

import torch
from torch import fx, nn
from torch.nn import functional as F

from .final import OVER_CLASSES, last_function, returned
from .foreign import Activation
from .parted import apply_to_parts
from .qcfs import ClipQuan, Qcfs
from .tables import FUNCTIONS, METHODS, operator_of
from .uniform import Uniform

__all__ = ["functions_last", "laid_out", "parted", "reordered", "reshaped"]

_RISING = {"_relu", "_relu6", "_hardtanh", "_hardsigmoid", "_clamp", "_clamp_min", "_dropout",
           "_same"}
"""Operators that never fall, so that the greatest of their values is that of the greatest sum."""

_BY_VALUE = _RISING | {"_leaky", "_tanh", "_sigmoid", "_silu", "_gelu", "_hardswish", "_mish",
                       "_softplus"}
"""Operators that treat all values alike."""

_QUANTISERS = (Qcfs, ClipQuan, Uniform)

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)

_POOL_FUNCTIONS = (F.max_pool2d, torch.max_pool2d, F.max_pool1d, torch.max_pool1d,
                   F.adaptive_max_pool2d, F.adaptive_max_pool1d)

_RESHAPES = ("_view", "_unflatten")

_SIZES = ("_size_of", "_getattr", "_len")

_VIEWS = ("_getitem", "_flatten", "_view", "_squeeze")
"""What may leave out the axis of the channels."""


def reordered(traced: fx.GraphModule, activation: Activation | None) -> None:
    """Put activations and batch norms that come after a maximum before it: neurons send spikes, not
    sums, and the result is the same.

    Parameters
    ----------
    activation : see :func:`gen.convert.lower.lower`
    """
    for node in list(traced.graph.nodes):
        if not _works(traced, node, activation, _RISING) and not _norm_rises(traced, node):
            continue
        pool = node.all_input_nodes[0]
        # An activation in place must not change what others read.
        alone = len(pool.users) == 1 and pool.all_input_nodes and len(
            pool.all_input_nodes[0].users) == 1
        if alone and (isinstance(_module(traced, pool), _POOLS) or (
                pool.op == "call_function" and pool.target in _POOL_FUNCTIONS)):
            _swap(traced.graph, pool, node)
    traced.graph.lint()


def reshaped(traced: fx.GraphModule, activation: Activation | None) -> None:
    """Put what makes a map of a vector before activations of the vector, so that the map's neurons
    can lie where they are.

    Parameters
    ----------
    activation : see :func:`gen.convert.lower.lower`
    """
    for node in list(traced.graph.nodes):
        if not _makes_map(traced, node):
            continue
        while _works(traced, before := node.all_input_nodes[0], activation, _BY_VALUE):
            source = before.all_input_nodes[0]
            others = [user for user in before.users if user is not node]
            if len(source.users) > 1 or any(_operator(traced, user) not in _SIZES
                                            for user in others):
                break
            for user in others:
                user.replace_input_with(before, source)
            sizes = node.meta["sizes"]
            _swap(traced.graph, before, node)
            before.meta = {**before.meta, "sizes": sizes}
    traced.graph.lint()


def parted(traced: fx.GraphModule, activation: Activation | None) -> None:
    """Apply activations and batch norms of joined channels to what is joined.

    Parameters
    ----------
    activation : see :func:`gen.convert.lower.lower`
    """
    for node in list(traced.graph.nodes):
        module = _module(traced, node)
        norm = isinstance(module, _NORMS) and module.running_mean is not None
        if not norm and (_in_place(node) or not _works(traced, node, activation, _BY_VALUE)):
            continue
        joined = node.all_input_nodes[0]
        parts = joined.all_input_nodes
        if (_operator(traced, joined) == "_cat" and len(joined.users) == 1
                and joined.args and len(joined.args[0]) == len(parts)
                and (*joined.args, joined.kwargs.get("dim"))[1] == 1
                and all("sizes" in part.meta for part in parts)):
            apply_to_parts(traced, node, joined)
    traced.graph.lint()


def _in_place(node: fx.Node) -> bool:
    """Whether a function or a method changes what it is given."""
    name = str(getattr(node.target, "__name__", node.target))
    return node.op != "call_module" and (name.endswith("_") or bool(node.kwargs.get("inplace")))


def laid_out(traced: fx.GraphModule) -> tuple[int, int, int] | None:
    """The shape ``(C, H, W)`` of the map that is first made of the input, a vector; None if
    something else is made of it, too."""
    (given,) = (node for node in traced.graph.nodes if node.op == "placeholder")
    users = [user for user in given.users if _operator(traced, user) not in _SIZES]
    shapes = {user.meta["sizes"][1:] if _makes_map(traced, user) else None for user in users}
    return shapes.pop() if len(shapes) == 1 else None


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _operator(traced: fx.GraphModule, node: fx.Node) -> str | None:
    """The operator of a node, if it has one of its own."""
    match node.op, _module(traced, node):
        case "call_function", _:
            return FUNCTIONS.get(node.target)
        case "call_method", _:
            return METHODS.get(str(node.target))
        case "call_module", nn.Module() as module:
            return (operator_of(module) or (None,))[0]
    return None


def _works(traced: fx.GraphModule, node: fx.Node, activation: Activation | None,
           operators: set[str]) -> bool:
    """Whether a node is one of the operators, a quantiser, or idle."""
    module = _module(traced, node)
    foreign = module is not None and activation is not None and activation.matches(module)
    return foreign or isinstance(module, _QUANTISERS) or _operator(
        traced, node) in operators


def _norm_rises(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a batch norm whose results never fall if what it is given rises."""
    module = _module(traced, node)
    return isinstance(module, _NORMS) and (
        module.weight is None or bool((module.weight >= 0).all()))


def _makes_map(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node makes a map of a vector."""
    return _operator(traced, node) in _RESHAPES and len(node.meta.get("sizes", ())) == 4 and len(
        node.all_input_nodes[0].meta.get("sizes", ())) == 2


def _swap(graph: fx.Graph, first: fx.Node, second: fx.Node) -> None:
    """Exchange two nodes, of which the second is the only one that the first's result is for."""
    second.replace_all_uses_with(first)
    second.replace_input_with(first, first.all_input_nodes[0])
    first.replace_input_with(first.all_input_nodes[0], second)
    second.append(first)


def functions_last(traced: fx.GraphModule) -> None:
    """Put a function of one channel after what leaves out the axis of the channels of a result:
    last functions are the host's."""
    for view in returned(traced.graph).values():
        if not isinstance(view, fx.Node) or not _follows_function(traced, view):
            continue
        function = view.all_input_nodes[0]
        before, after = (node.meta.get("sizes", ()) for node in (function, view))
        if len(before) in (2, 4) and before[1] == 1 and after == (before[0], *before[2:]):
            _swap(traced.graph, function, view)
            function.meta = {**function.meta, "sizes": after}
    traced.graph.lint()


def _follows_function(traced: fx.GraphModule, view: fx.Node) -> bool:
    """Whether a node arranges what a function of each value gives, for which alone it is."""
    kind = _operator(traced, view)
    if kind not in _VIEWS or len(view.all_input_nodes) != 1 or (
            kind == "_squeeze" and len(view.args) + len(view.kwargs) == 1):
        return False
    function = view.all_input_nodes[0]
    name, _ = last_function(traced, function)
    return bool(name) and name not in OVER_CLASSES and len(function.users) == len(view.users) == 1
