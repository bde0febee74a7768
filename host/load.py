"""Loading the memories of a device: weights, initial potentials and thresholds of a network."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from firmware.image import ImageError, unpack

from .errors import HostError
from .manifest import Manifest

__all__ = ["Health", "Registers", "image_words", "load"]

_HOLDS = "holds"
_LARGEST = 256 << 20

# Seconds between two questions whether all memories have been compared.
_PAUSE = 0.01


class Registers(Protocol):
    """Registers that are written in a session, and read, see
    :class:`host.mailbox.Mailbox`."""

    name: str

    def take_over(self) -> None:
        """Take the device over."""

    def read(self, addr: int, count: int) -> list[int]:
        """``count`` registers from ``addr`` on."""

    def write(self, addr: int, words: list[int], what: str) -> None:
        """Write registers. ``what`` is asked of the device, for messages."""


class Health:
    """What a device knows of its memories.

    Parameters
    ----------
    word : of the register
    names : of the memories, by their numbers

    Members
    -------
    intact, loading, checking, damaged : see :data:`hw.loader.Health`
    memory : name of the memory whose CRC was wrong, or ``None``
    passes : comparisons of all memories, modulo 2**16
    """

    def __init__(self, word: int, names: tuple[str, ...]) -> None:
        self.intact, self.loading, self.checking, self.damaged = (
            bool(word >> k & 1) for k in range(4))
        number = word >> 8 & 0xff
        self.memory = names[number] if self.damaged and number < len(names) else None
        self.passes = word >> 16

    def __str__(self) -> str:
        if self.damaged:
            return f"damaged: {self.memory or 'an unknown memory'} has changed"
        return ("being compared" if self.checking else "not completely loaded" if self.loading
                else "intact" if self.intact else "unknown")


def image_words(path: str | Path, manifest: Manifest) -> dict[str, list[int]]:
    """Words of each memory in an image, in the order of the manifest, and last those of ``holds``.

    Raises
    ------
    HostError
        If the file is no image, or of another network or a device of another shape.
    """
    path = Path(path)
    if not manifest.memories:
        raise HostError(f"{manifest.path}: memories of this build can't be loaded; build it with "
                        f"--reloadable")
    try:
        if not path.is_file():
            raise HostError(f"{path}: is not a regular file; give the memory.img of a build")
        if path.stat().st_size > _LARGEST:
            raise HostError(f"{path}: is larger than {_LARGEST >> 20} MiB, so not an image")
        digest, memories = unpack(path.read_bytes())
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error
    except ImageError as error:
        raise HostError(f"{path}: {error}") from error
    found = {memory.name: memory for memory in memories}
    shapes = [(name, width, depth) for name, width, depth in manifest.memories]
    if digest.hex() != manifest.digest or set(found) != {*(shape[0] for shape in shapes), _HOLDS}:
        raise HostError(f"{path}: is of another device than {manifest.path}; make it with `python "
                        f"-m gen build NET --image-only DIR` of this build")
    for name, width, depth in [*shapes, (_HOLDS, 256, 1)]:
        if (found[name].width, len(found[name].rows)) != (width, depth):
            raise HostError(f"{path}: {name} must have {depth} rows of {width} bits, not "
                            f"{len(found[name].rows)} of {found[name].width}")
    if found[_HOLDS].rows[0] != int(str(manifest.holds), 16):
        raise HostError(f"{path}: is of another network than {manifest.path}; give the directory "
                        f"that it is in (--board)")
    return {name: _words(found[name]) for name in [*(shape[0] for shape in shapes), _HOLDS]}


def _words(memory):
    columns = -(-memory.width // 32)
    return [row >> 32 * k & 0xffffffff for row in memory.rows for k in range(columns)]


def load(link: Registers, manifest: Manifest, path: str | Path, *, patience: float = 30.0,
         progress: Callable[[list[tuple[int, list[int]]]], Iterable[tuple[int, list[int]]]] = iter
         ) -> Health:
    """Load an image into a device. Until it is complete, and each memory has been compared with its
    CRC, the device refuses samples.

    Parameters
    ----------
    link : to the device, which must be that of the manifest
    path : of the image
    patience : seconds to wait until all memories have been compared
    progress : wraps the iteration over frames

    Raises
    ------
    HostError
        If the image is not of this device, the line is dead, or a memory is not what was loaded.
    """
    words = image_words(path, manifest)
    holds = words.pop(_HOLDS)
    where = manifest.registers
    link.take_over()
    link.write(where["load"], [1], "to be loaded")
    for addr, block in progress(list(_frames(words, manifest))):
        link.write(addr, block, "a block of its memories")
    # Eight words, the lowest last in the hexadecimal digits of a digest.
    link.write(where["holds"], _digest_words(holds), "what its memories hold")
    link.write(where["check"], [1], "to compare its memories")
    return _compared(link, manifest, patience)


def _digest_words(holds):
    octets = b"".join(word.to_bytes(4, "little") for word in holds)[::-1]
    return [int.from_bytes(octets[k:k + 4], "little") for k in range(0, 32, 4)]


def _frames(words: dict[str, list[int]], manifest: Manifest) -> Iterator[tuple[int, list[int]]]:
    """Address and words of each frame."""
    where, most = manifest.registers, manifest.registers["max_words"] - 2
    crcs = [zlib.crc32(b"".join(word.to_bytes(4, "little") for word in each))
            for each in words.values()]
    columns = [-(-width // 32) for _, width, _ in manifest.memories]
    for number, (own, across) in enumerate(zip([*words.values(), crcs], [*columns, 1],
                                               strict=True)):
        for start in range(0, len(own), most):
            row, column = divmod(start, across)
            yield where["block"], [number << 24 | row, column, *own[start:start + most]]


def _compared(link, manifest, patience):
    """The health when all memories have been compared."""
    deadline = time.monotonic() + patience
    names = tuple(name for name, _, _ in manifest.memories)
    while True:
        (word,) = link.read(manifest.registers["health"], 1)
        health = Health(word, names)
        if health.intact:
            return health
        if health.damaged:
            raise HostError(f"{link.name}: {health.memory} is not what was loaded; load it again, "
                            f"and if that does not help, program the device anew")
        if time.monotonic() > deadline:
            raise HostError(f"{link.name}: the device has compared its memories for {patience:g} s "
                            f"without an end; wait longer (--timeout), or reset it")
        time.sleep(_PAUSE)
