"""The neurons of snnTorch, SpikingJelly and Sinabs, by the names of their classes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from gen.errors import ConversionError, unknown

from .graph import Neuron, Node, Scale, Weights

__all__ = ["is_neuron", "neuron_of", "package_of", "returning"]

_PACKAGES = ("snntorch", "spikingjelly", "sinabs")

# Classes in the packages that hold layers and are none, or only shape them.
_NEURAL = {"snntorch": ("SpikingNeuron",), "spikingjelly": ("BaseNode", "SimpleBaseNode"),
           "sinabs": ("StatefulLayer",)}


def package_of(module: nn.Module) -> str | None:
    """The library that a class or one of its bases is from."""
    for cls in type(module).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in _PACKAGES:
            return package
    return None


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is a layer of neurons of one of the libraries, whether or not it can be
    converted."""
    package = package_of(module)
    return package is not None and any(
        cls.__name__ in _NEURAL[package] for cls in type(module).__mro__)


def neuron_of(module: nn.Module) -> Neuron:
    """The neurons of a module.

    Raises
    ------
    ConversionError
        If they can't be converted.
    """
    name = type(module).__name__
    if name not in _READERS:
        raise ConversionError(unknown("layer of neurons", name, _READERS))
    return _READERS[name](module)


def returning(module: nn.Module) -> Node | None:
    """What the spikes of a layer of neurons go through on their way back to it, if it is recurrent.

    Raises
    ------
    ConversionError
        If it is a layer that can't be converted.
    """
    back = getattr(module, "recurrent", None)
    if package_of(module) != "snntorch" or back is None:
        return None
    match back:
        case nn.Linear():
            weight = _number(back.weight)
            bias = np.zeros(len(weight)) if back.bias is None else _number(back.bias)
            return Weights(weight, bias)
        case nn.Module() if hasattr(back, "V"):
            return Scale(_number(back.V))
    raise ConversionError(f"its spikes come back to it through a {type(back).__name__}; they can "
                          f"through a Linear, or one by one (all_to_all=False)")


def _number(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().double().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


def _refuse(**wrong: object) -> None:
    for what, is_so in wrong.items():
        if is_so:
            raise ConversionError(f"{what.replace('_', ' ')} can't be converted")


def _leaky(neurons: Any) -> Neuron:
    """SnnTorch's ``Leaky``: ``mem <- beta mem + I - reset theta``, with the reset of the spike
    before, and ``mem > theta``."""
    kind = neurons.reset_mechanism
    _refuse(inhibition=neurons.inhibition, a_quantised_state=neurons.state_quant,
            a_reset_mechanism_of_none=kind == "none",
            graded_spikes=bool((_number(neurons.graded_spikes_factor) != 1).any()))
    return Neuron(_number(neurons.beta).clip(0, 1), np.ones(()), _number(neurons.threshold),
                  zero=kind == "zero", strict=True,
                  delayed=kind == "subtract" and bool(getattr(neurons, "reset_delay", True)))


def _recurrent(neurons: Any) -> Neuron:
    """SnnTorch's ``RLeaky``: those of ``Leaky``, and their spikes. Its reset to zero also takes the
    charge of the next time-step."""
    _refuse(a_reset_to_zero_that_takes_the_charge_after_it=neurons.reset_mechanism == "zero")
    return _leaky(neurons)


def _synaptic(neurons: Any) -> Neuron:
    """SnnTorch's ``Synaptic`` and ``RSynaptic``: ``syn <- alpha syn + I``, which is the current of
    those above."""
    _refuse(a_reset_that_is_not_delayed=not getattr(neurons, "reset_delay", True))
    alpha = _number(neurons.alpha).clip(0, 1)
    return replace(_recurrent(neurons), current=alpha if alpha.any() else None)


def _if_node(neurons: Any) -> Neuron:
    """SpikingJelly's ``IFNode``: ``v <- v + x``, and ``v >= theta``."""
    return Neuron(np.ones(()), np.ones(()), _number(neurons.v_threshold), **_reset(neurons))


def _lif_node(neurons: Any) -> Neuron:
    """SpikingJelly's ``LIFNode``: ``v <- v + (x - (v - v_reset)) / tau``, or with ``x`` whole if
    ``decay_input`` is false."""
    share = 1 / _number(neurons.tau)
    found = _reset(neurons)
    return Neuron(1 - share, share if neurons.decay_input else np.ones(()),
                  _number(neurons.v_threshold), drift=share * found["rest"], **found)


def _reset(neurons):
    rest = np.zeros(()) if neurons.v_reset is None else _number(neurons.v_reset)
    return {"zero": neurons.v_reset is not None, "rest": rest, "start": rest}


def _iaf(neurons: Any) -> Neuron:
    """Sinabs' ``IAF``: ``v <- v + I``, and as many spikes as ``v`` has thresholds."""
    spikes, reset = neurons.spike_fn, neurons.reset_fn
    name = getattr(spikes, "__name__", type(spikes).__name__)
    _refuse(a_current_that_decays=neurons.tau_syn is not None,
            a_least_potential=neurons.min_v_mem is not None,
            a_fixed_value_that_is_subtracted=getattr(reset, "subtract_value", None) is not None)
    if name not in ("MultiSpike", "SingleSpike"):
        raise ConversionError(f"the spike function {name} can't be converted; MultiSpike and "
                              f"SingleSpike can")
    zero = type(reset).__name__ == "MembraneReset"
    burst = 1 if name == "SingleSpike" else 0
    if zero and burst != 1:
        raise ConversionError("several spikes and a reset to zero can't be converted")
    return Neuron(np.ones(()), np.ones(()), _number(neurons.spike_threshold), zero=zero,
                  rest=_number(getattr(reset, "reset_value", 0.0)), burst=burst)


_READERS: dict[str, Callable[[Any], Neuron]] = {
    "Leaky": _leaky, "RLeaky": _recurrent, "Synaptic": _synaptic, "RSynaptic": _synaptic,
    "IFNode": _if_node, "LIFNode": _lif_node, "IAF": _iaf, "IAFSqueeze": _iaf}
