"""The fabric's clock: settings of a PLL by integer search, and the primitive that has them.

All PLLs work alike. The phase detector compares the divided reference with the divided oscillator.
The oscillator, divided once more, is the clock. PLLs differ in the ranges and places of these
dividers.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from amaranth.build import Platform
from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib import io

from boards import Board, Pll
from gen.errors import BuildError
from hw.uart import divisor

__all__ = ["Clock", "describe", "fastest", "generate", "require", "settings"]


@dataclass(frozen=True)
class Clock:
    """A clock for the fabric.

    Parameters
    ----------
    input_hz : frequency of the board's oscillator
    output : frequency of the clock in Hz, exactly
    pll : what makes it; None if the oscillator drives the fabric itself
    compare, vco : frequency of the PLL's phase detector and oscillator, in Hz
    parameters : the primitive's, as pairs of name and value
    """

    input_hz: int
    output: Fraction
    pll: Pll | None = None
    compare: Fraction | None = None
    vco: Fraction | None = None
    parameters: tuple[tuple[str, int | str | float], ...] = ()

    @property
    def hz(self) -> int:
        """Frequency, to the nearest hertz."""
        return round(self.output)


def _within(hz, limits):
    return limits[0] <= hz <= limits[1]


def _references(pll, input_hz, dividers):
    """Frequencies of the phase detector: pairs of divider and frequency."""
    if _within(input_hz, pll.input):
        for divider in dividers:
            if _within(compare := Fraction(input_hz, divider), pll.compare):
                yield divider, compare


def _multiples(pll, compare, most):
    """Pairs of a factor, at most `most`, and the oscillator's frequency that it gives."""
    low = -(-pll.vco[0] // compare)
    high = min(most, pll.vco[1] // compare)
    for factor in range(int(low), int(high) + 1):
        yield factor, compare * factor


def _ehxplll(pll, input_hz):
    # The feedback passes the divider of CLKOP. The fabric's clock has the divider of CLKOS to
    # itself. A divider's phase counts from 0, so DIV - 1 aligns its rising edge with the others.
    for clki, compare in _references(pll, input_hz, range(1, 129)):
        for factor, vco in _multiples(pll, compare, 80 * 128):
            feasible = [op for op in range(1, 129) if factor % op == 0 and factor // op <= 80
                        and _within(vco / op, pll.output)]
            for clkop, clkos in itertools.product(feasible[:1], range(1, 129)):
                yield Clock(input_hz, vco / clkos, pll, compare, vco, (
                    ("CLKI_DIV", clki), ("CLKFB_DIV", factor // clkop),
                    ("CLKOP_DIV", clkop), ("CLKOP_CPHASE", clkop - 1),
                    ("CLKOS_DIV", clkos), ("CLKOS_CPHASE", clkos - 1)))


def _sb_pll40(pll, input_hz):
    for divr, compare in _references(pll, input_hz, range(1, 17)):
        filters = (17, 26, 44, 66, 101)
        bandwidth = 1 + sum(compare >= limit * 1_000_000 for limit in filters)
        for divf, vco in _multiples(pll, compare, 128):
            for divq in range(1, 7):
                yield Clock(input_hz, vco / (1 << divq), pll, compare, vco, (
                    ("DIVR", divr - 1), ("DIVF", divf - 1), ("DIVQ", divq),
                    ("FILTER_RANGE", bandwidth)))


def _rpll(pll, input_hz):
    # The feedback is taken behind the last divider, so the oscillator runs at a multiple of it.
    for idiv, compare in _references(pll, input_hz, range(1, 65)):
        for odiv in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
            for fbdiv, vco in _multiples(pll, compare * odiv, 64):
                yield Clock(input_hz, vco / odiv, pll, compare, vco, (
                    ("FCLKIN", f"{input_hz / 1e6:g}"), ("IDIV_SEL", idiv - 1),
                    ("FBDIV_SEL", fbdiv - 1), ("ODIV_SEL", odiv)))


def _plle2(pll, input_hz):
    for divclk, compare in _references(pll, input_hz, range(1, 57)):
        for mult, vco in _multiples(pll, compare, 64):
            for divide in range(1, 129):
                yield Clock(input_hz, vco / divide, pll, compare, vco, (
                    ("CLKIN1_PERIOD", 1e9 / input_hz), ("DIVCLK_DIVIDE", divclk),
                    ("CLKFBOUT_MULT", mult), ("CLKOUT0_DIVIDE", divide)))


_SETTINGS = {"EHXPLLL": _ehxplll, "SB_PLL40_CORE": _sb_pll40, "SB_PLL40_PAD": _sb_pll40,
             "rPLL": _rpll, "PLLE2_BASE": _plle2}


def settings(pll: Pll, input_hz: int) -> Iterator[Clock]:
    """All clocks that a PLL can make from an oscillator, within the data sheet's limits."""
    for clock in _SETTINGS[pll.primitive](pll, input_hz):
        if _within(clock.output, pll.output):
            yield clock


def fastest(board: Board, at_most: float, usable: Callable[[int], bool] = bool) -> Clock | None:
    """The fastest clock of a board that is not above a frequency, or None.

    If several settings give the same clock, one without a PLL comes first, then the one with the
    highest frequency at the phase detector (for the least jitter), then the one with the slowest
    oscillator.

    Parameters
    ----------
    at_most : limit in Hz
    usable : whether a frequency in Hz would do
    """
    limit = Fraction(at_most)
    clocks = [Clock(board.oscillator_hz, Fraction(board.oscillator_hz)),
              *settings(board.pll, board.oscillator_hz)]
    possible = [clock for clock in clocks if clock.output <= limit]
    for clock in sorted(possible, reverse=True, key=lambda clock: (
            clock.output, clock.pll is None, clock.compare or 0, -(clock.vco or 0))):
        if usable(clock.hz):
            return clock
    return None


def _carries(baud):
    def usable(hz):
        try:
            return bool(divisor(hz, baud))
        except ValueError:
            return False
    return usable


def require(board: Board, at_most: float, baud: int | None) -> Clock:
    """The fastest clock of a board, not above a frequency in Hz, that carries a serial line; of a
    board on PCI Express, the core's.

    Raises
    ------
    BuildError
        If there is none.
    """
    if board.connector:
        return _of_core(board, board.connector, at_most)
    clock = fastest(board, at_most, _carries(baud))
    if clock is None:
        raise BuildError(f"{board.name} has no clock of at most {at_most / 1e6:.4g} MHz that "
                         f"can be divided to {baud} baud; another --clock or --baud would help")
    return clock


def _of_core(board, connector, at_most):
    possible = [hz for hz in connector.clocks_hz if hz <= at_most]
    if not possible:
        raise BuildError(f"{board.name} has no clock of at most {at_most / 1e6:.4g} MHz on PCI "
                         f"Express; another --clock would help: " + " or ".join(
                             f"{hz / 1e6:g}" for hz in connector.clocks_hz))
    return Clock(connector.oscillator_hz, Fraction(max(possible)))


def describe(board: Board, clock: Clock) -> str:
    """Where a clock comes from, in words."""
    if board.connector:
        return (f"{board.connector.core} from the host's clock, "
                f"{clock.input_hz / 1e6:g} MHz, {board.connector.wiring}")
    platform = board.platform()
    pins = platform.lookup(platform.default_clk).ios[0]
    (pin,) = getattr(pins, "p", pins).names
    text = f"board oscillator, {clock.input_hz / 1e6:g} MHz, pin {pin}"
    return text if clock.pll is None else f"{clock.pll.primitive} from {text}"


def generate(m: Module, platform: Platform, clock: Clock) -> tuple[Value | None, Value, Value]:
    """Add to a module what makes a clock from the board's oscillator.

    Returns
    -------
    The oscillator, the clock, and a signal that is high as long as the clock is stable.
    The oscillator is None if its pin drives only the PLL.
    """
    port = platform.request(platform.default_clk, dir="-")
    if clock.pll is not None and clock.pll.primitive == "SB_PLL40_PAD":
        return None, *_instance(m, clock, port.io)
    m.submodules.clk = buffer = io.Buffer("i", port)
    if clock.pll is None:
        return buffer.i, buffer.i, Const(1)
    return buffer.i, *_instance(m, clock, buffer.i)


def _instance(m, clock, reference):
    output, locked, feedback = Signal(), Signal(), Signal()
    connections = {
        "EHXPLLL": {
            "p_CLKOS_ENABLE": "ENABLED", "p_FEEDBK_PATH": "CLKOP",
            "a_ICP_CURRENT": "12", "a_LPF_RESISTOR": "8", "a_MFG_ENABLE_FILTEROPAMP": "1",
            "a_MFG_GMCREF_SEL": "2",
            "i_CLKI": reference, "i_CLKFB": feedback, "o_CLKOP": feedback, "o_CLKOS": output,
            "i_RST": Const(0), "i_STDBY": Const(0), "i_PHASESEL0": Const(0),
            "i_PHASESEL1": Const(0), "i_PHASEDIR": Const(1), "i_PHASESTEP": Const(1),
            "i_PHASELOADREG": Const(1), "i_PLLWAKESYNC": Const(0), "i_ENCLKOP": Const(0),
            "i_ENCLKOS": Const(0), "o_LOCK": locked,
        },
        "SB_PLL40_CORE": {
            "p_FEEDBACK_PATH": "SIMPLE", "i_REFERENCECLK": reference, "o_PLLOUTGLOBAL": output,
            "i_RESETB": Const(1), "i_BYPASS": Const(0), "o_LOCK": locked,
        },
        "SB_PLL40_PAD": {
            "p_FEEDBACK_PATH": "SIMPLE", "i_PACKAGEPIN": reference, "o_PLLOUTGLOBAL": output,
            "i_RESETB": Const(1), "i_BYPASS": Const(0), "o_LOCK": locked,
        },
        "rPLL": {
            "i_CLKIN": reference, "i_CLKFB": Const(0), "i_RESET": Const(0), "i_RESET_P": Const(0),
            "i_FBDSEL": Const(0, 6), "i_IDSEL": Const(0, 6), "i_ODSEL": Const(0, 6),
            "i_PSDA": Const(0, 4), "i_FDLY": Const(0, 4), "i_DUTYDA": Const(0, 4),
            "o_CLKOUT": output, "o_LOCK": locked,
        },
        "PLLE2_BASE": {
            "i_CLKIN1": reference, "i_CLKFBIN": feedback, "o_CLKFBOUT": feedback,
            "o_CLKOUT0": output, "i_RST": Const(0), "i_PWRDWN": Const(0), "o_LOCKED": locked,
        },
    }[clock.pll.primitive]
    parameters = {f"p_{name}": value for name, value in (*clock.parameters, *clock.pll.options)}
    m.submodules.pll = Instance(clock.pll.primitive, **parameters, **connections)
    return output, locked
