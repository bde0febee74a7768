"""``manifest.json``: the description of a build and its device."""

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from .entries import read
from .errors import HostError

__all__ = ["Manifest", "load"]

_REGISTERS = ("protocol", "max_words", "input_words", "classes", "logit_words", "quiet_words",
              "most_timesteps", "timesteps", "magic", "version",
              "digest", "clock_hz", "frames", "crc_errors", "dropped", "submitted", "completed",
              "status", "input_size", "output_size", "session", "open", "input", "submit", "result",
              "slots", "stride")

# Those of a device on PCI Express, in its BAR0 of 1024 words.
_RINGS = tuple(f"ring_{name}" for name in (
    "open", "timesteps", "samples_low", "samples_high", "samples_mask", "samples_index",
    "results_low", "results_high", "results_mask", "results_index", "status_low", "status_high",
    "interrupt"))

# The registers that one request reads, from the digest to the session.
_FACTS = ("clock_hz", "frames", "crc_errors", "dropped", "submitted", "completed", "status",
          "input_size", "output_size", "session")

# The device confirms a digest of these entries. So an edit of any of them is noticed before an
# input is packed. If memories may be loaded, their shapes stand for the network.
_IDENTITY = ("array_digest", "input", "output", "registers")

_LOADING = ("memories", "health", "holds", "block", "load", "check")


@dataclass(frozen=True)
class Manifest:
    """The part of a manifest that the driver needs.

    Parameters
    ----------
    path : of the file, for messages
    network, board : names
    digest : of the device's identity, 64 hexadecimal digits
    clock_hz : frequency of the fabric's clock
    baud : rate of the line, or ``None`` on PCI Express
    shape : ``(C, H, W)`` of an image
    map : ``(C, H, W)`` of the array's input map, with as many counts as the images of a sample
    interleaved : images that a sample holds side by side
    continues : whether a sample is a block of a sequence that goes on; ``shape`` is that of a
        block, whose rows are elements
    levels, pixel_max : greatest count, and its pixel
    word, bits : channels in a beat, and bits of a count
    registers : name -> address, and the constants ``protocol``, ``max_words``, ``input_words``,
        ``classes``, ``logit_words``, ``quiet_words``, ``most_timesteps``, ``slots`` and ``stride``
    positions : ``(y, x)`` of the read-out, each of which has logits for all classes
    settling : names of the layers whose neurons come to rest, and of which the device tells whether
        they have
    charged : time-steps after which an image's logits are exact if all these layers are quiet, or
        ``None`` if the method is not exact
    memories : name, bits of a row and rows of each memory that may be loaded, in their order
    holds : digest of the network that the memories have to hold, or ``None`` if they can't be
        loaded
    meaning : the entry of what the numbers mean, for :class:`host.meaning.Meaning`

    Raises
    ------
    HostError
        If a value is out of range, or two contradict each other.
    """

    path: str
    network: str
    board: str
    digest: str
    clock_hz: int
    baud: int | None
    shape: tuple[int, int, int]
    map: tuple[int, int, int]
    interleaved: int
    continues: bool
    levels: int
    pixel_max: int
    word: int
    bits: int
    registers: dict[str, int]
    positions: tuple[int, int]
    settling: tuple[str, ...]
    charged: int | None
    memories: tuple[tuple[str, int, int], ...] = ()
    holds: str | None = None
    meaning: object = None

    def __post_init__(self) -> None:
        line = ["baud"] * (self.baud is not None)
        for name in ("clock_hz", *line, "levels", "pixel_max", "word", "bits", "interleaved"):
            self._require(_natural(getattr(self, name)), f"{name} is not a positive integer")
        for name in ("clock_hz", *line):
            self._require(getattr(self, name) < 1 << 32, f"{name} is out of range")
        for name in ("shape", "map"):
            value = getattr(self, name)
            self._require(len(value) == 3 and all(map(_natural, value)),
                          f"{name} is not three positive integers")
        self._require(self.interleaved * prod(self.shape) == prod(self.map),
                      "shape and map differ in size")
        channels, height, width = self.shape
        self._require(type(self.continues) is bool and (
            self.map == (channels, height, self.interleaved * width)
            or (not self.continues and self.interleaved == 1)),
            "continues, interleaved and map disagree")
        # As in the network (gen.ir.exact), so that no product in `encode` leaves 64 bits.
        self._require(self.pixel_max * (2 * self.levels + 1) < 1 << 53,
                      "levels times pixel_max is too large")
        self._require(self.levels.bit_length() <= self.bits <= 32, "bits don't hold levels")
        self._require(_is_digest(self.digest), "digest is not 64 hexadecimal digits")
        rings = _RINGS if self.baud is None else ()
        for name in (*_REGISTERS, *rings):
            self._require(_natural(self.registers.get(name, -1), least=0)
                          and self.registers[name] < 1 << 16, f"register {name} is no address")
        for name in rings:
            self._require(self.registers[name] < 1024, f"register {name} is outside of BAR0")
        self._check_memories()
        where = self.registers
        self._require(where["digest"] + 8 <= min(where[name] for name in _FACTS)
                      and max(where[name] for name in _FACTS) <= where["session"],
                      "registers are not in their order")
        self._require(1 <= self.registers["max_words"] <= 255, "max_words is out of range")
        self._require(self.registers["classes"] >= 1, "there are no classes")
        self._require(len(self.positions) == 2 and all(map(_natural, self.positions))
                      and self.registers["classes"] % prod(self.positions) == 0
                      and self.positions[1] % self.interleaved == 0,
                      "classes and positions disagree")
        self._require(self.registers["logit_words"] in (1, 2), "logit_words is not 1 or 2")
        self._require(where["quiet_words"] == -(-len(self.settling) // 32)
                      and all(isinstance(name, str) for name in self.settling),
                      "settling and quiet_words disagree")
        self._require(where["most_timesteps"] >= 1, "there are no time-steps")
        self._require(self.charged is None or _natural(self.charged),
                      "charged is not a positive integer")
        self._require(self.registers["slots"] >= 2 and self.registers["stride"] >= 1,
                      "slots and stride hold no results")
        self._require(self._words() == self.registers["input_words"],
                      "input and input_words disagree")

    def _check_memories(self):
        where = self.registers
        self._require(not where.get("selftests") or (_natural(where.get("selftest"))
                      and where["selftest"] < 1 << 16), "register selftest is no address")
        self._require((self.holds is None) == (not self.memories)
                      and where.get("memories", 0) == len(self.memories) < 256,
                      "memories and registers disagree")
        if self.memories:
            self._require(all(_natural(where.get(name, -1), least=0) and where[name] < 1 << 16
                              for name in _LOADING), "a register for loading is no address")
            self._require(_is_digest(self.holds), "network_digest is not 64 hexadecimal digits")
            self._require(all(len(memory) == 3 and isinstance(memory[0], str)
                              and all(map(_natural, memory[1:])) for memory in self.memories),
                          "memories are no names, widths and depths")

    def _words(self):
        """Words of the input buffer."""
        channels, height, width = self.map
        beats = height * width * -(-channels // self.word)
        beat_bits = self.word * self.bits + self.continues
        return -(-beats // max(1, 32 // beat_bits)) * -(-beat_bits // 32)

    def logit_shape(self, blocks: int = 1) -> tuple[int, ...]:
        """Shape of the logits of an image of so many samples: ``(classes,)``, or ``(classes, H,
        W)`` if these have several positions together."""
        classes = self.registers["classes"] // prod(self.positions)
        height, width = blocks * self.positions[0], self.positions[1] // self.interleaved
        return (classes,) if height == width == 1 else (classes, height, width)

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the logits after a block, those of interleaved sequences one after the other."""
        beside = (self.interleaved,) if self.interleaved > 1 else ()
        return *beside, *self.logit_shape()

    def _require(self, condition, what):
        if not condition:
            raise HostError(f"{self.path}: {what}; build it again")

    def run_steps(self, timesteps: int | None, *, every: bool = False) -> range:
        """Numbers of time-steps of the runs that are asked for: one run, or with ``every`` those of
        fewer time-steps before it.

        Raises
        ------
        HostError
            If the device has not so many time-steps, or has none to choose.
        """
        most = self.registers["most_timesteps"]
        last = most if timesteps is None else timesteps
        if most == 1 and (every or last != 1):
            flag = "--every-step" if every else "--timesteps"
            raise HostError(f"{self.path}: the network has no time-steps to choose: leave {flag} "
                            f"out")
        if 1 <= last <= most:
            return range(1 if every else last, last + 1)
        raise HostError(f"{self.path}: the device runs 1 to {most} time-steps, not {last}")

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Counts ``(N, C, H, W)`` of raw images.

        Parameters
        ----------
        images : integers, ``(N, C, H, W)``; or ``(N, H, W)`` for one channel; or ``(N, features)``
            for an input of ``features`` channels and one position. If samples are blocks, H is that
            of any number of blocks, or images of one column may be sequences, ``(N, H, C)``

        Raises
        ------
        HostError
            If the shape, type or range isn't that of the network's images.
        """
        if images.dtype.kind not in "iu":
            raise HostError(f"images must be integers in 0..{self.pixel_max}, not {images.dtype}")
        given, (channels, *position) = images.shape, self.shape
        if images.ndim == 3 and self.continues and position[1] == 1:
            images = images.swapaxes(1, 2)[..., None]
        if images.ndim == 3 and channels == 1:
            images = images[:, None]
        elif images.ndim == 2 and position == [1, 1] and not self.continues:
            images = images[:, :, None, None]
        rows = images.shape[2] if images.ndim == 4 else 0
        if self.continues and rows % self.shape[1]:
            raise HostError(f"{rows} elements are no whole number of blocks of {self.shape[1]}, "
                            f"after each of which the device answers")
        height = rows if self.continues and rows else self.shape[1]
        if images.ndim != 4 or images.shape[1:] != (channels, height, position[1]):
            vectors = f"(N, {channels}) or " if position == [1, 1] and not self.continues else ""
            shape = [channels, "elements" if self.continues else position[0], position[1]]
            raise HostError(f"images must have the shape {vectors}(N, "
                            f"{', '.join(map(str, shape))}), not {given}")
        return self._counts(images)

    def _counts(self, pixels):
        if pixels.size and (pixels.min() < 0 or pixels.max() > self.pixel_max):
            raise HostError(f"pixels must lie in 0..{self.pixel_max}, not "
                            f"{pixels.min()}..{pixels.max()}")
        doubled = 2 * pixels.astype(np.int64) * self.levels
        return (doubled + self.pixel_max) // (2 * self.pixel_max)

    def encode_elements(self, elements: np.ndarray) -> np.ndarray:
        """Counts of raw elements of a sequence, ``(K, C, W)``; of interleaved sequences those of
        all of them, side by side.

        Parameters
        ----------
        elements : integers, ``(K, C, W)``; or ``(K, C)`` if an element has one column; or ``(K,)``
            if it is one value. Of interleaved sequences ``(K, interleaved, ...)``

        Raises
        ------
        HostError
            If samples are no blocks of sequences, or the shape, type or range isn't that of the
            network's elements.
        """
        self.require_blocks()
        if elements.dtype.kind not in "iu":
            raise HostError(f"elements must be integers in 0..{self.pixel_max}, not "
                            f"{elements.dtype}")
        channels, _, width = self.shape
        shapes = [(channels, width), *[(channels,)] * (width == 1),
                  *[()] * (channels == width == 1)]
        beside = (self.interleaved,) if self.interleaved > 1 else ()
        if not elements.ndim or elements.shape[1:] not in [(*beside, *shape) for shape in shapes]:
            shape = ", ".join(map(str, ("K", *beside, *shapes[-1])))
            raise HostError(f"elements must have the shape ({shape}), not {elements.shape}")
        counts = self._counts(elements.reshape(len(elements), self.interleaved, channels, width))
        return counts.swapaxes(1, 2).reshape(len(elements), channels, self.interleaved * width)

    def require_blocks(self) -> None:
        """Refuse a device whose samples are no blocks of sequences."""
        if not self.continues:
            raise HostError(f"{self.path}: the device takes whole images; build it with --stream "
                            f"to send it sequences element by element")

    def groups(self, counts: np.ndarray) -> np.ndarray:
        """Counts ``(N, C, H, W)`` of images, those of a sample side by side: ``(N / interleaved, C,
        H, W * interleaved)``. What is missing from the last one is zeros."""
        number, (channels, height, width) = self.interleaved, counts.shape[1:]
        counts = np.pad(counts, ((0, -len(counts) % number), (0, 0), (0, 0), (0, 0)))
        groups = counts.reshape(len(counts) // number, number, channels, height, width)
        return groups.transpose(0, 2, 3, 1, 4).reshape(len(groups), channels, height,
                                                       number * width)

    def blocks(self, group: np.ndarray) -> list[np.ndarray]:
        """The samples ``(C, H, W)`` of one of the :meth:`groups`, several if they are blocks."""
        return np.split(group, group.shape[1] // self.shape[1], axis=1)

    def pack(self, counts: np.ndarray, *, begins: bool = True) -> np.ndarray:
        """Words ``(input_words,)`` of the input buffer, of 32 bits, for the counts of a sample,
        ``(C, H, W)``.

        A beat has the counts of ``word`` channels at one y and x. If samples are blocks, its
        highest bit says in the first beat of a block whether it begins a sequence. A word holds as
        many whole beats as fit, or a beat takes several words. The first is always in the lowest
        bits.
        """
        channels, height, width = self.map
        chunks = -(-channels // self.word)
        counts = np.pad(counts.reshape(self.map).transpose(1, 2, 0),
                        ((0, 0), (0, 0), (0, chunks * self.word - channels)))
        bits = (counts[..., None] >> np.arange(self.bits) & 1).astype(np.uint8)
        beats = bits.reshape(height * width * chunks, self.word * self.bits)
        if self.continues:
            beats = np.pad(beats, ((0, 0), (0, 1)))
            beats[0, -1] = begins
        per_word = max(1, 32 // beats.shape[1])
        beats = np.pad(beats, ((0, -len(beats) % per_word), (0, 0)))
        beats = beats.reshape(len(beats) // per_word, -1)
        beats = np.pad(beats, ((0, 0), (0, -beats.shape[1] % 32)))
        return np.packbits(beats, axis=1, bitorder="little").reshape(-1).view("<u4")

    def unpack(self, logits: np.ndarray) -> np.ndarray:
        """Logits as they travel, ``(N, blocks, values)``, to those of the images, ``(N *
        interleaved, *logit_shape(blocks))``."""
        (count, blocks, _), (height, width) = logits.shape, self.positions
        shape, number = self.logit_shape(blocks), self.interleaved
        logits = logits.reshape(count, blocks * height, number, width // number, shape[0])
        return logits.transpose(0, 2, 4, 1, 3).reshape(count * number, *shape)


def _is_digest(value):
    return (isinstance(value, str) and len(value) == 64
            and not set(value) - set("0123456789abcdef"))


def _natural(value, least=1):
    return type(value) is int and value >= least


def load(directory: str | Path) -> Manifest:
    """Read ``manifest.json`` of a build.

    Raises
    ------
    HostError
        If it is missing, damaged or of another format.
    """
    path, raw = read(directory)
    try:
        layout = raw["input"]
        manifest = Manifest(
            path=path, network=str(raw["network"]), board=str(raw["board"]),
            digest=raw["digest"], clock_hz=raw["clock_hz"], baud=_baud(raw["link"]),
            shape=tuple(layout["shape"]), map=tuple(layout.get("map", layout["shape"])),
            interleaved=layout.get("interleaved", 1), continues=layout.get("continues", False),
            levels=layout["levels"], pixel_max=layout["pixel_max"], word=layout["word"],
            bits=layout["bits"], registers=dict(raw["registers"]),
            positions=tuple(raw["output"].get("positions", (1, 1))),
            settling=tuple(raw["output"]["settling"]), charged=raw["output"]["charged"],
            memories=tuple(map(tuple, raw.get("memories", ()))),
            holds=raw["network_digest"] if "memories" in raw else None,
            meaning=raw.get("meaning"))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise HostError(f"{path}: incomplete or damaged ({type(error).__name__}: {error}); build "
                        f"it again") from error
    names = ("memories" if manifest.memories else "network_digest", *_IDENTITY)
    if manifest.digest != identity_digest({name: raw.get(name) for name in names}):
        raise HostError(f"{path}: edited since the build (its digest does not match its "
                        f"{', '.join(names)}); build it again")
    return manifest


def _baud(link):
    return None if link["kind"] == "pcie" and link["baud"] is None else link["baud"]


def identity_digest(facts: dict) -> str:
    """SHA-256 of the canonical JSON (keys in order, no white space) of a manifest's entries on the
    device's identity, 64 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
