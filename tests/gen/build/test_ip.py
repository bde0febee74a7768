"""IP cores: what is written, and FuseSoC with what it says of the files."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import boards
from gen.build import ip, synthesis
from gen.build.planning import design_for
from gen.cli.main import main
from gen.errors import FitError, NetworkError, OutputError
from gen.ir import artifact
from gen.verify.verilator import environment
from tests.networks import linear, settling
from tests.sequences import layered

# The makefile of Verilator's package was configured without a compiler.
_MAKE = ("CXX=g++", "LINK=g++", "CFG_CXXFLAGS_STD=-std=c++20", "CFG_CXXFLAGS_PCH_I=-include",
         "OPT_FAST=-O0", "OPT_SLOW=-O0")

PORTS = {"clk", "rst", *(f"{side}_axis_{name}" for side in "sm"
                         for name in ("tdata", "tvalid", "tready", "tlast")), "m_axis_tuser"}


def design(network, **options):
    return design_for(network, boards.find("arty-a7"), **options)


def images(network, count=4):
    rng = np.random.default_rng(0)
    return rng.integers(0, network.pixel_max, (count, *network.input_shape), endpoint=True)


def ports(directory, name):
    text = (directory / f"{name}.v").read_text()
    (found,) = re.findall(rf"^module {name}\(([^)]*)\)", text, re.MULTILINE)
    return set(found.split(", "))


def fusesoc(directory, target, *, cores):
    """What a target of the core prints, in a directory of its own."""
    pytest.importorskip("fusesoc", reason="pip install spikeloom[test] for fusesoc")
    (core,) = cores.glob("*.core")
    done = subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", cores, "run", f"--target={target}",
         f"spikeloom:network:{core.stem}:0"], cwd=directory, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment() | {
            "MAKEFLAGS": " ".join(_MAKE), **{f"XDG_{name}_HOME": str(directory / name) for name in (
                "CONFIG", "CACHE", "DATA")}})
    return done.returncode, done.stdout


def test_what_is_written(tmp_path):
    network = linear()
    planned = design(network)
    made = ip.write(planned, tmp_path, images(network))
    assert made == {
        "network": "linear", "module": "spikeloom_linear", "sample_words": 2, "answer_words": 6,
        "images": 4, "verilog": str(tmp_path / "spikeloom_linear.v"),
        "core": str(tmp_path / "spikeloom_linear.core")}
    assert ports(tmp_path, "spikeloom_linear") == PORTS
    facts = json.loads((tmp_path / "ip.json").read_text())
    assert (facts["module"], facts["digest"]) == ("spikeloom_linear", planned.digest)
    logits = network.predict(images(network)).ravel() & 0xffffffff
    assert [int(word, 16) for word in (tmp_path / "ip_answers.mem").read_text().split()] == list(
        logits)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    ip.write(design(network), tmp_path, images(network))
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}


def test_further_ports(tmp_path):
    network = settling()
    network = replace(network, name="aü-1", samples=images(network, 1))
    assert ip.write(design(network, selftests=1), tmp_path, images(network))["module"] == (
        "spikeloom_a__1")
    assert ports(tmp_path, "spikeloom_a__1") == PORTS | {"timesteps", "passed"}


def test_lint(tmp_path):
    network = linear()
    ip.write(design(network), tmp_path / "ip", images(network))
    status, said = fusesoc(tmp_path, "lint", cores=tmp_path / "ip")
    assert status == 0, said
    assert "%Warning" not in said


@pytest.mark.parametrize("network, options", [
    (linear(), {}),
    pytest.param(settling(), {}, marks=pytest.mark.slow),
    pytest.param(layered(), {"stream": 2}, marks=pytest.mark.slow)],
    ids=["linear", "time-steps", "blocks"])
def test_the_testbench(network, options, tmp_path):
    """It passes, and it finds one wrong bit."""
    made = ip.write(design(network, **options), tmp_path / "ip", images(network))
    status, said = fusesoc(tmp_path, "sim", cores=tmp_path / "ip")
    assert status == 0, said
    assert "%Warning" not in said
    assert "passed: 4 samples" in said
    (program,) = tmp_path.glob("build/*/sim/Vtb")
    answers = program.with_name("ip_answers.mem")
    words = answers.read_text().split()
    words[-1] = f"{int(words[-1], 16) ^ 1:08x}"
    answers.write_text("\n".join(words))
    done = subprocess.run([program], cwd=program.parent, capture_output=True, text=True,
                          check=False)
    assert done.returncode
    assert f"answer 9, word {made['answer_words'] - 2}: " in done.stdout + done.stderr


@pytest.mark.slow
def test_synthesis(tmp_path):
    """It has neither multipliers nor latches, as a build."""
    network = linear()
    planned = design(network)
    made = ip.write(planned, tmp_path, images(network))
    sources, synth = [Path(made["verilog"]).name], planned.board.synth
    (tmp_path / synthesis.SCRIPT).write_text(synthesis.script(
        sources, top=made["module"], command=synth))
    resources = synthesis.synthesise(tmp_path, sources, top=made["module"], command=synth)
    synthesis.require_pure(resources, network.name)
    assert 100 < resources.luts < planned.board.budget.luts


def test_command(tmp_path, capsys):
    network = linear()
    artifact.save(network, tmp_path / "net.npz")
    np.save(tmp_path / "images.npy", images(network))
    assert not main(["ip", str(tmp_path / "net.npz"), "-o", str(tmp_path / "ip"), "--images-file",
                     str(tmp_path / "images.npy"), "--images", "2", "--json"])
    made = json.loads(capsys.readouterr().out)
    assert (made["images"], made["module"]) == (2, "spikeloom_linear")


class TestRefused:
    def test_memories_that_may_be_loaded(self, tmp_path):
        network = linear()
        with pytest.raises(FitError, match=r"^linear: memories are loaded over a link, .*; "
                                           r"leave --reloadable out$"):
            ip.write(design(network, reloadable=True), tmp_path, images(network))
        assert not list(tmp_path.iterdir())

    def test_images_of_another_shape(self, tmp_path):
        with pytest.raises(NetworkError, match=r"shape"):
            ip.write(design(linear()), tmp_path, np.zeros((1, 9, 9)))

    def test_a_directory_that_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        network = linear()
        with pytest.raises(OutputError, match=r"file"):
            ip.write(design(network), tmp_path / "file", images(network))
