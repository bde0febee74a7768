"""Registers at the end of a serial line that may be bad: what gets no answer is asked again."""

import random
import secrets
import time
from collections.abc import Sequence

from .errors import LinkError
from .frames import OVERHEAD, Decoder, Op, encode, parse, request
from .registers import Outcome
from .transport import Transport

__all__ = ["SerialLink"]


class SerialLink:
    """:class:`~host.registers.Registers` in frames on a serial line.

    Each attempt has its own sequence number, so that a late answer to an earlier one is not taken
    for its own, and all carry the session, so that an answer to another host is not. The registers
    are such that a repeated request does no harm.

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

    def __init__(self, transport: Transport, *, patience: float = 0.5,
                 attempts: int = 10) -> None:
        self.name = transport.name
        self.transport, self.patience, self.attempts = transport, patience, attempts
        self.draw_session()
        self.retries = 0
        self._seq = random.randrange(256)
        self._answered = False
        self._bytes = self._strangers = 0

    def draw_session(self) -> None:
        """Be known by another number from now on."""
        self.session = 1 + secrets.randbelow((1 << 32) - 1)

    def read(self, addr: int, count: int) -> Outcome:
        return self._exchange(Op.READ, addr, count, ())

    def write(self, addr: int, words: Sequence[int]) -> Outcome:
        return self._exchange(Op.WRITE, addr, len(words), words)

    def _exchange(self, op, addr, count, words):
        start = time.monotonic()
        self._strangers = 0
        for attempt in range(self.attempts):
            self.retries += attempt > 0
            answer = self._attempt(op, addr, count, words)
            if answer is not None:
                self._answered = True
                return Outcome(answer.status, answer.words)
        self.retries -= self.attempts - 1
        raise LinkError(f"{self.name}: {self._diagnosis()} ({self.attempts} requests in "
                        f"{time.monotonic() - start:.1f} s)")

    def _attempt(self, op, addr, count, words):
        self._seq = (self._seq + 1) & 0xff
        self._bytes = 0
        self.transport.write(encode(request(self._seq, op, addr, count, self.session, words)))
        decoder = Decoder()
        # Every byte may be escaped, and start and stop bits make ten of eight.
        wire = 2 * (2 * OVERHEAD + 4 * count) * 10 / self.transport.baud
        deadline = time.monotonic() + wire + self.patience
        while (left := deadline - time.monotonic()) > 0:
            received = self.transport.read(left)
            self._bytes += len(received)
            for answer in filter(None, map(parse, decoder.feed(received))):
                self._strangers += answer.session != self.session
                if (answer.seq, answer.op, answer.addr, answer.count, answer.session) == (
                        self._seq, op, addr, count, self.session) and self._complete(answer):
                    return answer
        return None

    @staticmethod
    def _complete(answer):
        expected = answer.count if answer.op == Op.READ and answer.status == 0 else 0
        return len(answer.words) == expected

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
