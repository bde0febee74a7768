"""A :class:`Network` as a file that is read without executing anything.

The file is a ZIP archive of uncompressed ``.npy`` members, so ``numpy.load`` opens it too:

========================  ==================================================================
``header.npy``            bytes of a JSON object: format, digest, shapes, layers, metadata
``L.initial.npy``         initial potentials of layer number L
``L.threshold.npy``       thresholds of layer number L
``L.S.weights.npy``       weights of bundle number S of synapses of layer number L
``samples.npy``           the raw images that travel with the network, if any
========================  ==================================================================

Saving the same network gives the same bytes. Loading takes nothing on trust: sizes are checked
before anything is read, checksums before anything is parsed, and the digest of what was built must
be the header's.
"""

import io
import json
import math
import zipfile

import numpy as np

from . import files
from .errors import ArtifactError, NetworkError
from .network import Network, Neurons, Pool, Readout, Synapses

__all__ = ["FORMAT", "save", "load"]

FORMAT = 1
MAX_BYTES = 32 << 20
MAX_MEMBERS = 4096

_DTYPES = {np.dtype(f"<i{n}") for n in (2, 4, 8)} | {np.dtype("i1"), np.dtype("u1")}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save(network: Network, path) -> None:
    """Write ``network`` to ``path`` (``.npz``), see :func:`gen.files.replacing`."""
    arrays = {}
    header = {
        "format": FORMAT, "digest": network.digest, "name": network.name,
        "input_shape": network.input_shape, "input_levels": network.input_levels,
        "pixel_max": network.pixel_max, "metadata": dict(network.metadata),
        "layers": [_describe(k, layer, arrays) for k, layer in enumerate(network.layers)],
    }
    if network.samples is not None:
        arrays["samples"] = _narrow(network.samples)
    text = json.dumps(header, sort_keys=True, allow_nan=False).encode()
    arrays = {"header": np.frombuffer(text, dtype=np.uint8), **arrays}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    files.write_bytes(path, buffer.getvalue())


def _describe(k: int, layer, arrays: dict) -> dict:
    """The header's part for a layer; its arrays go into ``arrays``."""
    if isinstance(layer, Pool):
        return {"type": "pool", "name": layer.name, "source": layer.source, "kind": layer.kind,
                "kernel": layer.kernel, "stride": layer.stride, "padding": layer.padding}
    arrays[f"{k}.initial"] = _narrow(layer.initial)
    synapses = []
    for s, bundle in enumerate(layer.synapses):
        arrays[f"{k}.{s}.weights"] = _narrow(bundle.weights)
        synapses.append({"source": bundle.source, "stride": bundle.stride, "bits": bundle.bits,
                         "padding": bundle.padding, "groups": bundle.groups})
    if isinstance(layer, Readout):
        return {"type": "readout", "name": layer.name, "synapses": synapses}
    arrays[f"{k}.threshold"] = _narrow(layer.threshold)
    return {"type": "neurons", "name": layer.name, "synapses": synapses, "levels": layer.levels}


def _narrow(array: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest type, little endian."""
    for dtype in ("u1", "i1", "<i2", "<i4"):
        if np.array_equal(array.astype(dtype), array):
            return array.astype(dtype)
    return array.astype("<i8")


def load(path) -> Network:
    """Read a network.

    Raises
    ------
    ArtifactError
        One line with the file's name, if it is missing, truncated, corrupt, oversized, of another
        format, or contradicts itself.
    """
    try:
        with files.open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read: {error.strerror or error}; give the path of a "
                            f".npz file that train or convert has written") from error
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"{path}: is larger than {MAX_BYTES >> 20} MiB, which no network is")
    try:
        return _build(_members(data))
    except _Malformed as error:
        why = str(error)
    except NetworkError as error:
        why = f"contradicts itself: {error}"
    raise ArtifactError(f"{path}: {why}; write it again with train or convert")


class _Malformed(Exception):
    """What is wrong with the file, without its name."""


def _members(data: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_sizes(infos, len(data))
            return {info.filename.removesuffix(".npy"): _array(archive.read(info), info.filename)
                    for info in infos}
    except _Malformed:
        raise
    except Exception as error:  # zipfile has many: BadZipFile, struct.error, NotImplementedError...
        raise _Malformed("is truncated, corrupt or no network file "
                         f"({type(error).__name__})") from error


def _check_sizes(infos: list[zipfile.ZipInfo], limit: int):
    if len(infos) > MAX_MEMBERS:
        raise _Malformed(f"has {len(infos)} members, more than {MAX_MEMBERS}")
    if len({info.filename for info in infos}) != len(infos):
        raise _Malformed("has two members of one name")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise _Malformed("has compressed or encrypted members")
    if sum(max(info.file_size, info.compress_size) for info in infos) > limit:
        raise _Malformed("declares more data than it has")


def _array(data: bytes, name: str) -> np.ndarray:
    """A ``.npy`` member; its shape is compared with its size before anything is made of it."""
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
        digest = header["digest"]
    except (_Malformed, NetworkError):
        raise
    except Exception as error:  # whatever an unforeseen header leads to
        raise _Malformed(f"has a malformed header ({type(error).__name__}: {error})"
                         .replace("\n", " ")) from error
    if arrays:
        raise _Malformed(f"has a member {next(iter(arrays))!r} that no layer uses")
    if network.digest != digest:
        raise _Malformed("does not have the digest that its header says")
    return network


def _layer(k: int, spec: dict, arrays: dict):
    if spec["type"] == "pool":
        return Pool(spec["name"], spec["source"], spec["kind"], tuple(spec["kernel"]),
                    tuple(spec["stride"]), tuple(spec["padding"]))
    synapses = tuple(
        Synapses(bundle["source"], arrays.pop(f"{k}.{s}.weights"), tuple(bundle["stride"]),
                 tuple(bundle["padding"]), bundle["groups"], bundle["bits"])
        for s, bundle in enumerate(spec["synapses"]))
    if spec["type"] == "readout":
        return Readout(spec["name"], synapses, arrays.pop(f"{k}.initial"))
    if spec["type"] == "neurons":
        return Neurons(spec["name"], synapses, arrays.pop(f"{k}.initial"),
                       arrays.pop(f"{k}.threshold"), spec["levels"])
    raise _Malformed(f"has a layer of the type {spec['type']!r}, which this version does not know")
