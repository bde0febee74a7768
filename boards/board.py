"""What a board is, as far as a build needs to know."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.build import Platform

__all__ = ["Budget", "Board"]


@dataclass(frozen=True)
class Budget:
    """What the device offers.

    Parameters
    ----------
    luts : look-up tables, as the device's data sheet counts them (six inputs on 7-series)
    ffs : flip-flops
    brams : block RAMs, in units of the device's largest (36 Kb on 7-series); halves count
    bram_bits : bits of such a block
    dsps : multiplier blocks: a Spikeloom design uses none of them
    """

    luts: int
    ffs: int
    brams: float
    bram_bits: int
    dsps: int


@dataclass(frozen=True)
class Board:
    """A development board.

    Parameters
    ----------
    name : what ``--board`` takes
    platform : makes the Amaranth platform, which knows the pins
    device : the chip, as its vendor writes it
    open_device : the same die, as the open tools' databases name it
    clock_hz : frequency of the fabric's clock
    clock_source : where that clock comes from, in words
    link : how a host reaches the board; names a resource of the platform
    budget : what the device offers
    toolchains : what can make a bitstream, the preferred one first
    synth : Yosys' command that synthesises for the device
    """

    name: str
    platform: Callable[[], Platform]
    device: str
    open_device: str
    clock_hz: int
    clock_source: str
    link: str
    budget: Budget
    toolchains: tuple[str, ...]
    synth: str
