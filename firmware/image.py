"""The memory image: weights, biases and thresholds of a network, as one file.

Shape is in the bitstream, values are in the image. All numbers are little-endian::

    offset  bytes
    0       8      magic "SPKLIMG" and a zero byte
    8       2      version, 1
    10      2      number of memories, M
    12      32     digest of the design the image is for (SHA-256)
    44      ...    M memories, one after another
    end-4   4      CRC-32 (zlib) of everything before it

and each memory is::

    0       1      length of its name, L
    1       L      name, ASCII: letters, digits, dots and underscores
    1+L     4      width of a row in bits
    5+L     4      depth: number of rows
    9+L     ...    rows, each ceil(width / 8) bytes; the bits beyond the width are zero

There is exactly one file for a given content, and :func:`unpack` accepts no other.
"""

import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ImageError", "Memory", "pack", "unpack"]

_MAGIC = b"SPKLIMG\0"
_VERSION = 1
_HEADER = struct.Struct("<8sHH32s")
_SHAPE = struct.Struct("<II")
_CRC = struct.Struct("<I")
_NAME = re.compile(r"[A-Za-z0-9_.]{1,255}", re.ASCII)


class ImageError(ValueError):
    """An image can't be packed, or a file is not an image."""


@dataclass(frozen=True)
class Memory:
    """Contents of one memory.

    Parameters
    ----------
    name : letters, digits, dots and underscores, at most 255
    width : bits of a row
    rows : non-negative integers below ``2 ** width``
    """

    name: str
    width: int
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ImageError("a memory's name must be 1 to 255 letters, digits, dots and "
                             f"underscores, not {self.name!r}")
        if type(self.width) is not int or not 1 <= self.width < 1 << 32:
            raise ImageError(f"{self.name}: width must be a positive integer, not {self.width!r}")
        object.__setattr__(self, "rows", tuple(self.rows))
        for index, row in enumerate(self.rows):
            if type(row) is not int or row < 0 or row >> self.width:
                raise ImageError(f"{self.name}: row {index} must be an integer of {self.width} "
                                 f"bits, not {row!r}")


def pack(memories: Iterable[Memory], *, digest: bytes) -> bytes:
    """The image file of some memories.

    Parameters
    ----------
    memories : of different names
    digest : 32 bytes that identify the design

    Raises
    ------
    ImageError
        If two names are the same, or the digest is not 32 bytes.
    """
    memories = tuple(memories)
    if len(digest) != 32:
        raise ImageError(f"digest must be 32 bytes, not {len(digest)}")
    _require_different(memories)
    parts = [_HEADER.pack(_MAGIC, _VERSION, len(memories), digest)]
    for memory in memories:
        size = (memory.width + 7) // 8
        parts += [bytes([len(memory.name)]), memory.name.encode("ascii"),
                  _SHAPE.pack(memory.width, len(memory.rows)),
                  *(row.to_bytes(size, "little") for row in memory.rows)]
    body = b"".join(parts)
    return body + _CRC.pack(zlib.crc32(body))


def unpack(data: bytes) -> tuple[bytes, tuple[Memory, ...]]:
    """Digest and memories of an image file.

    Raises
    ------
    ImageError
        If `data` is anything but what :func:`pack` returns.
    """
    if len(data) < _HEADER.size + _CRC.size:
        raise ImageError(f"an image must have at least {_HEADER.size + _CRC.size} bytes, "
                         f"not {len(data)}")
    body, (crc,) = data[:-_CRC.size], _CRC.unpack(data[-_CRC.size:])
    magic, version, count, digest = _HEADER.unpack_from(body)
    if magic != _MAGIC:
        raise ImageError(f"an image must begin with {_MAGIC!r}, not {magic!r}")
    if version != _VERSION:
        raise ImageError(f"image version must be {_VERSION}, not {version}")
    if zlib.crc32(body) != crc:
        raise ImageError("the image is damaged: its CRC does not match its contents")
    reader = _Reader(body, _HEADER.size)
    memories = tuple(_memory(reader) for _ in range(count))
    if reader.left:
        raise ImageError(f"the image must end after its last memory, not {reader.left} bytes later")
    _require_different(memories)
    return digest, memories


def _require_different(memories):
    names = [memory.name for memory in memories]
    for name in names:
        if names.count(name) > 1:
            raise ImageError(f"two memories are named {name!r}")


def _memory(reader):
    (length,) = reader.take(1)
    name = reader.take(length).decode("latin-1")
    width, depth = _SHAPE.unpack(reader.take(_SHAPE.size))
    size = (width + 7) // 8
    rows = reader.take(size * depth)
    if size == 0 and depth:
        raise ImageError(f"{name}: width must be a positive integer, not 0")
    return Memory(name, width, tuple(int.from_bytes(rows[at:at + size], "little")
                                     for at in range(0, len(rows), size or 1)))


class _Reader:
    def __init__(self, data, at):
        self._data = data
        self._at = at

    @property
    def left(self):
        return len(self._data) - self._at

    def take(self, size):
        if size > self.left:
            raise ImageError(f"the image is cut short: {size} bytes are missing at offset "
                             f"{self._at}")
        self._at += size
        return self._data[self._at - size:self._at]
