"""Measure what the parts of a design take on each device family: ``gen/plan/coefficients.json``.

Designs that between them have every kind of layer, at several numbers of lanes and replicas, are
synthesised module by module. What each part takes is then a linear function of its features
(:mod:`gen.plan.resources`), with coefficients that are not negative. Last, the same designs are
synthesised flat, as boards are built, for a factor that covers what Yosys finds across modules.
Logic cells are counted in the netlists by the rules of nextpnr's packers
(:mod:`gen.build.packing`).

Run it again when the gateware or Yosys has changed: ``python bench/calibrate.py``. Syntheses are
kept in ``build/calibrate``; it takes some twenty minutes from scratch.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from boards.families import ECP5, GOWIN, ICE40, XC7
from gen.build import synthesis
from gen.build.packing import beside_luts
from gen.build.toolchain import yosys
from gen.build.verilog import component_verilog
from gen.ir import shipped
from gen.plan import memories, resources
from gen.plan.mapping import map_network
from hw.top import Top
from tests import networks

ROOT = Path(__file__).resolve().parents[1]

# Yosys' ABC9 confuses a wire `x[0]` with bit 0 of a wire `x`, hence the names.
NAMES = "rename -hide w:*[*]"
FAMILIES = {family.name: family for family in (XC7, ECP5, ICE40, GOWIN)}


def in_modules(family):
    """The commands that synthesise for a family, without what takes the hierarchy away."""
    if "-flatten" in family.synth:
        return family.synth.replace(" -flatten", "")
    return re.sub(r"\bsynth_\w+", r"\g<0> -noflatten", family.synth)


FIGURES = ("luts", "ffs", "cells")

# Block RAMs of the devices that the designs are placed for: plenty, and next to none.
PLENTY, FEW = 200, 6

PART = {
    "spikes": "spikes", "window": "window", "select": "select", "fetch": "fetch", "words": "queue",
    "commands": "queue", "encoder": "encoder", "lanes": "lanes", "merge": "merge",
    "merged": "merge",
}


def designs():
    """Name -> (configuration, memory contents, block RAMs)."""
    digits = shipped.find("digits")
    residual, conv = networks.residual(), networks.convolutional(size=13)
    linear = networks.linear(shape=(40, 1, 1), hidden=64, classes=20)
    return {
        "digits": (*map_network(digits), FEW),
        "digits-wide": (*map_network(
            digits, lanes={"conv1": 8, "conv2": 8, "fc1": 32, "readout": 10},
            replicas={"conv1": 2, "conv2": 4}), PLENTY),
        "residual": (*map_network(
            residual, lanes={layer.name: 3 + k for k, layer in enumerate(residual.layers)
                             if hasattr(layer, "synapses") and layer.channels > 3 + k}), PLENTY),
        "rate": (*map_network(conv, lanes={"conv1": 5, "conv2": 2, "out": 3}, code="rate"), FEW),
        "linear": (*map_network(linear, lanes={"fc1": 24, "out": 7}), FEW),
    }


def synthesise(out, family, name, config, image, brams, command, *, flat):
    """Module -> what it takes, of a design by Yosys."""
    placement = resources.placement(config, family, brams)
    out.mkdir(parents=True, exist_ok=True)
    top = Top(config, image, digest="5" * 64, clock_hz=100_000_000, baud=1_000_000)
    verilog = out / "top.v"
    text = component_verilog(top, "top", placement)
    found = out / "resources.json"
    script = out / "synth.ys"
    names = [] if flat else [NAMES]
    steps = "\n".join(["read_verilog top.v", *names, "hierarchy -top top", command,
                       "write_json netlist.json", ""])
    if found.exists() and script.exists() and verilog.read_text(encoding="utf-8") == text and (
            script.read_text(encoding="utf-8") == steps):
        return {module: synthesis.Resources(**figures)
                for module, figures in json.loads(found.read_text(encoding="utf-8")).items()}
    print(f"{family}: {name}{' flat' if flat else ''} ...", file=sys.stderr)
    found.unlink(missing_ok=True)
    verilog.write_text(text, encoding="utf-8")
    script.write_text(steps, encoding="utf-8")
    subprocess.run([*yosys(), "-q", "synth.ys"], cwd=out, check=True)
    netlist = out / "netlist.json"
    taken = {module: synthesis.count(Counter(cell["type"] for cell in content["cells"].values()),
                                 beside_luts(content))
             for module, content in json.loads(
                 netlist.read_text(encoding="utf-8"))["modules"].items()}
    netlist.unlink()
    found.write_text(json.dumps({module: asdict(figures) for module, figures in taken.items()}),
                     encoding="utf-8")
    return taken


def kind_of(module, config):
    """``(kind, layer)`` of the part that a module belongs to, or ``None`` for mere wiring."""
    path = re.sub(r"^\\?", "", module).split(".")
    if "array" not in path:
        leaf = re.sub(r"[$].*", "", path[-1])
        return (leaf if leaf in ("feeder", "collector") else "device"), None
    below = path[path.index("array") + 1:]
    if not below or below[0].startswith("fork"):
        return None
    layer = next(layer for layer in config.layers if layer.port == below[0])
    inner = [step for step in below[1:] if not step.startswith("replica_")]
    if not hasattr(layer, "lanes"):
        return ("spikes" if inner[:1] == ["spikes"] else "pool"), layer.name
    if not inner or inner[0].startswith("fork"):
        return "merge", layer.name
    return PART[re.sub(r"_\d+$", "", inner[0])], layer.name


def measured(taken, config):
    """(kind, layer) -> the figures of ``FIGURES``."""
    figures = defaultdict(lambda: np.zeros(len(FIGURES)))
    for module, found in taken.items():
        part = kind_of(module, config)
        if part is not None:
            figures[part] += [getattr(found, what) for what in FIGURES]
    return figures


def rows(family, config, image, brams, taken):
    """Kind -> list of (features, figures of the memories that are not in blocks, figures found,
    without what is beside blocks)."""
    placed = resources.placement(config, family, brams)
    features = defaultdict(Counter)
    stored = defaultdict(lambda: np.zeros((2, len(FIGURES))))
    for part in resources.parts(config, image):
        key = part.kind, part.layer
        for name, value in part.features.items():
            features[key][name] += part.copies * value
        for memory in part.memories:
            block = memory in placed.in_blocks
            stored[key][int(block)] += part.copies * np.array([
                getattr(memories, what)(family, memory, block=block) for what in FIGURES])
    found = measured(taken, config)
    for key in features:
        outside, beside = stored[key]
        yield key[0], (features[key], outside, np.maximum(found[key] - beside, 0))


def fit(samples):
    """Coefficients of a kind of part for each figure, in proportion to what is wrong."""
    names = sorted({name for features, _, _ in samples for name in features})
    model = {}
    for k, what in enumerate(FIGURES):
        matrix = np.array([[features[name] for name in names] + [stored[k]]
                           for features, stored, _ in samples], dtype=float)
        target = np.array([found[k] for _, _, found in samples], dtype=float)
        weight = 1 / np.sqrt(target + 20)
        found, _ = nnls(matrix * weight[:, None], target * weight)
        model[what] = {name: round(float(value), 3) for name, value in zip(
            [*names, "memory"], found, strict=True) if value > 5e-4 or name == "memory"}
    return model


def calibrate(family, out, flat):
    samples, totals = defaultdict(list), {}
    for name, (config, image, brams) in designs().items():
        taken = synthesise(out / family / name, family, name, config, image, brams,
                           in_modules(FAMILIES[family]), flat=False)
        for kind, row in rows(family, config, image, brams, taken):
            samples[kind].append(row)
        if name in flat:
            totals[name] = synthesise(out / family / f"{name}-flat", family, name, config, image,
                                      brams, FAMILIES[family].synth, flat=True)["top"]
    model = {kind: fit(rows) for kind, rows in samples.items()}
    model["total"] = dict.fromkeys(FIGURES, 1.0)
    return model, totals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--flat", action="append", help="designs that set the factor",
                        default=[])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "calibrate")
    args = parser.parse_args()
    flat = args.flat or ["digits"]
    for family in args.family or sorted(FAMILIES):
        model, totals = calibrate(family, args.output, flat)
        write(family, model)
        ratios = []
        for name, found in totals.items():
            config, image, brams = designs()[name]
            guess = resources.predict(config, family, brams, image)
            ratios.append([getattr(found, what) / getattr(guess, what) for what in FIGURES])
            print(f"{family} {name}:", ", ".join(
                f"{getattr(guess, what)} {what} ({getattr(found, what)})"
                for what in (*FIGURES, "brams")))
        factors = [round(float(factor), 3) for factor in np.mean(ratios, axis=0)]
        write(family, model | {"total": dict(zip(FIGURES, factors, strict=True))})


def write(family, model):
    file = resources.COEFFICIENTS
    table = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    table[family] = model
    file.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    resources._coefficients.cache_clear()


if __name__ == "__main__":
    main()
