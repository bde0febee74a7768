"""Sipeed's boards with a Gowin device: Tang Nano 9K and Tang Primer 20K."""

from functools import partial

from amaranth_boards.tang_nano_9k import TangNano9kPlatform
from amaranth_boards.tang_primer_20k import TangPrimer20kPlatform

from .board import Board, Budget
from .families import GOWIN, RPLL_GW1NR_9C, RPLL_GW2A_18C

__all__ = ["tang_nano_9k", "tang_primer_20k"]

# Amaranth writes a design as Verilog for the vendor's tools only, hence `Gowin`. Pins that also
# serve configuration are set as in the vendor's examples for these boards.

tang_nano_9k = Board(
    name="tang-nano-9k", platform=partial(TangNano9kPlatform, toolchain="Gowin"),
    device="GW1NR-LV9QN88PC6/I5", family=GOWIN,
    open_device="--device GW1NR-LV9QN88PC6/I5 --vopt family=GW1N-9C",
    pack="-d GW1N-9C --sspi_as_gpio --mspi_as_gpio", loader=("--board", "tangnano9k"),
    clock_hz=40_500_000, pll=RPLL_GW1NR_9C,
    budget=Budget(luts=8_640, ffs=6_480, brams=26, bram_bits=18_432, dsps=20))

tang_primer_20k = Board(
    name="tang-primer-20k", platform=partial(TangPrimer20kPlatform, toolchain="Gowin"),
    device="GW2A-LV18PG256C8/I7", family=GOWIN,
    open_device="--device GW2A-LV18PG256C8/I7 --vopt family=GW2A-18C",
    pack="-d GW2A-18C --mspi_as_gpio --sspi_as_gpio --ready_as_gpio --done_as_gpio",
    loader=("--board", "tangprimer20k"), clock_hz=81_000_000, pll=RPLL_GW2A_18C,
    budget=Budget(luts=20_736, ffs=15_552, brams=46, bram_bits=18_432, dsps=48))
