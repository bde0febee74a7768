"""How a board's design comes out of reset: every register in the same clock.

A synchronous reset achieves this if it reaches every register within a clock. On a large device it
does not: the wire across an ECP5 of 84,000 LUTs takes more than ten nanoseconds. There the clock
stands still while the reset ends, so the reset may take its time (:class:`Standstill`). Elsewhere
the reset is a register of the fabric's clock, and its paths are timed like any other
(:class:`Hold`).
"""

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from boards import Family

__all__ = ["PHASE", "Hold", "Standstill", "start"]

PHASE = 64
"""Clocks of the oscillator that a phase of :class:`Standstill` lasts: four of the slowest clock
that a PLL makes."""


class Standstill(wiring.Component):
    """Resets while the fabric's clock runs, and ends the reset while that clock stands still.

    Its own clock is the oscillator's, which never stops. Three phases of :data:`PHASE` clocks
    follow one another after the last clock in which ``again`` was high: the fabric's clock runs and
    the reset is on; the clock is stopped; the reset is off. Then the clock runs.

    Members
    -------
    again : ``In(1)``, asynchronous: high as long as a reset is requested
    reset : ``Out(1)``
    running : ``Out(1)``, enables the clock
    """

    def __init__(self) -> None:
        super().__init__({
            "again": In(1),
            "reset": Out(1, init=1),
            "running": Out(1, init=1),
        })

    def elaborate(self, platform: Platform | None) -> Module:
        """A counter of the clocks that are left; its ranges are the phases."""
        m = Module()
        m.domains.oscillator = oscillator = ClockDomain(local=True)
        m.d.comb += oscillator.clk.eq(ClockSignal("sync"))
        m.submodules += ResetSynchronizer(self.again, domain="oscillator")

        left = Signal(range(3 * PHASE), init=3 * PHASE - 1)
        with m.If(left != 0):
            m.d.oscillator += left.eq(left - 1)
        m.d.oscillator += [
            self.reset.eq(left >= PHASE),
            self.running.eq((left >= 2 * PHASE) | (left == 0)),
        ]
        return m


class Hold(wiring.Component):
    """A synchronous reset that lasts a number of clocks longer than requested.

    Parameters
    ----------
    clocks : by how many it lasts longer

    Members
    -------
    again : ``In(1)``, asynchronous: high as long as a reset is requested
    reset : ``Out(1)``
    """

    def __init__(self, clocks: int) -> None:
        self._clocks = clocks
        super().__init__({"again": In(1), "reset": Out(1, init=1)})

    def elaborate(self, platform: Platform | None) -> Module:
        """A counter of the clocks that are left, or without any the synchroniser alone."""
        m = Module()
        m.domains.start = start = ClockDomain(local=True)
        m.d.comb += start.clk.eq(ClockSignal("sync"))
        m.submodules += ResetSynchronizer(self.again, domain="start")
        if not self._clocks:
            m.d.comb += self.reset.eq(start.rst)
            return m

        left = Signal(range(self._clocks + 1), init=self._clocks)
        with m.If(left != 0):
            m.d.start += left.eq(left - 1)
        m.d.start += self.reset.eq(left != 0)
        return m


def start(m: Module, family: Family, *, oscillator: Value | None, clk: Value, again: Value,
          hz: int) -> tuple[Value, Value]:
    """Add to a module the logic that starts the design, after configuration and after each reset.

    Parameters
    ----------
    family : of the device
    oscillator, clk : the board's clock, and the fabric's, which may be the same; only a device with
        a clock gate needs the oscillator
    again : high as long as a reset is requested, asynchronous
    hz : frequency of ``clk``

    Returns
    -------
    The clock of the design, and its reset.
    """
    m.domains.startup = domain = ClockDomain(reset_less=True)
    if not family.clock_gate:
        m.d.comb += domain.clk.eq(clk)
        hold = DomainRenamer("startup")(Hold(family.reset_us * hz // 1_000_000))
        m.submodules.hold = hold
        m.d.comb += hold.again.eq(again)
        return clk, hold.reset

    m.d.comb += domain.clk.eq(oscillator)
    m.submodules.standstill = standstill = DomainRenamer("startup")(Standstill())
    m.d.comb += standstill.again.eq(again)
    gated = Signal()
    m.submodules.gate = Instance(family.clock_gate,
        i_CLKI=clk,
        i_CE=standstill.running,
        o_CLKO=gated,
    )
    return gated, standstill.reset
