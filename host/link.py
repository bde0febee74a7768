"""Reads and writes of registers that survive a bad line: what gets no answer is asked again."""

import random
import time

from .errors import LinkError
from .frames import OVERHEAD, Answer, Decoder, Op, encode, parse, request
from .transport import Transport

__all__ = ["Link"]


class Link:
    """Requests and answers.

    Each attempt has its own sequence number, so that a late answer to an earlier one is not taken
    for its own. The device's registers are such that a repeated request does no harm.

    Parameters
    ----------
    transport : the line
    patience : seconds to wait for an answer beyond what the bytes take at the line's rate
    attempts : how often a request is sent before the line is given up

    Members
    -------
    retries : requests that had to be sent again
    """

    def __init__(self, transport: Transport, *, patience: float = 0.5, attempts: int = 10):
        self.transport, self.patience, self.attempts = transport, patience, attempts
        self.retries = 0
        self._seq = random.randrange(256)
        self._heard = False

    def read(self, addr: int, count: int) -> Answer:
        return self._exchange(Op.READ, addr, count, ())

    def write(self, addr: int, words) -> Answer:
        return self._exchange(Op.WRITE, addr, len(words), words)

    def _exchange(self, op, addr, count, words):
        start = time.monotonic()
        self._heard = False
        for attempt in range(self.attempts):
            self.retries += attempt > 0
            answer = self._attempt(op, addr, count, words)
            if answer is not None:
                return answer
        self.retries -= self.attempts - 1
        raise LinkError(f"{self.transport.name}: {self._diagnosis()} ({self.attempts} requests in "
                        f"{time.monotonic() - start:.1f} s)")

    def _attempt(self, op, addr, count, words):
        self._seq = (self._seq + 1) & 0xff
        self.transport.write(encode(request(self._seq, op, addr, count, words)))
        decoder = Decoder()
        # Every byte may be escaped, and start and stop bits make ten of eight.
        wire = 2 * (2 * OVERHEAD + 4 * count) * 10 / self.transport.baud
        deadline = time.monotonic() + wire + self.patience
        while (left := deadline - time.monotonic()) > 0:
            received = self.transport.read(left)
            self._heard |= bool(received)
            for answer in filter(None, map(parse, decoder.feed(received))):
                if (answer.seq, answer.op, answer.addr, answer.count) == (
                        self._seq, op, addr, count) and self._complete(answer):
                    return answer
        return None

    @staticmethod
    def _complete(answer):
        expected = answer.count if answer.op == Op.READ and answer.status == 0 else 0
        return len(answer.words) == expected

    def _diagnosis(self):
        if self._heard:
            return (f"bytes arrive, but no answer among them; is the device's rate "
                    f"{self.transport.baud} baud?")
        return "no answer; is the board powered and configured, and this its port?"
