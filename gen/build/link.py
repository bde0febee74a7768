"""What a design's link makes of it: the registers that a host sees, and the top level."""

from boards import Board
from gen.plan.memories import Placement
from hw.array import Array
from hw.config import ArrayConfig, MemoryImage
from hw.device import contents, register_map
from hw.pcie.registers import RingMap
from hw.pcie.top import Top as PcieTop
from hw.top import Top

from .verilog import component_verilog

__all__ = ["registers", "verilog"]


def registers(config: ArrayConfig, board: Board) -> dict[str, int]:
    """The registers of a device on a board's link, as the manifest has them."""
    rings = RingMap().as_dict() if board.connector else {}
    return register_map(config).as_dict() | rings


def verilog(config: ArrayConfig, image: dict[str, MemoryImage], placement: Placement, *,
            digest: str, clock_hz: int, baud: int | None, holds: str | None = None) -> str:
    """Module ``top``, with ports ``clk``, ``rst``, and ``rx`` and ``tx`` or, without ``baud``,
    those of a ``link`` (:data:`hw.pcie.endpoint.LINK`).

    Parameters
    ----------
    holds : digest of the network in memories that may be loaded
    """
    top = (PcieTop(Array(config, image), config, digest=digest, clock_hz=clock_hz,
                   **contents(config, image, holds))
           if baud is None else
           Top(config, image, digest=digest, clock_hz=clock_hz, baud=baud, holds=holds))
    return component_verilog(top, "top", placement)
