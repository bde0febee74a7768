"""A device: identity, status, and images to logits."""

import struct
import time
from dataclasses import dataclass

import numpy as np

from .errors import HostError
from .frames import Status
from .link import Link
from .manifest import Manifest
from .transport import Transport

__all__ = ["Device", "Result", "PROTOCOL"]

MAGIC = int.from_bytes(b"SPKL", "little")

PROTOCOL = 1
"""Version of frames and registers that this driver speaks."""

_COUNTERS = ("clock_hz", "frames", "crc_errors", "dropped", "submitted", "completed", "cycles")


@dataclass(frozen=True)
class Result:
    """Answers to images.

    Members
    -------
    logits : ``(N, classes)``
    cycles : ``(N,)``, clocks from an image's first input beat to its last logits
    retries : requests that had to be sent again
    """

    logits: np.ndarray
    cycles: np.ndarray
    retries: int

    @property
    def predictions(self) -> np.ndarray:
        """``(N,)`` classes; the lowest index wins a tie."""
        return self.logits.argmax(axis=1)


class Device:
    """A device on a line.

    Parameters
    ----------
    transport : the line
    manifest : what the device should be
    patience : seconds to wait for an answer, or a result, beyond what its bytes take
    attempts : how often a request is sent before the line is given up
    """

    def __init__(self, transport: Transport, manifest: Manifest, *, patience: float = 0.5,
                 attempts: int = 10):
        self.manifest, self.patience = manifest, patience
        self.name = transport.name
        self.link = Link(transport, patience=patience, attempts=attempts)
        self._where = manifest.registers

    @property
    def retries(self) -> int:
        return self.link.retries

    def _read(self, addr, count):
        """Words from ``addr``, as many frames as it takes."""
        words, most = [], self._where["max_words"]
        for start in range(0, count, most):
            answer = self.link.read(addr + start, min(most, count - start))
            if answer.status != Status.OK:
                raise HostError(f"{self.name}: the device refuses to read {answer.count} words at "
                                f"{answer.addr:#06x} ({_status(answer)}); it doesn't match "
                                f"{self.manifest.path}")
            words += answer.words
        return words

    def status(self) -> dict:
        """All that the device says of itself, whoever it is."""
        where = self._where
        magic, version = self._read(where["magic"], 2)
        if magic != MAGIC:
            raise HostError(f"{self.name}: something answers, but it is no Spikeloom device")
        if version != PROTOCOL:
            raise HostError(f"{self.name}: the device speaks version {version} of the protocol, "
                            f"this driver version {PROTOCOL}")
        facts = self._read(where["digest"], where["output_size"] + 1 - where["digest"])
        digest = struct.pack("<8I", *facts[:8]).hex()

        def fact(name):
            return facts[where[name] - where["digest"]]

        return {
            "digest": digest,
            "matches": digest == self.manifest.digest,
            "version": version,
            **{name: fact(name) for name in _COUNTERS},
            "busy": bool(fact("status") & 1),
            "input_words": fact("input_size"),
            "classes": fact("output_size"),
        }

    def identify(self) -> dict:
        """Make sure that this is the device of the manifest; gives its status.

        Raises
        ------
        HostError
            If it is a stranger.
        """
        status = self.status()
        if not status["matches"]:
            raise HostError(f"{self.name}: the device holds another network or build (digest "
                            f"{status['digest'][:12]}..., not {self.manifest.digest[:12]}...); "
                            f"program it with the one of {self.manifest.path}")
        if (status["input_words"], status["classes"]) != (
                self._where["input_words"], self._where["classes"]):
            raise HostError(f"{self.name}: the device and {self.manifest.path} disagree on the "
                            f"size of input or output")
        return status

    def infer(self, images: np.ndarray, *, progress=iter) -> Result:
        """Answers to raw images ``(N, C, H, W)`` or, for one channel, ``(N, H, W)``.

        Samples are numbered on from the last one that the device has seen, and an answer counts
        only if it carries the right number.

        Parameters
        ----------
        progress : wraps the iteration over images

        Raises
        ------
        HostError
            If the images don't fit, the device is a stranger, or its line is dead.
        """
        counts = self.manifest.encode(np.asarray(images))
        before = self.retries
        sample = self.identify()["submitted"]
        self._result(sample)
        logits = np.empty((len(counts), self._where["classes"]), dtype=np.int64)
        cycles = np.empty(len(counts), dtype=np.int64)
        for k, image in enumerate(progress(counts)):
            sample = (sample + 1) & 0xffffffff
            self._submit(self.manifest.pack(image).tolist(), sample)
            cycles[k], logits[k] = self._result(sample)
        return Result(logits, cycles, self.retries - before)

    def _submit(self, words, sample):
        words, most = [*words, sample], self._where["max_words"]
        for start in range(0, len(words), most):
            answer = self.link.write(self._where["input"] + start, words[start:start + most])
            if answer.status != Status.OK:
                raise HostError(f"{self.name}: the device refuses sample {sample} "
                                f"({_status(answer)}); was it reset, or is another program using "
                                f"it?")

    def _result(self, sample):
        """Cycles and logits of a sample, once the device has completed it."""
        deadline = time.monotonic() + self.patience
        while True:
            completed, cycles, *logits = self._read(self._where["result"],
                                                    2 + self._where["classes"])
            if completed == sample:
                return cycles, np.array(logits, dtype=np.uint32).view(np.int32)
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has not completed sample {sample} in "
                                f"{self.patience:g} s; its last is {completed}")


def _status(answer):
    try:
        return Status(answer.status).name.lower()
    except ValueError:
        return f"status {answer.status}"
