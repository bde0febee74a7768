"""Clocks as predicted from test images, and as simulated with the same."""

import boards
from gen.build.planning import design_for
from gen.ir import shipped
from gen.plan.workload import Workload
from gen.verify.simulation import simulate, test_set

from . import keys
from .benchmark import Benchmark
from .common import require_exact

CASES = [
    {"network": "digits", "asked": "default", "images": 355},
    {"network": "digits", "asked": "--interval 100", "images": 350},
    {"network": "mnist", "asked": "--interval 3500", "images": 1000},
    {"network": "mnist", "asked": "--objective throughput", "images": 400},
    {"network": "mnist-mlp-128", "asked": "--interval 400", "images": 1000},
    {"network": "mnist-mlp-128", "asked": "--interval 100", "images": 1000},
]

BOARD = "arty-a7"


def options(asked):
    """Arguments of :func:`gen.plan.planner.plan` from those of the command line."""
    if asked == "default":
        return {}
    option, value = asked.removeprefix("--").split()
    return {option: int(value) if value.isdecimal() else value}


def measure(case):
    """``slowest``: clocks of the slowest layer; ``kept``: whether the interval that was asked for
    is to be had."""
    network, asked = shipped.find(case["network"]), options(case["asked"])
    design = design_for(network, boards.find(BOARD), **asked)
    images, labels = test_set(network, limit=case["images"])
    workload = Workload(network, network.encode(images))
    run = simulate(design, images, labels, jobs=1)
    require_exact(case, run)
    return {
        "slowest": max(workload.all_clocks(design.config).values()),
        "kept": "interval" not in asked or round(design.interval) <= asked["interval"],
        "interval_predicted": run["interval_cycles_predicted"], "interval": run["interval_cycles"],
        "latency_predicted": run["cycles_mean_predicted"], "latency": run["cycles_mean"],
    }


BENCHMARK = Benchmark("clocks", CASES, measure, keys.SIMULATE)
