"""Recurrent networks through the Verilated array: states, clocks of an element, and size."""

from dataclasses import asdict

from sklearn.ensemble import GradientBoostingClassifier

import boards
from gen.build.design import design_for
from gen.data.datasets import load
from gen.ir import shipped
from gen.ir.logits import accuracy
from gen.plan.workload import Workload
from gen.verify.simulation import test_set

from . import keys
from .benchmark import Benchmark
from .common import synthesised
from .streamed import SOURCES, streamed

_VERIFIED = 20
"""Sequences of which every spike is compared."""

CASES = [{"network": network, "board": "arty-a7"}
         for network in ("digits-rows-rnn", "mnist-rows-rnn", "platooning-rnn")]

_TABLES = ("platooning",)
"""Data sets of measurements, which other methods are good at, too."""


def measure(case):
    """Of the whole test set ``accuracy`` and clocks of a sequence, back to back and alone;
    ``lanes_adding`` the share of the clocks in which those of the slowest layer add; what Yosys
    makes of the design; and for measurements ``boosted``, the accuracy of scikit-learn's gradient
    boosting on the same split."""
    network, board = shipped.find(case["network"]), boards.find(case["board"])
    sequences, labels = test_set(network)
    design = design_for(network, board)
    counts, run, logits, compared = streamed(case, design, sequences, verified=_VERIFIED)
    config = design.config
    workload, alone = (Workload(network, counts[which]) for which in (run.paced, run.alone))
    lanes = {core.name: core.lanes for core in config.cores}
    return {
        "sequences": len(sequences), "elements": config.input.height,
        "weights": network.weight_count,
        "accuracy": accuracy(logits, labels),
        **compared,
        "interval_cycles": run.interval, "predicted_interval_cycles": workload.interval(config),
        "latency_cycles": float(run.latency.mean()),
        "predicted_latency_cycles": alone.latency(config),
        "element_cycles": run.interval / config.input.height,
        "elements_per_second": board.clock_hz / run.interval * config.input.height,
        "lanes_adding": run.busy.get(workload.bottleneck(config)),
        "boosted": _boosted(network.metadata["dataset"]),
    } | asdict(synthesised(network, board.name, lanes=lanes))


def _boosted(dataset):
    if dataset not in _TABLES:
        return None
    data = load(dataset)
    (x, test_x) = (images.reshape(len(images), -1)
                   for images in (data.train_images, data.test_images))
    model = GradientBoostingClassifier(random_state=0).fit(x, data.train_labels)
    return float(model.score(test_x, data.test_labels))


BENCHMARK = Benchmark("sequences", CASES, measure, (*keys.SIMULATE, *SOURCES),
                      lambda case: ("yosys",))
