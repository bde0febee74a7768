"""RHS Research NiteFury II: Artix-7 on an M.2 card, 200 MHz oscillator.

Its native link is PCIe, which has no gateware yet. A 3.3 V serial adapter on connector P2 takes its
place.
"""

from amaranth.build import Attrs
from amaranth_boards.nitefury import NitefuryIIPlatform
from amaranth_boards.resources import UARTResource

from .board import Board, Budget
from .families import PLLE2, XC7

__all__ = ["nitefury"]


class _Platform(NitefuryIIPlatform):
    resources = [*NitefuryIIPlatform.resources,
                 UARTResource(0, rx="J2", tx="K2", attrs=Attrs(IOSTANDARD="LVCMOS33"))]


nitefury = Board(
    name="nitefury", platform=_Platform, device="xc7a200tfbg484-2", family=XC7,
    open_device="xc7a200tfbg484-2", loader=("--cable", "digilent_hs3"), clock_hz=100_000_000,
    pll=PLLE2, wiring="3.3 V adapter on P2: rx J2, tx K2",
    budget=Budget(luts=134_600, ffs=269_200, brams=365, bram_bits=36_864, dsps=740))
