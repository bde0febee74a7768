"""Netlists and bitstreams against the network in integers, from pin to pin."""

import boards
from gen.ir import shipped
from gen.verify import gate_level
from gen.verify.rtl import choose_images
from tests import networks

from . import keys
from .benchmark import Benchmark
from .common import board_tools, require_exact

IMAGES = 3

_MADE_IMAGES = 6

LEVELS = {
    "netlist": (gate_level.make_netlist, gate_level.verify_netlist),
    "bitstream": (gate_level.make_bitstream, gate_level.verify_bitstream),
}
"""Level -> how a build is made of a network, and how it is verified."""

CASES = [
    *({"network": "digits", "board": board, "level": "netlist"}
      for board in ("arty-a7", "ulx3s-85f", "ice40-hx8k", "tang-nano-9k")),
    *({"made": "settling", "board": board, "level": "netlist"}
      for board in ("arty-a7", "ulx3s-85f", "ice40-hx8k")),
    {"network": "digits", "board": "ice40-hx8k", "level": "bitstream"},
    *({"network": "digits-rows-rnn", "board": board, "level": "netlist"}
      for board in ("arty-a7", "ulx3s-85f")),
]
"""A network that is made is :func:`tests.networks.settling`: its neurons fire in each time-step,
and take spikes back."""


def tools(case):
    if case["level"] == "netlist":
        return ("yosys",)
    return (*board_tools(case), "iceunpack", "icebox_vlog")


def _made():
    """The network, and images of which some end before all layers are quiet."""
    network = networks.settling()
    return network, networks.counts_for(network, _MADE_IMAGES)


def _shipped(name):
    network = shipped.find(name)
    images, _ = choose_images(network, IMAGES, seed=0, dataset=None, data_dir=None,
                              images_file=None)
    return network, images


def measure(case):
    """``values``: how many were compared."""
    make, verify = LEVELS[case["level"]]
    network, images = _made() if "made" in case else _shipped(case["network"])
    found = verify(make(network, board=case["board"]), images)
    require_exact({"network": network.name} | case, found)
    return {"family": boards.find(case["board"]).family.name, "images": found["images"],
            "values": found["spikes"], "mismatches": found["mismatches"],
            "clocks": found["clocks"]}


BENCHMARK = Benchmark("gates", CASES, measure, (*keys.VERIFY, "tests/networks.py"),
                      tools)
