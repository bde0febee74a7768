"""Networks in NIR, the neuromorphic intermediate representation (Pedersen et al., 2024).

The file is HDF5. It is read by the package ``nir`` after its extent has been checked; nothing in
it is executed. NIR describes neurons in continuous time. What it leaves open is in
:class:`Reading`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from gen.convert.usercode import first_line
from gen.errors import ConversionError
from gen.ir.artifact import MAX_WEIGHTS
from gen.system import files

from .flattened import flattened
from .graph import INPUT, OUTPUT, Flatten, Graph, Neuron, Node, Pooling, Scale, Weights

__all__ = ["DISCRETISATIONS", "ORIGINS", "Reading", "read_nir"]

ORIGINS = ("nir", "snntorch", "spikingjelly", "sinabs")
"""Whose neurons a file means: those of NIR's own equations, or those of a library."""

DISCRETISATIONS = ("euler", "exponential")

RESETS = ("zero", "subtract", "delayed")

# What the neurons of a library are: reset and strict comparison.
_NEURONS = {"nir": ("zero", True), "snntorch": ("delayed", True),
            "spikingjelly": ("zero", False), "sinabs": ("subtract", False)}

_DT = 1e-4

_MOST_BYTES = 8 * MAX_WEIGHTS
_MOST_ITEMS = 1 << 16
_DEEPEST = 16


@dataclass(frozen=True)
class Reading:
    """What NIR leaves open.

    Parameters
    ----------
    origin : one of :data:`ORIGINS`; by default those of NIR, unless the metadata of a node say
        what ``export-nir`` writes there: ``reset``, ``strict`` and ``initial``
    reset : ``"zero"``: to ``v_reset``; ``"subtract"``: the threshold is subtracted; ``"delayed"``:
        the same after the next leak, as snnTorch does. By default as the origin does
    discretisation : ``"euler"``: ``V += dt / tau (v_leak - V + R I)``, after ``I += dt / tau_syn
        (w_in S - I)`` if currents last; ``"exponential"``: exact for a current that is constant
        during a time-step
    dt : length of a time-step in seconds. By default 1e-4, with which snnTorch and SpikingJelly
        write; but 1 if all ``IF`` have ``r`` 1 and no time constant is below 1, as Sinabs and
        ``export-nir`` write
    """

    origin: str | None = None
    reset: str | None = None
    discretisation: str = "euler"
    dt: float | None = None


def read_nir(path: str | Path, reading: Reading) -> Graph:
    """The graph in a file.

    Raises
    ------
    ConversionError
        If the file can't be read, or has a node that is not supported, which is named.
    """
    try:
        _check_extent(path)
        found = nir.read(str(path), type_check=False)
    except ConversionError:
        raise
    except Exception as error:  # h5py and nir have many
        raise ConversionError(f"{path}: can't be read as NIR ({first_line(error)}); write it with "
                              f"nir.write") from error
    if not isinstance(found, nir.NIRGraph):
        raise ConversionError(f"{path}: is a single {type(found).__name__} and no graph")
    try:
        return _graph(found, reading)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from error


def _check_extent(path):
    """Refuse a file that is not small and plain: what it declares is not more than a network may
    have, and it refers to no other file."""
    files.open_regular(path).close()
    with h5py.File(path, "r") as file:
        total, todo, count = 0, [(file, 0)], 0
        while todo:
            group, depth = todo.pop()
            for name in group:
                count += 1
                if count > _MOST_ITEMS or depth > _DEEPEST:
                    raise ConversionError(f"{path}: has more items, or deeper ones, than a network")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ConversionError(f"{path}: {name!r} refers to another place; write it "
                                          f"again with nir.write")
                item = group[name]
                if isinstance(item, h5py.Group):
                    todo.append((item, depth + 1))
                    continue
                if item.is_virtual or item.external:
                    raise ConversionError(f"{path}: {name!r} is in another file")
                total += item.size * item.dtype.itemsize if item.shape is not None else 0
        if total > _MOST_BYTES:
            raise ConversionError(f"{path}: declares {total >> 20} MiB, more than the "
                                  f"{_MOST_BYTES >> 20} of any network that can be converted")


def _graph(found, reading):
    ends = {nir.Input: INPUT, nir.Output: OUTPUT}
    flat = flattened(found)
    names = {name: ends.get(type(node), name) for name, node in flat.nodes.items()}
    for end in ends.values():
        if (several := list(names.values()).count(end)) != 1:
            raise ConversionError(f"the graph has {several} nodes of the type {end.title()}, and "
                                  f"must have one")
    (given,) = [node for node in flat.nodes.values() if isinstance(node, nir.Input)]
    dt = reading.dt or _step_of(flat.nodes.values())
    nodes = {name: _node(name, node, reading, dt)
             for name, node in flat.nodes.items() if type(node) not in ends}
    sources: dict[str, list[str]] = {}
    for start, end in flat.edges:
        if names[end] == INPUT or names[start] == OUTPUT:
            raise ConversionError(f"the edge from {start!r} to {end!r} goes into the Input node, "
                                  f"or out of the Output node, which ends the network; connect "
                                  f"the nodes between them")
        sources.setdefault(names[end], []).append(names[start])
    for name, node in flat.nodes.items():
        if isinstance(node, nir.I) and any(names[end] != OUTPUT for start, end in flat.edges
                                           if start == name):
            raise ConversionError(f"{name} (I): an integrator can only be the last node")
    return Graph(nodes, sources, _shape(given.input_type["input"]))


def _shape(given):
    if given is None:
        raise ConversionError("the Input node says no shape")
    sizes = np.atleast_1d(given)
    if sizes.dtype.kind not in "iuf" or not ((sizes >= 1) & (sizes == np.floor(sizes))).all():
        raise ConversionError(f"the Input node has the shape {sizes.tolist()}, and must have "
                              f"positive integers")
    return tuple(int(n) for n in sizes)


def _node(name, node, reading, dt):
    kind = type(node).__name__
    make = _MAKERS.get(type(node))
    if make is None:
        raise ConversionError(f"{name}: a node of the type {kind} can't be converted"
                              f"{_WHY.get(kind, '')}; supported are "
                              f"{', '.join(sorted(t.__name__ for t in _MAKERS))}")
    try:
        return make(node, reading, dt)
    except ConversionError as error:
        raise ConversionError(f"{name} ({kind}): {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ConversionError(f"{name} ({kind}): its parameters don't fit together "
                              f"({first_line(error)})") from error


_WHY = {"CubaLI": ": it never fires", "LI": ": it never fires",
        "Delay": ": spikes arrive in their time-step"}


def _step_of(nodes):
    """Length of a time-step, of a file that does not say."""
    alone = [node for node in nodes if isinstance(node, nir.IF | nir.LIF | nir.CubaLIF)]
    units = bool(alone) and all(
        np.all(np.asarray(node.r) == 1) if isinstance(node, nir.IF) else
        np.all(np.asarray(node.tau if isinstance(node, nir.LIF) else node.tau_mem) >= 1)
        for node in alone)
    return 1.0 if units else _DT


def _real(values: Any) -> np.ndarray:
    if np.asarray(values).dtype.kind not in "biuf":
        raise ConversionError(f"its parameters must be real numbers, not "
                              f"{np.asarray(values).dtype}")
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ConversionError("its parameters must be finite numbers")
    return array


def _linear(node, reading, dt):
    weight = _real(node.weight)
    if weight.ndim != 2:
        raise ConversionError(f"its weights must have two axes, not {weight.ndim}")
    bias = _real(node.bias) if isinstance(node, nir.Affine) else np.zeros(len(weight))
    return Weights(weight, np.broadcast_to(bias, len(weight)))


def _convolution(node, reading, dt):
    weight, axes = _real(node.weight), 1 if isinstance(node, nir.Conv1d) else 2
    if weight.ndim != axes + 2:
        raise ConversionError(f"its weights must have {axes + 2} axes, not {weight.ndim}")
    if set(_pair(node.dilation, 1)) != {1}:
        raise ConversionError("a dilation other than 1 can't be converted")
    padding = (0, 0) if isinstance(node.padding, str) and node.padding == "valid" else node.padding
    stride = _pair(node.stride, 1)
    if isinstance(padding, str):
        if any(size % 2 == 0 for size in weight.shape[2:]) or set(stride) != {1}:
            raise ConversionError("the padding 'same' needs odd kernels and a stride of 1")
        padding = tuple(size // 2 for size in weight.shape[2:])
    padding = _pair(padding, 0)
    if axes == 1:  # a sequence is a map of one column
        weight, stride, padding = weight[..., None], (stride[0], 1), (padding[0], 0)
    return Weights(weight, np.broadcast_to(_real(node.bias), len(weight)), stride, padding,
                   int(node.groups))


def _pool(node, reading, dt):
    if set(_pair(node.padding, 0)) != {0}:
        raise ConversionError("padding of a pooling can't be converted")
    return Pooling(_pair(node.kernel_size, 1), _pair(node.stride, 1),
                   isinstance(node, nir.AvgPool2d))


def _pair(value: Any, least: int) -> tuple[int, int]:
    numbers = [int(n) for n in np.atleast_1d(value)]
    if len(numbers) not in (1, 2) or min(numbers) < least:
        raise ConversionError(f"{numbers} must be one or two integers of at least {least}")
    return numbers[0], numbers[-1]


def _flatten(node, reading, dt):
    axes = len(np.atleast_1d(node.input_type["input"]))
    if (int(node.start_dim), int(node.end_dim)) not in (
            (start, end) for start in (0, -axes) for end in (-1, axes - 1)):
        raise ConversionError(f"only a flattening of all axes can be converted, not of "
                              f"{int(node.start_dim)} to {int(node.end_dim)}")
    return Flatten()


def _firing(node: Any, reading: Reading, decay: np.ndarray) -> dict[str, Any]:
    """Reset and comparison of a node, and the potential before the first time-step."""
    said = node.metadata if reading.origin is None and isinstance(node.metadata, dict) else {}
    reset, strict = _NEURONS[reading.origin or "nir"]
    reset = reading.reset or _told(said.get("reset", reset), RESETS)
    strict = bool(int(said.get("strict", strict)))
    return {"zero": reset == "zero", "delayed": reset == "delayed", "strict": strict,
            "burst": 0 if reading.origin == "sinabs" else 1,
            # What it is when the first charge arrives.
            "start": _real(said.get("initial", 0)) / np.maximum(decay, 1e-9).max()}


def _told(value, known):
    text = value.decode() if isinstance(value, bytes) else str(value)
    if text not in known:
        raise ConversionError(f"its metadata say reset {text!r}, and known are {', '.join(known)}")
    return text


def _integrate(node, reading, dt):
    return Neuron(np.ones(()), dt * _real(node.r), _real(node.v_threshold),
                  rest=_real(node.v_reset), **_firing(node, reading, np.ones(())))


def _share(tau, reading, dt):
    """What decays in a time-step."""
    if (tau <= 0).any():
        raise ConversionError("its time constants must be positive")
    share = dt / tau if reading.discretisation == "euler" else -np.expm1(-dt / tau)
    if (share > 1 + 1e-6).any():
        raise ConversionError(f"a time-step of {dt:g} s is longer than its time constant of "
                              f"{tau.min():g} s; give --dt")
    return share.clip(max=1)


def _leaky(node, reading, dt):
    share = _share(_real(node.tau), reading, dt)
    return Neuron(1 - share, share * _real(node.r), _real(node.v_threshold),
                  drift=share * _real(node.v_leak), rest=_real(node.v_reset),
                  **_firing(node, reading, 1 - share))


def _current(node, reading, dt):
    share = _share(_real(node.tau_syn), reading, dt)
    plain = nir.LIF(tau=_real(node.tau_mem), r=_real(node.r) * share * _real(node.w_in),
                    v_leak=_real(node.v_leak), v_threshold=_real(node.v_threshold),
                    v_reset=_real(node.v_reset), metadata=node.metadata)
    neuron = _leaky(plain, reading, dt)
    return neuron if (share > 1 - 1e-6).all() else replace(neuron, current=1 - share)


def _threshold(node, reading, dt):
    return Neuron(np.zeros(()), np.ones(()), _real(node.threshold), strict=True)


_MAKERS: dict[type, Callable[[Any, Reading, float], Node]] = {
    nir.Affine: _linear, nir.Linear: _linear, nir.Conv1d: _convolution, nir.Conv2d: _convolution,
    nir.SumPool2d: _pool, nir.AvgPool2d: _pool, nir.Flatten: _flatten,
    nir.Scale: lambda node, reading, dt: Scale(_real(node.scale)),
    nir.I: lambda node, reading, dt: Scale(dt * _real(node.r)),
    nir.Threshold: _threshold, nir.IF: _integrate, nir.LIF: _leaky, nir.CubaLIF: _current}
