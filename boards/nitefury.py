"""RHS Research NiteFury II and LiteFury: Artix-7 on an M.2 card, 200 MHz oscillator.

Their native link is PCI Express (``--link pcie``). Without it a 3.3 V serial adapter on connector
P2 takes its place.
"""

from amaranth.build import Attrs, Clock, DiffPairs, PinsN, Resource, Subsignal
from amaranth_boards.nitefury import LitefuryPlatform, NitefuryIIPlatform
from amaranth_boards.resources import UARTResource

from .board import Board, Budget
from .families import PLLE2, XC7
from .pcie import Pcie

__all__ = ["litefury", "nitefury"]


def _resources(platform):
    """A serial port on the header; of PCI Express the first lane, whose pins have no I/O standard,
    and its reset, which comes from the host."""
    others = [resource for resource in platform.resources if resource.name != "pcie"]
    return [*others, UARTResource(0, rx="J2", tx="K2", attrs=Attrs(IOSTANDARD="LVCMOS33")),
            Resource("pcie", 0,
                Subsignal("clkreq", PinsN("G1", dir="o"), Attrs(IOSTANDARD="LVCMOS33")),
                Subsignal("rst", PinsN("J1", dir="i"), Attrs(IOSTANDARD="LVCMOS33", PULLUP="TRUE")),
                Subsignal("clk", DiffPairs(p="F6", n="E6", dir="i"), Clock(100e6)),
                Subsignal("rx", DiffPairs(p="B10", n="A10", dir="i")),
                Subsignal("tx", DiffPairs(p="B6", n="A6", dir="o")))]


class _Litefury(LitefuryPlatform):
    resources = _resources(LitefuryPlatform)


class _Nitefury(NitefuryIIPlatform):
    resources = _resources(NitefuryIIPlatform)


_M2 = Pcie(wiring="M.2 slot, lane 0", block="X0Y0", clkreq=True)

litefury = Board(
    name="litefury", platform=_Litefury, device="xc7a100tfgg484-2", family=XC7,
    open_device="xc7a100tfgg484-2", loader=("--cable", "digilent_hs3"), clock_hz=100_000_000,
    pll=PLLE2, wiring="3.3 V adapter on P2: rx J2, tx K2", pcie=_M2,
    budget=Budget(luts=63_400, ffs=126_800, brams=135, bram_bits=36_864, dsps=240))

nitefury = Board(
    name="nitefury", platform=_Nitefury, device="xc7a200tfbg484-2", family=XC7,
    open_device="xc7a200tfbg484-2", loader=("--cable", "digilent_hs3"), clock_hz=100_000_000,
    pll=PLLE2, wiring="3.3 V adapter on P2: rx J2, tx K2", pcie=_M2,
    budget=Budget(luts=134_600, ffs=269_200, brams=365, bram_bits=36_864, dsps=740))
