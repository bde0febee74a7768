"""The published methods in time-steps, through the Verilated array: accuracy, clocks and size.

A network was trained as the authors of its method do, or fires by the method as
:func:`gen.convert.methods.stepped` makes it. Every logit of its test images is compared with the
integers, and every spike of every time-step of a few images.
"""

from dataclasses import asdict

import boards
from gen.build.design import design_for
from gen.convert.methods import stepped
from gen.ir import shipped
from gen.verify.rtl import verify
from gen.verify.simulation import simulate, test_set

from . import keys
from .benchmark import Benchmark
from .common import require_exact, synthesised

_VERIFIED = 20
"""Images of which every spike is compared."""

_METHODS = (
    {"method": "qcfs", "timesteps": 4}, {"method": "qcfs", "timesteps": 8},
    {"method": "threshold-balance"}, {"method": "casc"}, {"method": "st-bif"}, {"method": "group"},
    {"method": "burst", "burst": 3}, {"method": "one-spike"}, {"method": "srp"})

CASES = [
    *({"network": "digits", "board": "arty-a7", **method} for method in _METHODS),
    {"network": "mnist-qcfs", "board": "arty-a7"},
    *({"network": "mnist", "board": "arty-a7", **method}
      for method in _METHODS if method["method"] in ("group", "burst")),
]


def _networks(case):
    """The network with time-steps, and without them if there is one."""
    found = shipped.find(case["network"])
    if found.dynamics is not None:
        return found, None
    return stepped(found, case["method"], timesteps=case.get("timesteps"),
                   burst=case.get("burst")), found


def measure(case):
    """``accuracy`` after all time-steps, ``quantised`` that of the network without time-steps, and
    ``images_as_quantised``, those whose logits are the same in both; clocks of an image back to
    back; ``lanes_adding`` the share of the clocks in which those of the slowest layer add; what
    Yosys makes of the design, and ``settled_luts``: those of the same lanes without time-steps, if
    there is such a network."""
    (network, settled), board = _networks(case), boards.find(case["board"])
    images, labels = test_set(network)
    design = design_for(network, board)
    run, spikes = simulate(design, images, labels, jobs=1), verify(design, images[:_VERIFIED])
    for result in (run, spikes):
        require_exact(case, result)
    counts = network.encode(images)
    found = network.run(counts)
    wanted = settled.run(counts) if settled else network.quantised(counts)
    lanes = {core.name: core.lanes for core in design.config.cores}
    return {
        "fires": case.get("method") or network.metadata["method"],
        "time_steps": network.timesteps, "images": len(images), "accuracy": run["accuracy"],
        "quantised": float((wanted.predictions == labels).mean()),
        "images_as_quantised": int((found.logits == wanted.logits).all(axis=1).sum()),
        "mismatches": run["mismatches"], "spikes_compared": spikes["spikes"],
        "interval_cycles": run["interval_cycles"],
        "predicted_interval_cycles": run["interval_cycles_predicted"],
        "lanes_adding": run["lane_utilisation"].get(run["bottleneck"]),
        **asdict(synthesised(network, board.name, lanes=lanes)),
        "settled_luts": settled and synthesised(settled, board.name, lanes=lanes).luts,
    }


BENCHMARK = Benchmark("methods", CASES, measure, (*keys.SIMULATE, "gen/convert/*.py"),
                      lambda case: ("yosys",))
