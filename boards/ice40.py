"""Boards with a Lattice iCE40: iCEBreaker (UP5K) and the HX8K breakout board (HX8K-B-EVN)."""

from functools import partial

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform
from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board, Budget
from .families import ICE40, SB_PLL40_CORE, SB_PLL40_PAD

__all__ = ["ice40_hx8k", "icebreaker"]

# Amaranth writes a design as Verilog for the vendor's tools only, hence `LSE-iCECube2`.
_VENDOR = "LSE-iCECube2"

icebreaker = Board(
    name="icebreaker", platform=partial(ICEBreakerPlatform, toolchain=_VENDOR),
    device="iCE40UP5K-SG48", family=ICE40, open_device="--up5k --package sg48",
    loader=("--board", "ice40_generic"), clock_hz=24_000_000, pll=SB_PLL40_PAD,
    budget=Budget(luts=5_280, ffs=5_280, brams=30, bram_bits=4_096, dsps=8))

ice40_hx8k = Board(
    name="ice40-hx8k", platform=partial(ICE40HX8KBEVNPlatform, toolchain=_VENDOR),
    device="iCE40HX8K-CT256", family=ICE40, open_device="--hx8k --package ct256",
    loader=("--board", "ice40_generic"), clock_hz=48_000_000, pll=SB_PLL40_CORE,
    budget=Budget(luts=7_680, ffs=7_680, brams=32, bram_bits=4_096, dsps=0))
