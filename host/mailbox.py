"""Samples and results over a line that loses bytes: a session at a device, in frames."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import HostError, Lost, Refused
from .flight import Flight
from .frames import Status
from .link import Outcome, SerialLink
from .manifest import Manifest

__all__ = ["Mailbox"]


class Mailbox:
    """:class:`~host.device.Link` over a serial line.

    A session lasts until another host opens one or the device is reset. After any error or an
    interrupt it is open no more, because it is not known what the device has.

    Parameters
    ----------
    frames : the serial line
    manifest : of the build that the device should hold
    patience : seconds to wait for a result

    Members
    -------
    name : the line's
    where : addresses of the registers
    """

    def __init__(self, frames: SerialLink, manifest: Manifest, *, patience: float = 0.5) -> None:
        self.frames, self.patience = frames, patience
        self.name, self.where = frames.name, manifest.registers
        self._path = manifest.path
        self._number: int | None = None  # of the last sample, while a session is open
        self._flying = False
        self._timesteps: int | None = None  # of a run, once this session has chosen them

    @property
    def retries(self) -> int:
        """Requests that had to be sent again, so far."""
        return self.frames.retries

    @property
    def opened(self) -> bool:
        """Whether the device takes samples from this link."""
        return self._number is not None

    def take_over(self) -> None:
        """Take the device over. The numbers of samples go on from its last one."""
        self._require_idle()
        self.frames.draw_session()
        opened = self.frames.write(self.where["open"], [self.frames.session])
        self._require(opened, "a session")
        (self._number,) = self._read(self.where["submitted"], 1)
        self._timesteps = None

    def read(self, addr: int, count: int) -> list[int]:
        """Words from ``addr`` on, in as many frames as necessary.

        Raises
        ------
        HostError
            If samples are under way.
        """
        self._require_idle()
        return self._read(addr, count)

    def write(self, addr: int, words: list[int], what: str) -> None:
        """Write registers in one frame, as soon as no sample of an earlier session is under way.

        Parameters
        ----------
        what : is asked of the device, for messages

        Raises
        ------
        HostError
            If samples are under way, or the device refuses.
        """
        self._require_idle()
        self._insist(addr, words, what)

    def _require_idle(self):
        if self._flying:
            raise HostError(f"{self.name}: samples are under way; end the sequence that they "
                            f"belong to before anything else is asked of the device")

    def _read(self, addr, count):
        words: list[int] = []
        most = self.where["max_words"]
        for start in range(0, count, most):
            part = min(most, count - start)
            answer = self.frames.read(addr + start, part)
            self._require(answer, f"to read {part} words at {addr + start:#06x}")
            words += answer.words
        return words

    def run(self, samples: Iterable[Sequence[int]], timesteps: int
            ) -> Generator[list[int], None, None]:
        """Results of samples, in their order; see :meth:`host.device.Link.run`."""
        with self.flight(timesteps) as flight:
            for words in samples:
                flight.send(words)
                while flight.landed:
                    yield flight.landed.popleft()
        yield from flight.landed

    @contextmanager
    def flight(self, timesteps: int) -> Iterator["_Flight"]:
        """A way for samples, see :meth:`host.device.Link.flight`. It ends when all results are
        there, or with an error.

        Samples are numbered within the session, and a result counts only with the right number.

        Raises
        ------
        HostError
            If no session is open, or other samples are under way.
        """
        self._require_idle()
        number = self._number
        if number is None:
            raise HostError(f"{self.name}: samples are sent in a session, and none is open")
        self._number = None
        self.frames.forget()
        self._choose(timesteps)
        flight, self._flying = _Flight(self, number), True
        try:
            yield flight
            if not flight.over:
                flight.land()
                self._number = flight.number
        finally:
            flight.over, self._flying = flight.over or "the sequence has ended", False

    def _choose(self, timesteps):
        """Choose the time-steps of a run. Samples of an earlier session may still be under way."""
        if timesteps == self._timesteps or self.where["most_timesteps"] == 1:
            return
        self._insist(self.where["timesteps"], [timesteps], f"{timesteps} time-steps")
        self._timesteps = timesteps

    def _insist(self, addr, words, what):
        """Write registers as soon as the device is not busy with an earlier sample."""
        deadline = time.monotonic() + self.patience
        while True:
            answer = self.frames.write(addr, words)
            if answer.status != Status.BUSY:
                break
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has been busy with an earlier sample for "
                                f"{self.patience:g} s; wait longer (--timeout), or reset it")
        self._require(answer, what)

    def _require(self, answer: Outcome, what: str) -> None:
        if answer.status == Status.OK:
            return
        if answer.status == Status.SESSION:
            (session,) = self._read(self.where["session"], 1)
            reason = ("was reset or programmed" if session in (0, self.frames.session)
                      else "was taken over by another program")
            raise Lost(f"{self.name}: the device {reason} since this one opened its session, so "
                       f"there is no answer; start again")
        if answer.status == Status.DAMAGED:
            raise Refused(f"{self.name}: the device refuses {what}, because its memories are not "
                          f"what they should be; load them (python -m host load)")
        if answer.status in (Status.UNKNOWN, Status.RANGE):
            reason = f"it doesn't match {self._path}"
        else:
            reason = "frames were lost or changed their order on the way; start again"
        raise Refused(f"{self.name}: the device refuses {what} ({_status(answer)}); {reason}")


@dataclass
class _Sample:
    """A sample without a result: its number, its words, and whether the device has acknowledged
    it."""

    number: int
    words: Sequence[int]
    acknowledged: bool = False


class _Flight(Flight):
    """Samples on their way over a serial line.

    The answer to a sample carries the result of the previous one. As many samples are on their way
    as the device keeps results. If it has no room for so many inputs, two are enough to keep it at
    work, until it is faster than the line again: then one more for each result that comes with the
    next sample's answer.

    If an answer is missing, its sample is sent again from its first word on. Nothing else is sent
    until that sample is acknowledged, so the device never mixes two samples.

    Parameters
    ----------
    number : of the sample before the first one

    Members
    -------
    number : of the last sample
    """

    def __init__(self, mailbox, number):
        super().__init__(mailbox.name)
        self._mailbox, self._frames, self._where = mailbox, mailbox.frames, mailbox.where
        self.number = number
        self._samples: deque[_Sample] = deque()  # those without a result
        self._most = self._where["slots"]

    def _send(self, words):
        while len(self._samples) >= self._most:
            self._settle()
        self.number = (self.number + 1) & 0xffff
        sample = _Sample(self.number, words)
        self._samples.append(sample)
        self._post(sample)

    def _due(self):
        return len(self._samples)

    def _requests(self, sample):
        """Address and words of each frame, and whether it is the last, which is an exchange."""
        words, most = [*sample.words, sample.number], self._where["max_words"]
        for start in range(0, len(words), most):
            yield self._where["input"] + start, words[start:start + most], \
                start + most >= len(words)

    def _post(self, sample):
        for addr, words, last in self._requests(sample):
            self._frames.post(addr, words, exchange=last)

    def _settle(self):
        """Get the first result or the next answer."""
        waiting = next((sample for sample in list(self._samples)[:2] if not sample.acknowledged),
                       None)
        if waiting is None:
            self._fetch()
        else:
            self._collect(waiting)

    def _collect(self, sample):
        """The answers to a sample that was posted."""
        for _ in self._requests(sample):
            outcome = self._frames.collect()
            if outcome is None or outcome.status == Status.BUSY:
                if outcome is not None:
                    self._most = 2
                self._frames.forget()
                return self._send_again(sample)
            self._mailbox._require(outcome, f"sample {sample.number}")
        return self._acknowledge(sample, outcome.words)

    def _send_again(self, sample):
        deadline = time.monotonic() + self._mailbox.patience
        while not self._insist(sample):
            if self._samples[0] is not sample:
                self._fetch()
            elif time.monotonic() > deadline:
                raise HostError(f"{self._mailbox.name}: the device has been busy with an earlier "
                                f"sample for {self._mailbox.patience:g} s; wait longer "
                                f"(--timeout), or reset it")
        for later in self._samples:
            if not later.acknowledged:
                self._post(later)

    def _insist(self, sample):
        """Send a sample frame by frame; whether the device has room for it."""
        for addr, words, last in self._requests(sample):
            ask = self._frames.exchange if last else self._frames.write
            outcome = ask(addr, words)
            if outcome.status == Status.BUSY:
                return False
            self._mailbox._require(outcome, f"sample {sample.number}")
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
                rest = self._mailbox._read(self._slot(before) + len(words), missing)
                self._land(before, [*words, *rest])

    def _fetch(self):
        """Wait for the first result, and read it."""
        sample, patience = self._samples[0], self._mailbox.patience
        deadline = time.monotonic() + patience
        while True:
            words = self._mailbox._read(self._slot(sample), self._words())
            if self._completed(words[0], sample):
                self._land(sample, words)
                return
            if time.monotonic() > deadline:
                raise HostError(f"{self._mailbox.name}: the device has not completed sample "
                                f"{sample.number} in {patience:g} s; its last is {words[0]}; wait "
                                f"longer (--timeout), or reset it")

    def _completed(self, last, sample):
        return (last - sample.number) & 0xffff < self._where["slots"]

    def _words(self):
        where = self._where
        return 2 + where["classes"] * where["logit_words"] + where["quiet_words"]

    def _slot(self, sample):
        where = self._where
        return where["result"] + sample.number % where["slots"] * where["stride"]

    def _land(self, sample, words):
        _, clocks, *logits = words
        self.landed.append([*logits, clocks])
        self._samples.popleft()


def _status(answer):
    try:
        return Status(answer.status).name.lower()
    except ValueError:
        return f"status {answer.status}"
