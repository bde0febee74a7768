"""Recurrent modules of PyTorch as one ``nn.RNN`` for each recurrent layer.

A traced module is rewritten before it is lowered, and is compared with the module itself when it is
calibrated (:mod:`gen.convert.fidelity`).
"""

import operator

from torch import fx, nn

from gen.errors import ConversionError

__all__ = ["unstacked"]

_FIRST_LAYER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def unstacked(traced: fx.GraphModule) -> None:
    """Put an ``nn.RNN`` for each layer in the place of one with several layers: ``rnn.l0``,
    ``rnn.l1`` and so on in that of ``rnn``.

    Raises
    ------
    ConversionError
        If the module's last states are used in another way than ``h[-1]``.
    """
    found = [(node, module) for node, module in _calls(traced, nn.RNN)
             if module.num_layers > 1 and not module.bidirectional and len(node.args) == 1]
    for node, module in found:
        _replace(traced, str(node.target), nn.ModuleDict(_stack(module)))
    for node, module in found:
        _unstack(traced.graph, node, [f"l{k}" for k in range(module.num_layers)])
    traced.graph.eliminate_dead_code()


def _calls(traced: fx.GraphModule, kind: type[nn.Module]) -> list[tuple[fx.Node, nn.Module]]:
    """The nodes that call a module of a kind, in order."""
    calls = ((node, traced.get_submodule(str(node.target))) for node in traced.graph.nodes
             if node.op == "call_module")
    return [(node, module) for node, module in calls if isinstance(module, kind)]


def _replace(traced: fx.GraphModule, path: str, module: nn.Module) -> None:
    """Put a module at a path of the traced module, which has folders of its own."""
    folder, _, name = path.rpartition(".")
    setattr(traced.get_submodule(folder), name, module)


def _stack(module: nn.RNN) -> dict[str, nn.Module]:
    """The layers, which share the module's weights, by their names in it."""
    fans = [module.input_size, *[module.hidden_size] * (module.num_layers - 1)]
    return {f"l{k}": _one_layer(module, fan, module.batch_first, f"_l{k}")
            for k, fan in enumerate(fans)}


def _one_layer(module: nn.RNN | nn.RNNCell, fan: int, batch_first: bool, suffix: str) -> nn.RNN:
    """An ``nn.RNN`` with those weights of ``module`` whose names end so."""
    layer = nn.RNN(fan, module.hidden_size, nonlinearity=module.nonlinearity,
                   bias=bool(module.bias), batch_first=batch_first)
    for name in _FIRST_LAYER[:4 if module.bias else 2]:
        weight = getattr(module, name + suffix).detach()
        setattr(layer, f"{name}_l0", nn.Parameter(weight, requires_grad=False))
    return layer.eval()


def _unstack(graph: fx.Graph, node: fx.Node, names: list[str]) -> None:
    """Put a call of each layer in the place of that of an ``nn.RNN``."""
    calls, x = [], node.args[0]
    for name in names:
        with graph.inserting_before(node):
            calls.append(graph.call_module(f"{node.target}.{name}", (x,)))
            x = graph.call_function(operator.getitem, (calls[-1], 0))
        calls[-1].meta = x.meta = dict(node.meta)
    for user in list(node.users):
        if _index(user) == 0:
            user.replace_all_uses_with(x)
        else:
            _unstack_state(graph, node, user, calls)
    for user in list(node.users):
        graph.erase_node(user)
    graph.erase_node(node)


def _unstack_state(graph: fx.Graph, node: fx.Node, state: fx.Node, calls: list[fx.Node]) -> None:
    """Take each layer's last state from its own call."""
    for user in list(state.users):
        k = _index(user)
        if _index(state) != 1 or k is None or not -len(calls) <= k < len(calls):
            raise ConversionError(f"{node.target} (RNN): the last states of its layers can be used "
                                  f"one by one: states, h = rnn(x), then h[-1]")
        with graph.inserting_before(user):
            of_layer = graph.call_function(operator.getitem, (calls[k], 1))
        of_layer.meta = dict(user.meta)
        user.args = (of_layer, 0)


def _index(node: fx.Node) -> int | None:
    """The ``k`` of ``x[k]``, if a node is that."""
    if node.target is operator.getitem and isinstance(node.args[1], int):
        return node.args[1]
    return None
