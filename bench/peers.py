"""One network through Spikeloom and through Spiker+: ``python bench/peers.py [NET] [--images N]``.

Spiker+ (PyPI ``spikerplus``) generates VHDL for networks of leaky integrate-and-fire neurons that
scan all their inputs in each of T steps. GHDL simulates it, Yosys counts its LUTs. Needs the extra
``bench`` and GHDL (Debian package ``ghdl``).

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

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import boards
from gen.build import build
from gen.data import load
from gen.shipped import find
from gen.simulate import simulate
from gen.synth import count
from gen.toolchain import yosys

_TESTBENCH = Path(__file__).with_name("spiker_plus.vhd")


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
        raise SystemExit(f"{network.name}: {len(silent)} pixels that never spike can't carry "
                         f"potentials of {np.abs(hidden.initial).max()}")
    return weights, readout.synapses[0].weights.reshape(readout.channels, -1), hidden.levels, held


def membrane_width(weights, held, pixels, steps, thresholds):
    """Bits of a hidden membrane that holds all sums that these images lead to."""
    inputs = pixels.copy()
    inputs[:, held] = 1
    charge = inputs @ weights.T
    swing = np.minimum(inputs @ np.minimum(weights, 0).T, 0).min()
    low = min(steps * int(charge.min()), int(swing) + min(0, (steps - 1) * int(charge.min())))
    high = max(int((inputs @ np.maximum(weights, 0).T).max()) * steps, int(thresholds.max()))
    return 1 + max((-low - 1).bit_length(), high.bit_length())


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


def ghdl(directory, *words):
    subprocess.run(["ghdl", words[0], "--std=08", "-frelaxed", *words[1:]], cwd=directory,
                   check=True)


def run(directory, stimuli, width, classes):
    """``(N,)`` clocks and ``(N, classes)`` membranes of the read-out."""
    (directory / "stimuli.txt").write_text(
        "".join("".join(map(str, row[::-1])) + "\n" for row in stimuli))
    (directory / "bench.vhd").write_text(_TESTBENCH.read_text())
    ghdl(directory, "-i", *(path.name for path in directory.glob("*.vhd")))
    ghdl(directory, "-m", "bench")
    ghdl(directory, "-r", "bench", f"-gpixels={stimuli.shape[1]}", f"-gmembranes={classes * width}",
         "--ieee-asserts=disable")
    rows = [line.split() for line in (directory / "results.txt").read_text().splitlines()]
    digits = np.array([[c == "1" for c in row[1]] for row in rows], dtype=np.int64)
    place = 1 << np.arange(width, dtype=np.int64)[::-1]
    place[0] *= -1
    return (np.array([int(row[0]) for row in rows]),
            (digits.reshape(len(rows), classes, width) * place).sum(axis=2)[:, ::-1])


def luts(directory, board):
    """LUTs of Spiker+'s network for the same device, its weight memories left out."""
    memories = [path.stem for path in directory.glob("rom_*_ip.vhd")]
    verilog = subprocess.run(["ghdl", "--synth", "--std=08", "-frelaxed", "--out=verilog",
                              "network"], cwd=directory, check=True, capture_output=True,
                             text=True).stdout
    (directory / "network.v").write_text(verilog)
    empty = "; ".join(f"blackbox {name}" for name in memories)
    script = (f"read_verilog network.v; {empty}; {board.synth} -top network; "
              f"tee -o stat.json stat -json")
    subprocess.run([*yosys(), "-q", "-p", script], cwd=directory, check=True)
    text = (directory / "stat.json").read_text()
    design = json.loads(text[text.index("{"):])["design"]
    return count({kind: value if isinstance(value, int) else value["count"]
                  for kind, value in design["num_cells_by_type"].items()})


def compare(args):
    network, board = find(args.network), boards.find(args.board)
    data = load(network.metadata["dataset"], args.data)
    images, labels = data.test_images[:args.images], data.test_labels[:args.images]
    weights, readout, levels, held = carried_over(
        network, np.concatenate([data.train_images, images]))
    steps = levels + 1
    thresholds = network.layers[0].threshold * levels
    stimuli = network.encode(images).reshape(len(images), -1)
    width = membrane_width(weights, held, stimuli, steps, thresholds)
    stimuli[:, held] = 1
    bits = network.layers[0].synapses[0].bits
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        generate(folder, weights, readout, thresholds, steps, bits, width)
        clocks, potentials = run(folder, stimuli, width, len(readout))
        area = luts(folder, board) if args.area else None
    potentials = potentials + network.layers[1].initial
    ours = simulate(network, board=args.board, interval=args.interval, limit=args.images,
                    data_dir=args.data)
    result = {
        "network": network.name, "images": len(images), "steps": steps, "membrane_bits": width,
        "peer_clocks": float(clocks.mean()), "clocks": ours["interval_cycles"],
        "peer_accuracy": float((potentials.argmax(axis=1) == labels).mean()),
        "accuracy": ours["accuracy"],
        "agreement": float((potentials.argmax(axis=1)
                            == network.predict(images).argmax(axis=1)).mean()),
        "ratio_clocks": float(clocks.mean()) / ours["interval_cycles"],
    }
    if area:
        built = build(network, board=args.board, out=f"build/bench/{network.name}-peers",
                      interval=args.interval)
        result |= {"peer_luts": area.luts, "peer_latches": area.latches, "luts": built["luts"],
                   "ratio_luts": area.luts / built["luts"]}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="mnist-mlp-128")
    parser.add_argument("--board", default="arty-a7")
    parser.add_argument("--images", type=int, default=100, metavar="N")
    parser.add_argument("--interval", type=int, default=400, metavar="CLOCKS",
                        help="pace asked of Spikeloom (default: 400)")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--area", action="store_true", help="count LUTs too, which takes minutes")
    print(json.dumps(compare(parser.parse_args()), indent=2), file=sys.stdout)


if __name__ == "__main__":
    main()
