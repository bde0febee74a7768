"""CIFAR-10 in two forms. Neither is a pickle.

* The binary version of its authors: six files of 10,000 records, each a byte of label and 3,072
  bytes of red, green and blue (https://www.cs.toronto.edu/~kriz/cifar.html).
* Sheets: six PNG files of 100 x 100 images, row by row, and the labels in ``labels.npz``.

The two forms differ in order. Images are therefore sorted by their SHA-256 digests, so a training
does not depend on the form.
"""

import hashlib
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gen.errors import DataError
from gen.system import files

__all__ = ["FORMS", "read", "unpack"]

_RECORDS = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")
_SHEETS = (*(f"train_{k}.png" for k in range(5)), "test_0.png")

FORMS = (_RECORDS, (*_SHEETS, "labels.npz"))
"""The files of each form."""

_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_SIDE = 100
_BATCH = _SIDE * _SIDE


def read(folder: Path) -> list[np.ndarray]:
    """Training images ``(50000, 3, 32, 32)``, their labels, test images, their labels: all bytes.

    ``folder`` holds the files of one of the :data:`FORMS`. If it holds both, the first is read.

    Raises
    ------
    DataError
        If a file is damaged or of another size.
    """
    if all((folder / name).is_file() for name in _RECORDS):
        batches = [_records(folder / name) for name in _RECORDS]
    else:
        labels = _labels(folder / "labels.npz")
        batches = [(_sheet(folder / name), labels[k * _BATCH:][:_BATCH])
                   for k, name in enumerate(_SHEETS)]
    images, labels = (np.concatenate(part) for part in zip(*batches[:5], strict=True))
    return [*_ordered(images, labels), *_ordered(*batches[5])]


def unpack(archive: Path, folder: Path) -> None:
    """Take the binary version out of the authors' ``.tar.gz``.

    Raises
    ------
    DataError
        If a member is not a file.
    """
    with tarfile.open(archive) as members:
        for name in _RECORDS:
            member = members.extractfile(f"cifar-10-batches-bin/{name}")
            if member is None:
                raise DataError(f"{archive}: {name} is not a file in it; fetch it again")
            files.write_bytes(folder / name, member.read(_BATCH * _RECORD))


def _records(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with files.open_regular(path) as file:
        data = np.fromfile(file, np.uint8)
    if len(data) != _BATCH * _RECORD:
        raise DataError(f"{path}: must have {_BATCH * _RECORD} bytes, not {len(data)}; fetch it "
                        f"again")
    data = data.reshape(_BATCH, _RECORD)
    return data[:, 1:].reshape(_BATCH, *_SHAPE), data[:, 0]


def _sheet(path: Path) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{path}: PNG sheets are read with Pillow, which is not installed: "
                        f"pip install spikeloom[gen]") from None
    size = (32 * _SIDE, 32 * _SIDE)
    try:
        with files.open_regular(path) as file, Image.open(file, formats=["PNG"]) as image:
            if image.size != size or image.mode != "RGB":
                raise DataError(f"{path}: must be an RGB image of {size[0]} x {size[1]} pixels")
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({error}); fetch it again") from error
    return pixels.reshape(_SIDE, 32, _SIDE, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, *_SHAPE)


def _labels(path: Path) -> np.ndarray:
    """Labels of the six sheets, one after the other."""
    try:
        with files.open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: can't be read ({error}); fetch it again") from error
    count = len(_SHEETS) * _BATCH
    if labels.shape != (count,) or labels.dtype != np.uint8:
        raise DataError(f"{path}: y_train and y_test must be {count} bytes together")
    return labels


def _ordered(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort([hashlib.sha256(image.tobytes()).digest() for image in images],
                       kind="stable")
    return images[order], labels[order]
