"""Conversion of networks that spike already, and how well they agree with what they come from."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gen.convert.widths import Bits
from gen.errors import ConversionError
from gen.ir import artifact
from gen.ir.exact import check_pixels, require_name
from gen.ir.logits import predicted
from gen.ir.network import Network
from gen.system.progress import working
from hw.dynamics import MOST_BURST, Membrane

from .data import Data, read_data
from .graph import OUTPUT, Graph
from .integers import Input, in_integers
from .layers import Layer, layers_of
from .leaks import common, shifts, spoken
from .recorded import record
from .sequences import in_rows, needs_rows
from .simulation import simulate

__all__ = ["convert_module", "converted"]

log = logging.getLogger(__name__)

WARNED = 0.99
"""Share of spikes that should agree in every layer. A lower share is a warning."""

_SAMPLES = 32


def convert_module(module: nn.Module, target: str, *, calibration: str | Path, out: str | Path,
                   name: str | None = None, bits: Bits = 8, input_levels: int = 255,
                   pixel_max: int = 255, timesteps: int | None = None,
                   require_agreement: float | None = None) -> dict[str, Any]:
    """Convert a module with neurons of snnTorch, SpikingJelly or Sinabs, and save the network.

    Parameters
    ----------
    module : with its weights
    target : where it comes from
    calibration : see :func:`.data.read_data`
    out, name, bits, input_levels, pixel_max : see :func:`gen.convert.conversion.convert`
    timesteps : of a run, see :func:`.data.read_data`
    require_agreement : least share of the samples for which the integers name the same class

    Returns
    -------
    ``network`` (the path), ``layers`` (name -> kind), ``weights``, ``timesteps``,
    ``calibration_images`` (the number of samples) and ``digest``; ``leaks``, of potentials and of
    synaptic currents, name -> the decay that was asked for, what became of it, and how; and of the
    samples ``spikes``, the share of those of each layer, in every time-step, that are the same as
    in the original, ``counts``, the share of neurons that spike as often, and ``agreement``, the
    share of samples that both put into the same class

    Raises
    ------
    ConversionError, DataError
        If the module can't be converted, the data do not suit it, or the integers agree too seldom.
    """
    data = read_data(calibration, None, timesteps=timesteps, pixel_max=pixel_max)
    with working(f"{target}: {data.samples:,} samples in {data.timesteps} time-steps"):
        graph, trains = record(module, data)
    return converted(graph, data, out=out, name=name, bits=bits, input_levels=input_levels,
                      source=Path(target).name, require_agreement=require_agreement,
                      trains=trains)


def converted(graph: Graph, data: Data, *, out: str | Path, name: str | None, bits: Bits,
              input_levels: int, source: str, require_agreement: float | None = None,
              trains: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Convert a graph and save the network; see :func:`convert_module`.

    Parameters
    ----------
    source : name of what it comes from
    trains : spikes of the original, name of a node of neurons -> ``(T, N, ...)``; by default those
        of the graph in float64
    """
    out, name = Path(out), require_name(name or Path(out).stem)
    check_pixels(input_levels, data.pixel_max)
    layers, shape = layers_of(graph)
    recurrent = needs_rows(layers)
    if recurrent is None:
        data.require_trains()
    else:
        layers = in_rows(layers, shape, recurrent)
    with working(f"{name}: {data.samples:,} samples in real numbers"):
        real = simulate(layers, data.real.reshape(*data.real.shape[:2], -1, 1, 1)
                        if recurrent else data.real)
    burst = _burst(layers, real)
    given = Input(shape, data.timesteps, input_levels, data.events, recurrent is not None)
    metadata = {"converted": source, "calibration_images": data.samples}
    if recurrent is None:
        metadata |= {"schedule": "step", "timesteps": data.timesteps}
    network = in_integers(layers, given, name=name, bits=bits, burst=burst,
                          pixel_max=data.pixel_max, metadata=metadata)
    with working(f"{name}: the samples in integers"):
        pixels = data.rows if recurrent else data.pixels
        told = _compared(network, pixels, real, trains or {}, graph.sources[OUTPUT])
    network = replace(network, metadata={**metadata, "agreement": told["agreement"]},
                      samples=pixels[:_SAMPLES])
    _judge(told, require_agreement)
    artifact.save(network, out)
    return {"network": str(out), "layers": {layer.name: layer.label for layer in network.layers},
            "weights": network.weight_count, "timesteps": data.timesteps,
            "calibration_images": data.samples, "digest": network.digest,
            "leaks": _leaks(layers), **told}


def _burst(layers, real):
    """The most spikes of a neuron in a time-step."""
    most = max((int(real[layer.name].max()) for layer in layers
                if isinstance(layer, Layer) and layer.neuron is not None), default=1)
    if most > MOST_BURST:
        raise ConversionError(f"a neuron spikes {most} times in a time-step; {MOST_BURST} are the "
                              f"most")
    return max(1, most)


def _leaks(layers):
    told = {}
    for layer in layers:
        if isinstance(layer, Layer) and layer.neuron is not None:
            told[layer.name] = _leak(layer.name, layer.neuron.decay)
            if layer.neuron.current is not None:
                name = f"{layer.name}, current"
                told[name] = _leak(name, layer.neuron.current)
    return told


def _leak(name, decays):
    decay = common(decays, name)
    leak = shifts(decay)
    made = Membrane(leak).decay
    log.info("%s: a decay of %.4f is %.4f: %s", name, decay, made, spoken(leak))
    return {"decay": decay, "shifts": made, "as": spoken(leak)}


def _compared(network: Network, pixels: np.ndarray, real: Mapping[str, np.ndarray],
              trains: Mapping[str, np.ndarray], last: Sequence[str]) -> dict[str, Any]:
    """Shares that are the same.

    Parameters
    ----------
    pixels : of the samples
    real, trains : spikes of the graph and of the original, by layer
    last : nodes that make the output
    """
    trace = network.run(network.encode(pixels))
    spikes, counts = {}, {}
    for layer in network.neurons:
        wanted, got = trains.get(layer.name, real[layer.name]), _train(layer, trace)
        wanted = np.asarray(wanted).reshape(got.shape)
        spikes[layer.name] = float((wanted == got).mean())
        counts[layer.name] = float((wanted.sum(axis=0) == got.sum(axis=0)).mean())
    scores = real[network.readout.name].sum(axis=0).reshape(len(pixels), -1)
    if len(last) == 1 and last[0] in trains:
        scores = np.asarray(trains[last[0]]).sum(axis=0).reshape(len(pixels), -1)
    agreement = float((predicted(trace.logits) == scores.argmax(axis=1)).mean())
    return {"spikes": spikes, "counts": counts, "agreement": agreement}


def _train(layer, trace):
    """Spikes of each time-step, ``(T, N, ...)``."""
    if layer.lasting is None:
        return trace.trains[layer.name]
    return trace.counts[layer.name].transpose(2, 0, 1, 3)


def _judge(told, required):
    for layer, share in told["spikes"].items():
        log.info("%s: %.3f %% of spikes as in the original, %.2f %% of counts", layer, 100 * share,
                 100 * told["counts"][layer])
    agreement = told["agreement"]
    if required is not None and not agreement >= required:
        raise ConversionError(f"the integers classify {agreement:.2%} of the samples as the "
                              f"original does, less than the {required:.2%} required; try more "
                              f"bits")
    least = min(told["spikes"], key=told["spikes"].get, default=None)
    if least is not None and told["spikes"][least] < WARNED:
        log.warning("warning: %s: only %.2f %% of its spikes are those of the original; more bits, "
                    "and decays that two shifts reach, bring them closer", least,
                    100 * told["spikes"][least])
