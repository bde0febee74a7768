"""The registers of BAR0, as data: the gateware is built from it, and the host reads it in the
manifest.

Addresses are those of 32-bit words; BAR0 is :data:`BAR_BYTES` long. What a device is lies where
:class:`~hw.registers.RegisterMap` has it, up to ``session``. The registers of the rings follow.
Reading has no effect, and writing sets a value, so an access that is lost or repeated does no harm.

A ring is a power of two of words of host memory, at a multiple of its size. An index counts words
without end, modulo 2**32; word ``n`` lies at ``n & mask``. The host writes samples, word after word
without gaps, and then the index after the last of them. The device writes results, each a *record*
of the sample's number, from 1 on, and its words, and then the index after the last of them to the
*status block*, in host memory, too.
"""

from dataclasses import asdict, dataclass

__all__ = ["BAR_BYTES", "SMALLEST", "RingMap", "Status"]

BAR_BYTES = 4096

SMALLEST = 1024
"""Words of the smallest ring."""


class Status:
    """Bits of ``status``.

    ``BUSY``: a sample is under way. ``RESTING``: no session is open, and nothing of the one before
    is left; only now may the registers be written that describe the rings. ``REFUSED``,
    ``POISONED`` and ``LATE``: a read of host memory has failed, so that the session has ended.
    ``REJECTED``: a word for the memories was refused.
    """

    BUSY, RESTING, REFUSED, POISONED, LATE, REJECTED = 0, 1, 8, 9, 10, 11


@dataclass(frozen=True)
class RingMap:
    """Addresses of the registers of the rings.

    Members
    -------
    open : opens a session of the number that is written, which must not be 0, if the device rests;
        ends the one that is open otherwise, or if it is 0. The indices begin at 0
    timesteps : of the samples of the session
    samples_low, samples_high, samples_mask : the ring of samples: where it is, and its words less 1
    samples_index : after the last word of samples that the host has written
    results_low, results_high, results_mask : the ring of results
    results_index : after the last word of results that the host has taken
    status_low, status_high : where the status block is, at a multiple of 64 bytes. Its first word
        is the index after the last word of results that the device has written, its second is
        ``status`` when the device writes it
    interrupt : bit 0: an interrupt (MSI) follows each writing of the status block
    load : bit 0: the session loads the memories (:mod:`hw.loader`). Its ring of samples has pairs
        of words, the address of a register and what is written to it; there only if memories may be
        loaded
    samples_read, results_written : the device's indices, to read
    loaded : pairs of the session that have been written or refused, to read
    """

    open: int = 0x100
    timesteps: int = 0x101
    samples_low: int = 0x102
    samples_high: int = 0x103
    samples_mask: int = 0x104
    samples_index: int = 0x105
    results_low: int = 0x106
    results_high: int = 0x107
    results_mask: int = 0x108
    results_index: int = 0x109
    status_low: int = 0x10a
    status_high: int = 0x10b
    interrupt: int = 0x10c
    load: int = 0x10d
    samples_read: int = 0x10e
    results_written: int = 0x10f
    loaded: int = 0x110

    def as_dict(self):
        """The map as the manifest has it: JSON-serialisable."""
        return {f"ring_{name}": address for name, address in asdict(self).items()}
