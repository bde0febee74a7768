"""A device: identity, status, and images to logits."""

import struct
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from collections.abc import Sequence as Words
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from .errors import HostError, Lost, Refused
from .flight import Flight
from .load import Health, Registers, load
from .manifest import Manifest
from .sequence import Sequence

__all__ = ["PROTOCOL", "Device", "Link", "Result"]

MAGIC = int.from_bytes(b"SPKL", "little")

PROTOCOL = 3
"""Version of frames and registers, the only one that this driver knows."""

_TESTED = 60.0
"""Seconds that a device may test itself; a simulated one is slow."""

_COUNTERS = ("clock_hz", "frames", "crc_errors", "dropped", "submitted", "completed")


@dataclass(frozen=True)
class Result:
    """Answers to images.

    Members
    -------
    logits : ``(N, classes)``; of a read-out with several positions, or with an answer after each
        block of a sequence, ``(N, classes, H, W)``
    cycles : ``(N,)`` clocks from the first input beat of an image, or of its last block, to its
        last logits
    retries : requests that had to be sent again
    quiet : ``(N, layers)`` for the layers of ``manifest.settling`` whether no neuron spiked in the
        last time-step of an image
    exact : ``(N,)`` whether the logits are known to be those of the quantised network, because all
        layers were quiet; ``None`` if the method has errors of its own
    """

    logits: np.ndarray
    cycles: np.ndarray
    retries: int
    quiet: np.ndarray
    exact: np.ndarray | None

    @property
    def predictions(self) -> np.ndarray:
        """``(N,)`` classes, of several positions those of the last one; the lowest index wins a
        tie."""
        return self.logits.reshape(*self.logits.shape[:2], -1)[..., -1].argmax(axis=1)


class Link(Registers, Protocol):
    """The way to a device: its registers, and samples and results as streams of 32-bit words.

    The implementation decides how they travel, how many samples are under way at once, how long
    anything may take and what is repeated. When it gives up, it raises
    :class:`~host.errors.HostError`.

    Members
    -------
    name : what errors call the way to the device
    """

    name: str

    @property
    def retries(self) -> int:
        """Requests that had to be sent again, so far."""

    @property
    def opened(self) -> bool:
        """Whether samples may be sent."""

    def take_over(self) -> None:
        """Take the device over, so that samples may be sent."""

    def read(self, addr: int, count: int) -> list[int]:
        """``count`` registers from ``addr`` on."""

    def flight(self, timesteps: int) -> AbstractContextManager[Flight]:
        """A way for samples to the device, and for results back, which come in the order of the
        samples. While it is used, nothing else may be. It raises what :meth:`run` does."""

    def run(self, samples: Iterable[Words[int]], timesteps: int
            ) -> Generator[list[int], None, None]:
        """Send samples as soon as there is room for them; their results, in their order. A result
        has the words of the logits, the lowest first, a bit for each layer that was quiet, and last
        the clocks that the sample took.

        Raises
        ------
        Refused
            If the device refuses something.
        Lost
            If the device was taken over or reset.
        """


class Device:
    """A device at the end of a link.

    The first images take the device over, until another host does so or the device is reset. After
    that each call is an error, and no call returns the result of another host's image. After any
    other error, or an interrupt, the next images take it over again.

    Parameters
    ----------
    link : to the device
    manifest : of the build that the device should hold
    """

    def __init__(self, link: Link, manifest: Manifest) -> None:
        self.link, self.manifest = link, manifest
        self.name = link.name
        self._where = manifest.registers
        self._lost: str | None = None  # why the link was lost
        self._identified = False  # whether it holds what it should

    @property
    def retries(self) -> int:
        """Requests that had to be sent again, so far."""
        return self.link.retries

    def status(self) -> dict:
        """Identity, counters and state of the device, whatever its build.

        Returns
        -------
        ``digest``, 64 hexadecimal digits, and ``matches``, whether it is that of the manifest;
        ``version`` of the protocol; ``clock_hz``; counters ``frames``, ``crc_errors``, ``dropped``,
        ``submitted`` and ``completed``; ``busy``; ``input_words`` and ``classes``; ``session``, 0
        if none is open.

        Raises
        ------
        HostError
            If it is not a Spikeloom device or has another protocol, or if its line is dead.
        """
        where = self._where
        magic, version = self.link.read(where["magic"], 2)
        if magic != MAGIC:
            raise HostError(f"{self.name}: something answers, but it is not a Spikeloom device")
        if version != PROTOCOL:
            raise HostError(f"{self.name}: the device speaks version {version} of the protocol, "
                            f"this driver version {PROTOCOL}")
        facts = self.link.read(where["digest"], where["session"] + 1 - where["digest"])
        digest = struct.pack("<8I", *facts[:8]).hex()

        def fact(name):
            return facts[where[name] - where["digest"]]

        matches = digest == self.manifest.digest
        return {
            "digest": digest,
            "matches": matches,
            "version": version,
            **{name: fact(name) for name in _COUNTERS},
            "busy": bool(fact("status") & 1),
            "input_words": fact("input_size"),
            "classes": fact("output_size"),
            "session": fact("session"),
            **(self._memories() if matches and self.manifest.memories else {}),
            **(self._selftest() if matches and where.get("selftests") else {}),
        }

    def _selftest(self):
        """What the device says of its test of itself."""
        (word,) = self.link.read(self._where["selftest"], 1)
        return {"selftest": "passed" if word & 2 else "failed" if word & 4 else "running"}

    def _memories(self):
        """What the device says of memories that may be loaded."""
        where = self._where
        (word,), holds = self.link.read(where["health"], 1), self.link.read(where["holds"], 8)
        health = Health(word, tuple(name for name, _, _ in self.manifest.memories))
        return {"memories": str(health), "passes": health.passes,
                "holds": struct.pack("<8I", *holds).hex()}

    def identify(self) -> dict:
        """Make sure that the device holds the build of the manifest; returns its :meth:`status`.

        Raises
        ------
        HostError
            If it holds another build.
        """
        status = self.status()
        if not status["matches"]:
            self._refuse(status)
        if (status["input_words"], status["classes"]) != (
                self._where["input_words"], self._where["classes"]):
            raise HostError(f"{self.name}: the device and {self.manifest.path} disagree on the "
                            f"size of input or output")
        if self.manifest.memories:
            self._require_contents(status)
        if status.get("selftest") == "running":
            status["selftest"] = self._tested()
        if status.get("selftest") == "failed":
            raise HostError(f"{self.name}: the device fails its self-test, so its answers would be "
                            f"wrong; program it anew with the build of {self.manifest.path}")
        return status

    def _tested(self):
        """Wait until the device has tested itself."""
        deadline = time.monotonic() + _TESTED
        while (result := self._selftest()["selftest"]) == "running":
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has tested itself for {_TESTED:g} s "
                                f"without an end; reset it, or program it anew")
        return result

    def _require_contents(self, status):
        advice = f"load the memory.img beside {self.manifest.path} (python -m host load)"
        if status["memories"] != "intact":
            raise HostError(f"{self.name}: the memories of the device are {status['memories']}; "
                            f"{advice}")
        if status["holds"] != self.manifest.holds:
            ours = str(self.manifest.holds)
            raise HostError(f"{self.name}: the device holds another network (digest "
                            f"{status['holds'][:12]}..., not {ours[:12]}...); {advice}")

    def load(self, path: str | Path, *,
             progress: Callable[[list], Iterable] = iter) -> Health:
        """Load the memories from an image; see :func:`host.load.load`.

        Raises
        ------
        HostError
            As that; or if the device is of another build, or fails its test of itself.
        """
        self._identified = False
        status = self.status()
        if not status["matches"]:
            self._refuse(status)
        health = load(self.link, self.manifest, path, progress=progress)
        self.identify()
        return health

    def _refuse(self, status):
        raise HostError(f"{self.name}: the device holds another network or build (digest "
                        f"{status['digest'][:12]}..., not {self.manifest.digest[:12]}...); "
                        f"program it with the build of {self.manifest.path}")

    def infer(self, images: np.ndarray, *, timesteps: int | None = None,
              progress: Callable[[np.ndarray], Iterable[np.ndarray]] = iter) -> Result:
        """Answers to raw images.

        Parameters
        ----------
        images : see :meth:`host.manifest.Manifest.encode`; whole sequences if samples are blocks
        timesteps : after which each image ends, 1 to those that the device has (the default)
        progress : wraps the iteration over images

        Raises
        ------
        HostError
            If the images don't fit, there are not so many time-steps, the device holds another
            build, its line is dead, it was reset meanwhile, or another host has taken it over.
        """
        (timesteps,) = self.manifest.run_steps(timesteps)
        counts = self.manifest.encode(np.asarray(images))
        before, blocks = self.retries, counts.shape[2] // self.manifest.shape[1]
        groups = self.manifest.groups(counts)
        samples = (self.manifest.pack(block, begins=k == 0).tolist() for group in progress(groups)
                   for k, block in enumerate(self.manifest.blocks(group)))
        logits = np.empty((len(groups), blocks, self._where["classes"]), dtype=np.int64)
        cycles = np.empty((len(groups), blocks), dtype=np.int64)
        quiet = np.empty((len(groups), len(self.manifest.settling)), dtype=bool)
        with self._opened(), closing(self.link.run(samples, timesteps)) as results:
            for place, words in enumerate(results):
                here = divmod(place, blocks)
                logits[here], quiet[here[0]], cycles[here] = self._parsed(words)
        charged = self.manifest.charged
        exact = None if charged is None else np.all(quiet, axis=1) & (timesteps >= charged)
        clocks = np.repeat(cycles[:, -1], self.manifest.interleaved)
        return Result(self.manifest.unpack(logits)[:len(counts)], clocks[:len(counts)],
                      self.retries - before, quiet, exact)

    @contextmanager
    def sequence(self) -> Iterator[Sequence]:
        """A sequence that is sent element by element, and begins anew with the device's first
        block. Until the context ends, anything else that is asked of the device is an error; then
        answers that were not read are lost.

        Raises
        ------
        HostError
            As :meth:`infer`; or if samples are no blocks of sequences.
        """
        self.manifest.require_blocks()
        with self._opened(), self.link.flight(1) as flight:
            yield Sequence(flight, self.manifest, self._answered)

    @contextmanager
    def _opened(self):
        """The device, which is taken over if that is not done yet."""
        if self._lost is not None:
            raise HostError(self._lost)
        if not (self.link.opened and self._identified):
            self.identify()
            self._identified = True
        if not self.link.opened:
            self.link.take_over()
        try:
            yield
        except Refused as refusal:
            self.identify()  # another build would explain it
            if isinstance(refusal, Lost):
                self._lost = str(refusal)
            raise

    def _parsed(self, words):
        """Values of the logits, which layers were quiet, and the clocks of a result."""
        *words, clocks = words
        split = self._where["classes"] * self._where["logit_words"]
        return (_integers(words[:split], self._where["logit_words"]),
                _bits(words[split:])[:len(self.manifest.settling)], clocks)

    def _answered(self, words):
        """Logits of a sample, and its clocks."""
        values, _, clocks = self._parsed(words)
        logits = self.manifest.unpack(values[None, None])
        return logits.reshape(self.manifest.answer_shape), clocks


def _bits(words):
    """Bits of 32-bit words, the lowest first."""
    return np.unpackbits(np.array(words, dtype="<u4").view(np.uint8), bitorder="little")


def _integers(words, each):
    """Signed integers of ``each`` 32-bit words, the lowest first."""
    return np.array(words, dtype="<u4").view(f"<i{4 * each}")
