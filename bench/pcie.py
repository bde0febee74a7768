"""How many images a second PCI Express carries, of those that the array computes.

A build's Verilog is simulated behind a lane of the second generation, whose packets take the time
of their bytes, and driven by the host's own driver through mapped files. All images of a run are in
the ring before it begins, so that the driver's computing takes no clock. Clocks are what an image
adds: the difference between a run of some images and one of so many more. The array's own are those
of the same images, back to back.
"""

from contextlib import closing

import numpy as np

from gen.build.builder import build
from gen.build.design import load
from gen.ir import shipped
from gen.system import processes
from gen.verify.simulation import stream
from host import manifest as host_manifest
from host.device import Device
from host.functions import mapped
from host.pcie import PcieLink
from host.virtual import virtual_board

from . import keys
from .benchmark import Benchmark

CLOCK = 125_000_000
"""The fabric's clock, at which a dword a clock is what a lane carries."""

_SPAN = 1022
"""Word of a virtual board's BAR0 with the clocks of a run, the lower half first."""

_FEW, _MORE = 50, 500
"""Images of the shorter run, and those that the longer one has more."""

_RING = 1 << 17
"""Words of a ring, more than any run has."""

_PATIENCE = 600


def measure(case):
    """``words`` of an image and of its result; ``clocks`` from image to image through the endpoint
    and ``own`` of the array; their quotient ``share``; images a second."""
    network = shipped.find(case["network"])
    raw = network.samples[np.arange(_FEW + _MORE) % len(network.samples)]
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
    counts = manifest.encode(raw)
    with (virtual_board(directory) as line,
          closing(mapped(line, "virtual-pcie")) as function):
        link = PcieLink(function, manifest, patience=_PATIENCE, least=_RING)
        device = Device(link, manifest)
        if not np.array_equal(device.infer(raw).logits, network.predict(raw)):
            raise RuntimeError("the device's logits are not the network's")
        few, more = (_span(link, [manifest.pack(each).tolist() for each in part])
                     for part in (counts[:_FEW], counts))
        link.close()
    return (more - few) / _MORE, link.record


def _span(link, samples):
    """Clocks from the index of all samples, which are in the ring already, to the last result."""
    link.take_over()
    write = link.set_ring
    try:
        with link.flight(link.where["most_timesteps"]) as flight:
            link.set_ring = lambda name, value: None
            for words in samples:
                flight.send(words)
            write("samples_index", link.sent)
            for _ in samples:
                flight.receive()
    finally:
        link.set_ring = write
    return link.function.bar[_SPAN] | link.function.bar[_SPAN + 1] << 32


CASES = [{"network": network, "board": "nitefury"}
         for network in ("mnist-mlp", "digits-mlp", "digits", "mnist")]

BENCHMARK = Benchmark("pcie", CASES, measure, keys.VERIFY)
