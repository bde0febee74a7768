"""Vehicle platooning: whether a column of cars collides when the first one brakes (UCI).

A row of ``collision_dataset.txt`` has the number of vehicles, the force of the brake (kN), the
packet error rate of the radio, the distance between vehicles (m), the speed (km/h), and whether
there was a collision. As a sequence the five measurements arrive one after the other, each on a
channel of its own.
"""

from pathlib import Path

import numpy as np

from gen.errors import DataError
from gen.system import files

__all__ = ["FILE", "FORM", "read", "read_rows"]

FILE = "collision_dataset.txt"
FORM = (FILE,)
"""The files that a folder must hold."""

_COLUMNS = ("N", "F0", "PER", "d0", "v0", "collision")

# Least and greatest value of each measurement, which become 0 and 255.
_RANGES = np.array([(3, 8), (-8, -1), (0.2, 0.5), (4, 9), (10, 90)])

# A row in so many is a test row.
_EVERY = 5
_SEED = 0

_MOST_BYTES = 16 << 20


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sequences ``(N, 5, 5, 1)`` of bytes and labels, those to train with and those to test with.
    The split is a random one that is always the same.

    Raises
    ------
    DataError
        If the file can't be read, or is another one.
    """
    values, labels = read_rows(folder)
    low, high = _RANGES.T
    if not ((values >= low) & (values <= high)).all():
        raise DataError(f"{folder / FILE}: a measurement is out of range")
    scaled = np.floor((values - low) / (high - low) * 255 + 0.5).astype(np.uint8)
    sequences = (scaled[:, :, None] * np.eye(5, dtype=np.uint8))[..., None]
    test = np.zeros(len(labels), dtype=bool)
    test[np.random.RandomState(_SEED).permutation(len(labels))[::_EVERY]] = True
    return sequences[~test], labels[~test], sequences[test], labels[test]


def read_rows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Measurements ``(N, 5)`` and collisions ``(N,)``.

    Raises
    ------
    DataError
        If the file can't be read, or is another one.
    """
    path = folder / FILE
    try:
        with files.open_regular(path) as file:
            text = file.read(_MOST_BYTES).decode("utf-8-sig")
        header, *lines = text.split("\n")
        rows = np.array([line.split("\t") for line in lines if line.strip()], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as a table of numbers ({error})") from error
    if tuple(header.split()) != _COLUMNS or rows.ndim != 2 or rows.shape[1] != len(_COLUMNS):
        raise DataError(f"{path}: is not the data of collisions, with the columns "
                        f"{', '.join(_COLUMNS)}")
    if not np.isfinite(rows).all() or not np.isin(rows[:, -1], (0, 1)).all():
        raise DataError(f"{path}: a measurement is no number, or a collision is neither 0 nor 1")
    return rows[:, :-1], rows[:, -1].astype(np.int64)
