"""Calibration data of networks that spike already: images, or trains of events."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gen.data.datasets import read_array
from gen.errors import DataError
from gen.ir.stepping import encoded
from hw.dynamics import MOST_STEPS

__all__ = ["TIMESTEPS", "Data", "read_data"]

TIMESTEPS = 16
"""Time-steps of an image, unless another number is given."""

_MOST_BITS = 24


class Data:
    """Calibration data: images, each of which drives all time-steps, or trains of events.

    Parameters
    ----------
    values : integers, ``(N, C, H, W)`` images or ``(T, N, C, H, W)`` trains
    events : greatest number of events of a pixel in a time-step; 0 for images
    timesteps : of a run
    pixel_max : greatest raw pixel of an image
    given : shape of a sample's input as it was given
    path : where they are from
    """

    def __init__(self, values: np.ndarray, events: int, timesteps: int, pixel_max: int,
                 given: tuple[int, ...], path: str | Path = "data") -> None:
        self.values, self.events, self.given = values, events, given
        self.timesteps, self.pixel_max, self.path = timesteps, pixel_max, path

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a sample's input."""
        channels, height, width = self.values.shape[-3:]
        return channels, height, width

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.values.shape[1 if self.events else 0]

    @property
    def real(self) -> np.ndarray:
        """What drives the network in each time-step, ``(T, N, C, H, W)``."""
        if self.events:
            return self.values.astype(np.float64)
        image = self.values / self.pixel_max
        return np.broadcast_to(image, (self.timesteps, *image.shape))

    @property
    def pixels(self) -> np.ndarray:
        """``(N, C, H, W)`` raw images, in which the bits of a train are one number."""
        return encoded(self.values, (0, self.events)) if self.events else self.values

    @property
    def rows(self) -> np.ndarray:
        """``(N, C * H * W, T, 1)`` raw images whose rows are the time-steps."""
        if self.events:
            return self.values.reshape(*self.values.shape[:2], -1, 1).transpose(1, 2, 0, 3)
        return self.values.reshape(self.samples, -1, 1, 1).repeat(self.timesteps, axis=2)

    def require_trains(self) -> None:
        """Refuse what is too long for a network whose neurons send trains.

        Raises
        ------
        DataError
            If there are more time-steps than one has, or events than a pixel can hold.
        """
        if self.timesteps > MOST_STEPS:
            raise DataError(f"{self.path}: has {self.timesteps} time-steps; {MOST_STEPS} are the "
                            f"most of a network that is not recurrent")
        bits = self.events.bit_length()
        if bits * self.timesteps > _MOST_BITS:
            raise DataError(f"{self.path}: {self.timesteps} time-steps with up to {self.events} "
                            f"events of a pixel need {bits * self.timesteps} bits, and "
                            f"{_MOST_BITS} are the most; take fewer time-steps, or clip the events "
                            f"to 1")


def read_data(path: str | Path, shape: Sequence[int] | None, *, timesteps: int | None,
              pixel_max: int) -> Data:
    """Calibration data from a ``.npy`` file.

    Images have the shape ``(N, *shape)`` and are integers in ``0..pixel_max`` or real numbers in
    ``0..1``. Events have one axis more, ``(N, T, *shape)``, and are integers.

    Parameters
    ----------
    shape : of a sample's input; ``None`` if it isn't known: images then have 2 or 4 axes
    timesteps : of images, by default :data:`TIMESTEPS`; of events it must be what they have

    Raises
    ------
    DataError
        If the file can't be read, or holds other data.
    """
    array = read_array(path)
    if shape is not None and array.ndim <= len(shape):  # a vector is a map of one position
        shape = tuple(shape[:1]) if set(shape[1:]) <= {1} else shape
    axes = len(shape) + 1 if shape is not None else (4 if array.ndim in (4, 5) else 2)
    known = tuple(shape) if shape is not None else array.shape[1 + (array.ndim > axes):]
    if not array.size or array.ndim not in (axes, axes + 1) or array.shape[-axes + 1:] != known:
        wanted = ", ".join(map(str, known))
        raise DataError(f"{path}: must have the shape (N, {wanted}) of images, or (N, T, {wanted}) "
                        f"of events in T time-steps, not {array.shape}")
    events = array.ndim == axes + 1
    if events and timesteps not in (None, array.shape[1]):
        raise DataError(f"{path}: has {array.shape[1]} time-steps, not {timesteps}; leave "
                        f"--timesteps out")
    steps = array.shape[1] if events else timesteps or TIMESTEPS
    values = array.reshape(*array.shape[:1 + events], *known, *[1] * (4 - axes))
    if not events:
        return Data(_images(path, values, pixel_max), 0, steps, pixel_max, known, path)
    train, most = _events(path, values)
    return Data(train, most, steps, pixel_max, known, path)


def _images(path, values, pixel_max):
    top = 1 if values.dtype.kind == "f" else pixel_max
    if not (values.min() >= 0 and values.max() <= top):
        raise DataError(f"{path}: images must lie in 0..{top}, not {values.min()}..{values.max()}")
    if values.dtype.kind == "f":
        values = np.floor(values.astype(np.float64) * pixel_max + 0.5)
    return values.astype(np.int64)


def _events(path, values):
    """``(T, N, C, H, W)`` trains, and their greatest number of events in a time-step."""
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iub" or values.min() < 0:
        raise DataError(f"{path}: events must be integers that are not negative")
    bits = max(1, int(values.max()).bit_length())
    if bits > _MOST_BITS:
        raise DataError(f"{path}: has up to {int(values.max()):,} events of a pixel in a "
                        f"time-step, more than any network takes; clip them")
    return values.astype(np.int64).swapaxes(0, 1), (1 << bits) - 1
