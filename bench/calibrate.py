"""What the parts of a design take on each device family: ``gen/plan/coefficients.json``.

Designs that between them have every kind of layer, at several numbers of lanes and replicas, are
synthesised module by module. What each part takes is then a linear function of its features
(:mod:`gen.plan.resources`), with coefficients that are not negative. Last, a design is synthesised
flat, as boards are built, for a factor that covers what Yosys finds across modules.
Logic cells are counted in the netlists by the rules of nextpnr's packers
(:mod:`gen.build.packing`).

The file is written from what has been measured, as the pages are. It takes some five minutes a
family.
"""

import json
import logging
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from boards.families import ECP5, GOWIN, ICE40, XC7
from gen.build import synthesis
from gen.build.packing import beside_luts
from gen.build.toolchain import yosys
from gen.build.verilog import component_verilog
from gen.errors import BuildError
from gen.ir import shipped
from gen.ir.layers import INPUT
from gen.plan import memories, resources
from gen.plan.mapping import map_network
from gen.system import processes
from hw.top import Top
from tests import networks
from tests import sequences as sequence_networks
from tests.hw import cases

from .benchmark import Benchmark

log = logging.getLogger(__name__)

# Yosys' ABC9 confuses a wire `x[0]` with bit 0 of a wire `x`, hence the names.
NAMES = "rename -hide w:*[*]"
FAMILIES = {family.name: family for family in (XC7, ECP5, GOWIN, ICE40)}


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
    "merged": "merge", "changes": "changes", "membranes": "membranes",
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
                             if layer.synapses and layer.channels > 3 + k}), PLENTY),
        "rate": (*map_network(conv, lanes={"conv1": 5, "conv2": 2, "out": 3}, code="rate"), FEW),
        "linear": (*map_network(linear, lanes={"fc1": 24, "out": 7}), FEW),
        "mobile": (*cases.mapped("mobile")[3:], PLENTY),
        "cif": (*map_network(networks.stepping(networks.STEPPING["cif"])), PLENTY),
        "if": (*map_network(networks.stepping(networks.STEPPING["if"]),
                            lanes={"second": 2, "fourth": 3}, slice_steps=1), PLENTY),
        "st-bif": (*map_network(
            replace(digits, layers=tuple(layer.timed(networks.STEPPING["st-bif"], 3, True)
                                         for layer in digits.layers)),
            lanes={"conv1": 8, "conv2": 8, "fc1": 32}, replicas={"conv1": 2}, slice_steps=2),
            PLENTY),
    }


def sequences():
    """The same for parts that only layers have which get changes. Other parts are not taken from
    here: lanes and replicas that were chosen with their coefficients are chosen again."""
    wide = sequence_networks.recurrence(6, fan=20, hidden=40, levels=63)
    mixed = sequence_networks.layered()
    return {
        "wide": (*map_network(wide, lanes={"rnn": 20, "out": 2},
                              differential={"rnn": ["rnn", INPUT]}), PLENTY),
        "narrow": (*map_network(wide, lanes={"rnn": 5}, differential={"rnn": ["rnn"]}), FEW),
        "mixed": (*map_network(mixed, lanes={"conv": 3, "dense": 9}, differential={
            "conv": [INPUT], "dense": ["dense", "conv"], "diagonal": ["dense"]}), PLENTY),
        "blocks": (*map_network(mixed, stream=2, differential={
            "dense": ["dense"], "diagonal": ["diagonal"]}), PLENTY),
    }


def whole():
    """The design that sets the factor. Its memories are placed as on most boards, where block RAM
    is not short."""
    return (*map_network(shipped.find("digits")), PLENTY)


def synthesise(folder, family, design, command, *, flat):
    """Module -> what it takes, of a design by Yosys."""
    config, image, brams = design
    top = Top(config, image, digest="5" * 64, clock_hz=100_000_000, baud=1_000_000)
    (folder / "top.v").write_text(component_verilog(
        top, "top", resources.placement(config, family, brams)), encoding="utf-8")
    names = [] if flat else [NAMES]
    (folder / "synth.ys").write_text("\n".join([
        "read_verilog top.v", *names, "hierarchy -top top", command, "write_json netlist.json",
        ""]), encoding="utf-8")
    if processes.run([*yosys(), "-q", "synth.ys"], cwd=folder).returncode:
        raise BuildError(f"Yosys can't synthesise for {family}")
    modules = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"]
    return {module: synthesis.count(Counter(cell["type"] for cell in content["cells"].values()),
                                    beside_luts(content))
            for module, content in modules.items()}


def kind_of(module, config):
    """``(kind, layer)`` of the part that a module belongs to, or ``None`` for mere wiring."""
    path = re.sub(r"^\\?", "", module).split(".")
    if "array" not in path:
        leaf = re.sub(r"[$].*", "", path[-1])
        return (leaf if leaf in ("feeder", "collector") else "device"), None
    below = path[path.index("array") + 1:]
    if not below or below[0].startswith(("fork", "begun")):
        return None
    if below[0].startswith("quiet_"):
        return "quiet", next(layer.name for layer in config.layers
                             if layer.port == below[0].removeprefix("quiet_"))
    layer = next(layer for layer in config.layers if layer.port == below[0])
    inner = [step for step in below[1:] if not step.startswith("replica_")]
    if layer not in config.cores:
        return ("spikes" if inner[:1] == ["spikes"] else "pool"), layer.name
    if not inner or inner[0].startswith("fork"):
        return "merge", layer.name
    if "membranes" in inner:  # within the lanes
        return "membranes", layer.name
    return PART[re.sub(r"_\d+$", "", inner[0])], layer.name


def measured(taken, config):
    """(kind, layer) -> the figures of ``FIGURES``."""
    figures = defaultdict(lambda: np.zeros(len(FIGURES)))
    for module, found in taken.items():
        part = kind_of(module, config)
        if part is not None:
            figures[part] += [getattr(found, what) for what in FIGURES]
    return figures


def rows(family, design, taken):
    """``(kind, features, figures of the memories that are not in blocks, of what is beside those
    that are, figures found)`` of each part."""
    config, image, brams = design
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
    return [(key[0], features[key], *stored[key], found[key]) for key in features]


def fit(samples):
    """Coefficients of a kind of part for each figure, in proportion to what is wrong."""
    names = sorted({name for features, *_ in samples for name in features})
    model = {}
    for k, what in enumerate(FIGURES):
        matrix = np.array([[features[name] for name in names] + [stored[k]]
                           for features, stored, _, _ in samples], dtype=float)
        target = np.array([max(found[k] - beside[k], 0) for _, _, beside, found in samples],
                          dtype=float)
        weight = 1 / np.sqrt(target + 20)
        solved, _ = nnls(matrix * weight[:, None], target * weight)
        model[what] = {name: round(float(value), 3) for name, value in zip(
            [*names, "memory"], solved, strict=True) if value > 5e-4 or name == "memory"}
    return model


def guess(model, parts, k):
    """One of ``FIGURES`` of a design by the coefficients alone."""
    total = 0
    for kind, features, stored, beside, _ in parts:
        own = model[kind][FIGURES[k]]
        total += beside[k] + own["memory"] * stored[k] + sum(
            own.get(name, 0) * value for name, value in features.items())
    return total


def measure(case):
    """``model``: kind of part -> figure -> feature -> coefficient, and of ``total`` the factor of
    each figure."""
    family, samples = case["family"], defaultdict(list)
    command = FAMILIES[family].synth
    for of_design in (designs(), sequences()):
        known = set(samples)
        for name, design in of_design.items():
            log.info("%s: %s ...", family, name)
            with processes.scratch() as folder:
                taken = synthesise(folder, family, design, in_modules(FAMILIES[family]),
                                   flat=False)
            for kind, *sample in rows(family, design, taken):
                if kind not in known:
                    samples[kind].append(sample)
    model = {kind: fit(of_kind) for kind, of_kind in samples.items()}
    return {"model": model | {"total": factors(family, command, model)}}


def factors(family, command, model):
    """What :func:`whole` takes of each figure, relative to the sum of its parts."""
    with processes.scratch() as folder:
        found = synthesise(folder, family, whole(), command, flat=True)["top"]
    parts = rows(family, whole(), {})
    return {what: round(float(getattr(found, what) / guess(model, parts, k)), 3)
            for k, what in enumerate(FIGURES)}


BENCHMARK = Benchmark(
    "calibrate", [{"family": family} for family in FAMILIES], measure,
    # All but the coefficients, which come of it.
    ("hw/**/*", "boards/**/*", "firmware/*.py", "gen/ir/**/*.py", "gen/plan/**/*.py",
     "gen/build/**/*", "gen/ir/beats.py", "gen/ir/networks/digits.npz", "tests/networks.py",
     "tests/sequences.py", "tests/hw/cases.py"),
    lambda case: ("yosys",))
