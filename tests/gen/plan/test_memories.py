"""Block RAMs are exact: Yosys' own pass takes as many as are predicted."""

import json
import re
import subprocess
from collections import Counter
from dataclasses import replace

import pytest
from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from gen.build.toolchain import yosys
from gen.build.verilog import component_verilog
from gen.ir.shipped import find
from gen.plan.mapping import map_network
from gen.plan.memories import Memory, Placement, blocks, luts, place
from gen.plan.resources import parts, placement
from hw.top import Top
from tests.hw.cases import mapped

LIBRARIES = {
    "7-series": "-lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt -D HAS_SIZE_36 "
                "-D HAS_CASCADE -D HAS_CONFLICT_BUG -D HAS_MIXWIDTH_SDP",
    "ECP5": "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt",
    "iCE40": "-lib +/ice40/brams.txt -lib +/ice40/spram.txt -no-auto-huge",
    "Gowin": "-lib +/gowin/lutrams.txt -lib +/gowin/brams.txt",
}
SHAPES = [(1, 3), (4, 9), (7, 40), (10, 200), (16, 72), (16, 500), (28, 300), (28, 600),
          (36, 1100), (64, 72), (72, 513), (128, 144), (8, 3000), (18, 2049), (4, 9000),
          (3, 20000), (20, 1500), (33, 17), (100, 700)]


class Stored(wiring.Component):
    """A memory on ports."""

    def __init__(self, width, depth, rom):
        self._shape = width, depth, rom
        super().__init__({"r": In(range(depth)), "en": In(1), "q": Out(width),
                          "w": In(range(depth)), "we": In(1), "d": In(width)})

    def elaborate(self, platform):
        m = Module()
        width, depth, rom = self._shape
        rows = [hash((width, k, 7)) & (1 << width) - 1 for k in range(depth)]
        m.submodules.memory = stored = memory.Memory(
            shape=width, depth=depth, init=rows if rom else [], attrs={"ram_style": "block"})
        read = stored.read_port()
        m.d.comb += [read.addr.eq(self.r), read.en.eq(self.en), self.q.eq(read.data)]
        if not rom:
            write = stored.write_port()
            m.d.comb += [write.addr.eq(self.w), write.en.eq(self.we), write.data.eq(self.d)]
        return m


@pytest.mark.parametrize("family", LIBRARIES)
def test_blocks(family, tmp_path):
    modules, expected, found = [], {}, Counter()
    for width, depth in SHAPES:
        for rom in (False, True):
            name = f"m_{width}_{depth}_{int(rom)}"
            modules.append(rtlil.convert(Stored(width, depth, rom), name=name, emit_src=False))
            expected[name] = blocks(family, Memory(width, depth, rom))
    (tmp_path / "all.il").write_text("\n".join(modules))
    script = (f"read_rtlil all.il; proc; memory -nomap; memory_libmap {LIBRARIES[family]}; "
              "write_json all.json")
    subprocess.run([*yosys(), "-q", "-p", script], cwd=tmp_path, check=True)
    for name, module in json.loads((tmp_path / "all.json").read_text())["modules"].items():
        for cell in module["cells"].values():
            if re.search("BLOCKRAM|16KD|GOWIN_[SD]|RAM4K", cell["type"]):
                half = cell["parameters"].get("OPTION_MODE") == "HALF"
                found[name.split(".")[0]] += 0.5 if half else 1
    assert found == expected


def stored_in(verilog):
    """Shape and style of the memories of a Verilog text."""
    return Counter(
        (Memory(int(width or 0) + 1, int(depth) + 1, style == "logic"), style)
        for style, width, depth in re.findall(
            r'\(\* ram_style = "(\w+)" \*\)\s+reg (?:\[(\d+):0\] )?\S+\s*\[(\d+):0\]', verilog))


@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", ["residual", "pools", "grouped"])
def test_every_memory_of_a_design_is_known(name, code):
    net, _, _, config, image = mapped(name, code)
    replicas = {core.name: 2 for core in config.cores[:-1] if core.out.height > 1}
    config, image = map_network(net, lanes={core.name: core.lanes for core in config.cores},
                                replicas=replicas, code=code)
    check(config, image)


def test_every_memory_of_a_shipped_network_is_known():
    check(*map_network(find("digits")))


def check(config, image):
    expected = Counter()
    for part in parts(config):
        for stored in part.memories:
            expected[stored] += part.copies
    top = Top(config, image, digest="0" * 64, clock_hz=100_000_000, baud=1_000_000)
    nowhere = Placement("7-series", frozenset(), 0)
    assert stored_in(component_verilog(top, "top", nowhere)) == Counter({
        (stored, nowhere.style(stored)): count for stored, count in expected.items()})


def test_block_ram_goes_to_what_saves_most_for_it():
    large, small, tiny = Memory(32, 512, True), Memory(16, 300, False), Memory(8, 4, False)
    stored = Counter({large: 2, small: 1, tiny: 3})
    assert place("7-series", stored, 50) == Placement("7-series", frozenset({large, small}), 1.5)
    assert place("7-series", stored, 1.1).in_blocks == {large}
    assert place("7-series", stored, 0).in_blocks == set()
    assert place("7-series", stored, 50).style(small) == "block"
    assert place("7-series", stored, 50).style(tiny) == "distributed"
    assert place("iCE40", stored, 0).style(tiny) == "logic"
    assert place("iCE40", stored, 0).style(large) == "logic"


def test_more_memory_is_never_less():
    for family in LIBRARIES:
        for rom in (False, True):
            for block in (False, True):
                sizes = [luts(family, Memory(12, depth, rom), block=block)
                         for depth in (4, 16, 40, 200, 900)]
                assert sizes == sorted(sizes)


def test_fewer_block_rams_mean_more_luts():
    config, _ = map_network(find("digits"))
    taken = [placement(config, "ECP5", brams).brams for brams in (0, 2, 5, 1000)]
    assert taken == sorted(taken)
    assert taken[0] == 0
    assert taken[1] <= 2
    assert taken[2] <= 5


def test_the_placement_is_no_part_of_the_digest():
    config, _ = map_network(find("digits"))
    assert config.digest() == replace(config).digest()
