"""The project that a vendor's tools take: the top level with its pins, constraints, scripts.

``top.v`` is the design as the virtual board runs it; ``board.v`` connects the very same module to
pins and clock. The files depend on nothing but the design, the board and its clock.
"""

from pathlib import Path

from amaranth.build import Subsignal
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from boards import Board

from . import clocking, synth
from .clocking import Clock
from .flows import FLOWS, TOP
from .toolchain import builtin_yosys

__all__ = ["SOURCES", "TOP", "BoardTop", "project_files", "write"]

SOURCES = ("top.v", f"{TOP}.v")
"""Verilog files that make up a design."""


class BoardTop(Elaboratable):
    """The design's ``top`` module on a board's serial port, clock and reset.

    The clock domain is made here, of flip-flops and at most a PLL, because those that Amaranth
    makes have cells that the open tools do not know. The reset lasts from configuration until the
    clock is stable and what the device needs has passed, and as long as the board's reset button is
    pressed.

    Parameters
    ----------
    board : where the design is to run
    clock : what clocks it
    """

    def __init__(self, board: Board, clock: Clock):
        self._board, self._clock = board, clock

    def elaborate(self, platform):
        m = Module()
        uart = self._uart(platform)
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        clk, locked = clocking.generate(m, platform, self._clock)
        reset = ~locked
        if platform.default_rst is not None:
            m.submodules.rst = rst = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
            reset = reset | rst.i

        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(clk)
        m.d.comb += ResetSignal().eq(self._hold(m, clk, reset))
        m.submodules.top = Instance("top",
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_rx=rx.i,
            o_tx=tx.o,
        )
        return m

    def _uart(self, platform):
        """The serial port; where it has more than two lines, the others are left alone."""
        link = self._board.link
        lines = [part.name for part in platform.lookup(link).ios if isinstance(part, Subsignal)]
        return platform.request(link, 0, dir=dict.fromkeys(lines, "-"))

    def _hold(self, m, clk, reset):
        """The reset, in step with the clock and stretched."""
        m.domains.start = start = ClockDomain(local=True)
        m.d.comb += start.clk.eq(clk)
        m.submodules.reset = ResetSynchronizer(reset, domain="start")
        clocks = self._board.family.reset_us * self._clock.hz // 1_000_000
        if not clocks:
            return start.rst
        left = Signal(range(clocks + 1), init=clocks)
        holding = Signal(init=1)
        m.d.start += holding.eq(left != 0)
        with m.If(left != 0):
            m.d.start += left.eq(left - 1)
        return holding


def project_files(board: Board, verilog: str, clock: Clock) -> dict[str, str]:
    """All files of a project, by name.

    Parameters
    ----------
    board : where the design is to run
    verilog : the design, as a module ``top`` with ports ``clk``, ``rst``, ``rx`` and ``tx``
    clock : what clocks it
    """
    platform = board.platform()
    platform.add_file("top.v", verilog)
    with builtin_yosys():
        plan = platform.build(BoardTop(board, clock), TOP, do_build=False, emit_src=False)
    files = {name: plan.files[name] for name in SOURCES}
    files[synth.SCRIPT] = synth.script(SOURCES, top=TOP, command=board.synth)
    for toolchain in board.toolchains:
        files |= FLOWS[toolchain].files(board, platform, plan.files, clock.hz)
    return {name: text if isinstance(text, str) else text.decode()
            for name, text in files.items()}


def write(files: dict[str, str], out: Path):
    """Write the files of a project, scripts executable."""
    for name, text in files.items():
        (out / name).write_text(text)
        if name.endswith(".sh"):
            (out / name).chmod(0o755)
