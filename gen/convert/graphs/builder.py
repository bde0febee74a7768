"""A PyTorch module that is built from a graph's operators, one after the other."""

import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import onnx
import torch
from torch import fx, nn

from gen.convert.uniform import Uniform
from gen.convert.usercode import first_line
from gen.errors import ConversionError
from gen.ir.artifact import MAX_WEIGHTS

from .file import array

__all__ = ["Builder", "Constant", "Node", "Value"]

_SUFFIX = re.compile(r"\.(weight|bias)$")


@dataclass(frozen=True)
class Constant:
    """Numbers that a graph has.

    Members
    -------
    numbers : of any shape
    unit : of the same shape: the numbers are whole multiples of it; or None
    name : of the tensor in the file that they come from, if there is one
    """

    numbers: np.ndarray
    unit: np.ndarray | None = None
    name: str = ""


@dataclass(frozen=True)
class Value:
    """A result that depends on the input.

    Members
    -------
    node : that computes it
    shape : with the axis of the samples
    module : that computes it, if one does
    positive : whether it is never below 0
    grid : the quantiser that its values have passed, or None
    gain : what the weights that receive them are to be multiplied with
    before : what the module was given
    """

    node: fx.Node
    shape: tuple[int, ...]
    module: nn.Module | None = None
    positive: bool = False
    grid: Uniform | None = None
    gain: float = 1.0
    before: "Value | None" = None

    @property
    def passed(self) -> dict[str, Any]:
        """What stays true of values that only move."""
        return {"positive": self.positive, "grid": self.grid, "gain": self.gain}


class Node:
    """An operator of a graph.

    Members
    -------
    op, name : its type, and what it is called
    inputs, outputs : names of tensors; inputs that are left out are empty
    """

    def __init__(self, proto: onnx.NodeProto, where: str) -> None:
        self.op, self.name = proto.op_type, proto.name
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.domain, self._where = proto.domain, where
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute's value: a number, a text, a list of them, or an array."""
        attribute = self._attributes.get(name)
        if attribute is None:
            return default
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            return array(value, self._where)
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def input(self, position: int) -> str:
        """The name of an input, empty if it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""


class Builder:
    """The module so far, and what the tensors of the graph have become.

    Parameters
    ----------
    model : the graph
    path : of the file, for messages
    input_name, shape : the graph's input, with the axis of the samples
    input_levels : greatest count of a pixel
    scaled : whether pixels do not stand for 0..1

    Members
    -------
    constants, values : by the tensors' names
    input : the input
    where : the operator that is read, for messages
    """

    def __init__(self, model: onnx.ModelProto, path: str, input_name: str,
                 shape: tuple[int, ...], input_levels: int, scaled: bool) -> None:
        self.path, self.where = path, path
        self.input_levels, self.scaled = input_levels, scaled
        self.constants: dict[str, Constant] = {}
        self.values: dict[str, Value] = {}
        self._root, self._graph = nn.Module(), fx.Graph()
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self._uses.update(value.name for value in model.graph.output)
        self.input = Value(self._graph.placeholder("x"), shape, positive=not scaled)
        self.values[input_name] = self.input

    def refuse(self, why: str) -> NoReturn:
        """Refuse the present operator.

        Raises
        ------
        ConversionError
            Always; the message says where the operator is, and ``why``.
        """
        raise ConversionError(f"{self.where}: {why}")

    # Tensors.

    def value(self, name: str) -> Value:
        """A tensor that depends on the input."""
        x = self.pending(name)
        if x.gain == 1:
            return x
        node = self._graph.call_function(operator.mul, (x.node, x.gain))
        self.values[name] = replace(x, node=node, gain=1.0, module=None, grid=None)
        return self.values[name]

    def pending(self, name: str) -> Value:
        """A tensor that depends on the input, and may have a gain."""
        if name not in self.values:
            self.refuse(f"its input {name!r} must depend on the network's input")
        return self.values[name]

    def constant(self, name: str) -> Constant:
        """A tensor that does not depend on the input."""
        if name not in self.constants:
            self.refuse(f"its input {name!r} must be a constant of the file")
        return self.constants[name]

    def numbers(self, node: Node, position: int, attribute: str, default: Any = None) -> Any:
        """What newer versions of ONNX have as an input, and older ones as an attribute: a list of
        Python's numbers."""
        if name := node.input(position):
            return self.constant(name).numbers.reshape(-1).tolist()
        return node.get(attribute, default)

    def number(self, name: str) -> float:
        """A constant that is one number."""
        numbers = self.constant(name).numbers
        if numbers.size != 1:
            self.refuse(f"its input {name!r} must be one number, not {numbers.shape}")
        return float(numbers.reshape(()))

    def once(self, name: str) -> bool:
        """Whether only one operator takes a tensor."""
        return self._uses[name] == 1

    # What is computed.

    def call(self, node: Node, module: nn.Module, x: Value, **changes: Any) -> None:
        """The node's result is that of a module.

        Parameters
        ----------
        changes : members of the :class:`Value`
        """
        if not all(tensor.isfinite().all() for tensor in module.state_dict().values()):
            self.refuse("its weights must be finite numbers")
        name = self._unused(self._label(node))
        self._root.add_module(name, module)
        made = self._graph.call_module(name, (x.node,))
        self.values[node.outputs[0]] = Value(
            made, self._shape(module, x), **{"module": module, "before": x, **changes})

    def function(self, node: Node, target: Callable | str, x: Value, *args: Any,
                 output: int = 0, **changes: Any) -> None:
        """The node's result is that of a function, or of a tensor's method.

        Parameters
        ----------
        args : further arguments; a :class:`Value` is a tensor, and an array a constant
        output : the number of the result
        """
        given = [self._argument(arg) for arg in args]
        if isinstance(target, str):
            made = self._graph.call_method(target, (x.node, *[node for node, _ in given]))
            computed = getattr(torch.Tensor, target)
        else:
            made = self._graph.call_function(target, (x.node, *[node for node, _ in given]))
            computed = target
        self.values[node.outputs[output]] = Value(
            made, self._shape(computed, x, *[like for _, like in given]), **changes)

    def joined(self, node: Node, values: Sequence[Value], axis: int, **changes: Any) -> None:
        """The node's result is a concatenation."""
        made = self._graph.call_function(torch.cat, ([value.node for value in values], axis))
        shape = list(values[0].shape)
        shape[axis] = sum(value.shape[axis] for value in values)
        self.values[node.outputs[0]] = Value(made, tuple(shape), **changes)

    def same(self, node: Node, x: Value) -> None:
        """The node's result is its input."""
        self.values[node.outputs[0]] = x

    def without(self, x: Value) -> Value:
        """What a module was given. The module is left out, so nothing else may use its result."""
        self._graph.erase_node(x.node)
        delattr(self._root, str(x.node.target))
        return x.before or x

    def finish(self, name: str) -> fx.GraphModule:
        """The module, whose result is a tensor of the graph."""
        self.where = f"{self.path}: output {name!r}"
        self._graph.output(self.value(name).node)
        module = fx.GraphModule(self._root, self._graph, "Graph")
        module.delete_all_unused_submodules()
        return module.eval()

    def _argument(self, arg: Any) -> tuple[Any, Any]:
        """An argument in the graph, and one of its kind to compute with."""
        if isinstance(arg, Value):
            return arg.node, torch.empty(arg.shape, device="meta")
        if not isinstance(arg, np.ndarray):
            return arg, arg
        if arg.size == 1:
            return float(arg.reshape(())), float(arg.reshape(()))
        tensor = torch.from_numpy(np.array(arg, np.float32))
        name = self._unused("constant")
        self._root.register_buffer(name, tensor)
        return self._graph.get_attr(name), tensor.to("meta")

    @torch.no_grad()
    def _shape(self, computed: Callable, x: Value, *others: Any) -> tuple[int, ...]:
        """The shape of a result, which is not computed: there may be no memory that holds it."""
        given = (torch.empty(x.shape, device="meta"), *others)
        try:
            if isinstance(computed, nn.Module):
                state = {name: torch.empty_like(tensor, device="meta") for name, tensor in (
                    *computed.named_parameters(), *computed.named_buffers())}
                result = torch.func.functional_call(computed.eval(), state, given)
            else:
                result = computed(*given)
        except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
            self.refuse(f"does not fit its input of {x.shape}: {first_line(error)}")
        if result.numel() > MAX_WEIGHTS:
            self.refuse(f"its result has the shape {tuple(result.shape)}, more than "
                        f"{MAX_WEIGHTS:,} numbers")
        return tuple(result.shape)

    def _label(self, node: Node) -> str:
        """What a node's layer is called: like its weights, or the node."""
        for name in node.inputs[1:3]:
            held = self.constants.get(name)
            if held is not None and _SUFFIX.search(held.name):
                return _SUFFIX.sub("", held.name)
        parts = [part for part in node.name.split("/") if part]
        if len(parts) > 1 and parts[-1].partition("_")[0] == node.op:
            parts.pop()
        return ".".join(parts) or node.op.lower()

    def _unused(self, label: str) -> str:
        """A name that torch.fx can write down, and that no module has."""
        label = re.sub(r"\W", "_", label, flags=re.ASCII) or "_"
        name, n = label, 1
        while hasattr(self._root, name):
            n += 1
            name = f"{label}_{n}"
        return name
