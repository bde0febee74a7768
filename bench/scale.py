"""What a network of a million weights costs until it is Verilog, and who reads that.

Random networks go through the mapping, elaboration and Verilog, Yosys' reader and the virtual
board's compilation, each stage in a process of its own. Seconds are those of one core, so that they
mean the same on a busy machine; memory is the peak of the process and of the tools it calls.
"""

import os
import re
import resource
import time
from pathlib import Path

import numpy as np

from gen.build.toolchain import yosys
from gen.build.verilog import component_verilog
from gen.errors import BuildError
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.plan.mapping import map_network
from gen.system import files, processes
from gen.verify.virtual import compile_board
from hw.top import Top
from hw.uart import divisor

from . import keys
from .benchmark import Benchmark
from .random_networks import random_neurons, random_readout, random_synapses

CLOCK, BAUD = 100_000_000, 1_000_000


def _neurons(rng, name, source, shape, **options):
    return random_neurons(rng, name, random_synapses(rng, source, shape, bits=8, **options),
                          levels=7)


def mlp(weights):
    """Two hidden layers on pictures of 28 x 28."""
    rng = np.random.default_rng(0)
    width = round(np.sqrt(397 ** 2 + weights) - 397)
    return Network("mlp", (1, 28, 28), 15, 255, (
        _neurons(rng, "fc1", INPUT, (width, 1, 28, 28)),
        _neurons(rng, "fc2", "fc1", (width, width, 1, 1)),
        random_readout(rng, "fc2", width)))


def cnn(weights):
    """Six convolutions and three poolings on pictures of 32 x 32 in colour."""
    rng = np.random.default_rng(0)
    width = max(1, round(np.sqrt(weights / 279 + 0.12 ** 2) - 0.12))
    layers, source, channels = [], INPUT, 3
    for block in range(3):
        for half in "ab":
            shape = (width << block, channels, 3, 3)
            layers.append(_neurons(rng, f"conv{block}{half}", source, shape, padding=(1, 1)))
            source, channels = layers[-1].name, shape[0]
        kind, size = ("sum", 8) if block == 2 else ("max", 2)
        layers.append(Pool(f"pool{block}", source, kind, (size, size), (size, size)))
        source = layers[-1].name
    return Network("cnn", (3, 32, 32), 15, 255, (*layers, random_readout(rng, source, channels)))


NETWORKS = {"cnn": cnn, "mlp": mlp}


def _peak():
    """Megabytes that this process and the largest of its children have held at once."""
    own = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if _seconds()[1] else 0
    return (int(own) + children) / 1024


def _seconds():
    usage = os.times()
    return usage.user + usage.system, usage.children_user + usage.children_system


def _design(network):
    return map_network(network)


def _verilog(design):
    config, image = design
    return component_verilog(Top(config, image, digest="0" * 64, clock_hz=CLOCK, baud=BAUD), "top")


def _read(folder):
    if processes.run([*yosys(), "-q", "-p", "read_verilog top.v"], cwd=folder).returncode:
        raise BuildError("Yosys can't read the Verilog")


def _virtual(folder):
    os.environ["XDG_CACHE_HOME"] = str(folder)  # where nothing has been compiled yet
    compile_board(files.read_text(folder / "top.v"), divisor(CLOCK, BAUD))


def run(stage, kind, weights, folder):
    """Run one stage; what it needs is made before the clock starts.

    Returns ``weights`` as they are, ``seconds``, ``megabytes``, and of the Verilog, which it leaves
    in the folder, its ``bytes``.
    """
    network, folder, more = NETWORKS[kind](weights), Path(folder), {}
    given = {"mapping": lambda: network, "verilog": lambda: _design(network),
             "read": lambda: folder, "virtual": lambda: folder}[stage]()
    before, began = sum(_seconds()), time.perf_counter()
    made = {"mapping": _design, "verilog": _verilog, "read": _read, "virtual": _virtual}[stage](
        given)
    elapsed, seconds = time.perf_counter() - began, sum(_seconds()) - before
    if stage == "verilog":
        (folder / "top.v").write_text(made, encoding="utf-8")
        more = {"bytes": len(made)}
    return {"weights": network.weight_count, "seconds": round(seconds, 2),
            "elapsed": round(elapsed, 2), "megabytes": round(_peak()), **more}


def measure(case):
    """What :func:`run` returns."""
    before = ["verilog"] if case["stage"] in ("read", "virtual") else []
    with processes.scratch() as folder:
        for stage in (*before, case["stage"]):
            with processes.workers(1) as pool:
                result = pool.submit(run, stage, case["kind"], case["about"], folder).result()
    return result


CASES = [{"kind": kind, "about": weights, "stage": stage}
         for stages, sizes in ((("mapping", "verilog"), (100_000, 300_000, 1_000_000, 3_000_000)),
                               (("read", "virtual"), (100_000, 300_000, 1_000_000)))
         for kind in NETWORKS for weights in sizes for stage in stages]

BENCHMARK = Benchmark("scale", CASES, measure, (*keys.SIMULATE, "bench/random_networks.py"),
                      lambda case: ("yosys",))
