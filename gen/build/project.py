"""The project that a vendor's tools take: the top level with its pins, constraints and scripts.

``top.v`` is the design that the virtual board runs; ``board.v`` connects the same module to
pins and clock. The files depend on nothing but the design, the board and its clock.
"""

from pathlib import Path

from amaranth.build import Platform, Subsignal
from amaranth.hdl import Elaboratable, Instance, Module, Signal
from amaranth.lib import io

from boards import Board
from gen.system.files import write_text

from . import clocking, startup, synthesis
from .clocking import Clock
from .flows import FLOWS, TOP
from .toolchain import builtin_yosys

__all__ = ["SOURCES", "TOP", "BoardTop", "project_files", "write"]

SOURCES = ("top.v", f"{TOP}.v")
"""Verilog files that make up a design."""


class BoardTop(Elaboratable):
    """The design's ``top`` module on a board's serial port, clock and reset.

    This class makes clock and reset, because those of Amaranth have cells that the open tools do
    not know. The reset lasts from configuration until the clock is stable and the device's own
    delay has passed. It also lasts as long as the board's reset button is pressed.

    Parameters
    ----------
    board : where the design is to run
    clock : of the fabric
    tests : whether the device tests itself, and has a port ``passed``
    """

    def __init__(self, board: Board, clock: Clock, tests: bool = False) -> None:
        self._board, self._clock, self._tests = board, clock, tests

    def elaborate(self, platform: Platform) -> Module:
        """The design behind the pins of ``platform``, with its clock and reset."""
        m = Module()
        uart = self._uart(platform)
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        oscillator, clk, locked = clocking.generate(m, platform, self._clock)
        again = ~locked
        if platform.default_rst is not None:
            pressed = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
            m.submodules.pressed = pressed
            again = again | pressed.i
        clk, rst = startup.start(m, self._board.family, oscillator=oscillator, clk=clk,
                                 again=again, hz=self._clock.hz)
        ports = {}
        if self._tests:
            passed = Signal()
            ports["o_passed"] = passed
            self._show(m, platform, passed)
        m.submodules.top = Instance("top",
            i_clk=clk,
            i_rst=rst,
            i_rx=rx.i,
            o_tx=tx.o,
            **ports,
        )
        return m

    def _show(self, m, platform, passed):
        """Light the board's first LED, if it has one."""
        if ("led", 0) in platform.resources:
            m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
            m.d.comb += led.o.eq(passed)

    def _uart(self, platform):
        """The serial port. Lines other than ``rx`` and ``tx`` are left alone."""
        link = self._board.link
        lines = [part.name for part in platform.lookup(link).ios if isinstance(part, Subsignal)]
        return platform.request(link, 0, dir=dict.fromkeys(lines, "-"))


def project_files(board: Board, verilog: str, clock: Clock, *, tests: bool = False
                  ) -> dict[str, str]:
    """All files of a project, by name.

    Parameters
    ----------
    board : where the design is to run
    verilog : the design, as a module ``top`` with ports ``clk``, ``rst``, ``rx`` and ``tx``
    clock : of the fabric
    tests : whether the device tests itself, and has a port ``passed``, too
    """
    platform = board.platform()
    platform.add_file("top.v", verilog)
    with builtin_yosys():
        plan = platform.build(BoardTop(board, clock, tests), TOP, do_build=False, emit_src=False)
    files = {name: plan.files[name] for name in SOURCES}
    files[synthesis.SCRIPT] = synthesis.script(SOURCES, top=TOP, command=board.synth)
    for toolchain in board.toolchains:
        files |= FLOWS[toolchain].files(board, platform, plan.files, clock.hz)
    return {name: text if isinstance(text, str) else text.decode()
            for name, text in files.items()}


def write(files: dict[str, str], out: Path) -> None:
    """Write the files of a project; scripts become executable."""
    for name, text in files.items():
        write_text(out / name, text, executable=name.endswith(".sh"))
