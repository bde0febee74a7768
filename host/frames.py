"""Frames of the link, in SLIP (RFC 1055).

A frame is ``seq op addr(2) count session(4) data(4 * count) crc(4)``, all of it little-endian; the
CRC is that of zlib over everything before it.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["OVERHEAD", "Answer", "Decoder", "Op", "Status", "encode", "parse", "request"]

_END, _ESC = b"\xc0", b"\xdb"
_HEADER = struct.Struct("<BBHBI")

OVERHEAD = _HEADER.size + 4 + 2
"""Bytes of a frame without data and escapes."""


class Op(IntEnum):
    """Kind of a request."""

    READ = 1
    WRITE = 2
    EXCHANGE = 3


class Status(IntEnum):
    """Status of a request. Anything but ``OK`` means that the device has done nothing."""

    OK = 0
    UNKNOWN = 1
    RANGE = 2
    BUSY = 3
    ORDER = 4
    SESSION = 5
    INCOMPLETE = 6
    DAMAGED = 7


@dataclass(frozen=True)
class Answer:
    """Answer of the device: an echo of the request's header, a status and the words read."""

    seq: int
    op: int
    status: int
    addr: int
    count: int
    session: int
    words: tuple[int, ...]


def encode(frame: bytes) -> bytes:
    """A frame as it travels on the line. The END before it ends any garbage."""
    return _END + frame.replace(_ESC, b"\xdb\xdd").replace(_END, b"\xdb\xdc") + _END


class Decoder:
    """Bytes from the line to frames. A frame with a wrong escape is left out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """Frames that are complete with these bytes; the rest is kept for the next call."""
        self._pending += received
        *frames, self._pending = self._pending.split(_END)
        return [frame for raw in frames if raw and (frame := self._unescape(bytes(raw)))]

    @staticmethod
    def _unescape(raw):
        head, *rest = raw.split(_ESC)
        if any(part[:1] not in (b"\xdc", b"\xdd") for part in rest):
            return None
        return head + b"".join((_END if part[0] == 0xdc else _ESC) + part[1:] for part in rest)


def request(seq: int, op: Op, addr: int, count: int, session: int,
            words: Sequence[int] = ()) -> bytes:
    """A request, not yet encoded; only a write or an exchange has ``words``."""
    frame = _HEADER.pack(seq, op, addr, count, session) + struct.pack(f"<{len(words)}I", *words)
    return frame + struct.pack("<I", zlib.crc32(frame))


def parse(frame: bytes) -> Answer | None:
    """The answer in a frame, or ``None`` if the frame is damaged."""
    body = len(frame) - _HEADER.size - 4
    if body < 0 or body % 4 or struct.unpack("<I", frame[-4:])[0] != zlib.crc32(frame[:-4]):
        return None
    seq, op, addr, count, session = _HEADER.unpack_from(frame)
    if not op & 0x80:
        return None
    words = struct.unpack_from(f"<{body // 4}I", frame, _HEADER.size)
    return Answer(seq, op & 15, op >> 4 & 7, addr, count, session, words)
