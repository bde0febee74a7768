"""Whole test sets through the Verilated array: accuracy, clocks, and what Yosys makes of it.

The simulation is one process, so that the latency, which is that of the first images of each
process, is the same on every machine. CIFAR-10 takes hours.
"""

from dataclasses import asdict

import boards
from gen.build.planning import design_for
from gen.ir import shipped
from gen.plan.figures import fit
from gen.verify.simulation import simulate, test_set

from . import keys
from .benchmark import Benchmark
from .common import predicted, require_exact, synthesised

CASES = [
    {"network": "digits", "board": "arty-a7"},
    {"network": "digits-mlp", "board": "arty-a7"},
    {"network": "fashion-mnist", "board": "arty-a7", "interval": 5000},
    {"network": "mnist", "board": "arty-a7", "interval": 3500},
    {"network": "mnist-mlp", "board": "arty-a7"},
    {"network": "mnist-mlp-128", "board": "arty-a7", "interval": 350},
    {"network": "mnist-mlp-128", "board": "arty-a7", "interval": 100},
    {"network": "cifar-10", "board": "arty-a7-100", "interval": 20000},
]


def measure(case):
    """Clocks are those of an image: ``interval_cycles`` back to back, ``latency_cycles`` alone;
    ``utilisation_*`` are shares of the clocks in which lanes add."""
    network, board = shipped.find(case["network"]), boards.find(case["board"])
    asked = {"interval": case["interval"]} if "interval" in case else {}
    run = simulate(design_for(network, board, **asked), *test_set(network), jobs=1)
    require_exact(case, run)
    planned = fit(network, board=board.name, **asked)
    interval, clock = run["interval_cycles"], planned["clock_hz"]
    return {
        "dataset": network.metadata["dataset"], "device": board.device, "clock_hz": clock,
        "images": run["images"], "accuracy": run["accuracy"], "mismatches": run["mismatches"],
        "interval_cycles": interval, "predicted_interval_cycles": planned["interval_cycles"],
        "images_per_second": clock / interval,
        "latency_cycles": run["cycles_mean"], "latency_us": run["cycles_mean"] / clock * 1e6,
        "bottleneck": run["bottleneck"],
        # A pooling, or the input, has no lanes.
        "utilisation_bottleneck": run["lane_utilisation"].get(
            run["bottleneck"], max(run["lane_utilisation"].values())),
        "utilisation_array": run["array_utilisation"],
        **asdict(synthesised(network, board.name, **asked)), **predicted(planned),
    }


BENCHMARK = Benchmark("figures", CASES, measure, keys.SIMULATE, lambda case: ("yosys",))
