"""The LiteX example: its SoC around an IP core is linted, and computes what the network does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cocotb_tools.config
import numpy as np
import pytest
from cocotb_tools.runner import get_runner

import boards
from gen.build import ip, selftest
from gen.build.planning import design_for
from gen.verify.verilator import environment, verilate
from tests.networks import linear

pytest.importorskip("litex", reason="pip install spikeloom[test] for litex")

ROOT = Path(__file__).parents[2]

_HARNESS = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"

_VISIBLE = """`verilator_config
public_flat_rw -module "soc" -var "*"
"""

# How LiteX writes Verilog, in its own part of the SoC.
QUIET = tuple(f"-Wno-{name}" for name in (
    "CASEINCOMPLETE", "COMBDLY", "PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC"))


@pytest.fixture(scope="module")
def soc(tmp_path_factory):
    """The SoC's directory, its Verilog with that of the network, and samples with their logits."""
    out, network = tmp_path_factory.mktemp("litex"), linear()
    design = design_for(network, boards.find("arty-a7"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, network.pixel_max, (5, *network.input_shape), endpoint=True)
    made = ip.write(design, out / "ip", images)
    done = subprocess.run([sys.executable, "examples/litex/network_soc.py", out / "ip", "-o", out],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    verilog = (out / "soc.v").read_text() + Path(made["verilog"]).read_text()
    return out, verilog, made["answer_words"], selftest.words(network, design.config, images)


def test_lint(soc):
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *QUIET, "--top-module", "soc", "soc.v",
         "ip/spikeloom_linear.v"], cwd=soc[0], env=environment(), capture_output=True, text=True,
        check=False)
    assert not done.returncode, done.stderr
    assert not re.findall(r"^%\w+.*", done.stderr, re.MULTILINE)


def test_simulation(soc):
    out, verilog, words, (samples, logits) = soc
    program = verilate(verilog, "soc", _HARNESS, headers={"ports.vlt": _VISIBLE},
                       options=("--vpi", "ports.vlt", *QUIET), optimise="-O0",
                       library=(cocotb_tools.config.libs_dir, "cocotbvpi_verilator"))
    addresses = json.loads((out / "csr.json").read_text())
    (out / "plan.json").write_text(json.dumps({
        "registers": addresses["csr_registers"], "words": words, "samples": samples,
        "buffer": addresses["memories"]["buffer"]["base"]}))
    get_runner("verilator").test(
        hdl_toplevel=program.name, hdl_toplevel_lang="verilog", build_dir=program.parent,
        test_module="tests.examples.litex_bench", test_dir=out, seed=1,
        results_xml=str(out / "results.xml"),
        extra_env={"SPIKELOOM_PLAN": str(out / "plan.json"), "COCOTB_LOG_LEVEL": "WARNING"})
    assert json.loads((out / "results.json").read_text()) == [*logits, logits[0]]
