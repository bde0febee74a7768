"""Digilent Nexys 4 DDR (Nexys A7-100T): Artix-7, 100 MHz oscillator, USB-UART bridge."""

from amaranth_boards.nexys4ddr import Nexys4DDRPlatform

from .board import Board, Budget
from .families import PLLE2, XC7

__all__ = ["nexys4_ddr"]

nexys4_ddr = Board(
    name="nexys4-ddr", platform=Nexys4DDRPlatform, device="xc7a100tcsg324-1", family=XC7,
    open_device="xc7a100tcsg324-1", loader=("--board", "nexys_a7_100"), clock_hz=100_000_000,
    pll=PLLE2,
    budget=Budget(luts=63_400, ffs=126_800, brams=135, bram_bits=36_864, dsps=240))
