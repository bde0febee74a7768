"""A :class:`Network` as a file that is read without executing anything.

The file is a ZIP archive of uncompressed ``.npy`` members, so ``numpy.load`` opens it too:

========================  ==================================================================
``header.npy``            bytes of a JSON object: format, digest, shapes, layers, metadata
``L.initial.npy``         initial potentials of layer number L
``L.threshold.npy``       thresholds of layer number L
``L.S.weights.npy``       weights of bundle number S of synapses of layer number L
``samples.npy``           the raw images that travel with the network, if any
========================  ==================================================================

Saving the same network gives the same bytes. Loading trusts nothing. It first reads the
archive's directory, whose size is bounded. It then reads at most as much as the directory declares,
which must be in the file and is bounded as well. It checks checksums before it parses anything, and
the digest of the finished network must be that of the header. A network that could not be loaded is
not saved.
"""

import io
import json
import math
import os
import struct
import zipfile
from pathlib import Path

import numpy as np

from gen.errors import ArtifactError, NetworkError
from gen.system import files, npz

from .declared import check_method
from .layers import TYPES, Layer
from .network import Network

__all__ = ["FORMAT", "MAX_WEIGHTS", "check_weights", "load", "save"]

FORMAT = 1
"""Version of the format, which :func:`load` requires."""

MAX_WEIGHTS = 1 << 28
"""Greatest number of weights in a file: 268 million, more than any device holds on its chip."""

_MAX_BYTES = 2 * MAX_WEIGHTS
_MAX_HEADER = 4 << 20
_MAX_MEMBERS = 4096
_MAX_DIRECTORY = 1 << 20

_END = struct.Struct("<4s4H2LH")
"""The last record of an archive: signature, two disk numbers, the directory's entries twice, its
size and its place, and the length of a comment."""

_DTYPES = {np.dtype(f"<i{n}") for n in (2, 4, 8)} | {np.dtype("i1"), np.dtype("u1")}


def save(network: Network, path: str | Path) -> None:
    """Write ``network`` to ``path`` (``.npz``), see :func:`gen.system.files.replacing`.

    Raises
    ------
    ArtifactError
        If it is larger than :func:`load` accepts.
    NetworkError
        If its metadata contradict its layers, see :func:`gen.ir.declared.check_method`.
    """
    check_method(network)
    check_weights(network.weight_count)
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for k, layer in enumerate(network.layers):
        facts, own = layer.described()
        layers.append(facts)
        arrays |= {f"{k}.{name}": _narrow(array) for name, array in own.items()}
    header = {
        "format": FORMAT, "digest": network.digest, "name": network.name,
        "input_shape": network.input_shape, "input_levels": network.input_levels,
        "pixel_max": network.pixel_max, "metadata": dict(network.metadata),
        "layers": layers,
    }
    if network.samples is not None:
        arrays["samples"] = _narrow(network.samples)
    text = json.dumps(header, sort_keys=True, allow_nan=False).encode()
    arrays = {"header": np.frombuffer(text, dtype=np.uint8), **arrays}
    data = npz.packed(arrays)
    if len(text) + 1024 > _MAX_HEADER or len(arrays) > _MAX_MEMBERS or len(data) > _MAX_BYTES:
        raise ArtifactError(f"{path}: {len(data) >> 20} MiB in {len(arrays)} arrays, with a "
                            f"description of {len(text)} bytes, are more than a network file may "
                            f"have: {_MAX_BYTES >> 20} MiB, {_MAX_MEMBERS} and {_MAX_HEADER}")
    files.write_bytes(path, data)


def check_weights(count: int) -> None:
    """Refuse a number of weights that is too large for a network file.

    Raises
    ------
    ArtifactError
        If there are more than :data:`MAX_WEIGHTS`.
    """
    if count > MAX_WEIGHTS:
        raise ArtifactError(f"a network of {count:,} weights is larger than any that can be saved: "
                            f"at most {MAX_WEIGHTS:,}")


def _narrow(array: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest type, little endian."""
    for dtype in ("u1", "i1", "<i2", "<i4"):
        if np.array_equal(array.astype(dtype), array):
            return array.astype(dtype)
    return array.astype("<i8")


def load(path: str | Path) -> Network:
    """Read a network.

    Raises
    ------
    ArtifactError
        One line with the file's name, if it is missing, truncated, corrupt, oversized, of another
        format, or contradicts itself.
    """
    try:
        with files.open_regular(path) as file:
            return _build(_members(file))
    except (OSError, ValueError) as error:  # a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{path}: can't be read: {why}; give the path of a .npz file that "
                            f"train or convert has written") from error
    except _Malformed as error:
        why = str(error)
    except NetworkError as error:
        why = f"contradicts itself: {error}"
    raise ArtifactError(f"{path}: {why}; write it again with train or convert")


class _Malformed(Exception):
    """The problem of the file, without its name."""


def _members(file) -> dict[str, np.ndarray]:
    try:
        size = _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_sizes(infos, size)
            return {info.filename.removesuffix(".npy"): _array(archive.read(info), info.filename)
                    for info in infos}
    except _Malformed:
        raise
    except Exception as error:  # zipfile has many: BadZipFile, struct.error, NotImplementedError...
        raise _Malformed("is truncated, corrupt or no network file "
                         f"({type(error).__name__})") from error


def _check_directory(file) -> int:
    """Size of the archive, whose directory is small and ends where the file ends."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size))
    last = file.read(_END.size).rjust(_END.size, b"\0")
    signature, _, _, _, entries, length, _, comment = _END.unpack(last)
    if signature != b"PK\5\6" or comment:
        raise _Malformed("is truncated, corrupt or no network file (it has no directory)")
    if entries > _MAX_MEMBERS:
        raise _Malformed(f"has {entries} members, more than {_MAX_MEMBERS}")
    if length > _MAX_DIRECTORY:
        raise _Malformed(f"has a directory of {length} bytes, more than {_MAX_DIRECTORY}")
    # A record of 20 bytes before this one may declare other sizes, in 64 bits. No network needs it.
    file.seek(max(0, size - _END.size - 20))
    if file.read(4) == b"PK\6\7":
        raise _Malformed("is an archive of the kind for more than 4 GiB, which no network is")
    return size


def _check_sizes(infos: list[zipfile.ZipInfo], size: int):
    """Refuse a file that is no network before its members are read; ``size`` is that of the
    file."""
    if len(infos) > _MAX_MEMBERS:
        raise _Malformed(f"has {len(infos)} members, more than {_MAX_MEMBERS}")
    if len({info.filename for info in infos}) != len(infos):
        raise _Malformed("has two members of one name")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise _Malformed("has compressed or encrypted members")
    declared = sum(max(info.file_size, info.compress_size) for info in infos)
    if declared > size:
        raise _Malformed("declares more data than it has")
    if declared > _MAX_BYTES:
        raise _Malformed(f"declares {declared >> 20} MiB, more than the {_MAX_BYTES >> 20} of a "
                         f"network of {MAX_WEIGHTS:,} weights")
    if any(info.filename == "header.npy" and info.file_size > _MAX_HEADER for info in infos):
        raise _Malformed(f"has a header of more than {_MAX_HEADER >> 20} MiB")


def _array(data: bytes, name: str) -> np.ndarray:
    """A ``.npy`` member. Its shape is compared with its size before memory is allocated."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise _Malformed(f"member {name!r} is of another version of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype not in _DTYPES:
        raise _Malformed(f"member {name!r} must be integers in C order, not {dtype}")
    body = data[stream.tell():]
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise _Malformed(f"member {name!r} has {len(body)} bytes, which is not the shape {shape} "
                         f"of {dtype}")
    return np.frombuffer(body, dtype).reshape(shape)


def _build(arrays: dict[str, np.ndarray]) -> Network:
    try:
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != FORMAT:
            raise _Malformed(f"has the format {header['format']!r}, but this version reads "
                             f"{FORMAT}")
        layers = tuple(_layer(k, layer, arrays) for k, layer in enumerate(header["layers"]))
        network = Network(header["name"], tuple(header["input_shape"]), header["input_levels"],
                          header["pixel_max"], layers, header["metadata"],
                          arrays.pop("samples", None))
        check_method(network)
        digest = header["digest"]
    except (_Malformed, NetworkError):
        raise
    except Exception as error:  # an unforeseen header may raise anything
        raise _Malformed(f"has a malformed header ({type(error).__name__}: {error})"
                         .replace("\n", " ")) from error
    if arrays:
        raise _Malformed(f"has a member {next(iter(arrays))!r} that no layer uses")
    if network.digest != digest:
        raise _Malformed("does not have the digest that its header says")
    return network


def _layer(k: int, facts: dict, arrays: dict) -> Layer:
    if facts["type"] not in TYPES:
        raise _Malformed(f"has a layer of the type {facts['type']!r}, which this version does not "
                         f"know")
    return TYPES[facts["type"]].restored(facts, lambda name: arrays.pop(f"{k}.{name}"))
