"""The user's files: a module, its weights, and calibration images.

Only a Python file is executed.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.parameter import is_lazy

from gen.data.datasets import read_array
from gen.errors import ConversionError, DataError
from gen.system import files

from .unwrapped import unobserved, unwrapped
from .usercode import blamed, first_line, loaded
from .vision import PREFIX, from_torchvision

__all__ = ["load_calibration", "load_weights", "opened", "read_state"]

_STATES = ("state_dict", "model_state_dict", "model", "net")
"""Entries under which training scripts store a state beside other things."""

_UNREADABLE = (OSError, RuntimeError, ValueError, LookupError, EOFError, TypeError, AttributeError,
               struct.error, UnpicklingError, SafetensorError)
"""What files that hold something else end in."""

_OBSERVED = re.compile(
    r"(^|\.)(\w*fake_quant\w*|activation_post_process(_\d+)?|\w*observer\w*)(\.|$)")
"""Tensors that quantisation-aware training adds to those of a module, and that it has no use for
in evaluation."""


@contextlib.contextmanager
def opened(target: str, weights: str | Path | None, input_levels: int, scaled: bool
           ) -> Iterator[nn.Module]:
    """The module of a target, with its weights and without what wraps it, as
    :func:`gen.convert.conversion.convert` takes them.

    Raises
    ------
    ConversionError
        If a file can't be read, the module can't be made, or the weights are not its own.
    """
    if target.lower().endswith(".onnx"):
        if weights is not None:
            raise ConversionError(f"{weights}: an ONNX file has its own weights; leave out "
                                  f"--weights")
        from .graphs.module import from_onnx
        yield from_onnx(target, input_levels, scaled=scaled)
        return
    if weights is None:
        raise ConversionError(f"{target}: needs the module's weights: --weights W.safetensors")
    if target.startswith(PREFIX):
        module = from_torchvision(target, read_state(weights))
        load_weights(module, weights)
        yield module
        return
    with loaded(target) as module:
        with blamed(target):
            inner = unwrapped(module)
            # The state may be that of the wrapper.
            keys = set(read_state(weights))
            load_weights(module if keys & set(module.state_dict()) else inner, weights)
            inner = unobserved(inner)
        yield inner


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a ``.safetensors`` file, or of a ``.pth`` or ``.pt`` file, of which PyTorch
    reads tensors alone.

    Raises
    ------
    ConversionError
        If it can't be read.
    """
    pickled = Path(path).suffix.lower() in (".pth", ".pt")
    try:
        files.open_regular(path).close()
        state = torch.load(path, map_location="cpu", weights_only=True) if pickled else load_file(
            path)
    except _UNREADABLE as error:
        raise ConversionError(f"{path}: can't be read as "
                              f"{'a state of tensors' if pickled else 'safetensors'} "
                              f"({first_line(error)}); write it with safetensors.torch.save_model("
                              f"module, ...)") from error
    if isinstance(state, dict):
        state = next((state[key] for key in _STATES if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(
            isinstance(key, str) and torch.is_tensor(value) and value.layout is torch.strided
            and not value.is_meta for key, value in state.items()):
        raise ConversionError(f"{path}: must hold the module's state_dict() and nothing else")
    return dict(state)


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load the module's whole state from a safetensors file.

    Raises
    ------
    ConversionError
        If the file can't be read, or holds another state than the module's.
    """
    state = read_state(path)
    # Extra state is not a tensor, so such files do not contain it.
    own = {key: value for key, value in module.state_dict().items()
           if isinstance(value, torch.Tensor) and not _OBSERVED.search(key)}
    shared = {_memory(own[key]) for key in state if key in own} - {None}
    missing = [key for key, value in own.items()
               if key not in state and _memory(value) not in shared
               and not key.endswith("num_batches_tracked")]
    extra = [key for key in state if key not in own and not _OBSERVED.search(key)]
    state = {key: value for key, value in state.items() if key in own}
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


def load_calibration(path: str | Path, pixel_max: int, *, sequences: bool = False,
                     between: Sequence[float] = (0.0, 1.0), labels: str | Path | None = None
                     ) -> tuple[np.ndarray, np.ndarray | None]:
    """The images of a file, as integers in ``0..pixel_max``, in the narrowest type that has these,
    ``(N, C, H, W)`` or ``(N, features)``; with ``sequences`` also ``(N, channels, elements)`` or
    ``(N, elements, features)``, as the module takes them; and their labels ``(N, ...)``, if there
    are any.

    Parameters
    ----------
    path : a ``.npy`` file, or a ``.npz`` file with ``images`` and perhaps ``labels``
    between : two numbers between which real images lie
    labels : a ``.npy`` file

    Raises
    ------
    DataError
        If a file can't be read, or what is in it has another shape or range.
    """
    images, classes = _read_pair(path)
    if labels is not None:
        classes = read_array(labels)
    if images.ndim not in (2, 3, 4) or not images.size:
        raise DataError(f"{path}: calibration images must have the shape (N, C, H, W), (N, H, W) "
                        f"or (N, features), not {images.shape}")
    if classes is not None:
        _check_labels(classes, labels or path, len(images))
    real = images.dtype.kind == "f"
    low, high = between if real else (0, pixel_max)
    if not (images.min() >= low and images.max() <= high):
        raise DataError(f"{path}: calibration images must lie in {low:g}..{high:g}, not "
                        f"{images.min()}..{images.max()}; give the range (--range), or for "
                        f"standardised images the mean and the deviation (--mean, --std)")
    if len(images) > 1 and images.min() == images.max():
        raise DataError(f"{path}: all values of the calibration images are {images.max()}; give "
                        f"images of the kind that the network is for")
    if real:
        images = _rounded(images, between, pixel_max)
    images = images.astype(np.min_scalar_type(pixel_max), copy=False)
    return images[:, None] if images.ndim == 3 and not sequences else images, classes


def _check_labels(labels: np.ndarray, path: str | Path, images: int) -> None:
    """Refuse what can't be classes of so many images, or of their positions."""
    if labels.dtype.kind not in "iu" or labels.shape[:1] != (images,) or not labels.size:
        raise DataError(f"{path}: labels must be one class for each of the {images} images, or for "
                        f"each of their positions, not {labels.dtype} of {labels.shape}")
    if labels.min() < 0:
        raise DataError(f"{path}: labels must be classes from 0 on, not {labels.min()}.."
                        f"{labels.max()}")


def _rounded(images: np.ndarray, between: Sequence[float], pixel_max: int) -> np.ndarray:
    """Real numbers as integers, half up, one image after the other to save memory."""
    low, high = between
    pixels = np.empty(images.shape, np.min_scalar_type(pixel_max))
    for image, pixel in zip(images, pixels, strict=True):
        pixel[...] = np.floor((image.astype(np.float64) - low) / (high - low) * pixel_max + 0.5)
    return pixels


def _read_pair(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The images of a file, and their labels if it has some."""
    if Path(path).suffix.lower() != ".npz":
        return read_array(path), None
    try:
        files.open_regular(path).close()
        with np.load(path, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise DataError(f"{path}: must have an array 'images', not {arrays.files}")
            return arrays["images"], arrays.get("labels")
    except (OSError, ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read as .npz ({first_line(error)})") from error
