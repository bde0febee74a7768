"""What writable memories and a self-test cost, and how long a load and a check of them take."""

from dataclasses import asdict

import boards
from gen.build.planning import design_for
from gen.ir import shipped
from hw.contents import shapes
from hw.registers import MAX_WORDS
from hw.scrub import pass_clocks

from . import keys
from .benchmark import Benchmark
from .common import synthesised
from .markdown import number, table

CASES = [{"network": network, "board": "arty-a7", **options}
         for network in ("digits", "digits-mlp")
         for options in ({}, {"reloadable": True}, {"selftests": 1},
                         {"reloadable": True, "selftests": 1})]

_BAUD = 1_000_000

# Bits on the wire for a byte, and bytes of a frame and of its answer besides the words: header,
# CRC and two ENDs.
_BYTE, _FRAME = 10, 15


def measure(case):
    """What Yosys makes of the design; where memories may be loaded, ``words`` of them, the frames
    and the ``seconds`` of a load at 1 Mbaud, a frame at a time, and the ``pass_clocks`` of a check
    of all."""
    network, asked = shipped.find(case["network"]), {
        name: case[name] for name in ("reloadable", "selftests") if name in case}
    result = asdict(synthesised(network, case["board"], **asked))
    if "reloadable" in case:
        config = design_for(network, boards.find(case["board"]), **asked).config
        sizes = [*(shape.words for shape in shapes(config)), len(shapes(config))]
        frames = sum(-(-size // (MAX_WORDS - 2)) for size in sizes)
        octets = 4 * (sum(sizes) + 2 * frames) + 2 * _FRAME * frames
        result |= {"words": sum(sizes), "frames": frames, "seconds": octets * _BYTE / _BAUD,
                   "pass_clocks": pass_clocks(config)}
    return result


BENCHMARK = Benchmark("contents", CASES, measure,
                      (*keys.BUILD, "bench/common.py", "bench/markdown.py"),
                      lambda case: ("yosys",))


def cost(measured):
    """Of docs/link.md: memories that may be loaded, and tests of a device by itself."""
    def options(row):
        return " ".join(f"`--{name}`" for name, option in (
            ("reloadable", "reloadable"), ("selftest", "selftests")) if option in row)

    return table([
        ("network", lambda row: f"`{row['network']}`"),
        ("built with", options),
        ("LUTs", lambda row: number(row["luts"])),
        ("flip-flops", lambda row: number(row["ffs"])),
        ("block RAMs", lambda row: f"{row['brams']:g}"),
        ("DSPs, latches", lambda row: f"{row['dsps']}, {row['latches']}"),
        ("words to load", lambda row: number(row["words"]) if "words" in row else ""),
        ("seconds", lambda row: f"{row['seconds']:.2f}" if "seconds" in row else ""),
        ("clocks of a check", lambda row: number(row["pass_clocks"])
         if "pass_clocks" in row else ""),
    ], BENCHMARK.rows(measured), left=2)
