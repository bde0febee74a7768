"""Transaction layer packets (TLPs): layouts of their header dwords, and packets as integers.

A packet is a sequence of dwords in the order in which the link carries them. The first byte of a
dword is in its highest bits, so a header dword reads as the specification draws it, and a dword of
payload has the bytes of the little-endian word that lies in memory in reverse
(:func:`swapped`). Names are those of the PCI Express Base Specification, section 2.2.
"""

from dataclasses import dataclass, field, replace

from amaranth import *
from amaranth.lib import data, enum

__all__ = ["BEAT", "CPL1", "CPL2", "DWORD", "HEAD", "REQ1", "CompletionStatus", "Tlp", "Type",
           "byte_count", "completion", "memory_read", "memory_write", "swapped"]


class Type(enum.Enum, shape=5):
    """What a packet is; together with whether it carries data."""

    MEMORY = 0b00000
    MEMORY_LOCKED = 0b00001
    IO = 0b00010
    CONFIG_0 = 0b00100
    CONFIG_1 = 0b00101
    COMPLETION = 0b01010
    COMPLETION_LOCKED = 0b01011
    FETCH_ADD = 0b01100
    SWAP = 0b01101
    COMPARE_AND_SWAP = 0b01110


class CompletionStatus(enum.Enum, shape=3):
    """Outcome of a request."""

    SUCCESSFUL = 0b000
    UNSUPPORTED = 0b001
    RETRY = 0b010
    ABORT = 0b100


DWORD = data.StructLayout({"data": 32, "last": 1})
"""A dword of a packet, and whether it is the last one."""

BEAT = data.StructLayout({"data": 64, "pair": 1, "last": 1})
"""Two dwords of a packet, the first in the lower half, or only one unless ``pair``."""

HEAD = data.StructLayout({
    "length": 10, "at": 2, "attr": 2, "ep": 1, "td": 1, "th": 1, "ln": 1, "ido": 1, "t8": 1,
    "tc": 3, "t9": 1, "tlp_type": Type, "four": 1, "has_data": 1, "prefix": 1})
"""First dword. ``four``, ``has_data`` and ``prefix`` are the bits of Fmt."""

REQ1 = data.StructLayout({"first_be": 4, "last_be": 4, "tag": 8, "requester": 16})
"""Second dword of a memory request. Its address follows, the upper half first if ``four``."""

CPL1 = data.StructLayout({"byte_count": 12, "bcm": 1, "status": CompletionStatus, "completer": 16})
"""Second dword of a completion."""

CPL2 = data.StructLayout({"lower_address": 7, "reserved": 1, "tag": 8, "requester": 16})
"""Third dword of a completion."""


def swapped(dword):
    """A dword of payload from or to the word in memory."""
    if isinstance(dword, int):
        return int.from_bytes(dword.to_bytes(4, "little"), "big")
    return Cat(dword[24:32], dword[16:24], dword[8:16], dword[0:8])


def byte_count(length, first_be, last_be):
    """Bytes that a memory read asks for, and how many of its first dword it does not.

    Parameters
    ----------
    length : dwords
    first_be, last_be : byte enables of the first dword, and of the last if there are several
    """
    if not first_be and length == 1:
        return 1, 0
    lead = (first_be & -first_be).bit_length() - 1
    trail = 4 - (last_be if length > 1 else first_be).bit_length()
    return 4 * length - lead - trail, lead


@dataclass(frozen=True)
class Tlp:
    """A packet. Fields that its type does not have are 0.

    Parameters
    ----------
    tlp_type : :class:`Type`, or its code
    has_data : whether ``payload`` follows the header
    four : whether the header has four dwords
    length : dwords of payload, carried or asked for, 1 to 1024
    payload : words, as they lie in memory
    tag, requester : of a request, and of the completion that answers it
    address : of a memory request, a multiple of 4; of a completion its ``lower_address``
    completer, status, count : of a completion; ``count`` is its Byte Count, 1 to 4096
    digest : whether a dword with an end-to-end CRC follows (TD)
    """

    tlp_type: Type | int
    has_data: bool = False
    four: bool = False
    length: int = 1
    payload: list[int] = field(default_factory=list)
    tag: int = 0
    requester: int = 0
    address: int = 0
    first_be: int = 0xf
    last_be: int = 0
    completer: int = 0
    status: CompletionStatus = CompletionStatus.SUCCESSFUL
    count: int = 4
    tc: int = 0
    attr: int = 0
    poisoned: bool = False
    digest: bool = False

    @property
    def code(self):
        """Code of the type."""
        return self.tlp_type.value if isinstance(self.tlp_type, Type) else self.tlp_type

    @property
    def answers(self):
        """Whether it is a completion."""
        return self.tlp_type in (Type.COMPLETION, Type.COMPLETION_LOCKED)

    def pack(self):
        """Its dwords."""
        head = (self.length & 0x3ff | self.attr << 12 | self.poisoned << 14 | self.digest << 15
                | self.tc << 20 | self.code << 24 | self.four << 29 | self.has_data << 30)
        ids = self.tag << 8 | self.requester << 16
        if self.answers:
            rest = [self.count & 0xfff | self.status.value << 13 | self.completer << 16,
                    self.address & 0x7f | ids]
        else:
            high = [self.address >> 32] if self.four else []
            rest = [self.first_be | self.last_be << 4 | ids, *high, self.address & 0xfffffffc]
        return [head, *rest, *map(swapped, self.payload), *([0] if self.digest else [])]

    @classmethod
    def unpack(cls, dwords):
        """A packet of its dwords, which must be as many as it says.

        Raises
        ------
        ValueError
            If they are not.
        """
        head, one, two = HEAD.from_bits(dwords[0]), dwords[1], dwords[2]
        size = 3 + head.four
        length = head.length or 1024
        if len(dwords) != size + head.has_data * length + head.td:
            raise ValueError(f"a packet of {length} dwords must not have {len(dwords)}")
        tlp = cls(head.tlp_type, bool(head.has_data), bool(head.four), length,
                  [swapped(dword) for dword in dwords[size:size + head.has_data * length]],
                  tc=head.tc, attr=head.attr, poisoned=bool(head.ep), digest=bool(head.td))
        if tlp.answers:
            first, second = CPL1.from_bits(one), CPL2.from_bits(two)
            return replace(tlp, tag=second.tag, requester=second.requester,
                           address=second.lower_address, completer=first.completer,
                           status=first.status, count=first.byte_count or 4096, first_be=0)
        first = REQ1.from_bits(one)
        address = two << 32 | dwords[3] if head.four else two
        return replace(tlp, tag=first.tag, requester=first.requester, address=address,
                       first_be=first.first_be, last_be=first.last_be)


def _enabled(length):
    return {"first_be": 0xf, "last_be": 0xf if length > 1 else 0, "length": length}


def memory_read(address, length, *, tag=0, requester=0, **fields):
    """A read of whole words. The header has four dwords above 4 GiB, and only there."""
    return Tlp(Type.MEMORY, four=address >> 32 != 0, address=address, tag=tag,
               requester=requester, **(_enabled(length) | fields))


def memory_write(address, payload, *, requester=0, **fields):
    """A write of whole words."""
    return Tlp(Type.MEMORY, has_data=True, four=address >> 32 != 0, address=address,
               payload=list(payload), requester=requester, **(_enabled(len(payload)) | fields))


def completion(request, payload=(), *, completer, status=CompletionStatus.SUCCESSFUL, count=None,
               address=None, **fields):
    """An answer to a request; a whole one unless ``count`` and ``address`` say which part it is."""
    locked = request.tlp_type is Type.MEMORY_LOCKED
    bytes_, lead = byte_count(request.length, request.first_be, request.last_be)
    payload = list(payload)
    return Tlp(Type.COMPLETION_LOCKED if locked else Type.COMPLETION, has_data=bool(payload),
               length=len(payload) or 1024, payload=payload, tag=request.tag,
               requester=request.requester, completer=completer, status=status,
               count=bytes_ if count is None else count, first_be=0, tc=request.tc,
               attr=request.attr, **fields,
               address=((request.address | lead) if address is None else address) & 0x7f)
