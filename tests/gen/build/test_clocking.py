"""Clocks: PLL settings give what they promise, within the data sheets' limits."""

from fractions import Fraction

import pytest

import boards
from boards.families import EHXPLLL, PLLE2, SB_PLL40_CORE
from gen.build.clocking import describe, fastest, require, settings
from gen.errors import BuildError

PLLS = {board.pll.primitive: (board.pll, board.oscillator_hz) for board in boards.BOARDS}


def recomputed(clock):
    """Phase detector, oscillator and output from the parameters, as the vendors' guides have it."""
    p, hz = dict(clock.parameters), Fraction(clock.input_hz)
    if clock.pll.primitive == "EHXPLLL":
        compare = hz / p["CLKI_DIV"]
        vco = compare * p["CLKFB_DIV"] * p["CLKOP_DIV"]
        return compare, vco, vco / p["CLKOS_DIV"]
    if clock.pll.primitive.startswith("SB_PLL40"):
        compare = hz / (p["DIVR"] + 1)
        return compare, compare * (p["DIVF"] + 1), compare * (p["DIVF"] + 1) / 2**p["DIVQ"]
    if clock.pll.primitive == "rPLL":
        compare = hz / (p["IDIV_SEL"] + 1)
        output = compare * (p["FBDIV_SEL"] + 1)
        return compare, output * p["ODIV_SEL"], output
    compare = hz / p["DIVCLK_DIVIDE"]
    return compare, compare * p["CLKFBOUT_MULT"], compare * p["CLKFBOUT_MULT"] / p["CLKOUT0_DIVIDE"]


RANGES = {
    "CLKI_DIV": (1, 128), "CLKFB_DIV": (1, 80), "CLKOP_DIV": (1, 128), "CLKOS_DIV": (1, 128),
    "DIVR": (0, 15), "DIVF": (0, 127), "DIVQ": (1, 6), "FILTER_RANGE": (1, 6),
    "IDIV_SEL": (0, 63), "FBDIV_SEL": (0, 63), "ODIV_SEL": (2, 128),
    "DIVCLK_DIVIDE": (1, 56), "CLKFBOUT_MULT": (2, 64), "CLKOUT0_DIVIDE": (1, 128),
}


@pytest.mark.parametrize("primitive", PLLS)
def test_limits(primitive):
    pll, hz = PLLS[primitive]
    clocks = list(settings(pll, hz))
    assert len(clocks) > 100
    for clock in clocks[::len(clocks) // 100]:
        compare, vco, output = recomputed(clock)
        assert (compare, vco, output) == (clock.compare, clock.vco, clock.output)
        for value, (low, high) in ((compare, pll.compare), (vco, pll.vco), (output, pll.output)):
            assert low <= value <= high
        for name, value in clock.parameters:
            low, high = RANGES.get(name, (value, value))
            assert low <= value <= high, name


def test_reference_out_of_range():
    assert not list(settings(PLLE2, 12_000_000))
    assert not list(settings(SB_PLL40_CORE, 9_000_000))
    assert not list(settings(EHXPLLL, 500_000_000))


def test_as_the_vendors_tools():
    """What icepll, gowin_pll and Vivado's wizard choose for usual clocks."""
    def chosen(board, hz):
        return dict(fastest(boards.find(board), hz).parameters)

    assert chosen("icebreaker", 24e6) == {"DIVR": 0, "DIVF": 63, "DIVQ": 5, "FILTER_RANGE": 1}
    assert chosen("ice40-hx8k", 48e6) == {"DIVR": 0, "DIVF": 63, "DIVQ": 4, "FILTER_RANGE": 1}
    assert chosen("nitefury", 100e6).items() >= {"CLKFBOUT_MULT": 4, "CLKOUT0_DIVIDE": 8}.items()
    assert chosen("tang-nano-9k", 54e6).items() >= {"IDIV_SEL": 0, "FBDIV_SEL": 1}.items()


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
def test_default(board):
    clock = require(board, board.clock_hz, 1_000_000)
    assert clock.hz == board.clock_hz
    assert (clock.pll is None) == (board.clock_hz == board.oscillator_hz)


def test_never_faster_than_asked_for():
    for name in ("nexys4-ddr", "ulx3s-85f", "icebreaker", "tang-nano-9k"):
        board = boards.find(name)
        for hz in (board.clock_hz - 1, 0.9 * board.clock_hz):
            assert 0.85 * hz < fastest(board, hz).output <= hz


def test_serial_line():
    """At 12.5 MHz no divisor comes within 2 % of 1 Mbaud."""
    board = boards.find("ulx3s-85f")
    assert fastest(board, 12.5e6).hz == 12_500_000
    assert require(board, 12.5e6, 1_000_000).hz < 12_250_001


def test_none_slow_enough():
    board = boards.find("icebreaker")
    assert fastest(board, 15e6).pll is None
    assert fastest(board, 11e6) is None
    with pytest.raises(BuildError, match=r"^icebreaker has no clock of at most 11 MHz that can be "
                                         r"divided to 1000000 baud; another --clock or --baud "
                                         r"would help$"):
        require(board, 11e6, 1_000_000)


def test_described():
    board = boards.find("nitefury")
    assert describe(board, require(board, 100e6, 1_000_000)) == (
        "PLLE2_BASE from board oscillator, 200 MHz, pin J19")
    assert describe(board, fastest(board, 200e6)) == "board oscillator, 200 MHz, pin J19"
