"""Conversion of a network that was trained elsewhere: ``python -m gen convert``.

The module comes from a Python file of the user's, which is executed. The weights come from a
safetensors file and the calibration images from a ``.npy`` file. Reading these executes nothing.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.parameter import is_lazy

from gen.data.datasets import read_array
from gen.errors import ConversionError, DataError, NetworkError
from gen.ir import artifact
from gen.ir.exact import check_pixels, require_name
from gen.ir.network import Network
from gen.system import files
from gen.system.progress import working

from .calibration import calibrate
from .fidelity import refresh_weights
from .firing import Firing
from .foreign import Activation
from .lower import lower, require_plain, takes_sequences
from .lowered import Lowered
from .quantised import QuantisedModel
from .recurrent import warn_if_coarse
from .spiking.conversion import convert_module
from .spiking.recorded import is_spiking
from .usercode import blamed, loaded
from .widths import Bits

__all__ = ["AGREEMENT", "convert", "to_quantised"]

log = logging.getLogger(__name__)

PIXEL_MAX = 255
"""Greatest raw pixel value, unless another is given."""

AGREEMENT = 0.97
"""Share of images for which the integers should name the same class as the module. A lower share
is a warning."""

_BATCH = 100

# Calibration images that travel with the network.
_SAMPLES = 32

_ONCE = Firing()


def convert(target: str, *, weights: str | Path, calibration: str | Path,
            out: str | Path, name: str | None = None, bits: Bits = 8,
            levels: int | None = None, input_levels: int = 255, pixel_max: int = PIXEL_MAX,
            activation: str | None = None, require_agreement: float | None = None,
            method: str | None = None, schedule: str | None = None, timesteps: int | None = None,
            sleep: int | None = None, burst: int | None = None, probe: int | None = None,
            until_quiet: bool = False) -> dict[str, Any]:
    """Convert a trained module and save the network.

    Parameters
    ----------
    target : ``FILE.py:FUNCTION``, which returns the module
    weights : a ``.safetensors`` file with the module's state
    calibration : a ``.npy`` file of images or sequences, see :func:`load_calibration`; of a module
        that spikes already see :func:`.spiking.data.read_data`
    out, name : where the network goes; its name, by default the stem of ``out``
    bits : weight widths (:func:`gen.convert.widths.layer_bits`)
    levels : greatest spike count of the neurons of a plain ReLU, see :meth:`.firing.Firing.levels`
    input_levels, pixel_max : greatest count of a pixel, and its greatest raw value
    activation : ``CLASS,STEP,LEVELS`` of another library's :class:`~.foreign.Activation`
    require_agreement : least ``agreement``; by default a warning comes below :data:`AGREEMENT`
    method, schedule, timesteps, sleep, burst, probe, until_quiet : see :class:`.firing.Firing`

    Returns
    -------
    ``network`` (the path), ``layers`` (name -> kind), ``weights`` and ``calibration_images`` (their
    numbers), ``agreement`` (share of images that the integers classify as the module), ``digest``,
    ``bits``, ``steps`` (name -> value of a count), and what :meth:`.firing.Firing.applied` says

    Raises
    ------
    ConversionError, DataError
        If files, module and images do not fit together, the module computes something else than
        its parameters say, or the integers agree with it too seldom.
    NetworkError, OutputError
        If the network can't have that name, counts or pixels, or can't be written.
    """
    out, name = Path(out), require_name(name or Path(out).stem)
    files.require_output(out, inputs=(target.rpartition(":")[0], weights, calibration))
    firing = Firing(method, schedule, timesteps if method else None, sleep, until_quiet,
                    burst, probe)
    foreign = Activation.parse(activation) if activation else None
    _check_counts(levels, input_levels, pixel_max)
    with loaded(str(target)) as module, blamed(target):
        if _spikes(module, firing, timesteps, levels, activation):
            load_weights(module, weights)
            return convert_module(module, target, calibration=calibration, out=out, name=name,
                                  bits=bits, input_levels=input_levels, pixel_max=pixel_max,
                                  timesteps=timesteps, require_agreement=require_agreement)
        require_plain(module)
        load_weights(module, weights)
        pixels = load_calibration(calibration, pixel_max, sequences=takes_sequences(module))
        with working(f"{name}: layers compared on {len(pixels):,} images, quantised"):
            quantised, lowered, scores = to_quantised(
                module, pixels / np.float32(pixel_max), bits=bits, levels=levels,
                input_levels=input_levels, activation=foreign, firing=firing)
    network = _network(quantised, name, pixel_max, {
        "converted": Path(target).name, "calibration_images": len(pixels)})
    return _saved(network, firing, quantised.floor, lowered, pixels, scores, require_agreement, out)


def _saved(network: Network, firing: Firing, floor: frozenset[str], lowered: Lowered,
           images: np.ndarray, scores: torch.Tensor, required: float | None, out: Path
           ) -> dict[str, Any]:
    """Let the network fire as it is to, compare it with the module, and save it; what
    :func:`convert` returns."""
    pixels = lowered.input_form.as_map(torch.from_numpy(images), lowered.input_shape).numpy()
    network, timed = firing.applied(network, pixels, floor)
    network = _compared(network, pixels, scores, required)
    artifact.save(network, out)
    return {"network": str(out), **_summary(network, lowered), **timed}


def to_quantised(module: nn.Module, images: np.ndarray, *, bits: Bits = 8,
                 levels: int | None = None, input_levels: int = 255,
                 activation: Activation | None = None, firing: Firing = _ONCE
                 ) -> tuple[QuantisedModel, Lowered, torch.Tensor]:
    """Lower ``module``, calibrate its ReLUs on ``images`` and quantise it.

    Parameters
    ----------
    images : ``(N, C, H, W)`` or ``(N, features)`` real numbers in 0..1
    bits, levels, input_levels : see :func:`convert`
    activation : QCFS-like class of another library
    firing : the method that neurons are calibrated for

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
    _check_counts(levels, input_levels)
    refresh_weights(module, images)
    lowered = lower(module, images.shape[1:], activation)
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
    lowered, scores = calibrate(module, lowered, images, firing.levels(levels), firing)
    warn_if_coarse(lowered)
    return QuantisedModel(lowered, input_levels=input_levels, bits=bits), lowered, scores


def _spikes(module: nn.Module, firing: Firing, timesteps: int | None, levels: int | None,
            activation: str | None) -> bool:
    """Whether a module spikes already; then most options mean nothing, and are refused."""
    if not is_spiking(module):
        replace(firing, timesteps=timesteps)  # refuses them without a method
        return False
    for given, option in ((firing != _ONCE, "method"), (levels is not None, "levels"),
                          (activation is not None, "activation")):
        if given:
            raise ConversionError(f"the module has neurons that spike already, so --{option} means "
                                  f"nothing; leave it out")
    return True


def _check_counts(levels: int | None, input_levels: int, pixel_max: int = PIXEL_MAX) -> None:
    for value, what in ((levels, "levels"), (input_levels, "input_levels")):
        if value is not None and (type(value) is not int or not 1 <= value <= 65535):
            raise ConversionError(f"{what} must be an integer in 1..65535, not {value!r}")
    check_pixels(input_levels, pixel_max)


def _network(quantised: QuantisedModel, name: str, pixel_max: int,
             metadata: dict[str, object]) -> Network:
    try:
        return quantised.to_network(name, pixel_max=pixel_max, metadata=metadata)
    except NetworkError as error:
        raise ConversionError(f"the converted network is not valid: {error}") from error


def _compared(network: Network, pixels: np.ndarray, scores: torch.Tensor,
              required: float | None) -> Network:
    """The network with its agreement with the module in its metadata, and with samples.

    Parameters
    ----------
    pixels : calibration images as integers
    scores : the module's
    required : least share of the images for which both must name the same class
    """
    with working(f"{network.name}: the images in integers"):
        agreement = _agreement(scores, network, pixels)
    _judge(agreement, len(pixels), required)
    if len(scores) > 1 < scores.shape[1] and len(scores.argmax(1).unique()) == 1:
        log.warning("warning: the module names one class for all calibration images, so the "
                    "agreement of the integers says little")
    return replace(network, metadata={**network.metadata, "agreement": agreement},
                   samples=pixels[:_SAMPLES])


def _summary(network: Network, lowered: Lowered) -> dict:
    """What :func:`convert` returns about a network."""
    return {"layers": {layer.name: layer.label for layer in network.layers},
            "weights": network.weight_count,
            "calibration_images": network.metadata["calibration_images"],
            "agreement": network.metadata["agreement"], "digest": network.digest,
            "bits": {layer.name: max(s.bits for s in layer.synapses)
                     for layer in network.layers if layer.synapses},
            "steps": {layer.name: layer.step for layer in lowered.neurons}}


# The user's files.


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load the module's whole state from a safetensors file.

    Raises
    ------
    ConversionError
        If the file can't be read, or holds another state than the module's.
    """
    try:
        files.open_regular(path).close()
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConversionError(f"{path}: can't be read as safetensors ({error}); write it with "
                              f"safetensors.torch.save_model(module, ...)") from error
    # Extra state is not a tensor, so such files do not contain it.
    own = {key: value for key, value in module.state_dict().items()
           if isinstance(value, torch.Tensor)}
    shared = {_memory(own[key]) for key in state if key in own} - {None}
    missing = [key for key, value in own.items()
               if key not in state and _memory(value) not in shared
               and not key.endswith("num_batches_tracked")]
    extra = [key for key in state if key not in own]
    if missing or extra:
        what, key = ("lacks", missing[0]) if missing else ("has the unknown", extra[0])
        raise ConversionError(f"{path}: {what} tensor {key!r} ({len(missing)} missing, "
                              f"{len(extra)} unknown); it must be the state of this very module")
    once: dict[tuple[int, torch.Size, tuple[int, ...]], str] = {}
    for key, value in state.items():
        if not is_lazy(own[key]) and value.shape != own[key].shape:
            raise ConversionError(f"{path}: tensor {key!r} must have the shape "
                                  f"{tuple(own[key].shape)}, not {tuple(value.shape)}")
        if own[key].is_floating_point() and not (
                value.is_floating_point() and value.to(own[key].dtype).isfinite().all()):
            raise ConversionError(f"{path}: tensor {key!r} must hold finite real numbers, as "
                                  f"{own[key].dtype} has them")
        if memory := _memory(own[key]):
            same = once.setdefault(memory, key)
            if not torch.equal(state[same].double(), value.double()):
                raise ConversionError(f"{path}: tensors {same!r} and {key!r} differ, but are one "
                                      f"tensor of the module")
    with blamed(f"{path}: can't be loaded into the module"):
        module.load_state_dict(state, strict=False)


def _memory(tensor: torch.Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | None:
    """A key that is equal for tensors that share memory. A file has only one of them (tied
    weights)."""
    if is_lazy(tensor) or not tensor.numel():
        return None
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def load_calibration(path: str | Path, pixel_max: int, *, sequences: bool = False) -> np.ndarray:
    """The images of a ``.npy`` file, as integers in ``0..pixel_max``, ``(N, C, H, W)`` or
    ``(N, features)``; with ``sequences`` also ``(N, channels, elements)`` or ``(N, elements,
    features)``, as the module takes them.

    ``(N, H, W)`` stands for one channel. In the file they are integers in ``0..pixel_max``, which
    the module sees as ``pixel / pixel_max``, or real numbers in ``0..1``.

    Raises
    ------
    DataError
        If the file can't be read, or its images have another shape or range.
    """
    images = read_array(path)
    if images.ndim not in (2, 3, 4) or not images.size:
        raise DataError(f"{path}: calibration images must have the shape (N, C, H, W), (N, H, W) "
                        f"or (N, features), not {images.shape}")
    top = 1 if images.dtype.kind == "f" else pixel_max
    if not (images.min() >= 0 and images.max() <= top):
        raise DataError(f"{path}: calibration images must lie in 0..{top}, not {images.min()}.."
                        f"{images.max()}; put a normalisation into the first layer's weights")
    if images.dtype.kind == "f":
        images = np.floor(images.astype(np.float64) * pixel_max + 0.5)
    images = images.astype(np.int64)
    return images[:, None] if images.ndim == 3 and not sequences else images


def _agreement(scores: torch.Tensor, network: Network, pixels: np.ndarray) -> float:
    """Share of images for which the module's scores and the network name the same class."""
    classes = network.predict(pixels, batch=_BATCH).argmax(axis=1)
    return float((scores.argmax(1).numpy() == classes).mean())


def _judge(agreement: float, images: int, required: float | None) -> None:
    """Refuse a network that agrees with the module too seldom, or warn."""
    share = (f"the integers classify {agreement:.2%} of the {images} calibration images as the "
             f"module does")
    if required is not None and not agreement >= required:
        raise ConversionError(f"{share}, less than the {required:.2%} required; try more bits, "
                              f"levels or input levels, or train with Qcfs in place of ReLU")
    if required is None and agreement < AGREEMENT:
        log.warning("warning: %s; more bits, levels or input levels bring them closer", share)
