"""A device: identity, status, and images to logits."""

import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .errors import HostError
from .manifest import Manifest
from .registers import Registers, Status

__all__ = ["PROTOCOL", "Device", "Result"]

MAGIC = int.from_bytes(b"SPKL", "little")

PROTOCOL = 3
"""Version of frames and registers, the only one that this driver knows."""

_COUNTERS = ("clock_hz", "frames", "crc_errors", "dropped", "submitted", "completed")


@dataclass(frozen=True)
class Result:
    """Answers to images.

    Members
    -------
    logits : ``(N, classes)``
    cycles : ``(N,)`` clocks from an image's first input beat to its last logits
    retries : requests that had to be sent again
    """

    logits: np.ndarray
    cycles: np.ndarray
    retries: int

    @property
    def predictions(self) -> np.ndarray:
        """``(N,)`` classes; the lowest index wins a tie."""
        return self.logits.argmax(axis=1)


@dataclass
class _Sample:
    """An image without a result: its place among the images, its number, its words, and whether the
    device has acknowledged it."""

    place: int
    number: int
    words: list[int]
    acknowledged: bool = False


class _Refused(HostError):
    """The device has refused a request."""

    def __init__(self, message, status):
        super().__init__(message)
        self.status = status


class Device:
    """A device behind its registers.

    The first images open a session, which lasts until another host opens one or the device is
    reset. After that each call is an error, and no call returns the result of another host's image.
    After any other error, or an interrupt, the next images open a new session.

    Parameters
    ----------
    registers : the device's
    manifest : of the build that the device should hold
    patience : seconds to wait for a result
    """

    def __init__(self, registers: Registers, manifest: Manifest, *,
                 patience: float = 0.5) -> None:
        self.registers, self.manifest, self.patience = registers, manifest, patience
        self.name = registers.name
        self._where = manifest.registers
        self._sample: int | None = None  # number of the last one, once a session is open
        self._lost: str | None = None  # why the session was lost

    @property
    def retries(self) -> int:
        """Requests that had to be sent again, so far."""
        return self.registers.retries

    def _read(self, addr, count):
        """Words from ``addr`` on, in as many frames as necessary."""
        words: list[int] = []
        most = self._where["max_words"]
        for start in range(0, count, most):
            part = min(most, count - start)
            answer = self.registers.read(addr + start, part)
            self._require(answer, f"to read {part} words at {addr + start:#06x}")
            words += answer.words
        return words

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
        magic, version = self._read(where["magic"], 2)
        if magic != MAGIC:
            raise HostError(f"{self.name}: something answers, but it is not a Spikeloom device")
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
        """Make sure that the device holds the build of the manifest; returns its :meth:`status`.

        Raises
        ------
        HostError
            If it holds another build.
        """
        status = self.status()
        if not status["matches"]:
            raise HostError(f"{self.name}: the device holds another network or build (digest "
                            f"{status['digest'][:12]}..., not {self.manifest.digest[:12]}...); "
                            f"program it with the build of {self.manifest.path}")
        if (status["input_words"], status["classes"]) != (
                self._where["input_words"], self._where["classes"]):
            raise HostError(f"{self.name}: the device and {self.manifest.path} disagree on the "
                            f"size of input or output")
        return status

    def infer(self, images: np.ndarray, *,
              progress: Callable[[np.ndarray], Iterable[np.ndarray]] = iter) -> Result:
        """Answers to raw images.

        Samples are numbered within the session, and an answer counts only with the right number.

        Parameters
        ----------
        images : see :meth:`host.manifest.Manifest.encode`
        progress : wraps the iteration over images

        Raises
        ------
        HostError
            If the images don't fit, the device holds another build, its line is dead, it was reset
            meanwhile, or another host has taken it over.
        """
        counts = self.manifest.encode(np.asarray(images))
        before = self.retries
        if self._lost is not None:
            raise HostError(self._lost)
        number = self._open() if self._sample is None else self._sample
        # It is not known what the device has until all images are answered. After any error the
        # next images therefore open a session again.
        self._sample = None
        self.registers.forget()
        flight = _Flight(self, len(counts))
        try:
            for image in progress(counts):
                number = (number + 1) & 0xffff
                flight.submit(number, self.manifest.pack(image).tolist())
            flight.land()
        except _Refused as refusal:
            raise self._explained(refusal) from refusal
        self._sample = number
        return Result(flight.logits, flight.cycles, self.retries - before)

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
        """The reason of a refusal within a session, if the device still holds the same build."""
        session = self.identify()["session"]
        if refusal.status != Status.SESSION:
            return refusal
        reason = ("was reset or programmed" if session in (0, self.registers.session)
                  else "was taken over by another program")
        self._lost = (f"{self.name}: the device {reason} since this one opened its session, so "
                      f"there is no answer; start again")
        return HostError(self._lost)

    def _open(self):
        """Take the device over; the number of its last sample, from which numbers go on."""
        self.identify()
        self.registers.draw_session()
        opened = self.registers.write(self._where["open"], [self.registers.session])
        self._require(opened, "a session")
        (number,) = self._read(self._where["submitted"], 1)
        return number


class _Flight:
    """Images on their way through a device, several at a time.

    The answer to a sample carries the result of the previous one. As many samples are on their way
    as the device keeps results. If it has no room for so many inputs, two are enough to keep it at
    work, until it is faster than the line again: then one more for each result that comes with the
    next sample's answer.

    If an answer is missing, its image is sent again from its first word on. Nothing else is sent
    until that image is acknowledged, so the device never mixes two samples.

    Members
    -------
    logits, cycles : as in :class:`Result`, filled in as results come
    """

    def __init__(self, device, count):
        self._device, self._registers, self._where = device, device.registers, device._where
        self._samples: deque[_Sample] = deque()  # those without a result
        self._most = self._where["slots"]
        self.logits = np.empty((count, self._where["classes"]), dtype=np.int64)
        self.cycles = np.empty(count, dtype=np.int64)
        self._count = 0

    def submit(self, number, words):
        """Send an image as soon as there is room for it."""
        while len(self._samples) >= self._most:
            self._settle()
        sample = _Sample(self._count, number, words)
        self._count += 1
        self._samples.append(sample)
        self._post(sample)

    def land(self):
        """Wait for all results."""
        while self._samples:
            self._settle()

    def _requests(self, sample):
        """Address and words of each frame, and whether it is the last, which is an exchange."""
        words, most = [*sample.words, sample.number], self._where["max_words"]
        for start in range(0, len(words), most):
            yield self._where["input"] + start, words[start:start + most], \
                start + most >= len(words)

    def _post(self, sample):
        for addr, words, last in self._requests(sample):
            self._registers.post(addr, words, exchange=last)

    def _settle(self):
        """Get the first result or the next answer."""
        waiting = next((sample for sample in list(self._samples)[:2] if not sample.acknowledged),
                       None)
        if waiting is None:
            self._fetch()
        else:
            self._collect(waiting)

    def _collect(self, sample):
        """The answers to an image that was posted."""
        for _ in self._requests(sample):
            outcome = self._registers.collect()
            if outcome is None or outcome.status == Status.BUSY:
                if outcome is not None:
                    self._most = 2
                self._registers.forget()
                return self._send_again(sample)
            self._device._require(outcome, f"sample {sample.number}")
        return self._acknowledge(sample, outcome.words)

    def _send_again(self, sample):
        deadline = time.monotonic() + self._device.patience
        while not self._insist(sample):
            if self._samples[0] is not sample:
                self._fetch()
            elif time.monotonic() > deadline:
                raise HostError(f"{self._device.name}: the device has been busy with an earlier "
                                f"sample for {self._device.patience:g} s; wait longer (--timeout), "
                                f"or reset it")
        for later in self._samples:
            if not later.acknowledged:
                self._post(later)

    def _insist(self, sample):
        """Send an image frame by frame; whether the device has room for it."""
        for addr, words, last in self._requests(sample):
            ask = self._registers.exchange if last else self._registers.write
            outcome = ask(addr, words)
            if outcome.status == Status.BUSY:
                return False
            self._device._require(outcome, f"sample {sample.number}")
        self._acknowledge(sample, outcome.words)
        return True

    def _acknowledge(self, sample, words):
        """Note that the device has a sample; ``words`` are of the previous sample's result."""
        sample.acknowledged = True
        before = self._samples[0]
        if before is not sample and (before.number + 1) & 0xffff == sample.number:
            missing = self._words() - len(words)
            if self._completed(words[0], before):
                self._most = min(self._most + 1, self._where["slots"])
                rest = self._device._read(self._slot(before) + len(words), missing)
                self._land(before, [*words, *rest])

    def _fetch(self):
        """Wait for the first result, and read it."""
        sample, patience = self._samples[0], self._device.patience
        deadline = time.monotonic() + patience
        while True:
            words = self._device._read(self._slot(sample), self._words())
            if self._completed(words[0], sample):
                self._land(sample, words)
                return
            if time.monotonic() > deadline:
                raise HostError(f"{self._device.name}: the device has not completed sample "
                                f"{sample.number} in {patience:g} s; its last is {words[0]}; wait "
                                f"longer (--timeout), or reset it")

    def _completed(self, last, sample):
        return (last - sample.number) & 0xffff < self._where["slots"]

    def _words(self):
        return 2 + self._where["classes"] * self._where["logit_words"]

    def _slot(self, sample):
        where = self._where
        return where["result"] + sample.number % where["slots"] * where["stride"]

    def _land(self, sample, words):
        _, self.cycles[sample.place], *logits = words
        self.logits[sample.place] = _integers(logits, self._where["logit_words"])
        self._samples.popleft()


def _integers(words, each):
    """Signed integers of ``each`` 32-bit words, the lowest first."""
    return np.array(words, dtype="<u4").view(f"<i{4 * each}")


def _status(answer):
    try:
        return Status(answer.status).name.lower()
    except ValueError:
        return f"status {answer.status}"
