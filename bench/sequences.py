"""Recurrent networks through the Verilated array: states, clocks of an element, and size."""

from dataclasses import asdict

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

import boards
from gen.build.planning import design_for
from gen.data.datasets import load
from gen.ir import shipped
from gen.ir.layers import INPUT
from gen.ir.logits import accuracy
from gen.plan.workload import Workload
from gen.verify.simulation import test_set
from hw.maps import signed_digits

from . import keys
from .benchmark import Benchmark
from .common import synthesised
from .streamed import SOURCES, streamed

_VERIFIED = 20
"""Sequences of which every spike is compared."""

_DIGITS = 20
"""Signed digits of any count."""

_COUNTED = 1000
"""Sequences whose spikes are counted."""

_SHIPPED = ("digits-rows-rnn", "mnist-rows-rnn", "mnist-pixels-crnn", "mnist-permuted-crnn",
            "platooning-rnn")

_CHANGES = {"digits-rows-rnn": {"rnn1": ["rnn1", "input"]},
            "mnist-rows-rnn": {"rnn1": ["rnn1", "input"]},
            "platooning-rnn": {"rnn1": ["rnn1"], "rnn2": ["rnn2", "rnn1"]}}
"""Sources whose changes are fewer than their counts."""

CASES = [*({"network": network, "board": "arty-a7"} for network in _SHIPPED),
         {"network": "digits-rows-rnn", "board": "arty-a7", "interleaved": 4},
         {"network": "mnist-rows-rnn", "board": "arty-a7", "interleaved": 2},
         {"network": "mnist-rows-rnn", "board": "arty-a7", "interleaved": 1, "stream": 1},
         *({"network": network, "board": "arty-a7", "differential": changes}
           for network, changes in _CHANGES.items())]
"""Sequences one after the other, several side by side, block by block, and with changes."""

_TABLES = ("platooning",)
"""Data sets of measurements, which other methods are good at, too."""


def measure(case):
    """Of the whole test set ``accuracy`` and clocks of a sequence, back to back; ``latency_cycles``
    of a sample alone; ``lanes_adding`` the share of the clocks in which those of the slowest layer
    add; ``spikes`` (:func:`_spikes`); what Yosys makes of the design; and for measurements
    ``boosted``, the accuracy of scikit-learn's gradient boosting on the same split."""
    network, board = shipped.find(case["network"]), boards.find(case["board"])
    sequences, labels = test_set(network)
    asked = {option: case[option] for option in ("interleaved", "stream", "differential")
             if option in case}
    design = design_for(network, board, **asked)
    counts, run, logits, compared = streamed(case, design, sequences, verified=_VERIFIED)
    seen, config, _ = design.seen(sequences[:design.config.interleaved])
    workload, alone = (Workload(seen, counts[which]) for which in (run.paced, run.alone))
    elements, beside = network.input_shape[1], config.interleaved
    return {
        "sequences": len(sequences), "elements": elements, "weights": network.weight_count,
        "accuracy": accuracy(design.apart(logits, len(labels)), labels),
        **compared,
        "interval_cycles": run.interval / beside,
        "predicted_interval_cycles": workload.interval(config) / beside,
        "latency_cycles": float(run.latency.mean()),
        "predicted_latency_cycles": alone.latency(config),
        "element_cycles": run.interval / beside / elements,
        "elements_per_second": board.clock_hz / run.interval * beside * elements,
        "lanes_adding": run.busy.get(workload.bottleneck(config)),
        "spikes": _spikes(network, network.encode(sequences[:_COUNTED])),
        "boosted": _boosted(network.metadata["dataset"]),
    } | asdict(synthesised(network, board.name, **asked))


def _spikes(network, counts):
    """Each bundle of synapses: the layer, the source, spikes a sequence as which its counts are
    replayed, and as which what they change by from element to element would be."""
    maps = {INPUT: counts, **network.run(counts).counts}
    return [{"layer": layer.name, "source": synapses.source,
             "counts": _replayed(maps[synapses.source]),
             "changes": _replayed(signed_digits(
                 np.diff(maps[synapses.source].astype(np.int64), axis=2, prepend=0), _DIGITS))}
            for layer in network.layers for synapses in layer.synapses]


def _replayed(values):
    """Mean number of bits of a sequence's values."""
    return float(np.bitwise_count(values).sum() / len(values))


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
