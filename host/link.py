"""Registers at the end of a serial line that may be bad: what gets no answer is asked again."""

import random
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import LinkError
from .frames import OVERHEAD, Decoder, Op, encode, parse, request
from .registers import Outcome

__all__ = ["Line", "SerialLink"]

_MOST = 60
"""Words of an answer."""

_AHEAD = 2
"""Requests without an answer: the device takes one while it answers the one before."""


@dataclass(frozen=True)
class _Request:
    """A request that is on its way."""

    seq: int
    op: Op
    addr: int
    count: int
    session: int
    due: float
    """When the answer is there, but for patience."""

    def answered_by(self, answer):
        if (answer.seq, answer.op, answer.addr, answer.count, answer.session) != (
                self.seq, self.op, self.addr, self.count, self.session):
            return False
        found = len(answer.words)
        if answer.status != 0 or self.op == Op.WRITE:
            return found == 0
        return found == self.count if self.op == Op.READ else found > 0


class Line(Protocol):
    """A serial line: :class:`host.transport.Transport`, or one that is simulated.

    Members
    -------
    name : what errors call it
    baud : its rate
    """

    name: str
    baud: int

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, seconds: float) -> bytes:
        """What has arrived; if nothing has, the first bytes that do, or none when time is up."""


class SerialLink:
    """:class:`~host.registers.Registers` in frames on a serial line.

    Each attempt has its own sequence number, so that a late answer to an earlier one is not taken
    for its own, and all carry the session, so that an answer to another host is not. The registers
    are such that a repeated request does no harm. The line keeps the order of what it does not
    lose: whatever is answered, all that was sent before it has been executed, or was lost.

    Parameters
    ----------
    transport : the line
    patience : seconds to wait for an answer beyond what the bytes take at the line's rate
    attempts : how often a request is sent before the line is given up

    Members
    -------
    name : the line's
    session : a random number that this host is known by, never 0
    retries : requests that had to be sent again
    """

    def __init__(self, transport: Line, *, patience: float = 0.5,
                 attempts: int = 10) -> None:
        self.name = transport.name
        self.transport, self.patience, self.attempts = transport, patience, attempts
        self.draw_session()
        self.retries = 0
        self._seq = random.randrange(256)
        self._decoder, self._arrived = Decoder(), deque()
        self._posted, self._outcomes, self._broken = deque(), deque(), False
        self._lost = 0  # requests that were posted and are to be sent again
        self._idle = 0.0  # when the last byte has left
        self._answered = False
        self._bytes = self._strangers = 0

    def draw_session(self) -> None:
        """Be known by another number from now on."""
        self.session = 1 + secrets.randbelow((1 << 32) - 1)

    def read(self, addr: int, count: int) -> Outcome:
        return self._exchange(Op.READ, addr, count, ())

    def write(self, addr: int, words: Sequence[int]) -> Outcome:
        return self._exchange(Op.WRITE, addr, len(words), words)

    def exchange(self, addr: int, words: Sequence[int]) -> Outcome:
        return self._exchange(Op.EXCHANGE, addr, len(words), words)

    def post(self, addr: int, words: Sequence[int], *, exchange: bool = False) -> None:
        op = Op.EXCHANGE if exchange else Op.WRITE
        while len(self._posted) >= _AHEAD and not self._broken:
            self._take()
        if self._broken:  # it would be out of order
            self._lost += 1
        else:
            self._posted.append(self._send(op, addr, len(words), words))

    def collect(self) -> Outcome | None:
        while not self._outcomes and not self._broken:
            self._take()
        if self._outcomes:
            return self._outcomes.popleft()
        self.forget()
        return None

    def forget(self) -> None:
        self._posted.clear()
        self._outcomes.clear()
        self._broken = False

    def _take(self):
        """The answer to the oldest request that was posted."""
        answer = self._await(self._posted[0])
        if answer is None:
            self._broken = True
            self._lost += len(self._posted)
        else:
            self._posted.popleft()
            self._outcomes.append(Outcome(answer.status, answer.words))

    def _exchange(self, op, addr, count, words):
        start = time.monotonic()
        self._strangers = 0
        lost, self._lost = self._lost, 0
        for attempt in range(self.attempts):
            answer = self._await(self._send(op, addr, count, words))
            if answer is not None:
                self.retries += attempt + lost
                return Outcome(answer.status, answer.words)
        raise LinkError(f"{self.name}: {self._diagnosis()} ({self.attempts} requests in "
                        f"{time.monotonic() - start:.1f} s)")

    def _send(self, op, addr, count, words):
        self._seq = (self._seq + 1) & 0xff
        frame = encode(request(self._seq, op, addr, count, self.session, words))
        self.transport.write(frame)
        # Start and stop bits make ten of eight.
        self._idle = max(self._idle, time.monotonic()) + 10 * len(frame) / self.transport.baud
        # Every byte of the answer may be escaped.
        answer = 2 * (OVERHEAD + 4 * _MOST) * 10 / self.transport.baud
        return _Request(self._seq, op, addr, count, self.session, self._idle + answer)

    def _await(self, asked):
        """The answer to a request; ``None`` if there is none in time, or one to a later request."""
        self._bytes = 0
        deadline = max(asked.due, time.monotonic()) + self.patience
        while True:
            while self._arrived:
                answer = self._arrived.popleft()
                if asked.answered_by(answer):
                    self._answered = True
                    return answer
                if any(later.answered_by(answer) for later in self._posted):
                    return None
            if (left := deadline - time.monotonic()) <= 0:
                return None
            received = self.transport.read(left)
            self._bytes += len(received)
            answers = [*filter(None, map(parse, self._decoder.feed(received)))]
            self._strangers += sum(answer.session != self.session for answer in answers)
            self._arrived += answers

    def _diagnosis(self):
        if self._strangers:
            return "answers arrive, but to the requests of another program that uses the port"
        if self._bytes and self._answered:
            return ("the line has too many errors: bytes arrive, but no answer among them; check "
                    "cable and ground, or build for a lower rate (--baud)")
        if self._bytes:
            return (f"bytes arrive, but no answer among them; is the device's rate "
                    f"{self.transport.baud} baud?")
        if self._answered:
            return "no answer any more; was the cable pulled out, or the board switched off?"
        return "no answer; is the board powered and configured, and this its port?"
