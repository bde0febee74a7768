"""Exact rewrites of a traced module before it is lowered."""

import operator

import torch
from torch import fx, nn
from torch.nn import functional as F

from .final import OVER_CLASSES, last_function, returned
from .qcfs import ClipQuan, Qcfs

__all__ = ["functions_last", "reordered"]

_RISING = (nn.ReLU, nn.Hardtanh, Qcfs, ClipQuan)
"""Activations that never fall, so that the greatest of their values is that of the greatest sum."""

_RISING_FUNCTIONS = (F.relu, torch.relu, F.relu6, "relu", "relu_")

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)

_POOL_FUNCTIONS = (F.max_pool2d, torch.max_pool2d, F.max_pool1d, torch.max_pool1d)

_SQUEEZES = (torch.squeeze, "squeeze")

_VIEWS = (operator.getitem, torch.flatten, torch.reshape, "view", "reshape", "flatten", *_SQUEEZES)
"""What may leave out the axis of the channels."""


def reordered(traced: fx.GraphModule) -> None:
    """Put activations that come after a maximum before it: neurons send spikes, not sums, and the
    result is the same."""
    for node in list(traced.graph.nodes):
        if not _is(traced, node, _RISING, _RISING_FUNCTIONS):
            continue
        pool = node.all_input_nodes[0]
        # An activation in place must not change what others read.
        alone = len(pool.users) == 1 and pool.all_input_nodes and len(
            pool.all_input_nodes[0].users) == 1
        if alone and _is(traced, pool, _POOLS, _POOL_FUNCTIONS):
            _swap(traced.graph, pool, node)
    traced.graph.lint()


def _is(traced: fx.GraphModule, node: fx.Node, modules: tuple[type, ...],
        functions: tuple[object, ...]) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), modules)
    return node.op in ("call_function", "call_method") and node.target in functions


def _swap(graph: fx.Graph, first: fx.Node, second: fx.Node) -> None:
    """Exchange two nodes, of which the second is the only one that the first's result is for."""
    second.replace_all_uses_with(first)
    second.replace_input_with(first, first.all_input_nodes[0])
    first.replace_input_with(first.all_input_nodes[0], second)
    first.prepend(second)


def functions_last(traced: fx.GraphModule, sample: tuple[int, ...]) -> None:
    """Put a function of one channel after what leaves out the axis of the channels of a result:
    last functions are the host's.

    Parameters
    ----------
    sample : shape of one
    """
    pairs = [(node.all_input_nodes[0], node) for node in returned(traced.graph).values()
             if isinstance(node, fx.Node) and _follows_function(traced, node)]
    sizes = _Sizes.of(traced, sample) if pairs else {}
    for function, view in pairs:
        before, after = sizes.get(function, ()), sizes.get(view, ())
        if len(before) in (2, 4) and before[1] == 1 and after == (before[0], *before[2:]):
            _swap(traced.graph, function, view)
    traced.graph.lint()


def _follows_function(traced: fx.GraphModule, view: fx.Node) -> bool:
    """Whether a node arranges what a function of each value gives, for which alone it is."""
    if not _is(traced, view, (nn.Flatten,), _VIEWS) or len(view.all_input_nodes) != 1 or (
            view.target in _SQUEEZES and len(view.args) + len(view.kwargs) == 1):
        return False
    function = view.all_input_nodes[0]
    name, _ = last_function(traced, function)
    return bool(name) and name not in OVER_CLASSES and len(function.users) == len(view.users) == 1


class _Sizes(fx.Interpreter):
    """Computes the shapes of all values."""

    found: dict[fx.Node, tuple[int, ...]]

    @classmethod
    def of(cls, traced: fx.GraphModule, sample: tuple[int, ...]
           ) -> dict[fx.Node, tuple[int, ...]]:
        """By their nodes, for two samples; none if the module can't take them."""
        sizes = cls(traced)
        sizes.extra_traceback, sizes.found = False, {}
        try:
            with torch.no_grad():
                sizes.run(torch.zeros(2, *sample))
        except (Exception, SystemExit):
            return {}  # The reason is found when the module is compared.
        return sizes.found

    def run_node(self, n: fx.Node) -> object:
        """Compute a value."""
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.found[n] = tuple(result.shape)
        return result
