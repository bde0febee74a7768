"""Conversion of a network that was trained elsewhere: ``python -m gen convert``.

The module comes from a Python file of the user's, which is executed, and its weights from a
safetensors file; or both come from an ONNX file. The calibration images come from a ``.npy`` file.
Reading these files executes nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gen.errors import ConversionError, NetworkError
from gen.ir import artifact
from gen.ir.exact import require_name
from gen.ir.network import Network
from gen.system import files
from gen.system.progress import working

from .accuracy import costs, facts, judge, layer_errors, require_classes
from .calibration import calibrate
from .fidelity import refresh_weights
from .firing import Firing
from .foreign import Activation
from .images import Images, Pixels, Scaled
from .lower import lower, takes_sequences
from .lowered import Lowered
from .options import Options, check_counts
from .quantised import QuantisedModel
from .recurrent import warn_if_coarse
from .results import Result
from .scale import UNIT, InputScale
from .spiking.conversion import convert_module
from .spiking.recorded import is_spiking
from .tuning import Tuning, tuned
from .usercode import blamed
from .userfiles import load_calibration, opened
from .whole import keep_whole
from .widths import Bits, layer_bits

__all__ = ["convert", "to_quantised"]

log = logging.getLogger(__name__)

_JUDGED = 100
"""Images on which the layers are compared with the module's."""

# Calibration images that travel with the network.
_SAMPLES = 32

_ONCE = Firing()


def convert(target: str, *, weights: str | Path | None = None, calibration: str | Path,
            out: str | Path, name: str | None = None, labels: str | Path | None = None,
            **options: Any) -> dict[str, Any]:
    """Convert a trained module, or a graph, and save the network.

    Parameters
    ----------
    target : ``FILE.py:FUNCTION``, which returns the module, ``torchvision:NAME``, or an ONNX file
    weights : a file with the module's state (:func:`.userfiles.read_state`); None for an ONNX file
    calibration : a ``.npy`` file, or a ``.npz`` file with ``images`` and ``labels``, of images or
        sequences as the module takes them (``(N, H, W)`` stands for one channel): integers in
        ``0..pixel_max``, which the module sees as ``pixel / pixel_max``, or real numbers
        ``between`` two numbers, by default 0 and 1
    out, name : where the network goes; its name, by default the stem of ``out``
    labels : a ``.npy`` file of classes, as :func:`.accuracy.require_classes` wants them
    options : see :class:`.options.Options`

    Returns
    -------
    ``network``, the path, and what :func:`_summary`, :meth:`.firing.Firing.applied` and
    :func:`.accuracy.facts` say, or :func:`.spiking.conversion.convert_nir` for a module that
    spikes already

    Raises
    ------
    ConversionError, DataError, NetworkError, OutputError
        If files, module, images and name do not fit together, the module computes something else
        than its parameters say, the integers agree with it too seldom, or can't be written.
    """
    target, out, name = str(target), Path(out), require_name(name or Path(out).stem)
    _require_output(out, target.rpartition(":")[0] or target, weights, calibration, labels)
    told = Options(**options)
    with (opened(target, weights, told.input_levels, told.scale != UNIT) as module,
          blamed(target, code_alone=True)):
        if is_spiking(module):
            told.require_none_of_neurons(labels)
            return _spiking(module, target, told, calibration=calibration, out=out, name=name)
        pixels, classes = load_calibration(
            calibration, told.pixel_max, sequences=takes_sequences(module),
            between=told.between or (0.0, 1.0), labels=labels)
        images = Pixels(pixels, told.pixel_max)
        with working(f"{name}: layers compared on {len(pixels):,} images, quantised"):
            quantised, lowered, scores = to_quantised(
                module, images, bits=told.bits, levels=told.levels, firing=told.firing,
                input_levels=told.input_levels, activation=told.foreign, scale=told.scale,
                check=partial(require_classes, labels=classes, required=told.require_agreement))
        errors = _tuned(quantised, module, lowered, images, classes, told.tune)
    pixels = lowered.input_form.as_map(torch.from_numpy(pixels), lowered.input_shape).numpy()
    network, timed = told.firing.applied(_network(quantised, name, told.pixel_max, {
        "converted": Path(target).name, "calibration_images": len(pixels),
        "meaning": _meaning(quantised, lowered, told)}), pixels, quantised.floor)
    with working(f"{network.name}: the images in integers"):
        found = costs(lowered, network, quantised.logit_step, pixels, scores, classes,
                      classes=told.require_agreement is not None)
    judge(found, len(pixels), errors, told.require_agreement, told.tune is not None)
    lost = facts(found)
    artifact.save(replace(network, metadata={**network.metadata, **lost},
                          samples=pixels[:_SAMPLES]), out)
    return {"network": str(out), **_summary(network, lowered), **lost, "errors": errors, **timed}


def _spiking(module: nn.Module, target: str, told: Options, **given: Any) -> dict[str, Any]:
    """Convert a module that spikes already."""
    return convert_module(module, target, bits=told.bits, input_levels=told.input_levels,
                          pixel_max=told.pixel_max, timesteps=told.timesteps,
                          require_agreement=told.require_agreement, **given)


def _require_output(out: Path, *read: str | Path | None) -> None:
    """Make sure that the network can be written, and replaces no file that is read."""
    files.require_output(out, inputs=[path for path in read if path is not None])


def to_quantised(module: nn.Module, images: Images, *, bits: Bits = 8,
                 levels: int | None = None, input_levels: int = 255,
                 activation: Activation | None = None, firing: Firing = _ONCE,
                 scale: InputScale = UNIT,
                 check: Callable[[Sequence[Result]], object] | None = None
                 ) -> tuple[QuantisedModel, Lowered, torch.Tensor]:
    """Lower ``module``, calibrate its ReLUs on ``images`` and quantise it.

    Parameters
    ----------
    images : as the module takes them, but real numbers of 0..1, for no count to the greatest
    bits, levels, input_levels : see :func:`convert`
    activation : QCFS-like class of another library
    firing : the method that neurons are calibrated for
    scale : what the module is given for 0 and for 1
    check : called with the module's results before anything is calibrated

    Returns
    -------
    The quantised network, the calibrated layers, and the module's scores, as those of
    :meth:`gen.convert.quantised.QuantisedModel.scores`.

    Raises
    ------
    ConversionError
        If the module can't be converted, or computes something else than its parameters say.
    ArtifactError
        If it has more weights than can be saved.
    """
    check_counts(levels, input_levels)
    lowered = _lowered(module, images, activation, scale)
    if check is not None:
        check(lowered.results)
    artifact.check_weights(sum(term.weight.numel() for layer in lowered.charged
                               for term in layer.terms))
    if firing.balanced and lowered.neurons:
        raise ConversionError(f"{lowered.neurons[0].name}: threshold-balance needs plain ReLUs, "
                              f"whose range it takes; for this activation there is qcfs")
    if firing.steps and lowered.signed:
        raise ConversionError(f"{min(lowered.signed)}: a symmetric activation can't have "
                              f"time-steps; use the schedule settle")
    if levels is not None and not lowered.relus:
        log.warning("levels: %d changes nothing, because the network has no plain ReLU; its "
                    "activations have their own levels", levels)
    real = Scaled(images, lowered.real)
    lowered, scores = calibrate(module, lowered, real, firing.levels(levels), firing)
    warn_if_coarse(lowered)
    lowered, widths, _ = keep_whole(
        lowered, layer_bits(bits, [layer.name for layer in lowered.charged]), input_levels)
    return QuantisedModel(lowered, input_levels=input_levels, bits=widths), lowered, scores


def _tuned(quantised: QuantisedModel, module: nn.Module, lowered: Lowered, images: Images,
           labels: np.ndarray | None, tune: Mapping[str, Any] | None) -> dict[str, float]:
    """Tune a network if that is wanted, and return the errors of its layers."""
    real = Scaled(images, lowered.real)
    if tune is not None:
        tuned(quantised, module, lowered, real, labels, Tuning(**tune))
    return layer_errors(module, lowered, quantised, real[:_JUDGED])


def _lowered(module: nn.Module, images: Images, activation: Activation | None,
             scale: InputScale) -> Lowered:
    """The layers of a module whose hooks have computed its weights."""
    refresh_weights(module, images)
    return lower(module, images.shape[1:], activation, scale)


def _network(quantised: QuantisedModel, name: str, pixel_max: int,
             metadata: dict[str, object]) -> Network:
    try:
        return quantised.to_network(name, pixel_max=pixel_max, metadata=metadata)
    except NetworkError as error:
        raise ConversionError(f"the converted network is not valid: {error}") from error


def _meaning(quantised: QuantisedModel, lowered: Lowered, told: Options) -> dict[str, object]:
    """What the network's integers stand for, as :meth:`host.meaning.Meaning.parse` reads it."""
    return {"step": quantised.logit_step,
            "results": [{"name": result.name, "classes": result.shape[0],
                         "axes": list(result.form.layout), "function": result.function}
                        for result in lowered.results],
            "phases": list(lowered.readout.phases),
            "between": list(told.between or (0.0, 1.0)), "pixel_max": told.pixel_max}


def _summary(network: Network, lowered: Lowered) -> dict:
    """``layers`` (name -> kind), ``weights`` and ``calibration_images`` (their numbers),
    ``digest``, ``bits`` and ``steps`` (name -> value of a count) of a network."""
    return {"layers": {layer.name: layer.label for layer in network.layers},
            "weights": network.weight_count,
            "calibration_images": network.metadata["calibration_images"],
            "digest": network.digest,
            "bits": {layer.name: max(s.bits for s in layer.synapses)
                     for layer in network.layers if layer.synapses},
            "steps": {layer.name: layer.step for layer in lowered.neurons}}
