"""Exact rewrites of a traced module before it is lowered."""

import torch
from torch import fx, nn
from torch.nn import functional as F

from .qcfs import ClipQuan, Qcfs

__all__ = ["reordered"]

_RISING = (nn.ReLU, nn.Hardtanh, Qcfs, ClipQuan)
"""Activations that never fall, so that the greatest of their values is that of the greatest sum."""

_RISING_FUNCTIONS = (F.relu, torch.relu, F.relu6, "relu", "relu_")

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)

_POOL_FUNCTIONS = (F.max_pool2d, torch.max_pool2d, F.max_pool1d, torch.max_pool1d)


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
