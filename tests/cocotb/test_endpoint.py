"""The emitted endpoint against the root complex of cocotbext-pcie, on Verilator."""

import json
import random
from pathlib import Path

import cocotb_tools.config
import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from gen.build.verilog import component_verilog
from gen.ir.beats import pack, to_ints
from gen.plan.mapping import map_network
from gen.verify.verilator import verilate
from hw.array import Array
from hw.device import packing, register_map
from hw.pcie.registers import RingMap
from hw.pcie.top import Top
from tests.hw.standin import StandIn, config, logits
from tests.networks import linear

pytest.importorskip("cocotbext.pcie", reason="pip install spikeloom[test] for cocotbext-pcie")

_HARNESS = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"

_VISIBLE = """`verilator_config
public_flat_rw -module "top" -var "*"
"""

DIGEST = "00112233445566778899aabbccddeeff" * 2

QUIET = {"idle": 0, "busy": 0, "late": 0, "room": [64, 1024, 64, 64], "payload": 0,
         "base": 0, "period": 8, "ring": 4096}
ROUGH = {"idle": 0.3, "busy": 0.4, "late": 900, "room": [4, 32, 3, 8], "payload": 1,
         "base": 0x12_0000_0000, "period": 8, "ring": 1024}


def compiled(array, config):
    """The simulator of a device behind an endpoint."""
    top = Top(array, config, digest=DIGEST, clock_hz=125_000_000, patience=1 << 14)
    return verilate(
        component_verilog(top, "top"), "top", _HARNESS, headers={"ports.vlt": _VISIBLE},
        options=("--vpi", "ports.vlt"),
        library=(cocotb_tools.config.libs_dir, "cocotbvpi_verilator"))


def registers(config):
    return register_map(config).as_dict() | RingMap().as_dict()


@pytest.fixture(scope="module")
def subject():
    """A network: its simulator, samples and logits, and registers."""
    network = linear()
    mapped, image = map_network(network)

    def samples(count, seed):
        rng = np.random.default_rng(seed)
        counts = rng.integers(0, mapped.input.levels + 1, (count, *network.input_shape))
        layout = mapped.input
        beats = pack(counts.reshape(count, layout.channels, layout.height, layout.width), layout)
        logits = network.run(counts).logits.astype(np.int64) & 0xffffffff
        beats = beats.reshape(count, layout.beats, -1)
        return ([packing(mapped).pack(to_ints(each)) for each in beats],
                logits.reshape(count, -1).tolist())

    return compiled(Array(mapped, image), mapped), samples, registers(mapped)


def run(subject, tmp_path, count, plan, case):
    """The bench's report."""
    simulator, samples, where = subject
    words, logits = samples(count, 7)
    (tmp_path / "plan.json").write_text(json.dumps(
        {**plan, "words": words, "logits": logits, "registers": where}))
    get_runner("verilator").test(
        hdl_toplevel=simulator.name, hdl_toplevel_lang="verilog", build_dir=simulator.parent,
        test_module="tests.cocotb.endpoint_bench", testcase=case, test_dir=tmp_path, seed=count,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"SPIKELOOM_PLAN": str(tmp_path / "plan.json"), "COCOTB_LOG_LEVEL": "WARNING"})
    report = tmp_path / "report.json"
    return json.loads(report.read_text()) if report.exists() else None


@pytest.mark.parametrize("case", ["unsupported", "interrupts"])
def test_the_host_asks(subject, tmp_path, case):
    run(subject, tmp_path, 1, QUIET, case)


@pytest.mark.parametrize("plan", [QUIET, ROUGH], ids=["quiet", "rough"])
def test_samples_through_both_rings(subject, tmp_path, plan):
    report = run(subject, tmp_path, 400, plan, "rings")
    assert report["longest"] <= 128


@pytest.mark.slow
def test_ten_thousand_samples(subject, tmp_path):
    """With random gaps on both sides, few credits, and completions that are split and mixed."""
    report = run(subject, tmp_path, 10_000, ROUGH, "rings")
    assert report["samples"] == 7_500


@pytest.fixture(scope="module")
def swift():
    """A device that takes a word a clock."""
    shape = config(channels=8, size=16, word=8, classes=1, lanes=1)

    def samples(count, seed):
        rng = random.Random(seed)
        beats = [[rng.getrandbits(32) for _ in range(shape.input.beats)] for _ in range(count)]
        return beats, [[logit & 0xffffffff for logit in logits(shape, each)] for each in beats]

    return compiled(StandIn(shape), shape), samples, registers(shape)


def test_no_completion_is_lost(swift, tmp_path):
    """A lane brings small completions faster than they are taken at 62.5 MHz, and a hard block
    holds no more than 36."""
    report = run(swift, tmp_path, 80, {**QUIET, "period": 16, "late": 300, "ring": 1 << 14},
                 "rings")
    assert 16 < report["completions"] <= 32


LANE = 0.5
"""Bytes a nanosecond that a lane of the second generation carries."""


@pytest.mark.parametrize("period, payload, share", [(8, 0, 0.9), (8, 1, 0.88), (16, 0, 0.5)],
                         ids=["125 MHz", "256 bytes", "62.5 MHz"])
def test_share_of_what_the_link_carries(swift, tmp_path, period, payload, share):
    """Samples into a device that takes a word a clock, in completions as long as they may be: at
    125 MHz all but what headers and framing leave of a lane, at 62.5 MHz a word a clock."""
    report = run(swift, tmp_path, 80, {**QUIET, "period": period, "payload": payload,
                                         "ring": 1 << 14}, "rings")
    size = 128 << payload
    allowed = LANE * size / (size + 20)
    moved = 4 * 256 * report["samples"] / report["nanoseconds"]
    (tmp_path / "share").write_text(f"{moved / allowed:.3f} {moved * period / 4:.3f}")
    print(f"{moved / allowed:.3f} of the link, {moved * period / 4:.3f} words a clock")
    assert share < moved / allowed < 1.05
