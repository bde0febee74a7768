"""Conversion of a network that was trained elsewhere: ``python -m gen convert``.

The module comes from a Python file of the user's, which is executed; its weights come from a
safetensors file and the calibration images from a ``.npy`` file, neither of which executes
anything.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn

from . import artifact, files
from .errors import ConversionError, DataError, NetworkError
from .lower import Activation, Fire, Lowered, lower
from .network import Network, Pool, require_name
from .quantised import QuantisedModel

__all__ = ["RELU_LEVELS", "convert", "to_quantised", "calibrate"]

RELU_LEVELS = 15
"""Levels of a plain ReLU: four phase planes."""

PIXEL_MAX = 255

_BATCH = 100

# Calibration images that travel with the network.
_SAMPLES = 32

# Ranges tried for a ReLU, relative to the greatest activation.
_RANGES = torch.linspace(0.2, 1.0, 41)

# Share of values in which a foreign activation may differ from Qcfs, by rounding of floats.
_TIES = 0.01


def convert(target: str, *, weights, calibration, out, name: str | None = None, bits=8,
            levels: int = RELU_LEVELS, input_levels: int = 255, pixel_max: int = PIXEL_MAX,
            activation: str | None = None) -> dict:
    """Convert a trained module and save the network.

    Parameters
    ----------
    target : ``FILE.py:FUNCTION``; ``FUNCTION()`` returns the module
    weights : a ``.safetensors`` file with the module's state
    calibration : a ``.npy`` file with images as the module wants them, ``(N, C, H, W)``,
        ``(N, H, W)`` or ``(N, features)``: integers in ``0..pixel_max``, of which the module sees
        ``pixel / pixel_max``, or real numbers in ``0..1``
    out : where the network goes
    name : of the network; by default that of ``out``
    bits : weight widths (:func:`gen.quantised.layer_bits`)
    levels : greatest spike count of the neurons of a plain ReLU
    input_levels : greatest count of a pixel
    pixel_max : greatest raw pixel that the network will be given
    activation : ``CLASS,STEP,LEVELS``, a QCFS-like activation of somebody else's and how it is read
        (:class:`~gen.lower.Activation`): ``"QCFS,thresh/L,L"``

    Returns
    -------
    dict
        ``network`` (the path), ``layers`` (name -> kind), ``weights`` (their number), ``bits``,
        ``calibration_images``, ``agreement`` (share of the calibration images that the integers
        classify as the module does), ``steps`` (name -> value of a count), ``digest``

    Raises
    ------
    ConversionError, DataError
        If anything about the files, the module or the images does not fit.
    NetworkError, OutputError
        If the network can't have that name or can't be written, before anything is done.
    """
    out = Path(out)
    name = require_name(name or out.stem)
    files.require_output(out, inputs=(target.rpartition(":")[0], weights, calibration))
    activation = Activation.parse(activation) if activation else None
    module = load_module(target)
    load_weights(module, weights)
    pixels = load_calibration(calibration, pixel_max)
    quantised, lowered = to_quantised(module, pixels / np.float32(pixel_max), bits=bits,
                                      levels=levels, input_levels=input_levels,
                                      activation=activation)
    metadata = {"converted": Path(target).name, "calibration_images": len(pixels)}
    network = _network(quantised, name, pixel_max, metadata)
    agreement = _agreement(lowered, network, pixels)
    network = replace(network, metadata={**metadata, "agreement": agreement},
                      samples=pixels[:_SAMPLES].reshape(-1, *network.input_shape))
    artifact.save(network, out)
    return {"network": str(out), "layers": {layer.name: _kind(layer) for layer in network.layers},
            "weights": network.weight_count, "calibration_images": len(pixels),
            "agreement": agreement, "digest": network.digest,
            "bits": {layer.name: max(s.bits for s in layer.synapses)
                     for layer in network.layers if not isinstance(layer, Pool)},
            "steps": {layer.name: layer.step for layer in lowered.layers
                      if isinstance(layer, Fire)}}


def to_quantised(module: nn.Module, images: np.ndarray, *, bits=8, levels: int = RELU_LEVELS,
                 input_levels: int = 255,
                 activation: Activation | None = None) -> tuple[QuantisedModel, Lowered]:
    """Lower ``module``, calibrate its ReLUs on ``images`` (values in 0..1) and quantise it."""
    for value, what in ((levels, "levels"), (input_levels, "input_levels")):
        if type(value) is not int or not 1 <= value <= 65535:
            raise ConversionError(f"{what} must be an integer in 1..65535, not {value!r}")
    lowered = lower(module, images.shape[1:], activation)
    lowered = calibrate(lowered, images, levels)
    return QuantisedModel(lowered, input_levels=input_levels, bits=bits), lowered


def _network(quantised: QuantisedModel, name: str, pixel_max: int, metadata: dict) -> Network:
    try:
        return quantised.to_network(name, pixel_max=pixel_max, metadata=metadata)
    except NetworkError as error:
        raise ConversionError(f"the converted network is not valid: {error}") from error


def _kind(layer) -> str:
    return f"{layer.kind} pool" if isinstance(layer, Pool) else type(layer).__name__.lower()


# The user's files.


def load_module(target: str) -> nn.Module:
    """Execute ``FILE.py`` and call its ``FUNCTION``."""
    path, colon, function = str(target).rpartition(":")
    if not colon or not function.isidentifier():
        raise ConversionError(f"the module must be given as FILE.py:FUNCTION, not {target!r}")
    if not Path(path).is_file():
        raise ConversionError(f"{path}: there is no such file")
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        module = getattr(_execute(path), function)()
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        raise ConversionError(f"{target}: {type(error).__name__}: {line}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(module, nn.Module):
        raise ConversionError(f"{target}: must return a torch.nn.Module, not "
                              f"{type(module).__name__}")
    return module


def _execute(path: str):
    name = Path(path).stem
    spec = importlib.util.spec_from_loader(
        name, importlib.machinery.SourceFileLoader(name, str(path)))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_weights(module: nn.Module, path) -> None:
    """Load the module's whole state from a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    try:
        files.require_regular(path)
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConversionError(f"{path}: can't be read as safetensors ({error}); write it with "
                              f"safetensors.torch.save_file(module.state_dict(), ...)") from error
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    extra = [key for key in state if key not in own]
    if missing or extra:
        what, key = ("lacks", missing[0]) if missing else ("has the unknown", extra[0])
        raise ConversionError(f"{path}: {what} tensor {key!r} ({len(missing)} missing, "
                              f"{len(extra)} unknown); it must be the state of this very module")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise ConversionError(f"{path}: tensor {key!r} must have the shape "
                                  f"{tuple(own[key].shape)}, not {tuple(value.shape)}")
        if value.is_floating_point() and not value.isfinite().all():
            raise ConversionError(f"{path}: tensor {key!r} must hold finite numbers")
    module.load_state_dict(state, strict=False)


def load_calibration(path, pixel_max: int) -> np.ndarray:
    """Images as integers in ``0..pixel_max``, ``(N, C, H, W)`` or ``(N, features)``."""
    try:
        with files.open_regular(path) as file:
            images = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: can't be read as a .npy file of numbers ({error})") from error
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "uif":
        raise DataError(f"{path}: calibration must be one .npy array of numbers")
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
    return images[:, None] if images.ndim == 3 else images


# Calibration.


class _Recorder(fx.Interpreter):
    """Runs a traced module and keeps what the chosen nodes were given and what they returned."""

    def __init__(self, module: fx.GraphModule, names: set[str]):
        super().__init__(module)
        self.extra_traceback = False
        self.records = {name: ([], []) for name in names}
        self._names = names

    def run_node(self, n: fx.Node):
        if n.name not in self._names:
            return super().run_node(n)
        given = self.env[n.args[0]].detach().clone()
        result = super().run_node(n)
        self.records[n.name][0].append(given.flatten())
        self.records[n.name][1].append(result.detach().flatten().clone())
        return result


@torch.no_grad()
def calibrate(lowered: Lowered, images: np.ndarray, levels: int) -> Lowered:
    """Give every ReLU the step with the least squared error on ``images``, and check foreign
    activations against :class:`~gen.qcfs.Qcfs`."""
    fires = {layer.node: layer for layer in lowered.layers if isinstance(layer, Fire)}
    wanted = {node for node, layer in fires.items()
              if layer.step is None or node in lowered.foreign}
    records = _record(lowered, images, wanted)
    steps = {}
    for node in wanted:
        given, result = records[node]
        if fires[node].step is None:
            steps[node] = _best_step(result, levels)
        else:
            _check_foreign(fires[node], given, result)
    return lowered.replace(
        replace(layer, step=steps[layer.node], levels=levels)
        if isinstance(layer, Fire) and layer.node in steps else layer for layer in lowered.layers)


def _record(lowered: Lowered, images: np.ndarray, names: set[str]) -> Mapping:
    recorder = _Recorder(lowered.module, names)
    images = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
    try:
        for start in range(0, len(images), _BATCH):
            recorder.run(images[start:start + _BATCH])
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        raise ConversionError(f"the module can't take the calibration images "
                              f"({type(error).__name__}: {line})") from error
    return {name: tuple(map(torch.cat, pair)) for name, pair in recorder.records.items()}


def _best_step(values: torch.Tensor, levels: int) -> float:
    greatest = float(values.max())
    if not 0 < greatest < float("inf"):
        return 1.0 / levels
    values = values[values > 0]
    values = values[::max(1, len(values) // 100_000)]
    steps = (greatest / levels * _RANGES).tolist()
    return min(steps, key=lambda step: float((_quantise(values, step, levels) - values)
                                             .square().sum()))


def _quantise(z: torch.Tensor, step: float, levels: int) -> torch.Tensor:
    return step * (z / step + 0.5).floor().clamp(0, levels)


def _check_foreign(layer: Fire, given: torch.Tensor, result: torch.Tensor):
    differing = (_quantise(given, layer.step, layer.levels) - result).abs() > layer.step / 2
    share = float(differing.float().mean())
    if share > _TIES:
        raise ConversionError(f"{layer.key}: this activation is not step * clip(floor(z/step + "
                              f"1/2), 0, levels) with step={layer.step:.4g}, "
                              f"levels={layer.levels}: {share:.0%} of its values differ; check how "
                              f"the step and the levels are read")


@torch.no_grad()
def _agreement(lowered: Lowered, network: Network, pixels: np.ndarray) -> float:
    """Share of images for which the module and the network name the same class."""
    shaped = pixels.reshape(len(pixels), *network.input_shape)
    same = 0
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start:start + _BATCH] / np.float32(network.pixel_max)
        scores = lowered.module(torch.from_numpy(batch.astype(np.float32))).flatten(1)
        logits = network.run(network.encode(shaped[start:start + _BATCH])).logits
        same += int((scores.argmax(1).numpy() == logits.argmax(1)).sum())
    return same / len(pixels)
