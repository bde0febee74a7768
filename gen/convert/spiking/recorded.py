"""Networks that spike already, as PyTorch modules of snnTorch, SpikingJelly and Sinabs.

The libraries are not imported: their layers are recognised by their names, and read by their
attributes. What feeds what is recorded while the module runs on the calibration data, so a loop
over time-steps in its ``forward`` is no obstacle. A value is known by its memory.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from gen.convert.usercode import blamed
from gen.errors import ConversionError

from .data import Data
from .graph import INPUT, OUTPUT, Flatten, Graph, Node, Pooling, Scale, Weights
from .libraries import is_neuron, neuron_of, package_of, returning

__all__ = ["is_spiking", "record"]


def is_spiking(module: nn.Module) -> bool:
    """Whether a module has neurons of one of the libraries."""
    return any(map(is_neuron, module.modules()))


@dataclass
class _Recording:
    """What was seen of a run.

    Parameters
    ----------
    sources : name of a node -> those that feed it
    trains : name of a layer of neurons -> what came out of each of its calls
    places : memory of a tensor -> the node that made it, or ``None`` for the input
    kept : tensors that stay, so that their memory is not used again
    """

    sources: dict[str, list[str]] = field(default_factory=dict)
    trains: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    places: dict[tuple[int, int], str] = field(default_factory=dict)
    kept: list[torch.Tensor] = field(default_factory=list)

    def made(self, tensor: torch.Tensor, name: str) -> None:
        """A tensor is the result of a node."""
        self.kept.append(tensor)
        self.places[_memory(tensor)] = name

    def source(self, tensor: object, name: str) -> str:
        """The node that a tensor comes from."""
        found = self.places.get(_memory(tensor)) if isinstance(tensor, torch.Tensor) else None
        if found is None:
            raise ConversionError(f"{name}: gets what no layer has made, but forward has computed; "
                                  f"make each operation between the layers a module (nn.Flatten, "
                                  f"nn.AvgPool2d, ...)")
        return found


def _memory(tensor):
    """Where the numbers are. A tensor in another shape is at the same place."""
    return tensor.untyped_storage().data_ptr(), tensor.numel()


def record(module: nn.Module, data: Data) -> tuple[Graph, dict[str, np.ndarray]]:
    """The graph of a module, and the spikes of its neurons on calibration data.

    Parameters
    ----------
    data : of as many time-steps as the module is to run

    Returns
    -------
    The graph; and name of a layer of neurons -> ``(T, N, ...)`` spikes

    Raises
    ------
    ConversionError
        If the module has layers that can't be converted, or computes something between them.
    """
    layers = dict(_leaves(module))
    module = module.eval().float()
    recording = _Recording()
    real = torch.from_numpy(np.array(data.real, dtype=np.float32)).reshape(
        data.timesteps, data.samples, *data.given)
    with torch.no_grad(), ExitStack() as hooks:
        for name, leaf in layers.items():
            handle = leaf.register_forward_hook(_hook(recording, name))
            hooks.callback(handle.remove)
        batch_first = _run(module, list(layers.values()), real, recording)
    trains = {name: _stacked(name, calls, data, batch_first)
              for name, calls in recording.trains.items()}
    nodes = {name: _node(name, leaf, trains.get(name)) for name, leaf in layers.items()
             if name in recording.sources and not isinstance(leaf, nn.Identity | nn.Dropout)}
    sources = _without_idle(recording.sources, nodes)
    for name, leaf in layers.items():
        if name in nodes and (back := _told(name, leaf, returning)) is not None:
            nodes[f"{name}.recurrent"] = back
            sources |= {f"{name}.recurrent": [name], name: [*sources[name], f"{name}.recurrent"]}
    return Graph(nodes, sources, data.given), trains


def _leaves(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Layers: modules without others in them, and neurons."""
    children = [] if is_neuron(module) else list(module.named_children())
    if not children:
        if path or not is_neuron(module):
            yield path or "module", module
        return
    for name, child in children:
        if not _surrogate(child):
            yield from _leaves(child, f"{path}.{name}" if path else name)


def _surrogate(module: nn.Module) -> bool:
    return "surrogate" in type(module).__module__


def _hook(recording: _Recording, name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(leaf, inputs, output):
        sources = [recording.source(inputs[0], name)]
        if recording.sources.setdefault(name, sources) != sources:
            raise ConversionError(f"{name}: is fed by {recording.sources[name][0]}, and also by "
                                  f"{sources[0]}; a layer must be called once in a time-step")
        result = output[0] if isinstance(output, tuple) else output
        recording.made(result, name)
        if is_neuron(leaf):
            recording.trains.setdefault(name, []).append(result.detach().clone())
    return hook


def _run(module, layers, real, recording):
    """Run the module, as it takes its time-steps; whether samples come before time-steps."""
    for leaf in layers:
        _reset(leaf)
    packages = {package_of(leaf) for leaf in layers if is_neuron(leaf)}
    timesteps = len(real)
    if packages == {"sinabs"}:
        squeezed = any(type(leaf).__name__.endswith("Squeeze") for leaf in layers)
        batch = real.transpose(0, 1).contiguous()
        _call(module, batch.flatten(0, 1) if squeezed else batch, recording)
        return True
    if any(getattr(leaf, "step_mode", "s") == "m" for leaf in layers):
        _call(module, real.contiguous(), recording)
        return False
    first = real[0].clone()
    _call(module, first, recording)
    neurons = list(recording.trains.values())
    if neurons and len(neurons[0]) == timesteps > 1:
        # It runs all time-steps by itself.
        if not torch.equal(real, real[:1].expand_as(real)):
            raise ConversionError("forward runs all time-steps by itself, on a single input: give "
                                  "images, which drive all of them, or a forward of one time-step")
        return False
    if neurons and len(neurons[0]) > 1:
        raise ConversionError(f"forward runs {len(neurons[0])} time-steps by itself; give "
                              f"--timesteps {len(neurons[0])}")
    for now in real[1:]:
        _call(module, now.clone(), recording)
    return False


def _call(module, value, recording):
    recording.made(value, INPUT)
    with blamed("the module can't take the calibration images"):
        result = module(value)
    result = result[0] if isinstance(result, tuple | list) else result
    name = recording.places.get(_memory(result))
    if name is None and recording.trains:
        # What forward makes of the spikes of the last layer, such as their sum, is left out.
        name = list(recording.sources)[-1]
    recording.sources[OUTPUT] = [recording.source(result, "the output") if name is None else name]


def _reset(leaf):
    for name in ("reset_mem", "reset_states", "reset"):
        if is_neuron(leaf) and callable(getattr(leaf, name, None)):
            getattr(leaf, name)()
            return


def _stacked(name, calls, data, batch_first):
    """``(T, N, ...)`` of the calls of a layer: of each time-step, or of all."""
    if len(calls) == data.timesteps > 1 or (len(calls) == 1 and len(calls[0]) == data.samples
                                            and data.timesteps == 1):
        return torch.stack(calls).numpy()
    if len(calls) != 1:
        raise ConversionError(f"{name}: was called {len(calls)} times in {data.timesteps} "
                              f"time-steps")
    (train,) = calls
    leading = (data.samples, data.timesteps) if batch_first else (data.timesteps, data.samples)
    if train.shape[:2] != leading:
        train = train.unflatten(0, leading)
    return (train.transpose(0, 1) if batch_first else train).numpy()


def _without_idle(sources, nodes):
    """Sources without the modules that change nothing."""
    def real(name):
        while name not in nodes and name != INPUT:
            (name,) = sources[name]
        return name

    return {name: [real(source) for source in found] for name, found in sources.items()
            if name in nodes or name == OUTPUT}


def _node(name: str, leaf: nn.Module, train: np.ndarray | None) -> Node:
    """The operation of a layer, by the names of its class and its bases; ``train`` is what neurons
    have sent."""
    if train is not None:
        return _over_columns(_told(name, leaf, neuron_of), train.ndim - 2)
    match leaf:
        case nn.Linear():
            # A view of a map has the memory of the map.
            return Weights(_array(leaf.weight), _bias(leaf), flattens=True)
        case nn.Conv2d() if leaf.padding_mode == "zeros" and set(leaf.dilation) == {1} and (
                not isinstance(leaf.padding, str)):
            return Weights(_array(leaf.weight), _bias(leaf), _pair(leaf.stride),
                           _pair(leaf.padding), leaf.groups)
        case nn.AvgPool2d() if not (leaf.ceil_mode or leaf.padding or leaf.divisor_override):
            return Pooling(_pair(leaf.kernel_size), _pair(leaf.stride), True)
        case nn.Flatten():
            return Flatten()
        case nn.BatchNorm1d() | nn.BatchNorm2d() if leaf.running_var is not None:
            return _normalisation(leaf)
    if type(leaf).__name__ == "SumPool2d":
        return Pooling(_pair(leaf.kernel_size), _pair(leaf.stride or leaf.kernel_size), False)
    if type(leaf).__name__ == "VoltageScaler":
        return Scale(_array(leaf.scale))
    raise ConversionError(f"{name} ({type(leaf).__name__}): can't be converted among neurons that "
                          f"spike; Linear, Conv2d, BatchNorm, AvgPool2d, "
                          f"SumPool2d and Flatten can")


def _over_columns(neuron, axes):
    """The neurons of a map of so many axes: what has one axis belongs to the last in PyTorch."""
    if axes < 2:
        return neuron
    return replace(neuron, **{
        name: values.reshape(*[1] * (axes - 1), -1) for name, values in vars(neuron).items()
        if isinstance(values, np.ndarray) and values.ndim == 1 and values.size > 1})


def _told(name, leaf, read):
    """What is read of a layer of neurons."""
    try:
        return read(leaf)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ConversionError(f"{name} ({type(leaf).__name__}): its parameters can't be read "
                              f"({error})") from error
    except ConversionError as error:
        raise ConversionError(f"{name} ({type(leaf).__name__}): {error}") from error


def _normalisation(leaf):
    factor = 1 / np.sqrt(_array(leaf.running_var) + leaf.eps)
    if leaf.affine:
        factor = factor * _array(leaf.weight)
    shift = -_array(leaf.running_mean) * factor
    return Scale(factor, shift + _array(leaf.bias) if leaf.affine else shift)


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def _bias(leaf):
    return _array(leaf.bias) if leaf.bias is not None else np.zeros(len(leaf.weight))


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)
