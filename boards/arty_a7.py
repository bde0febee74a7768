"""Digilent Arty A7: Artix-7, 100 MHz oscillator, USB-UART bridge."""

from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from .board import Board, Budget
from .families import PLLE2, XC7

__all__ = ["arty_a7", "arty_a7_100"]

_COMMON = {"family": XC7, "clock_hz": 100_000_000, "pll": PLLE2}

arty_a7 = Board(
    name="arty-a7", platform=ArtyA7_35Platform, device="xc7a35ticsg324-1L",
    open_device="xc7a35tcsg324-1", loader=("--board", "arty_a7_35t"),
    budget=Budget(luts=20_800, ffs=41_600, brams=50, bram_bits=36_864, dsps=90),
    **_COMMON)

arty_a7_100 = Board(
    name="arty-a7-100", platform=ArtyA7_100Platform, device="xc7a100ticsg324-1L",
    open_device="xc7a100tcsg324-1", loader=("--board", "arty_a7_100t"),
    budget=Budget(luts=63_400, ffs=126_800, brams=135, bram_bits=36_864, dsps=240),
    **_COMMON)
