"""The published methods in time-steps, through the Verilated array: accuracy, clocks and size.

A network was trained as the authors of its method do, or fires by the method as
:func:`gen.convert.methods.stepped` makes it. Every logit of its test images is compared with the
integers, and every spike of every time-step of a few images.
"""

from dataclasses import asdict

import boards
from gen.build.planning import design_for
from gen.convert.methods import stepped
from gen.ir import shipped
from gen.plan.workload import Workload
from gen.verify.simulation import test_set

from . import keys
from .benchmark import Benchmark
from .common import synthesised
from .streamed import SOURCES, streamed

_VERIFIED = 20
"""Images of which every spike is compared."""

_METHODS = (
    {"method": "threshold-balance"}, {"method": "casc"}, {"method": "st-bif"}, {"method": "group"},
    {"method": "burst", "burst": 3}, {"method": "one-spike"}, {"method": "srp"})
_QCFS = tuple({"method": "qcfs", "timesteps": timesteps} for timesteps in (4, 8))


def _fired(network, board, methods, **limit):
    return [{"network": network, "board": board, **method, **limit} for method in methods]


CASES = [
    *_fired("digits", "arty-a7", (*_QCFS, *_METHODS)),
    {"network": "mnist-qcfs", "board": "arty-a7"},
    {"network": "mnist-threshold-balance", "board": "arty-a7"},
    {"network": "mnist-casc", "board": "arty-a7", "limit": 1000},
    *_fired("mnist", "arty-a7", _METHODS[1:]),
    *_fired("mnist", "arty-a7", _QCFS, limit=1000),
    *_fired("fashion-mnist", "arty-a7", (_QCFS[0], *_METHODS), limit=1000),
    *_fired("cifar-10", "arty-a7-100", (_QCFS[0], *_METHODS), limit=1000),
]
"""A case with a limit takes so many images."""

_UNMADE = ("fashion-mnist", "cifar-10")
"""Networks of which Yosys makes nothing here: only the images are others, or it takes long."""


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
    images, labels = test_set(network, limit=case.get("limit"))
    design = design_for(network, board)
    counts, run, logits, compared = streamed(case, design, images, verified=_VERIFIED)
    config = design.config
    quantised = settled.run(counts) if settled else network.quantised(counts)
    workload = Workload(network, counts[run.paced])
    found = {
        "fires": case.get("method") or network.metadata["method"],
        "time_steps": network.timesteps, "images": len(images),
        "accuracy": float((logits.argmax(axis=1) == labels).mean()),
        "quantised": float((quantised.predictions == labels).mean()),
        "images_as_quantised": int((logits == quantised.logits).all(axis=1).sum()),
        **compared,
        "interval_cycles": run.interval, "predicted_interval_cycles": workload.interval(config),
        "lanes_adding": run.busy.get(workload.bottleneck(config)),
    }
    if case["network"] in _UNMADE:
        return found
    lanes = {core.name: core.lanes for core in config.cores}
    return found | asdict(synthesised(network, board.name, lanes=lanes)) | {
        "settled_luts": settled and synthesised(settled, board.name, lanes=lanes).luts}


BENCHMARK = Benchmark("methods", CASES, measure, (*keys.SIMULATE, *SOURCES, "gen/convert/*.py"),
                      lambda case: ("yosys",))
