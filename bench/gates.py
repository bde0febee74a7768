"""Netlists and bitstreams against the network in integers, from pin to pin."""

import boards
from gen.ir import shipped
from gen.verify.gate_level import verify_bitstream, verify_netlist

from . import keys
from .benchmark import Benchmark
from .common import board_tools, require_exact

IMAGES = 3

CASES = [
    *({"network": "digits", "board": board, "level": "netlist"}
      for board in ("arty-a7", "ulx3s-85f", "ice40-hx8k", "tang-nano-9k")),
    {"network": "digits", "board": "ice40-hx8k", "level": "bitstream"},
]


def tools(case):
    if case["level"] == "netlist":
        return ("yosys",)
    return (*board_tools(case), "iceunpack", "icebox_vlog")


def measure(case):
    """``values``: how many were compared."""
    verify = {"netlist": verify_netlist, "bitstream": verify_bitstream}[case["level"]]
    found = verify(shipped.find(case["network"]), board=case["board"], images=IMAGES)
    require_exact(case, found)
    return {"family": boards.find(case["board"]).family.name, "images": found["images"],
            "values": found["spikes"], "mismatches": found["mismatches"],
            "clocks": found["clocks"]}


BENCHMARK = Benchmark("gates", CASES, measure, keys.VERIFY, tools)
