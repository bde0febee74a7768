"""The register map, as data: the gateware is built from it and the host reads it in the manifest.

Addresses are those of 32-bit words. Everything may be repeated without harm, so that a request
whose answer was lost is simply sent again: the input is a buffer that can be rewritten, and sample
``n`` starts when ``n`` is written to ``submit`` right after sample ``n - 1`` and never again.
"""

from dataclasses import asdict, dataclass, fields

__all__ = ["MAGIC", "VERSION", "MAX_WORDS", "RegisterMap", "Region"]

MAGIC = int.from_bytes(b"SPKL", "little")
VERSION = 1
"""Version of the protocol: frames and registers."""

MAX_WORDS = 60
"""Words a frame can carry."""

_PAGE = 0x1000


@dataclass(frozen=True)
class Region:
    """Adjacent registers that one frame may span: ``start`` to ``stop`` (exclusive)."""

    start: int
    stop: int
    writable: bool


@dataclass(frozen=True)
class RegisterMap:
    """Addresses of the registers of a device.

    Parameters
    ----------
    input_words : words of the input buffer
    classes : logits of a result

    Members
    -------
    magic, version, digest (8 words), clock_hz : what the device is
    frames, crc_errors, dropped : counters of good, corrupt and malformed requests
    submitted, completed : numbers of the last samples
    cycles : clocks of the last sample, from its first input beat to its last logits
    status : bit 0: a sample is under way
    input_size, output_size : ``input_words`` and ``classes``, as the device has them
    input, submit : the input buffer; the word after it starts a sample (the only writable ones)
    result : number of the completed sample, its cycles, then its logits
    """

    input_words: int
    classes: int
    magic: int = 0
    version: int = 1
    digest: int = 2
    clock_hz: int = 10
    frames: int = 11
    crc_errors: int = 12
    dropped: int = 13
    submitted: int = 14
    completed: int = 15
    cycles: int = 16
    status: int = 17
    input_size: int = 18
    output_size: int = 19
    input: int = _PAGE

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name} must be a non-negative integer, not {value!r}")
        if self.input_words < 1 or self.classes < 1:
            raise ValueError("input_words and classes must be at least 1")
        if self.result + 2 + self.classes > 1 << 16:
            raise ValueError(f"an input of {self.input_words} words and {self.classes} logits "
                             f"don't fit 16-bit addresses")

    @property
    def submit(self):
        return self.input + self.input_words

    @property
    def result(self):
        return max(2 * _PAGE, -(-(self.submit + 1) // _PAGE) * _PAGE)

    @property
    def regions(self):
        return (Region(0, self.output_size + 1, writable=False),
                Region(self.input, self.submit + 1, writable=True),
                Region(self.result, self.result + 2 + self.classes, writable=False))

    def allows(self, address, count, *, write):
        """Whether a frame may read or write ``count`` words from ``address``."""
        return 1 <= count <= MAX_WORDS and any(
            region.start <= address and address + count <= region.stop and region.writable == write
            for region in self.regions)

    def as_dict(self):
        """The map as the manifest has it: JSON-serialisable."""
        return {"protocol": VERSION, "max_words": MAX_WORDS, **asdict(self),
                "submit": self.submit, "result": self.result}
