"""What a board is, as far as a build needs to know."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.build import Platform

from .pcie import Pcie

__all__ = ["Board", "Budget", "Family", "NoLink", "Pll"]


class NoLink(LookupError):
    """A board does not have that link."""


@dataclass(frozen=True)
class Budget:
    """What the device offers.

    Parameters
    ----------
    luts : look-up tables, as the device's data sheet counts them (six inputs on 7-series, four
        elsewhere)
    ffs : flip-flops
    brams : block RAMs, in units of the device's largest (36 Kb on 7-series); halves count
    bram_bits : bits of such a block
    dsps : multiplier blocks; a Spikeloom design uses none
    """

    luts: int
    ffs: int
    brams: float
    bram_bits: int
    dsps: int


@dataclass(frozen=True)
class Pll:
    """A device's phase-locked loop: the primitive, and the data sheet's limits.

    Parameters
    ----------
    primitive : name of the cell
    input, compare, vco, output : least and greatest frequency, in Hz, of the reference, of the
        phase detector, of the oscillator and of the clock that comes out
    options : parameters of the cell that do not depend on the frequencies
    """

    primitive: str
    input: tuple[int, int]
    compare: tuple[int, int]
    vco: tuple[int, int]
    output: tuple[int, int]
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Family:
    """Devices that the same tools treat in the same way.

    Parameters
    ----------
    name : of the family
    synth : Yosys' commands that synthesise for it, one a line
    toolchains : what can make a bitstream, the preferred one first
    cell : name of a LUT together with all that shares its place
    reset_us : microseconds that the reset must last after configuration
    clock_gate : the cell that stops a clock without a glitch, with ports ``CLKI``, ``CE`` and
        ``CLKO``; only for devices that are too large to end a reset everywhere in one clock
    """

    name: str
    synth: str
    toolchains: tuple[str, ...]
    cell: str = "LUT"
    reset_us: int = 0
    clock_gate: str = ""


@dataclass(frozen=True)
class Board:
    """A development board.

    Parameters
    ----------
    name : what ``--board`` takes
    platform : makes the Amaranth platform, which knows the pins
    device : the chip, as its vendor writes it
    family : how it is synthesised, placed and routed
    budget : what the device offers
    clock_hz : default frequency of the fabric's clock
    pll : what makes that clock, and slower ones, from the board's oscillator
    open_device : the device as the open tools name it: the die in their databases, or nextpnr's
        options
    pack : options of the program that packs the bitstream
    loader : openFPGALoader's arguments that name the board or its cable
    link : how a host reaches the board; names a resource of the platform
    wiring : where that link is, in words
    pcie : its PCI Express connector, if it has one; see :meth:`linked`
    """

    name: str
    platform: Callable[[], Platform]
    device: str
    family: Family
    budget: Budget
    clock_hz: int
    pll: Pll
    open_device: str
    loader: tuple[str, ...]
    pack: str = ""
    link: str = "uart"
    wiring: str = "USB bridge"
    pcie: Pcie | None = None

    def linked(self, link: str) -> "Board":
        """The board with another link: its own, or ``"pcie"``.

        Raises
        ------
        NoLink
            If it does not have it.
        """
        if link == self.link:
            return self
        if link != "pcie" or self.pcie is None:
            has = " and ".join([self.link, *["pcie"] * (self.pcie is not None)])
            raise NoLink(f"{self.name} has no link {link!r}; it has {has}")
        return replace(self, link=link, wiring=self.pcie.wiring)

    @property
    def connector(self) -> Pcie | None:
        """Its PCI Express connector, if that is the link."""
        return self.pcie if self.link == "pcie" else None

    @property
    def synth(self) -> str:
        """Yosys' commands that synthesise for the device."""
        core = f"{self.connector.declaration}\n" if self.connector else ""
        return core + self.family.synth

    @property
    def toolchains(self) -> tuple[str, ...]:
        """What can make a bitstream, the preferred one first."""
        return self.connector.toolchains if self.connector else self.family.toolchains

    @functools.cached_property
    def oscillator_hz(self) -> int:
        """Frequency of the board's own clock."""
        return int(self.platform().default_clk_frequency)
