"""The emitted AXI4-Stream device against :meth:`Network.run`, on Verilator, by the source and the
sink of cocotbext-axi."""

import json
import random
from dataclasses import replace
from pathlib import Path

import cocotb_tools.config
import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from gen.build import selftest
from gen.build.verilog import component_verilog
from gen.ir.beats import pack_input, to_ints
from gen.ir.blocks import answering
from gen.plan.mapping import map_config, map_network
from gen.verify.verilator import verilate
from hw.axi import AxiStream
from hw.device import packing
from hw.packets import model
from tests import networks, sequences

pytest.importorskip("cocotbext.axi", reason="pip install spikeloom[test] for cocotbext-axi")

_HARNESS = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"

_VISIBLE = """`verilator_config
public_flat_rw -module "top" -var "*"
"""

DIGEST = "00112233445566778899aabbccddeeff" * 2

TESTED = replace(networks.linear(), samples=np.full((2, *networks.linear().input_shape), 200))

SUBJECTS = {
    "linear": (networks.linear(), {}),
    "a test of itself": (TESTED, {"selftests": 2}),
    "convolutional": (networks.convolutional(size=5), {}),
    "logits of two words": (networks.wide(), {}),
    "layers that come to rest": (networks.settling(), {}),
    "blocks": (sequences.layered(), {"stream": 2}),
}

BLOCKS = 4
"""Of a sequence."""

STALLS = {"none": (0, 0), "input": (0.6, 0), "output": (0, 0.8), "both": (0.4, 0.5)}


def simulator(config, image):
    device = AxiStream(config, image, digest=DIGEST, clock_hz=100_000_000)
    return verilate(component_verilog(device, "top"), "top", _HARNESS,
                    headers={"ports.vlt": _VISIBLE}, options=("--vpi", "ports.vlt"),
                    library=(cocotb_tools.config.libs_dir, "cocotbvpi_verilator"),
                    optimise="-O0")


def blocks(network, config, images):
    """Words of the blocks of sequences, and those of their logits."""
    whole = answering(network, config.input.height, BLOCKS)
    counts = whole.encode(images)
    beats = pack_input(counts, map_config(whole), begins=True)
    logits = whole.run(counts).logits.reshape(len(images), -1, BLOCKS).swapaxes(1, 2)
    return ([packing(config).pack(to_ints(part)) for sample in beats
             for part in np.split(sample, BLOCKS)],
            [[logit & 0xffffffff for logit in part] for part in logits.reshape(
                -1, config.readout.channels).tolist()])


def traffic(network, config, count):
    """Packets, of which about a third have a wrong length, and their answers."""
    rng, choice = np.random.default_rng(3), random.Random(3)
    channels, height, width = network.input_shape
    height = config.input.height * BLOCKS if config.continues else height
    images = rng.integers(0, network.pixel_max, (count, channels, height, width), endpoint=True)
    samples, answers = (blocks if config.continues else selftest.words)(network, config, images)
    words = len(samples[0])
    packets, due = [], []
    for sample, answer in zip(samples, answers, strict=True):
        while choice.random() < 0.3:
            length = choice.choice([max(1, words - 1), words + 1, 2 * words, 1 + (words == 1)])
            packets.append([choice.getrandbits(32) for _ in range(length + (length == words))])
            due.append(None)
        packets.append(sample)
        due.append(answer)
    begins = config.input_bits - 1 if config.continues else None
    refused = model(packets, words, begins)[1]
    return packets, [None if bad else answer for bad, answer in zip(refused, due, strict=True)]


def _wrong(network, config, count, traffic=traffic):
    """One logit is another."""
    packets, answers = traffic(network, config, count)
    next(filter(None, answers))[0] ^= 1
    return packets, answers


def run(tmp_path, name, stalls, count=30, resets=()):
    """Send packets; what the bench reports, and the answers that were due."""
    network, options = SUBJECTS[name]
    config, image = map_network(network, **options)
    program = simulator(config, image | selftest.image(network, config))
    packets, answers = traffic(network, config, count)
    idle, busy = STALLS[stalls]
    (tmp_path / "plan.json").write_text(json.dumps({
        "packets": packets, "answers": answers, "idle": idle, "busy": busy, "resets": resets,
        "timesteps": config.timesteps, "patience": 500}))
    get_runner("verilator").test(
        hdl_toplevel=program.name, hdl_toplevel_lang="verilog", build_dir=program.parent,
        test_module="tests.cocotb.axi_bench", test_dir=tmp_path, seed=1,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"SPIKELOOM_PLAN": str(tmp_path / "plan.json"), "COCOTB_LOG_LEVEL": "WARNING"})
    return json.loads((tmp_path / "report.json").read_text()), answers


@pytest.mark.parametrize("name, stalls", [
    ("linear", "none"), ("linear", "both"),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in [
        ("linear", "input"), ("linear", "output"),
        *((name, "both") for name in SUBJECTS if name != "linear")])])
def test_answers(tmp_path, name, stalls):
    report, answers = run(tmp_path, name, stalls, count=12 if name == "blocks" else 30)
    assert 3 < answers.count(None) < len(answers) - 3
    assert report == {"answers": len(answers), "mismatches": 0}


def test_resets_in_the_middle(tmp_path):
    report, answers = run(tmp_path, "linear", "both", resets=(7, 40, 111, 200))
    assert report == {"answers": len(answers), "mismatches": 0}


def test_a_wrong_answer_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.traffic", _wrong)
    report, _ = run(tmp_path, "linear", "none")
    assert report["mismatches"] == 1
