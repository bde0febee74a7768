"""The published methods in time-steps, through the Verilated array: accuracy and clocks.

Each network is the shipped one, as :func:`gen.convert.methods.stepped` makes it fire in every
time-step. Every logit of every image is compared with the integers, and every spike of every
time-step of a few images.
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

_IF = [{"method": "qcfs", "timesteps": 4}, {"method": "qcfs", "timesteps": 8},
       {"method": "threshold-balance"}]

_TAKE_BACK = [{"method": "casc"}, {"method": "st-bif"}]

_OTHERS = [{"method": "group"}, {"method": "burst", "burst": 3}, {"method": "one-spike"},
           {"method": "srp"}]

CASES = [{"network": network, "board": board, "interval": interval, "images": images, **method}
         for network, board, interval, images, methods in (
             ("mnist", "arty-a7", 8_000, 10_000, _IF + _OTHERS),
             ("mnist", "arty-a7-100", 20_000, 10_000, _TAKE_BACK),
             ("fashion-mnist", "arty-a7", 8_000, 1_000, _IF),
             ("fashion-mnist", "arty-a7-100", 20_000, 1_000, _TAKE_BACK),
             ("cifar-10", "arty-a7-100", 40_000, 1_000, _IF + _TAKE_BACK))
         for method in methods]

_COMPARED = "mnist"
"""The network whose size is compared with that of the same lanes without time-steps."""


def measure(case):
    """``accuracy`` after all time-steps, ``quantised`` that of the network without time-steps, and
    ``steps`` after each; ``exact`` whether all logits are those of the quantised network; clocks of
    an image back to back; ``lanes_adding`` the share of the clocks in which those of the slowest
    layer add; what Yosys makes of the design; and see :func:`_sizes`."""
    settled, board = shipped.find(case["network"]), boards.find(case["board"])
    network = stepped(settled, case["method"], timesteps=case.get("timesteps"),
                      burst=case.get("burst"))
    images, labels = test_set(settled, limit=case["images"])
    design = design_for(network, board, interval=case["interval"])
    run = simulate(design, images, labels, jobs=1)
    require_exact(case, run)
    spikes = verify(design, images[:_VERIFIED])
    require_exact(case, spikes)
    ann, steps, exact = 0, 0, 0
    for start in range(0, len(images), 200):
        counts, truth = settled.encode(images[start:start + 200]), labels[start:start + 200]
        trace, wanted = network.run(counts), settled.run(counts)
        ann = ann + (wanted.predictions == truth).sum()
        steps = steps + (trace.steps.argmax(axis=2) == truth).sum(axis=1)
        exact += int((trace.logits == wanted.logits).all(axis=1).sum())
    return {
        "time_steps": network.timesteps, "accuracy": run["accuracy"],
        "quantised": ann / len(images), "steps": (steps / len(images)).tolist(),
        "images_as_quantised": exact, "mismatches": run["mismatches"],
        "spikes_compared": spikes["spikes"],
        "interval_cycles": run["interval_cycles"],
        "predicted_interval_cycles": run["interval_cycles_predicted"],
        "bottleneck": run["bottleneck"],
        "lanes_adding": run["lane_utilisation"].get(run["bottleneck"]),
        **asdict(synthesised(network, board.name, interval=case["interval"])),
        **(_sizes(network, settled, board) if case["network"] == _COMPARED else {}),
    }


def _sizes(network, settled, board):
    """LUTs of both networks with the lanes that the one with time-steps gets by default."""
    lanes = {core.name: core.lanes for core in design_for(network, board).config.cores}
    return {name: synthesised(each, board.name, lanes=lanes).luts
            for name, each in (("stepping_luts", network), ("settled_luts", settled))}


BENCHMARK = Benchmark("methods", CASES, measure, (*keys.SIMULATE, "gen/convert/*.py"),
                      lambda case: ("yosys",))
