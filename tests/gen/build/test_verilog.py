import re

import pytest
from amaranth import *
from amaranth.back import verilog
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from gen.build.verilog import component_verilog
from gen.errors import BuildError

SHAPES = {
    "bits": unsigned(1), "words": unsigned(32), "wide": unsigned(130), "signed": signed(7),
    "struct": data.StructLayout({"a": 3, "b": signed(4)}),
}


def contents(shape, depth):
    if isinstance(shape, data.StructLayout):
        return [{"a": k % 8, "b": k % 16 - 8} for k in range(depth)]
    low = -(1 << shape.width - 1) if shape.signed else 0
    return [low + (k * 0x123456789ABCDEF01 >> 3) % (1 << shape.width) for k in range(depth)]


class Component(wiring.Component):
    """A memory with every kind of port, and another of the same name in another module."""

    def __init__(self, shape, depth, rows):
        self._shape, self._depth, self._rows = shape, depth, rows
        super().__init__({
            "address": In(range(depth)), "write": In(Shape.cast(shape).width), "en": In(1),
            "old": Out(Shape.cast(shape).width), "new": Out(Shape.cast(shape).width),
            "now": Out(Shape.cast(shape).width),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        for module, name, read in ((m, "rows", self.old), (inner, "old", self.new)):
            even = Signal()
            module.d.sync += even.eq(~even)
            module.submodules[name] = mem = memory.Memory(
                shape=self._shape, depth=self._depth, init=contents(self._shape, self._rows),
                attrs={"ram_style": "block"})
            w = mem.write_port()
            r = mem.read_port(transparent_for=(w,) if module is inner else ())
            m.d.comb += [w.addr.eq(self.address), Value.cast(w.data).eq(self.write),
                         w.en.eq(self.en), r.addr.eq(self.address), r.en.eq(even),
                         read.eq(Value.cast(r.data))]
        rom = memory.Memory(shape=self._shape, depth=self._depth,
                            init=contents(self._shape, self._rows))
        m.submodules.rom = rom
        port = rom.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.address), self.now.eq(Value.cast(port.data))]
        return m


def parts(text):
    """The rows of all memories, in the order of the text, and the other lines, in any order."""
    row = re.compile(r"    (\S+) ?\[(\d+)\] = \d+'(h|d)([0-9a-f]+);\n")
    rows = [(name, int(index), int(digits, 16 if base == "h" else 10))
            for name, index, base, digits in row.findall(text)]
    rest = re.sub(r"(  initial begin\n  end\n)+", "", row.sub("", text))
    return rows, sorted(rest.splitlines())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth,rows", [(2, 1), (64, 64), (65, 65), (200, 150)])
def test_memories_are_those_of_amaranth(shape, depth, rows, monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")
    theirs = verilog.convert(Component(SHAPES[shape], depth, rows), name="dut",
                             strip_internal_attrs=True, emit_src=False)
    assert parts(component_verilog(Component(SHAPES[shape], depth, rows), "dut")) == parts(theirs)


def test_parts_of_a_word_are_written():
    class Granular(wiring.Component):
        en: In(2)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.mem = mem = memory.Memory(shape=8, depth=4, init=[1, 2, 3, 4])
            w, r = mem.write_port(granularity=4), mem.read_port()
            m.d.comb += [w.en.eq(self.en), w.data.eq(0x35), self.o.eq(r.data)]
            return m

    text = component_verilog(Granular(), "dut")
    theirs = verilog.convert(Granular(), name="dut", strip_internal_attrs=True, emit_src=False)
    assert parts(text) == parts(theirs)


def test_rows_come_in_blocks_that_yosys_reads_quickly():
    text = component_verilog(Component(unsigned(8), 1000, 1000), "dut")
    blocks = re.findall(r"  initial begin\n((?:    .*\n)*)  end\n", text)
    assert len(blocks) == 3 * 16
    assert max(block.count("\n") for block in blocks) == 64


def test_what_yosys_refuses_is_one_line():
    with pytest.raises(BuildError, match=r"^Amaranth's Yosys can't print the design: ERROR: .*$"):
        component_verilog(Component(unsigned(8), 4, 4), "two words")
