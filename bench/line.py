"""How many images a second the serial line carries, of those that its bits allow.

A build's Verilog is simulated from pin to pin behind the host's own driver, whose computing takes
no simulated time. Bits are those on the wire, ten a byte, all frames and escapes included, in the
direction that has more of them; clocks are those from image to image. Both are what an image adds:
the difference between a run of some images and one of so many more.
"""

import numpy as np

from gen.build.builder import build
from gen.ir import shipped
from gen.system import processes
from gen.verify.pins import HARNESS, connect
from gen.verify.verilator import verilate
from host import manifest as host_manifest
from hw.uart import divisor

from . import keys
from .benchmark import Benchmark

_BOARD = """
module line(input clk, input rx, output tx, output moved, output beats);
  top top(.clk(clk), .rst(1'b0), .rx(rx), .tx(tx));
  assign moved = 0;
  assign beats = 0;
endmodule
"""

_FEW = 8
"""Images of the shorter run, more than are in flight at once."""

_PATIENCE = 10_000_000


def measure(case):
    """The bits on the wire that an image takes to and from the device, and those of its words
    alone; clocks from image to image; images a second, those that the bits allow and those that are
    reached, and their quotient."""
    network, images, baud = shipped.find(case["network"]), case["images"], case["baud"]
    with processes.scratch() as directory:
        build(network, board=case["board"], out=directory, baud=baud, synthesise=False)
        manifest = host_manifest.load(directory)
        text = (directory / "top.v").read_text(encoding="utf-8")
        simulator = verilate(text + _BOARD, "line", HARNESS, options=("-Wno-lint", "-Wno-fatal"))
        each = divisor(manifest.clock_hz, baud)
        with connect(simulator, manifest, directory / "spied", divisor=each,
                     patience=_PATIENCE) as line:
            device = line.device(manifest)
            device.infer(network.samples[:1])
            runs = [_run(line, device, network, count) for count in (_FEW, _FEW + images)]
    sent, received, clocks = (np.subtract(*runs[::-1]) / images).tolist()
    allowed = manifest.clock_hz / (max(sent, received) * each)
    reached = manifest.clock_hz / clocks
    return {
        "sent": sent, "received": received,
        "payload": 10 * 4 * manifest.registers["input_words"], "clocks": clocks,
        "allowed": allowed, "reached": reached, "share": reached / allowed,
        "retries": device.retries,
    }


def _run(line, device, network, count):
    """Bits in each direction and clocks of some images, whose answers must be right."""
    raw = network.samples[np.arange(count) % len(network.samples)]
    before = np.array([10 * line.sent, 10 * line.received, line.clocks])
    logits = device.infer(raw, progress=lambda counts: _patiently(line, counts)).logits
    if not np.array_equal(logits, network.predict(raw)):
        raise RuntimeError("the device's logits are not the network's")
    return np.array([10 * line.sent, 10 * line.received, line.clocks]) - before


def _patiently(line, counts):
    for count in counts:
        line.progressed()
        yield count


CASES = [{"network": network, "board": "arty-a7", "baud": 1_000_000, "images": 32}
         for network in ("mnist-mlp", "digits-mlp")]

BENCHMARK = Benchmark("line", CASES, measure, keys.VERIFY)
