"""The register map, as data: the gateware is built from it and the host reads it in the manifest.

Addresses are those of 32-bit words. Everything may be repeated without harm, so that a request
whose answer was lost is simply sent again: the input is a buffer that can be rewritten, and sample
``n`` starts when ``n`` is written to ``submit`` right after sample ``n - 1`` and never again.

Input and results belong to a *session*, a number that a host chooses at random and writes to
``open``. Whoever opens one takes the device over, and a reset forgets it.
"""

from dataclasses import asdict, dataclass, fields

from .dynamics import MOST_STEPS

__all__ = ["MAGIC", "MAX_WORDS", "SLOTS", "VERSION", "Region", "RegisterMap"]

MAGIC = int.from_bytes(b"SPKL", "little")
VERSION = 3
"""Version of the protocol: frames and registers."""

MAX_WORDS = 60
"""Words a frame can carry."""

SLOTS = 4
"""Results that are kept, that of sample ``n`` in slot ``n % SLOTS``: a host submits a sample when
it has got the result of the one ``SLOTS`` before."""

_PAGE = 0x1000


@dataclass(frozen=True)
class Region:
    """Adjacent registers that one frame may span.

    Parameters
    ----------
    start, stop : first address, and the one after the last
    writable : whether they are written, or else read
    owned : whether only the host whose session is open may do so
    exchanged : whether an exchange may write them
    copies : of the region, 1 or a power of two
    stride : words from one copy to the next, a power of two, at whose multiple ``start`` lies
    """

    start: int
    stop: int
    writable: bool
    owned: bool
    exchanged: bool = False
    copies: int = 1
    stride: int = 0

    def holds(self, address, count):
        """Whether ``count`` words from ``address`` lie in one copy."""
        skipped = address - self.start
        if self.copies > 1 and 0 <= skipped < self.copies * self.stride:
            address = self.start + skipped % self.stride
        return self.start <= address and address + count <= self.stop


@dataclass(frozen=True)
class RegisterMap:
    """Addresses of the registers of a device.

    Parameters
    ----------
    input_words : words of the input buffer
    classes : logits of a result, of all positions of the read-out
    logit_words : words of a logit, the lowest first, 1 or 2
    quiet_words : words that say which layers were quiet
    most_timesteps : time-steps of the longest run
    memories : that a host may load, see :mod:`hw.loader`
    selftests : samples that the device tests itself with, see :mod:`hw.selftest`

    Members
    -------
    magic, version, digest (8 words), clock_hz : what the device is
    frames, crc_errors, dropped : counters of good, corrupt and malformed requests
    submitted, completed : numbers of the last samples, modulo 2**16
    status : bit 0: a sample is under way
    input_size, output_size : ``input_words`` and ``classes``, as the device has them
    session : number of the session that is open, 0 before the first
    timesteps : written to choose the time-steps of the samples to come, 1 to ``most_timesteps``,
        while none is under way; there only if ``most_timesteps`` is more than 1
    health, holds (8 words) : what is known of the memories, and what they hold
    load, check, block : written to load the memories. Like the two before, there only if memories
        may be loaded; ``holds`` is then written, too. A block has up to ``block_words`` words
    selftest : bit 0: it runs, 1: it has passed, 2: it has failed; there only if there is one
    open : written to open a session
    input, submit : the input buffer; the word after it starts a sample
    result : slots of ``stride`` words, each with the number of the last completed sample, then of
        the sample in the slot the clocks from its first input beat to its last logits, these, and
        a bit for each layer that comes to rest: whether it was quiet when the sample ended
    """

    input_words: int
    classes: int
    logit_words: int = 1
    quiet_words: int = 0
    most_timesteps: int = 1
    memories: int = 0
    selftests: int = 0
    magic: int = 0
    version: int = 1
    digest: int = 2
    clock_hz: int = 10
    frames: int = 11
    crc_errors: int = 12
    dropped: int = 13
    submitted: int = 14
    completed: int = 15
    status: int = 16
    input_size: int = 17
    output_size: int = 18
    session: int = 19
    health: int = 20
    selftest: int = 21
    holds: int = 24
    block: int = 0x800
    load: int = _PAGE - 4
    check: int = _PAGE - 3
    timesteps: int = _PAGE - 2
    open: int = _PAGE - 1
    input: int = _PAGE

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name} must be a non-negative integer, not {value!r}")
        if self.input_words < 1 or self.classes < 1:
            raise ValueError("input_words and classes must be at least 1")
        if not 1 <= self.most_timesteps <= MOST_STEPS:
            raise ValueError(f"most_timesteps must be 1 to {MOST_STEPS}, not "
                             f"{self.most_timesteps!r}")
        if self.logit_words not in (1, 2):
            raise ValueError(f"logit_words must be 1 or 2, not {self.logit_words}")
        if self.result + SLOTS * self.stride > 1 << 16:
            raise ValueError(f"an input of {self.input_words:,} words and {self.classes:,} logits "
                             f"don't fit the link's 16-bit addresses")

    @property
    def block_words(self):
        return MAX_WORDS

    @property
    def submit(self):
        return self.input + self.input_words

    @property
    def result_words(self):
        """Words of a result."""
        return 2 + self.classes * self.logit_words + self.quiet_words

    @property
    def stride(self):
        return 1 << (self.result_words - 1).bit_length()

    @property
    def result(self):
        page = max(_PAGE, SLOTS * self.stride)
        return max(2, -(-(self.submit + 1) // page)) * page

    @property
    def exchanged(self):
        """Words of a result that the answer to an exchange carries."""
        return min(MAX_WORDS, self.result_words)

    def slot(self, number):
        """Address of the result of a sample."""
        return self.result + number % SLOTS * self.stride

    @property
    def regions(self):
        timesteps = Region(self.timesteps, self.timesteps + 1, writable=True, owned=True)
        loading = [Region(start, stop, writable=True, owned=True) for start, stop in (
            (self.load, self.check + 1), (self.block, self.block + self.block_words),
            (self.holds, self.holds + 8))]
        facts = (self.holds + 8 if self.memories else self.selftest + 1 if self.selftests else
                 self.session + 1)
        return (*[timesteps] * (self.most_timesteps > 1), *loading * (self.memories > 0),
                Region(0, facts, writable=False, owned=False),
                Region(self.open, self.open + 1, writable=True, owned=False),
                Region(self.input, self.submit + 1, writable=True, owned=True,
                       exchanged=True),
                Region(self.result, self.result + self.result_words, writable=False, owned=True,
                       copies=SLOTS, stride=self.stride))

    def region(self, address, count, *, write):
        """The region where ``count`` words from ``address`` may be read or written, or None."""
        return next((region for region in self.regions if 1 <= count <= MAX_WORDS
                     and region.writable == write and region.holds(address, count)), None)

    def as_dict(self):
        """The map as the manifest has it: JSON-serialisable."""
        facts = {"protocol": VERSION, "max_words": MAX_WORDS, **asdict(self),
                 "submit": self.submit, "result": self.result, "slots": SLOTS,
                 "stride": self.stride}
        loading = ("memories", "health", "holds", "block", "load", "check")
        absent = [*loading * (not self.memories), *("selftests", "selftest") * (not self.selftests)]
        return {name: value for name, value in facts.items() if name not in absent}
