"""The project that a vendor's tools take: the top level with its pins, constraints and scripts.

``top.v`` is the design that the virtual board runs; ``board.v`` connects the same module to
pins and clock. The files depend on nothing but the design, the board and its clock.
"""

from pathlib import Path

from amaranth.build import Platform, Subsignal
from amaranth.hdl import ClockDomain, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io, wiring

from boards import Board
from boards.pcie import INPUTS, OUTPUTS
from gen.system.files import write_text
from hw.pcie.series7 import Series7

from . import clocking, startup, synthesis
from .clocking import Clock
from .flows import FLOWS, TOP
from .toolchain import builtin_yosys

__all__ = ["SOURCES", "TOP", "BoardTop", "PcieTop", "project_files", "write"]

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
            _show(m, platform, passed)
        m.submodules.top = Instance("top",
            i_clk=clk,
            i_rst=rst,
            i_rx=rx.i,
            o_tx=tx.o,
            **ports,
        )
        return m

    def _uart(self, platform):
        """The serial port. Lines other than ``rx`` and ``tx`` are left alone."""
        link = self._board.link
        lines = [part.name for part in platform.lookup(link).ios if isinstance(part, Subsignal)]
        return platform.request(link, 0, dir=dict.fromkeys(lines, "-"))


def _show(m, platform, passed):
    """Light the board's first LED, if it has one."""
    if ("led", 0) in platform.resources:
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.comb += led.o.eq(passed)


class PcieTop(Elaboratable):
    """The design's ``top`` module behind the core that serves a PCI Express connector.

    The core makes clock and reset from those of the host: the design is reset whenever the link
    goes down, and the clock does not start before the host's.

    Parameters
    ----------
    board : where the design is to run, with its connector as the link
    tests : whether the device tests itself, and has a port ``passed``
    """

    def __init__(self, board: Board, tests: bool = False) -> None:
        assert board.connector is not None
        self._connector, self._tests = board.connector, tests

    def elaborate(self, platform: Platform) -> Module:
        """The design behind the core, and the core on the pins of ``platform``."""
        m = Module()
        inputs = {name: Signal(bits, name=name) for name, bits in INPUTS.items()}
        outputs = {name: Signal(bits, name=name) for name, bits in OUTPUTS.items()}
        m.domains.core = core = ClockDomain(reset_less=True)
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [core.clk.eq(outputs["user_clk_out"]), domain.clk.eq(core.clk)]
        reset = Signal(init=1)
        m.d.core += reset.eq(outputs["user_reset_out"] | ~outputs["user_lnk_up"])
        m.d.comb += domain.rst.eq(reset)
        m.submodules.adapter = adapter = Series7()
        for name, (flow, port) in self._ports(adapter).items():
            if flow is wiring.In:
                m.d.comb += port.eq(outputs[name])
            else:
                m.d.comb += inputs[name].eq(port)
        m.d.comb += inputs["tx_cfg_gnt"].eq(1)
        ports = self._link(adapter.link)
        if self._tests:
            ports["o_passed"] = passed = Signal()
            _show(m, platform, passed)
        m.submodules.top = Instance("top", i_clk=domain.clk, i_rst=domain.rst, **ports)
        pins = self._pins(m, platform, inputs)
        m.submodules.core = Instance(
            self._connector.core,
            **{f"i_{name}": port for name, port in inputs.items() if name not in pins},
            **{f"o_{name}": port for name, port in outputs.items() if name not in pins}, **{
                f"{'i' if name in INPUTS else 'o'}_{name}": pin for name, pin in pins.items()})
        return m

    @staticmethod
    def _ports(adapter):
        """The ports of the adapter that the core has, with their directions."""
        return {name: (member.flow, getattr(adapter, name))
                for name, member in adapter.signature.members.items() if name != "link"}

    @staticmethod
    def _link(link):
        """Connections of the design's ``link``, which is flattened in Verilog."""
        return {f"{'i' if member.flow is wiring.In else 'o'}_link__{'__'.join(path)}": value
                for path, member, value in link.signature.flip().flatten(link)}

    def _pins(self, m, platform, inputs):
        """The connector's lines; the clock has a buffer of its own beside the transceiver."""
        connector = self._connector
        lines = ["rx", "tx", "clk", "rst", *["clkreq"] * connector.clkreq]
        port = platform.request(connector.resource, 0, dir=dict.fromkeys(lines, "-"))
        m.submodules.reset = reset = io.Buffer("i", port.rst)
        m.d.comb += inputs["sys_rst_n"].eq(~reset.i)
        if connector.clkreq:
            m.submodules.clkreq = clkreq = io.Buffer("o", port.clkreq)
            m.d.comb += clkreq.o.eq(1)
        m.submodules.refclk = Instance("IBUFDS_GTE2", i_I=port.clk.p, i_IB=port.clk.n,
                                       i_CEB=Const(0), o_O=inputs["sys_clk"])
        return {"pci_exp_rxp": port.rx.p, "pci_exp_rxn": port.rx.n,
                "pci_exp_txp": port.tx.p, "pci_exp_txn": port.tx.n}


def project_files(board: Board, verilog: str, clock: Clock, *, tests: bool = False
                  ) -> dict[str, str]:
    """All files of a project, by name.

    Parameters
    ----------
    board : where the design is to run
    verilog : the design, as a module ``top`` with ports ``clk``, ``rst``, and ``rx`` and ``tx`` or
        those of a ``link`` (:data:`hw.pcie.endpoint.LINK`)
    clock : of the fabric
    tests : whether the device tests itself, and has a port ``passed``, too
    """
    platform = board.platform()
    platform.add_file("top.v", verilog)
    top = PcieTop(board, tests) if board.connector else BoardTop(board, clock, tests)
    hooks = {"script_after_read": board.connector.script(clock.hz)} if board.connector else {}
    with builtin_yosys():
        plan = platform.build(top, TOP, do_build=False, emit_src=False, **hooks)
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
