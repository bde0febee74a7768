"""A device: identity, status, and images to logits."""

import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .errors import HostError
from .manifest import Manifest
from .registers import Registers, Status

__all__ = ["Device", "Result", "PROTOCOL"]

MAGIC = int.from_bytes(b"SPKL", "little")

PROTOCOL = 2
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


class _Refused(HostError):
    """The device has refused a request."""

    def __init__(self, message, status):
        super().__init__(message)
        self.status = status


class Device:
    """A device behind its registers.

    The first images open a session. From then on the device is this driver's until another host
    opens one, or the device is reset: after that each call is an error, and none is answered with
    what belongs to another host's image. After any other error, or an interrupt, the next images
    open a session anew.

    Parameters
    ----------
    registers : the way to the device
    manifest : what the device should be
    patience : seconds to wait for a result
    """

    def __init__(self, registers: Registers, manifest: Manifest, *,
                 patience: float = 0.5) -> None:
        self.registers, self.manifest, self.patience = registers, manifest, patience
        self.name = registers.name
        self._where = manifest.registers
        self._sample = None  # number of the last one, once a session is open
        self._lost = None  # why the session was lost

    @property
    def retries(self) -> int:
        return self.registers.retries

    def _read(self, addr, count):
        """Words from ``addr``, as many frames as it takes."""
        words, most = [], self._where["max_words"]
        for start in range(0, count, most):
            part = min(most, count - start)
            answer = self.registers.read(addr + start, part)
            self._require(answer, f"to read {part} words at {addr + start:#06x}")
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
        facts = self._read(where["digest"], where["session"] + 1 - where["digest"])
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
            "session": fact("session"),
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

    def infer(self, images: np.ndarray, *,
              progress: Callable[[np.ndarray], Iterable[np.ndarray]] = iter) -> Result:
        """Answers to raw images, see :meth:`host.manifest.Manifest.encode`.

        Samples are numbered within the session, and an answer counts only if it carries the right
        number.

        Parameters
        ----------
        progress : wraps the iteration over images

        Raises
        ------
        HostError
            If the images don't fit, the device is a stranger, its line is dead, it was reset on
            the way, or another host has taken it over.
        """
        counts = self.manifest.encode(np.asarray(images))
        before = self.retries
        if self._lost is not None:
            raise HostError(self._lost)
        if self._sample is None:
            self._open()
        # Until all is answered it is not known what the device has: whatever goes wrong on the way,
        # the next images open a session again.
        sample, self._sample = self._sample, None
        logits = np.empty((len(counts), self._where["classes"]), dtype=np.int64)
        cycles = np.empty(len(counts), dtype=np.int64)
        try:
            for k, image in enumerate(progress(counts)):
                sample = (sample + 1) & 0xffffffff
                self._submit(self.manifest.pack(image).tolist(), sample)
                cycles[k], logits[k] = self._result(sample)
        except _Refused as refusal:
            raise self._explained(refusal) from refusal
        self._sample = sample
        return Result(logits, cycles, self.retries - before)

    def _require(self, answer, what):
        if answer.status == Status.OK:
            return
        if answer.status in (Status.UNKNOWN, Status.RANGE):
            reason = f"it doesn't match {self.manifest.path}"
        else:
            reason = "frames were lost or changed their order on the way; start again"
        raise _Refused(f"{self.name}: the device refuses {what} ({_status(answer)}); {reason}",
                       answer.status)

    def _explained(self, refusal):
        """What a refusal within a session means, if the device is still the one that it was."""
        session = self.identify()["session"]
        if refusal.status != Status.SESSION:
            return refusal
        reason = ("was reset or programmed" if session in (0, self.registers.session)
                  else "was taken over by another program")
        self._lost = (f"{self.name}: the device {reason} since this one opened its session, so "
                      f"there is no answer; start again")
        return HostError(self._lost)

    def _open(self):
        """Take the device over, and wait for what the last host has left in it."""
        self.identify()
        self.registers.draw_session()
        opened = self.registers.write(self._where["open"], [self.registers.session])
        self._require(opened, "a session")
        deadline = time.monotonic() + self.patience
        while self._read(self._where["status"], 1)[0] & 1:
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has been busy with an earlier sample for "
                                f"{self.patience:g} s; wait longer (--timeout), or reset it")
        self._sample = 0

    def _submit(self, words, sample):
        words, most = [*words, sample], self._where["max_words"]
        for start in range(0, len(words), most):
            answer = self.registers.write(self._where["input"] + start, words[start:start + most])
            self._require(answer, f"sample {sample}")

    def _result(self, sample):
        """Cycles and logits of a sample, once the device has completed it."""
        deadline = time.monotonic() + self.patience
        while True:
            completed, cycles, *logits = self._read(
                self._where["result"], 2 + self._where["classes"] * self._where["logit_words"])
            if completed == sample:
                return cycles, _integers(logits, self._where["logit_words"])
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has not completed sample {sample} in "
                                f"{self.patience:g} s; its last is {completed}; wait longer "
                                f"(--timeout), or reset it")


def _integers(words, each):
    """Signed integers of ``each`` 32-bit words, the lowest first."""
    return np.array(words, dtype="<u4").view(f"<i{4 * each}")


def _status(answer):
    try:
        return Status(answer.status).name.lower()
    except ValueError:
        return f"status {answer.status}"
