"""Samples and results over PCI Express: two rings in memory that the device reads and writes."""

import secrets
import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from .errors import HostError, LinkError, Lost, Refused
from .flight import Flight
from .manifest import Manifest
from .pci import Buffer, Function, all_ones

__all__ = ["PcieLink"]

_ONES = 0xffffffff

_RESTING = 1 << 1
_REJECTED = 1 << 11
_FAULTS = {8: "it was refused: its address is not mapped; is an IOMMU in the way?",
           9: "its data came damaged", 10: "its answer did not come in time"}
_FAULTY = sum(1 << bit for bit in _FAULTS)

_AGAIN = 0.1
"""Seconds to wait for a session before it is opened again."""

_LEAST = 4096
"""Words of the smallest ring. Both rings are in one buffer, with the status block behind them."""


class PcieLink:
    """:class:`~host.device.Link` over PCI Express.

    A session is one of samples, or loads the memories. It lasts until another host opens one or the
    device is reset. After any error or an interrupt it is open no more, because it is not known
    what the device has.

    Parameters
    ----------
    function : the device
    manifest : of the build that it should hold
    patience : seconds to wait for a result
    least : words that each ring has at least

    Members
    -------
    name : the function's
    where : addresses of the registers
    retries : 0, because nothing is lost on the way

    Raises
    ------
    HostError
        If the build is one for another link.
    """

    retries = 0

    def __init__(self, function: Function, manifest: Manifest, *, patience: float = 0.5,
                 least: int = _LEAST) -> None:
        self.function, self.patience = function, patience
        self.name, self.where = function.name, manifest.registers
        if "ring_open" not in self.where:
            raise HostError(f"{manifest.path}: the build's link is a serial port; build it with "
                            f"--link pcie")
        where = self.where
        self.record = 2 + where["classes"] * where["logit_words"] + where["quiet_words"]
        size = max(least, 4 * self.record, 4 * where["input_words"])
        self.ring = 1 << (size - 1).bit_length()
        self._buffer: Buffer | None = None
        self._session = 0  # of samples
        self._loading = 0  # or one that loads
        self._timesteps: int | None = None
        self._flying = False

    @property
    def opened(self) -> bool:
        """Whether the device takes samples from this link."""
        return self._session != 0

    def read(self, addr: int, count: int) -> list[int]:
        """Registers of BAR0. Words that were written before have been taken.

        Raises
        ------
        LinkError
            If the device is gone.
        HostError
            See :meth:`write`.
        """
        if self._loading:
            session, self._loading = self._loading, 0
            self._await_loaded(session, self.ring)
            self._loading = session
        return self._read(addr, count)

    def _read(self, addr, count):
        if not self.function.present():
            raise all_ones(self.name)
        words = [self.function.bar[addr + k] for k in range(count)]
        if set(words) == {_ONES}:
            raise all_ones(self.name)
        return words

    def write(self, addr: int, words: list[int], what: str) -> None:
        """Write registers that the memories are loaded with, by a session of its own. They go
        through the ring of samples, and it is not waited for them.

        Raises
        ------
        HostError
            If the device takes no words, or has refused one; ``what`` is asked of it.
        """
        self._require_idle(what)
        session = self._loading or self._open(self.where["most_timesteps"], loads=True)
        self._loading = 0
        self._await_loaded(session, 2 * len(words))
        for k, word in enumerate(words):
            for part in (addr + k, word):
                self.samples[self.sent & self.ring - 1] = part
                self.sent += 1
        self.set_ring("samples_index", self.sent)
        self._loading = session

    def _require_idle(self, what="anything else"):
        if self._flying:
            raise HostError(f"{self.name}: samples are under way; end the sequence that they "
                            f"belong to before {what} is asked of the device")

    def _await_loaded(self, session, room):
        """Wait until so many words of the ring of a session that loads are free."""
        before, changed = None, 0.0
        while True:
            (loaded,), (status,) = (self._read(self.where[name], 1)
                                    for name in ("ring_loaded", "status"))
            if status & _REJECTED:
                raise Refused(f"{self.name}: the device has refused what it was to be loaded with; "
                              f"load it again")
            if not self._is_open(session):
                raise self.diagnosis(session)
            if self.sent - 2 * loaded <= self.ring - room:
                return
            if loaded != before:
                before, changed = loaded, time.monotonic()
            elif time.monotonic() > changed + self.patience:
                raise HostError(f"{self.name}: the device has taken no word for its memories for "
                                f"{self.patience:g} s; wait longer (--timeout), or reset it")
            self.function.wait(0.0005)

    def set_ring(self, name: str, value: int) -> None:
        """Write a register of the rings.

        Raises
        ------
        LinkError
            If the device is gone.
        """
        if not self.function.present():
            raise all_ones(self.name)
        self.function.bar[self.where[f"ring_{name}"]] = value & _ONES

    def take_over(self) -> None:
        """Take the device over."""
        self._require_idle()
        self._begin(self.where["most_timesteps"])

    def _begin(self, timesteps):
        """Open a session of samples."""
        self._session = self._open(timesteps)
        self._timesteps = timesteps

    def _open(self, timesteps, *, loads=False):
        """Open a session, when what is left of the one before is gone; its number."""
        self._session = self._loading = 0
        deadline = time.monotonic() + self.patience
        while True:
            self.set_ring("open", 0)
            self._until_rest(deadline)
            described = self._describe(timesteps, loads)
            session = 1 + secrets.randbelow(_ONES - 1)
            self.set_ring("open", session)
            if self._until_open(session, deadline) and self._holds(described, deadline):
                break
        self.sent = self.taken = 0
        return session

    def _until_rest(self, deadline):
        while not self.read(self.where["status"], 1)[0] & _RESTING:
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device has been busy with an earlier sample for "
                                f"{self.patience:g} s; wait longer (--timeout), or reset it")
            self.function.wait(0.001)

    def _until_open(self, session, deadline):
        """Whether the session has been opened; it is not if the device did not rest after all."""
        again = time.monotonic() + _AGAIN
        while True:
            (found,) = self.read(self.where["session"], 1)
            if found == session:
                return True
            if time.monotonic() > deadline:
                raise HostError(f"{self.name}: the device opens no session; is another program "
                                f"using it?")
            if found or time.monotonic() > again:
                return False
            self.function.wait(0.001)

    def _describe(self, timesteps, loads):
        """Tell the device where the rings are, and that they are empty; registers and words."""
        if self._buffer is None:
            self._buffer = self.function.buffer(4 * 4 * self.ring)
        words, address = self._buffer.words, self._buffer.address
        self.samples, self.results = words[:self.ring], words[self.ring:2 * self.ring]
        self.block = words[2 * self.ring:2 * self.ring + 2]
        self.block[0] = self.block[1] = 0
        described = {"interrupt": int(self.function.interrupts),
                     "samples_mask": self.ring - 1, "results_mask": self.ring - 1}
        if self.where["most_timesteps"] > 1:
            described["timesteps"] = timesteps
        if "load" in self.where:
            described["load"] = int(loads)
        for k, name in enumerate(("samples", "results", "status")):
            place = address + 4 * k * self.ring
            described |= {f"{name}_low": place & _ONES, f"{name}_high": place >> 32}
        for name, word in described.items():
            self.set_ring(name, word)
        for name in ("samples", "results"):
            self.set_ring(f"{name}_index", 0)
        return described

    def _holds(self, described, deadline):
        """Whether the device knows the rings; it does not if it was at rest too late for a word, or
        another program wrote to it."""
        if all(self.read(self.where[f"ring_{name}"], 1) == [word]
               for name, word in described.items()):
            return True
        if time.monotonic() > deadline:
            raise HostError(f"{self.name}: the device does not hold what it was told; is another "
                            f"program using it?")
        return False

    def close(self) -> None:
        """End the session. Returns when the device does not access memory any more, or is gone."""
        self._session = self._loading = 0
        if self._buffer is not None:
            with suppress(HostError):
                self.set_ring("open", 0)
                self._until_rest(time.monotonic() + self.patience)

    def run(self, samples: Iterable[Sequence[int]], timesteps: int
            ) -> Generator[list[int], None, None]:
        """Results of samples, in their order; see :meth:`host.device.Link.run`."""
        with self.flight(timesteps) as flight:
            for words in samples:
                flight.send(words)
                flight.look()
                while flight.landed:
                    yield flight.landed.popleft()
            flight.land()
        yield from flight.landed

    @contextmanager
    def flight(self, timesteps: int) -> Iterator["_Flight"]:
        """A way for samples, see :meth:`host.device.Link.flight`. It ends when all results are
        there, or with an error.

        Raises
        ------
        HostError
            If no session is open, or other samples are under way.
        """
        self._require_idle()
        if not self.opened:
            raise HostError(f"{self.name}: samples are sent in a session, and none is open")
        if timesteps != self._timesteps:
            self._begin(timesteps)
        session, self._session = self._session, 0
        flight, self._flying = _Flight(self, session), True
        try:
            yield flight
            if not flight.over:
                flight.land()
                self._session = session
        finally:
            flight.over, self._flying = flight.over or "the sequence has ended", False

    def well(self, session: int) -> bool:
        """Whether the session is open, and the device reaches memory and computes."""
        return self._is_open(session) and self._intact()

    def _is_open(self, session):
        (found,), (status,) = (self.read(self.where[name], 1) for name in ("session", "status"))
        return found == session and not status & _FAULTY

    def _intact(self):
        """Whether the memories are what they should be, as far as it is known."""
        return "health" not in self.where or self.read(self.where["health"], 1)[0] & 1

    def diagnosis(self, session: int) -> HostError:
        """Why there is no result."""
        (found,), (status,) = (self.read(self.where[name], 1) for name in ("session", "status"))
        if found != session:
            reason = "was taken over by another program" if found else "was reset or programmed"
            return Lost(f"{self.name}: the device {reason} since this one opened its session, so "
                        f"there is no answer; start again")
        for bit, reason in _FAULTS.items():
            if status >> bit & 1:
                return LinkError(f"{self.name}: the device could not read memory: {reason}")
        if not self._intact():
            return Refused(f"{self.name}: the device refuses samples, because its memories are not "
                           f"what they should be; load them (python -m host load)")
        return HostError(f"{self.name}: the device has not completed a sample in "
                         f"{self.patience:g} s; wait longer (--timeout), or reset it")


class _Flight(Flight):
    """Samples on their way through the rings, as many as these hold."""

    def __init__(self, link, session):
        super().__init__(link.name)
        self._link, self._session = link, session
        self._most = min(link.ring // link.where["input_words"], link.ring // link.record - 1)
        self._waiting = 0
        self._number = link.taken // link.record & _ONES

    def _send(self, words):
        while self._waiting >= self._most:
            self._settle()
        link, place = self._link, self._link.sent & self._link.ring - 1
        data, room = array("I", words), link.ring - place
        link.samples[place:place + len(data[:room])] = data[:room]
        link.samples[:len(data[room:])] = data[room:]
        link.sent += len(data)
        self._waiting += 1
        link.set_ring("samples_index", link.sent)

    def look(self):
        """Take the results that are there."""
        with self._trying():
            self._take()

    def _due(self):
        return self._waiting

    def _settle(self):
        """Wait for a result."""
        link, begun = self._link, time.monotonic()
        looked = begun
        while not self._take():
            now = time.monotonic()
            if link.block[1] & _FAULTY or now > begun + link.patience:
                raise link.diagnosis(self._session)
            if now > looked + 0.05:
                looked = now
                if not link.well(self._session):
                    raise link.diagnosis(self._session)
            link.function.wait(0.01)

    def _take(self):
        """Take the results that are there; whether there are some."""
        link = self._link
        ready = (link.block[0] - link.taken & _ONES) // link.record
        if ready > self._waiting:
            raise Refused(f"{link.name}: the device reports {ready} results for {self._waiting} "
                          f"samples; was it reset?")
        for _ in range(ready):
            self.landed.append(self._result())
        self._waiting -= ready
        if ready:
            link.set_ring("results_index", link.taken)
        return ready

    def _result(self):
        """The words of the next record, without its number."""
        link, place = self._link, self._link.taken & self._link.ring - 1
        number, *words = (link.results[place + k & link.ring - 1] for k in range(link.record))
        self._number = self._number + 1 & _ONES
        if number != self._number:
            raise Refused(f"{link.name}: result {number} came in the place of {self._number}; "
                          f"start again")
        link.taken += link.record
        return words
