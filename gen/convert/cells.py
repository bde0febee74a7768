"""Recurrent modules of PyTorch as one ``nn.RNN`` for each recurrent layer: those of several layers,
and cells in a loop over elements.

A traced module is rewritten before it is lowered, and is compared with the module itself when it is
calibrated (:mod:`gen.convert.fidelity`).
"""

import operator
from typing import NoReturn, TypeVar

import torch
from torch import fx, nn

from gen.errors import ConversionError

__all__ = ["folded", "unstacked"]

_M = TypeVar("_M", bound=nn.Module)

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


def _calls(traced: fx.GraphModule, kind: type[_M]) -> list[tuple[fx.Node, _M]]:
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
    (x,) = node.all_input_nodes
    calls: list[fx.Node] = []
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


# Cells in a loop.


def folded(traced: fx.GraphModule) -> None:
    """Put an ``nn.RNN`` in the place of an ``nn.RNNCell`` that is called for one element after the
    other.

    Raises
    ------
    ConversionError
        If its calls don't take all elements of a sequence in order, or a call does not go on from
        the state that the one before it left. The message says which call, and what departs.
    """
    calls = _calls(traced, nn.RNNCell)
    if calls:
        _drop(traced)
        _stack_joined(traced.graph)
    loops = _loops([node for node, _ in calls])
    for path, cell in {str(node.target): cell for node, cell in calls}.items():
        _replace(traced, path, _one_layer(cell, cell.input_size, True, ""))
    for loop in loops:
        _fold(traced.graph, loop)
    traced.graph.eliminate_dead_code()


def _drop(traced: fx.GraphModule) -> None:
    """Leave out the modules that do nothing in evaluation, such as dropouts between cells."""
    for kind in nn.Dropout, nn.Identity:
        for node, _ in _calls(traced, kind):
            (x,) = node.all_input_nodes
            node.replace_all_uses_with(x)
            traced.graph.erase_node(node)


def _stack_joined(graph: fx.Graph) -> None:
    """Write ``cat([h.unsqueeze(1), ...], 1)`` as ``stack([h, ...], 1)``."""
    for node in list(graph.nodes):
        if node.target not in (torch.cat, torch.concat):
            continue
        parts = node.all_input_nodes
        axes = {_axis(part) for part in parts if _called(part) == "unsqueeze"}
        if axes == {_axis(node)} and all(_called(part) == "unsqueeze" for part in parts):
            with graph.inserting_before(node):
                joined = graph.call_function(torch.stack, (
                    [part.all_input_nodes[0] for part in parts], _axis(node)))
            joined.meta = dict(node.meta)
            node.replace_all_uses_with(joined)
            for other in (node, *parts):
                if not other.users:
                    graph.erase_node(other)


def _loops(calls: list[fx.Node]) -> list[list[fx.Node]]:
    """The calls of cells, loop by loop, each from its first call to its last."""
    loops: list[list[fx.Node]] = []
    of: dict[fx.Node, list[fx.Node]] = {}
    for node in calls:
        if len(node.args) == 1:
            loops.append([])
            of[node] = loops[-1]
        else:
            of[node] = _gone_on(node, of)
        of[node].append(node)
    return loops


def _gone_on(node: fx.Node, of: dict[fx.Node, list[fx.Node]]) -> list[fx.Node]:
    """The loop whose last call left the state that a call begins with."""
    state = node.args[1]
    assert isinstance(state, fx.Node)
    before = of.get(state)
    if before is None or before[0].target != node.target:
        calls = [call for call in of if call.target == node.target]
        if calls and _depends(state, set(calls)):
            _refuse(node, len(calls), f"begins with the result of {_called(state)!r}; the state "
                                      f"must not be changed between the calls")
        _refuse(node, len(calls), "begins with another state; the first state must be zeros: "
                                  "leave it out")
    if before[-1] is not state:
        _refuse(node, len(before), f"begins with the state of call {before.index(state)}; it must "
                                   f"go on from the call before")
    return before


def _refuse(node: fx.Node, k: int, why: str) -> NoReturn:
    raise ConversionError(f"{node.target} (RNNCell): call {k} {why}")


def _depends(node: fx.Node, others: set[fx.Node]) -> bool:
    """Whether a value is computed from one of others."""
    ahead, seen = [node], {node}
    while ahead:
        inputs = set(ahead.pop().all_input_nodes) - seen
        if inputs & others:
            return True
        seen |= inputs
        ahead += inputs
    return False


def _called(node: fx.Node) -> str:
    """The name of a node's function, method or module."""
    return str(getattr(node.target, "__name__", node.target))


def _fold(graph: fx.Graph, loop: list[fx.Node]) -> None:
    """Put one call of an ``nn.RNN`` in the place of a loop."""
    first = loop[0]
    source, axis = _sequence(loop)
    with graph.inserting_before(first):
        if axis != 1:
            source = graph.call_method("transpose", (source, *sorted((axis, 1))))
        call = graph.call_module(str(first.target), (source,))
        states = graph.call_function(operator.getitem, (call, 0))
        call.meta, states.meta = dict(first.meta), {
            **first.meta, "sizes": (1, len(loop), *first.meta["sizes"][1:])}
        _read_stacks(graph, loop, states)
        for k, node in enumerate(loop):
            state = graph.call_function(operator.getitem, (states, (slice(None), k)))
            state.meta = dict(node.meta)
            node.replace_all_uses_with(state)
    for node in reversed(loop):
        graph.erase_node(node)


def _sequence(loop: list[fx.Node]) -> tuple[fx.Node, int]:
    """The sequence whose elements a loop takes, and the axis of its elements."""
    found = None
    for k, node in enumerate(loop):
        element = _element(node.args[0])
        if element is None:
            given = _called(node.all_input_nodes[0])
            _refuse(node, k, f"takes no element of a sequence, but the result of {given!r}; each "
                             f"call must take x[:, t] of one x, which is made before the loop")
        source, axis, number, elements = element
        found = found or (source, axis)
        if found != (source, axis):
            _refuse(node, k, "takes an element of another sequence; the calls must take those of "
                             "one")
        if number != k:
            _refuse(node, k, f"takes element {number}; the calls must take all elements in order")
        if node is loop[-1] and k != elements - 1:
            _refuse(node, k, f"is the last, but there are {elements} elements; the calls must take "
                             f"all of them")
    assert found is not None
    return found


def _element(node: object) -> tuple[fx.Node, int, int, int] | None:
    """The sequence, the axis of its elements, the number of one, and that of all, if a node takes
    an element of a sequence."""
    if not isinstance(node, fx.Node):
        return None
    match _called(node), node.args:
        case "select", (fx.Node() as source, int() as axis, int() as k):
            pass
        case "getitem", (fx.Node() as source, int() as k):
            axis = 0
            if _called(source) == "unbind":
                axis = _axis(source)
                (source,) = source.all_input_nodes
        case "getitem", (fx.Node() as source, tuple() as index):
            index = index[:-1] if index[-1] is ... else index
            chosen = [axis for axis, part in enumerate(index) if part != slice(None)]
            if len(chosen) != 1 or not isinstance(index[chosen[0]], int):
                return None
            axis, k = chosen[0], index[chosen[0]]
        case _:
            return None
    sizes = source.meta.get("sizes", ())
    if len(sizes) != 3 or not -sizes[axis] <= k < sizes[axis]:
        return None
    return source, axis % 3, k % sizes[axis], sizes[axis]


def _axis(node: fx.Node) -> int:
    """The axis of a ``stack``, a ``cat``, an ``unsqueeze`` or an ``unbind``."""
    axis = (*node.args, node.kwargs.get("dim", 0))[1]
    return axis if isinstance(axis, int) else 0


def _read_stacks(graph: fx.Graph, loop: list[fx.Node], states: fx.Node) -> None:
    """Take what is stacked of all results, or of the last ones, from the states."""
    for user in dict.fromkeys(user for node in loop for user in node.users):
        if user.target is not torch.stack or not isinstance(user.args[0], list | tuple):
            continue
        few, stacked = len(user.args[0]), states
        if list(user.args[0]) != loop[-few:] or _axis(user) not in (0, 1, -2, -3):
            continue
        if few < len(loop):
            stacked = graph.call_function(operator.getitem, (
                states, (slice(None), slice(len(loop) - few, None))))
        if _axis(user) in (0, -3):
            stacked = graph.call_method("transpose", (stacked, 0, 1))
        user.replace_all_uses_with(stacked)
        graph.erase_node(user)
