"""Activations and batch norms of joined channels, as those of what is joined.

Both are the same. But a layer of neurons for all channels would have a weight for each channel of
each of its sources, and most of them would be 0.
"""

import copy
from collections.abc import Sequence

import torch
from torch import fx, nn

__all__ = ["apply_to_parts"]


def apply_to_parts(traced: fx.GraphModule, node: fx.Node, joined: fx.Node) -> None:
    """Apply what a node does to the parts of a concatenation, which is for it alone, and join the
    results.

    Parameters
    ----------
    node : an activation of single values, not in place unless it is a module, or a batch norm
    joined : ``torch.cat`` of the channels of different nodes
    """
    parts = joined.all_input_nodes
    sizes = [part.meta["sizes"] for part in parts]
    channels = [size[1] for size in sizes]
    graph, made = traced.graph, []
    with graph.inserting_before(node):
        for k, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            own = graph.node_copy(node)
            own.replace_input_with(joined, part)
            if node.op == "call_module":
                own.target = _module_of(traced, str(node.target), k, channels, size)
            own.meta = {**node.meta, "sizes": size}
            made.append(own)
        result = graph.call_function(torch.cat, (made, 1))
    result.meta = dict(node.meta)
    node.replace_all_uses_with(result)
    graph.erase_node(node)
    graph.erase_node(joined)


def _module_of(traced: fx.GraphModule, path: str, k: int, channels: list[int],
               size: Sequence[int]) -> str:
    """The path of what a module is for part ``k`` of its channels."""
    module = traced.get_submodule(path)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm):
        first = sum(channels[:k])
        module = _sliced(module, slice(first, first + channels[k]), len(size))
    elif getattr(module, "inplace", False):
        module = copy.deepcopy(module)
        vars(module)["inplace"] = False  # because others read the part, too
    else:
        return path
    own = f"{path}_part{k}"
    traced.add_submodule(own, module)
    return own


def _sliced(norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm, channels: slice, axes: int
            ) -> nn.Module:
    """A batch norm of some of the channels, of values with so many axes."""
    kind = nn.BatchNorm2d if axes == 4 else nn.BatchNorm1d
    part = kind(channels.stop - channels.start, norm.eps, affine=norm.affine)
    for name, value in (*part.named_parameters(), *part.named_buffers()):
        if value.dim():
            value.data = getattr(norm, name).data[channels].clone()
    return part.eval()
