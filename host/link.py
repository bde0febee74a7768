"""Requests to the registers at the end of a serial line that may lose bytes. Those without an
answer are sent again."""

import random
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import LinkError
from .frames import OVERHEAD, Answer, Decoder, Op, encode, parse, request

__all__ = ["Line", "Outcome", "SerialLink"]

_MOST = 60
"""Greatest number of words in an answer."""

_AHEAD = 2
"""Greatest number of requests without an answer: the device takes one while it answers the previous
one."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a request: its status, and the 32-bit words that it read."""

    status: int
    words: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Request:
    """A request that has no answer yet."""

    seq: int
    op: Op
    addr: int
    count: int
    session: int
    due: float
    """Time at which the answer should have arrived, without patience."""

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
    """Requests in frames on a serial line.

    Each attempt has its own sequence number, so a late answer to an earlier attempt is told apart.
    All requests carry the session, so an answer to another host is told apart, too. The registers
    are such that a repeated request does no harm. The line loses bytes, but keeps their order: once
    a request is answered, all earlier ones have been executed or were lost.

    Parameters
    ----------
    transport : the line
    patience : seconds to wait for an answer beyond what the bytes take at the line's rate
    attempts : how often a request is sent before the line is given up

    Members
    -------
    name : the line's
    session : a random number by which the device knows this host, never 0
    retries : requests that had to be sent again
    """

    def __init__(self, transport: Line, *, patience: float = 0.5,
                 attempts: int = 10) -> None:
        self.name = transport.name
        self.transport, self.patience, self.attempts = transport, patience, attempts
        self.draw_session()
        self.retries = 0
        self._seq = random.randrange(256)
        self._decoder = Decoder()
        self._arrived: deque[Answer] = deque()
        self._posted: deque[_Request] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._broken = False
        self._lost = 0  # requests that were posted and will be sent again
        self._idle = 0.0  # time at which the last byte leaves
        self._answered = False
        self._bytes = self._strangers = 0

    def draw_session(self) -> None:
        """Take another session."""
        self.session = 1 + secrets.randbelow((1 << 32) - 1)

    def read(self, addr: int, count: int) -> Outcome:
        """Read ``count`` words from ``addr`` on. Repeat until there is an answer.

        Raises
        ------
        LinkError
            If all attempts fail.
        """
        return self._exchange(Op.READ, addr, count, ())

    def write(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words`` from ``addr`` on, in ascending order; otherwise like :meth:`read`."""
        return self._exchange(Op.WRITE, addr, len(words), words)

    def exchange(self, addr: int, words: Sequence[int]) -> Outcome:
        """Write ``words``, the last of which is the number of a sample. Read as many words of the
        previous sample's result as an answer holds, from the first on. Otherwise like
        :meth:`read`."""
        return self._exchange(Op.EXCHANGE, addr, len(words), words)

    def post(self, addr: int, words: Sequence[int], *, exchange: bool = False) -> None:
        """Begin a write or an exchange, which is sent once; :meth:`collect` gives its outcome. If
        two requests have no answer, wait for that to the first."""
        op = Op.EXCHANGE if exchange else Op.WRITE
        while len(self._posted) >= _AHEAD and not self._broken:
            self._take()
        if self._broken:  # the request would be out of order
            self._lost += 1
        else:
            self._posted.append(self._send(op, addr, len(words), words))

    def collect(self) -> Outcome | None:
        """Outcome of the oldest request that was posted, or ``None`` if its answer does not arrive
        in time. All later requests are dropped then as well. The device may have executed the
        first few of them."""
        while not self._outcomes and not self._broken:
            self._take()
        if self._outcomes:
            return self._outcomes.popleft()
        self.forget()
        return None

    def forget(self) -> None:
        """Drop the outcomes of all requests that were posted. Answers that still arrive are left
        out, because their numbers are old."""
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
        """The answer to a request; ``None`` if it is late, or a later request is answered first."""
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
