"""Activations of another library with a step for each channel, as ones with a single step.

::

    a_c = s_c clip(floor(z_c / s_c + 1/2), 0, levels)

has the counts of an activation with a step ``s`` of the sums ``z_c s / s_c``. So these are factors
before and after it, which weights absorb: a neuron has a threshold of its own.
"""

import operator

import torch
from torch import fx, nn

from gen.errors import ConversionError

from .foreign import Activation

__all__ = ["Evened", "evened"]


class Evened(nn.Module):
    """``inner(z * gain) / gain``: all its values are whole steps.

    Parameters
    ----------
    inner : the activation, which has a step for each channel
    steps : those, ``(C,)``
    levels : greatest count
    floor : whether values are rounded down to whole steps, and not to the nearest
    axes : of what the activation takes, with that of the samples
    """

    def __init__(self, inner: nn.Module, steps: torch.Tensor, levels: int, floor: bool, axes: int
                 ) -> None:
        super().__init__()
        self.symmetric = False
        self.inner, self.levels, self.floor = inner, levels, floor
        self.step = float(steps.log().mean().exp())
        self.gain = (steps / self.step).float().reshape(-1, *[1] * (axes - 2))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Values ``step * n`` for sums of a single step; further axes must be of one place."""
        own = z.flatten(self.gain.dim())
        return (self.inner(own * self.gain) / self.gain).reshape(z.shape)


def evened(traced: fx.GraphModule, activation: Activation) -> None:
    """Put factors around activations that have a step for each channel, and :class:`Evened` in
    their place.

    Raises
    ------
    ConversionError
        If there are other channels than steps.
    """
    for node in list(traced.graph.nodes):
        module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Evened):
            _surround(traced, node)
        elif module is not None and activation.matches(module):
            path = str(node.target)
            steps, levels = activation.read(module, path)
            if len(steps) > 1 and "failed" not in node.meta:
                _, *sample = node.meta["sizes"]
                if sample[0] != len(steps):
                    raise ConversionError(f"{path}: has {len(steps)} steps for values of "
                                          f"{tuple(sample)}; it must have one, or one for each "
                                          f"channel, and channels must come first")
                folder, _, name = path.rpartition(".")
                setattr(traced.get_submodule(folder), name, Evened(
                    module, steps, levels, activation.floor, len(sample) + 1).eval())
                _surround(traced, node)
    traced.graph.lint()


def _surround(traced: fx.GraphModule, node: fx.Node) -> None:
    """Multiply what an activation is given, and divide what it gives."""
    module = traced.get_submodule(str(node.target))
    assert isinstance(module, Evened)
    names = f"{node.name}_before", f"{node.name}_after"
    for name, factor in zip(names, (1 / module.gain, module.gain), strict=True):
        traced.register_buffer(name, factor)
    graph = traced.graph
    with graph.inserting_before(node):
        before = graph.get_attr(names[0])
        node.replace_input_with(node.all_input_nodes[0], graph.call_function(
            operator.mul, (node.all_input_nodes[0], before)))
    with graph.inserting_after(node):
        after = graph.get_attr(names[1])
    with graph.inserting_after(after):
        result = graph.call_function(operator.mul, (node, after))
    node.replace_all_uses_with(result, delete_user_cb=lambda user: user is not result)
    for made in (*node.all_input_nodes, result):
        made.meta = {**node.meta}
