"""A network on every board whose tools come from PyPI, from nothing to the bitstream."""

import json
import time
from dataclasses import asdict

import boards
from gen.build.builder import build
from gen.ir import shipped
from gen.plan.figures import fit
from gen.system import processes
from tests.nextpnr import filled

from . import keys
from .benchmark import Benchmark
from .common import board_tools, predicted

CASES = [
    {"network": "digits", "board": "ulx3s-85f"},
    {"network": "digits", "board": "ecpix5-85"},
    {"network": "digits", "board": "orangecrab-85f"},
    {"network": "digits-mlp", "board": "icebreaker"},
    {"network": "digits", "board": "ice40-hx8k"},
    {"network": "digits", "board": "tang-nano-9k"},
    {"network": "digits", "board": "tang-primer-20k"},
    {"network": "mnist-mlp", "board": "tang-primer-20k"},
    {"network": "digits-rows-rnn", "board": "ulx3s-85f"},
]

def measure(case):
    """``cells`` are counted in the netlist, ``filled`` are those that nextpnr fills."""
    network, board = shipped.find(case["network"]), boards.find(case["board"])
    with processes.scratch() as out:
        began = time.monotonic()
        built = build(network, board=board.name, out=out)
        seconds = time.monotonic() - began
        used = json.loads((out / "timing.json").read_text(encoding="utf-8"))["used"]
    return {
        **{what: built[what] for what in ("luts", "ffs", "cells", "brams", "clock_hz", "fmax_hz",
                                          "interval_cycles")},
        **predicted(fit(network, board=board.name)), "filled": filled(board.family.name, used),
        "budget": asdict(board.budget), "seconds": round(seconds),
    }


BENCHMARK = Benchmark("bitstreams", CASES, measure, (*keys.BUILD, "tests/nextpnr.py"),
                      board_tools)
