"""How many images a second PCI Express carries, of those that the array computes.

A build's Verilog is simulated behind a lane of the second generation, whose packets take the time
of their bytes, and driven by the host's own driver through mapped files. Clocks are those from
image to image, of some images in the middle of a longer run, as the virtual board counts them. The
array's own are those of the same images, back to back.
"""

import numpy as np

from gen.build.builder import build
from gen.build.design import load
from gen.ir import shipped
from gen.system import processes
from gen.verify.simulation import stream
from host import manifest as host_manifest
from host.device import Device
from host.pcie import PcieLink, mapped
from host.virtual import virtual_board

from . import keys
from .benchmark import Benchmark

CLOCK = 125_000_000
"""The fabric's clock, at which a dword a clock is what a lane carries."""

_COUNTER = 1022
"""Word of a virtual board's BAR0 with the clocks, the lower half first."""

_RUN, _LEFT_OUT = 2000, 500
"""Images of a run, and those at either end whose results come before and after clocks count."""

_PATIENCE = 600


def measure(case):
    """``words`` of an image and of its result; ``clocks`` from image to image through the endpoint
    and ``own`` of the array; their quotient ``share``; images a second."""
    network = shipped.find(case["network"])
    raw = network.samples[np.arange(_RUN) % len(network.samples)]
    with processes.scratch() as directory:
        build(network, board=case["board"], out=directory, link="pcie", clock_hz=CLOCK,
              synthesise=False)
        design, manifest = load(directory), host_manifest.load(directory)
        own = stream(design.config, design.image, network.encode(raw), jobs=1, alone=0).interval
        clocks, record = _through(directory, manifest, network, raw)
    return {"words": manifest.registers["input_words"], "result": record, "clocks": clocks,
            "own": own, "share": own / clocks, "reached": CLOCK / clocks}


def _through(directory, manifest, network, raw):
    """Clocks from image to image, and words of a result's record."""
    with (virtual_board(directory) as line, mapped(line, "virtual-pcie") as function):
        link = PcieLink(function, manifest, patience=_PATIENCE)
        marks, run = [], link.run

        def marked(samples, timesteps):
            for number, result in enumerate(run(samples, timesteps)):
                if number in (_LEFT_OUT, len(raw) - _LEFT_OUT):
                    marks.append(function.bar[_COUNTER] | function.bar[_COUNTER + 1] << 32)
                yield result

        link.run = marked
        logits = Device(link, manifest).infer(raw).logits
        link.close()
    if not np.array_equal(logits, network.predict(raw)):
        raise RuntimeError("the device's logits are not the network's")
    return (marks[1] - marks[0]) / (len(raw) - 2 * _LEFT_OUT), link.record


CASES = [{"network": network, "board": "nitefury"}
         for network in ("mnist-mlp", "digits-mlp", "digits", "mnist")]

BENCHMARK = Benchmark("pcie", CASES, measure, keys.VERIFY)
