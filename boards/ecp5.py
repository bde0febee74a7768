"""Boards with a Lattice ECP5 of 84,000 LUTs: ULX3S, ECPIX-5, OrangeCrab."""

from functools import partial

from amaranth.build import Attrs
from amaranth_boards.ecpix5 import ECPIX585Platform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from .board import Board, Budget
from .families import ECP5, EHXPLLL

__all__ = ["ecpix5_85", "orangecrab_85f", "ulx3s_85f"]


class _OrangeCrab(OrangeCrabR0_2_85FPlatform):
    resources = [*OrangeCrabR0_2_85FPlatform.resources,
                 UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33"))]


_COMMON = {
    "family": ECP5, "pll": EHXPLLL, "pack": "--compress",
    "budget": Budget(luts=83_640, ffs=83_640, brams=208, bram_bits=18_432, dsps=156),
}

# Amaranth writes a design as Verilog for the vendor's tools only, hence `Diamond`.

ulx3s_85f = Board(
    name="ulx3s-85f", platform=partial(ULX3S_85F_Platform, toolchain="Diamond"),
    device="LFE5U-85F-6BG381", open_device="--85k --package CABGA381 --speed 6",
    loader=("--board", "ulx3s"), clock_hz=80_000_000, **_COMMON)

ecpix5_85 = Board(
    name="ecpix5-85", platform=partial(ECPIX585Platform, toolchain="Diamond"),
    device="LFE5UM5G-85F-8BG554", open_device="--um5g-85k --package CABGA554 --speed 8",
    loader=("--board", "ecpix5"), clock_hz=100_000_000, **_COMMON)

orangecrab_85f = Board(
    name="orangecrab-85f", platform=partial(_OrangeCrab, toolchain="Diamond"),
    device="LFE5U-85F-8MG285", open_device="--85k --package CSFBGA285 --speed 8",
    loader=("--board", "orangeCrab"), clock_hz=80_000_000,
    wiring="3.3 V adapter on header pins 0 (rx) and 1 (tx)", **_COMMON)
