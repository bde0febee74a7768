"""One network through Spikeloom and through Spiker+.

Spiker+ (PyPI ``spikerplus``) generates VHDL for networks of leaky integrate-and-fire neurons that
scan all their inputs in each of T steps. GHDL simulates it. Needs the extra ``bench`` and GHDL
(Debian package ``ghdl``). The LUTs of both are counted by Debian's ``yosys``, because Spiker+ takes
more memory than the Yosys from PyPI can have.

The network must have binary pixels, one hidden layer and pixels that never spike. It is carried
over as follows:

* The image is held for T = levels + 1 steps, of which the last only lets the hidden layer's spikes
  arrive: a layer sees the spikes of the step before.
* Weights are the same integers, the hidden thresholds ``levels`` times as large: a neuron that
  receives the same charge at each of ``levels`` steps then spikes as often as ours.
* Spiker+ knows no bias and no initial potential. Ours is charged at each step by pixels that never
  spike in the data, held on. The read-out's bias is added outside.
* There is no leak: it would be shifted right by more than the membranes' width.

It is not the same in two points: Spiker+ fires above the threshold, not at it; and a shift right of
a negative potential is -1, so that it leaks 1 a step.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

import boards
from gen.build.builder import build
from gen.build.planning import design_for
from gen.build.project import SOURCES, TOP
from gen.build.synthesis import count
from gen.data.datasets import load
from gen.errors import SimulationError
from gen.ir.shipped import find
from gen.system import processes
from gen.verify.simulation import simulate

from . import keys
from .benchmark import Benchmark
from .common import require_exact

_TESTBENCH = Path(__file__).with_name("spiker_plus.vhd")

_YOSYS = "/usr/bin/yosys"


def carried_over(network, images):
    """Weights of both layers, hidden thresholds and the pixels that are held on."""
    hidden, readout = network.layers
    weights = hidden.synapses[0].weights.reshape(hidden.channels, -1).astype(np.int64)
    silent = np.flatnonzero(~network.encode(images).reshape(len(images), -1).any(axis=0))
    weights[:, silent] = 0
    low, high = -(1 << hidden.synapses[0].bits - 1), (1 << hidden.synapses[0].bits - 1) - 1
    left, held = hidden.initial.astype(np.int64).copy(), []
    for pixel in silent:
        if not left.any():
            break
        weights[:, pixel] = left.clip(low, high)
        left -= weights[:, pixel]
        held.append(pixel)
    if left.any():
        raise SimulationError(f"{network.name}: {len(silent)} pixels that never spike can't carry "
                         f"potentials of {np.abs(hidden.initial).max()}")
    last = readout.synapses[0].weights.reshape(readout.channels, -1).astype(np.int64)
    return weights, last, hidden.levels, held


def membrane_width(layers, steps):
    """Bits of a membrane that holds all sums on the way, whatever the order of the additions.

    ``layers`` are pairs of weights ``(neurons, inputs)`` and greatest inputs ``(N, inputs)``.
    """
    low = high = 0
    for weights, inputs in layers:
        charge = inputs @ weights.T
        low = min(low, (inputs @ weights.clip(max=0).T + (steps - 1) * charge.clip(max=0)).min())
        high = max(high, (inputs @ weights.clip(min=0).T + (steps - 1) * charge.clip(min=0)).max())
    return 1 + max(int(-low - 1).bit_length(), int(high).bit_length())


def generate(directory, weights, readout, thresholds, steps, bits, width):
    """Write Spiker+'s VHDL."""
    from spikerplus.vhdl.layer import Layer
    from spikerplus.vhdl.network import Network, write_vhdl
    network = Network(steps)
    for label, w, threshold, reset in (("hidden", weights, thresholds, "subtractive"),
                                       ("readout", readout, np.zeros(len(readout)), "none")):
        network.add(Layer(label=label, w_exc=w, w_inh=np.zeros((len(w), len(w))), v_th=threshold,
                          bitwidth=width, fp_decimals=0, w_inh_bw=bits, w_exc_bw=bits, shift=width,
                          reset=reset, functional=True))
    write_vhdl(network, output_dir=str(directory))


def ghdl(directory, command, *words):
    """What it prints. Its warnings are those of generated code, and shown only if it fails."""
    done = subprocess.run(["ghdl", command, "--std=08", "-frelaxed", *words], cwd=directory,
                          capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SimulationError(f"ghdl {command}: {done.stderr.strip()}")
    return done.stdout


def run(directory, stimuli, width, classes):
    """``(N,)`` clocks and ``(N, classes)`` membranes of the read-out."""
    (directory / "stimuli.txt").write_text(
        "".join("".join(map(str, row[::-1])) + "\n" for row in stimuli), encoding="utf-8")
    (directory / "bench.vhd").write_text(_TESTBENCH.read_text(encoding="utf-8"),
                                         encoding="utf-8")
    ghdl(directory, "-i", *(path.name for path in directory.glob("*.vhd")))
    ghdl(directory, "-m", "bench")
    ghdl(directory, "-r", "bench", f"-gpixels={stimuli.shape[1]}", f"-gmembranes={classes * width}",
         "--ieee-asserts=disable")
    rows = [line.split() for line in (directory / "results.txt").read_text(
        encoding="utf-8").splitlines()]
    digits = np.array([[c == "1" for c in row[1]] for row in rows], dtype=np.int64)
    place = 1 << np.arange(width, dtype=np.int64)[::-1]
    place[0] *= -1
    return (np.array([int(row[0]) for row in rows]),
            (digits.reshape(len(rows), classes, width) * place).sum(axis=2)[:, ::-1])


def area(directory, sources, top):
    """Resources of a design on a 7-series device, by Debian's Yosys."""
    script = (f"read_verilog {' '.join(sources)}; synth_xilinx -family xc7 -flatten -top {top}; "
              f"tee -q -o stat.json stat -json")
    done = subprocess.run([_YOSYS, "-q", "-p", script], cwd=directory, capture_output=True,
                          encoding="utf-8", check=False)
    if done.returncode:
        raise SimulationError(f"yosys {top}: {done.stderr.strip()}")
    text = (directory / "stat.json").read_text(encoding="utf-8")
    cells = json.loads(text[text.index("{"):])["design"]["num_cells_by_type"]
    return count({kind: value if isinstance(value, int) else value["count"]
                  for kind, value in cells.items()})


def peer_area(directory):
    """Of Spiker+'s network, its weight memories left out.

    GHDL writes a memory as one literal, which Yosys can't read. Without its file it is a black box.
    """
    memories = [path.stem for path in directory.glob("rom_*_ip.vhd")]
    logic = directory / "logic"
    logic.mkdir()
    for path in directory.glob("*.vhd"):
        if path.stem not in (*memories, "bench"):
            shutil.copy(path, logic)
    ghdl(logic, "-i", *(path.name for path in logic.glob("*.vhd")))
    ghdl(logic, "-m", "network")
    (logic / "network.v").write_text(ghdl(logic, "--synth", "--out=verilog", "network"),
                                    encoding="utf-8")
    return area(logic, ["network.v"], "network")


def measure(case):
    """Figures of both, ``peer_`` before its own, and how they compare."""
    network, count = find(case["network"]), case["images"]
    data = load(network.metadata["dataset"])
    images, labels = data.test_images[:count], data.test_labels[:count]
    weights, readout, levels, held = carried_over(
        network, np.concatenate([data.train_images, images]))
    steps = levels + 1
    thresholds = network.layers[0].threshold * levels
    stimuli = network.encode(images).reshape(len(images), -1)
    stimuli[:, held] = 1
    spikes = network.run(network.encode(images)).counts[network.layers[0].name] > 0
    width = membrane_width([(weights, stimuli), (readout, spikes.reshape(len(images), -1))], steps)
    bits = network.layers[0].synapses[0].bits
    with processes.scratch() as folder:
        generate(folder, weights, readout, thresholds, steps, bits, width)
        clocks, potentials = run(folder, stimuli, width, len(readout))
        peer = peer_area(folder)
    classes = (potentials + network.layers[1].initial).argmax(axis=1)
    design = design_for(network, boards.find(case["board"]), interval=case["interval"])
    ours = simulate(design, images, labels, jobs=1)
    require_exact(case, ours)
    with processes.scratch() as out:
        build(network, board=case["board"], out=out, interval=case["interval"], synthesise=False)
        mine = area(out, SOURCES, TOP)
    return {
        "steps": steps, "membrane_bits": width,
        "peer_clocks": float(clocks.mean()), "clocks": ours["interval_cycles"],
        "peer_accuracy": float((classes == labels).mean()), "accuracy": ours["accuracy"],
        "agreement": float((classes == network.predict(images).argmax(axis=1)).mean()),
        "ratio_clocks": float(clocks.mean()) / ours["interval_cycles"],
        "peer_luts": peer.luts, "peer_latches": peer.latches, "luts": mine.luts,
        "ratio_luts": peer.luts / mine.luts,
    }


BENCHMARK = Benchmark(
    "peers", [{"network": "mnist-mlp-128", "board": "arty-a7", "interval": 350, "images": 100}],
    measure, (*keys.SIMULATE, "bench/spiker_plus.vhd"), lambda case: ("ghdl", _YOSYS))
