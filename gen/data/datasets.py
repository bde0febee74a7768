"""Data sets: scikit-learn's digits, MNIST, Fashion-MNIST and CIFAR-10, as raw images and labels,
or as sequences of rows or pixels; and collisions of platooning vehicles."""

import gzip
import hashlib
import math
import os
import struct
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gen.errors import DataError, unknown
from gen.system import files

from . import cifar, platooning, sequences

__all__ = ["DATASETS", "SEQUENCES", "Dataset", "load", "read_array"]

_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
          "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")

_SOURCES = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", (
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05")),
}

_CIFAR = "cifar-10"
_CIFAR_SOURCE = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                 "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")

SEQUENCES = {"digits-rows": ("digits", sequences.rows), "mnist-rows": ("mnist", sequences.rows),
             "mnist-pixels": ("mnist", sequences.pixels),
             "mnist-permuted": ("mnist", sequences.permuted)}
"""Images as sequences: name of a data set -> that of the images, and how they are read."""

_PLATOONING = "platooning"

DATASETS = ("digits", *_SOURCES, _CIFAR, *SEQUENCES, _PLATOONING)
"""Names of the data sets."""

# No IDX file unpacks to more than this: the largest has 47,040,016 bytes.
_MAX_BYTES = 64 << 20
# No file that is downloaded is larger: CIFAR-10 has 170,052,171 bytes.
_MAX_DOWNLOAD = 192 << 20


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images are ``(N, C, H, W)`` bytes in ``0..pixel_max``, labels ``(N,)`` integers. Sequences
    that were read from images keep how, as ``reading``."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    pixel_max: int
    reading: sequences.Reading | None = None


def load(dataset: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    dataset : one of :data:`DATASETS`
    data_dir : folder that holds the four IDX ``.gz`` files (for ``cifar-10`` the files of a form of
        :mod:`gen.data.cifar`), directly or in a folder with the data set's name; by default
        ``$SPIKELOOM_DATA``, then a cache that is filled by a download with checksums

    Raises
    ------
    DataError
        If the data is missing and can't be fetched, or is damaged.
    """
    if dataset in SEQUENCES:
        source, order = SEQUENCES[dataset]
        pictures = load(source, data_dir)
        reading = order(*pictures.train_images.shape[2:])
        return replace(pictures, name=dataset, train_images=reading.read(pictures.train_images),
                       test_images=reading.read(pictures.test_images), reading=reading)
    if dataset == "digits":
        return _digits()
    if dataset not in DATASETS:
        raise DataError(unknown("data set", dataset, DATASETS))
    folder = _folder(dataset, data_dir or os.environ.get("SPIKELOOM_DATA"))
    images, labels, test_images, test_labels = _READERS.get(dataset, _grey)(folder)
    for name, part in (("training", labels), ("test", test_labels)):
        if part.max() > 9:
            raise DataError(f"{folder}: the {name} labels must lie in 0..9, not {part.max()}")
    return Dataset(dataset, images, labels.astype(np.int64), test_images,
                   test_labels.astype(np.int64), 255)


def read_array(path: str | os.PathLike, *, records: bool = False) -> np.ndarray:
    """The array of numbers in a ``.npy`` file. The file is not trusted: its header is compared with
    its size before any memory is allocated.

    Parameters
    ----------
    records : read an array of records instead, whose fields may have any type but objects

    Raises
    ------
    DataError
        If the file can't be read, is no regular file or no ``.npy`` file, or holds nothing of the
        kind.
    """
    what = "records" if records else "numbers"
    try:
        with files.open_regular(path) as file:
            return _npy(file, os.fstat(file.fileno()).st_size, _IS[what])
    except (OSError, ValueError) as error:  # a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: can't be read as an .npy file of {what}: {why}") from error
    except _Malformed as error:
        raise DataError(f"{path}: is not an .npy file of {what}: {error}") from error


_IS = {"numbers": lambda dtype: dtype.kind in "uif",
       "records": lambda dtype: dtype.names is not None and not dtype.hasobject}
"""What a ``.npy`` file may hold -> whether a type is that."""


class _Malformed(Exception):
    """The problem of a file, without its name."""


def _npy(file, size: int, fits: Callable[[np.dtype], bool]) -> np.ndarray:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
    except Exception as error:  # numpy raises many kinds of errors for a malformed header
        raise _Malformed("its header can't be read") from error
    if not fits(dtype) or not shape:
        raise _Malformed(f"it holds {str(dtype)[:100] if shape else 'one value'}")
    have, want = size - file.tell(), math.prod(shape) * dtype.itemsize
    if any(type(n) is not int or n < 0 for n in shape) or have != want:
        raise _Malformed(f"it has {have} bytes, which is not the shape {shape} of {dtype}"[:200])
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _grey(folder: Path) -> list[np.ndarray]:
    """Images ``(N, 1, H, W)`` and labels of the training set and of the test set."""
    images, labels, test_images, test_labels = (_idx(folder / name) for name in _FILES)
    for part, x, y in (("training", images, labels), ("test", test_images, test_labels)):
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y) or not len(x):
            raise DataError(f"{folder}: the {part} images {x.shape} and labels {y.shape} do not "
                            f"belong together")
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(f"{folder}: the training and the test images differ in size")
    return [images[:, None], labels, test_images[:, None], test_labels]


def _digits() -> Dataset:
    """Digits, with every fifth image of each class held out."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("digits come with scikit-learn, which is not installed: "
                        "pip install spikeloom[gen]") from None
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        held_out[np.flatnonzero(labels == label)[4::5]] = True
    return Dataset("digits", images[~held_out], labels[~held_out], images[held_out],
                   labels[held_out], 16)


def _folder(dataset: str, data_dir) -> Path:
    """The folder of the files."""
    forms = _FORMS.get(dataset, (_FILES,))
    if data_dir:
        names = (dataset, dataset.replace("-", ""), "")
        for folder in (Path(data_dir) / name for name in names):
            if any(all((folder / file).is_file() for file in form) for form in forms):
                return folder
        files = "; or ".join(", ".join(form) for form in forms)
        raise DataError(f"{data_dir}: has no {dataset} data; it must hold {files}, in a folder "
                        f"{dataset} or directly")
    if dataset == _PLATOONING:
        raise DataError(f"{dataset} is not downloaded: fetch {platooning.FILE} (UCI, vehicle "
                        f"platooning) and give its folder with --data or SPIKELOOM_DATA")
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "spikeloom" / dataset
    if dataset == _CIFAR:
        _fetch_cifar(folder)
        return folder
    for name, digest in zip(_FILES, _SOURCES[dataset][1], strict=True):
        if not (folder / name).is_file():
            _download(_SOURCES[dataset][0] + name, digest, folder / name)
    return folder


def _fetch_cifar(folder: Path):
    """Fill the cache with the binary version."""
    if not all((folder / name).is_file() for name in cifar.FORMS[0]):
        url, digest = _CIFAR_SOURCE
        archive = folder / "cifar-10-binary.tar.gz"
        _download(url, digest, archive)
        cifar.unpack(archive, folder)
        archive.unlink()


def _download(url: str, digest: str, path: Path):
    files.require_output(path)
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            data = response.read(_MAX_DOWNLOAD)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.parent.name} is missing and can't be downloaded ({error}); give "
                        f"its folder with --data or SPIKELOOM_DATA") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise DataError(f"{url}: the checksum differs; give the data's folder with --data or "
                        f"SPIKELOOM_DATA")
    files.write_bytes(path, data)


def _idx(path: Path) -> np.ndarray:
    """The array of bytes in an IDX ``.gz`` file."""
    try:
        with files.open_regular(path) as packed, gzip.open(packed) as file:
            data = file.read(_MAX_BYTES)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path}: can't be unpacked ({error}); fetch it again") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 3:
        raise DataError(f"{path}: is not an IDX file of bytes; fetch it again")
    start = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:start]) if len(data) >= start else ()
    if len(data) - start != math.prod(shape):
        raise DataError(f"{path}: has {len(data) - start} bytes of data, but its header "
                        f"says the shape {shape}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


_READERS = {_CIFAR: cifar.read, _PLATOONING: platooning.read}
"""How a data set is read that is no IDX files."""

_FORMS = {_CIFAR: cifar.FORMS, _PLATOONING: (platooning.FORM,)}
"""The files of such a data set: a form has all of them."""
