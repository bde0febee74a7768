"""Exact rewrites of a traced module before it is lowered."""

import torch
from torch import fx, nn
from torch.nn import functional as F

from .foreign import Activation
from .qcfs import ClipQuan, Qcfs
from .uniform import Uniform

__all__ = ["reordered"]

_RISING = (nn.ReLU, nn.Hardtanh, nn.Hardsigmoid, Qcfs, ClipQuan, Uniform, nn.Identity, nn.Dropout,
           nn.Dropout1d, nn.Dropout2d)
"""Modules that never fall, so that the greatest of their values is that of the greatest sum."""

_RISING_FUNCTIONS = (F.relu, F.relu_, torch.relu, torch.relu_, F.relu6, F.hardtanh, F.hardtanh_,
                     F.hardsigmoid, torch.clamp, torch.clip, torch.clamp_min, F.dropout,
                     F.dropout2d, "relu", "relu_", "clamp", "clamp_", "clip", "clip_", "clamp_min",
                     "clamp_min_")

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)

# Those of one window call a function of their own if they return no indices.
_POOL_FUNCTIONS = (F.max_pool2d, torch.max_pool2d, F.max_pool1d, torch.max_pool1d,
                   F.adaptive_max_pool2d, F.adaptive_max_pool1d)


def reordered(traced: fx.GraphModule, activation: Activation | None) -> None:
    """Put activations and batch norms that come after a maximum before it: neurons send spikes, not
    sums, and the result is the same.

    Parameters
    ----------
    activation : see :func:`gen.convert.lower.lower`
    """
    for node in list(traced.graph.nodes):
        if not _rises(traced, node, activation):
            continue
        pool = node.all_input_nodes[0]
        # An activation in place must not change what others read.
        alone = len(pool.users) == 1 and pool.all_input_nodes and len(
            pool.all_input_nodes[0].users) == 1
        if alone and _is(traced, pool, _POOLS, _POOL_FUNCTIONS):
            _swap(traced.graph, pool, node)
    traced.graph.lint()


def _rises(traced: fx.GraphModule, node: fx.Node, activation: Activation | None) -> bool:
    """Whether a node's results never fall if what it is given rises."""
    if _is(traced, node, _RISING, _RISING_FUNCTIONS):
        return True
    if node.op != "call_module":
        return False
    module = traced.get_submodule(str(node.target))
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm):
        return module.weight is None or bool((module.weight >= 0).all())
    return activation is not None and activation.matches(module)


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
