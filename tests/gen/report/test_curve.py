"""Accuracy against time-steps."""

import json
from dataclasses import replace

import numpy as np
import pytest

import boards
from gen.build.planning import design_for
from gen.cli import main as cli
from gen.convert.firing import Firing
from gen.data.datasets import load
from gen.errors import NetworkError, OutputError
from gen.ir import artifact, shipped
from gen.report.curve import curve, draw, require_plot
from hw.dynamics import Dynamics
from tests import networks


@pytest.fixture(scope="module")
def digits():
    """The network with time-steps of casc, images and labels."""
    data = load("digits")
    network, _ = Firing("casc").applied(shipped.find("digits"), data.train_images[:50])
    return network, data.test_images[:150], data.test_labels[:150]


def test_after_each_time_step(digits):
    network, images, labels = digits
    result = curve(network, images, labels)
    assert json.loads(json.dumps(result)) == result
    steps = network.run(network.encode(images)).steps
    assert result["accuracy"] == [(now.argmax(axis=1) == labels).mean() for now in steps]
    assert result["accuracy"][0] < result["accuracy"][-1]
    once = shipped.find("digits")
    assert result["accuracy_quantised"] == result["accuracy"][-1] == (
        once.predict(images).argmax(axis=1) == labels).mean()
    assert result["awake"] == [True] * 3 + [False] * 4
    assert (result["network"], result["method"], result["images"]) == ("digits", "casc", 150)
    assert result["accuracy_float"] == once.metadata["accuracy_float"]
    assert (result["rtl_images"], result["rtl_accuracy"], result["mismatches"]) == (0, None, None)
    assert result["images_exact"] == 150


def test_the_quantised_network_is_not_the_last_step_of_qcfs():
    data = load("digits")
    network, _ = Firing("qcfs", timesteps=2).applied(shipped.find("digits"),
                                                     data.train_images[:50])
    images, labels = data.test_images[:150], data.test_labels[:150]
    once = (shipped.find("digits").predict(images).argmax(axis=1) == labels).mean()
    result = curve(network, images, labels)
    assert result["accuracy_quantised"] == once > result["accuracy"][-1]


def test_what_is_not_known_is_not_said(digits):
    network, images, labels = digits
    assert curve(network, images[:5], labels[:5], dataset="mnist")["accuracy_float"] is None
    unknown = replace(network, metadata={})
    result = curve(unknown, images[:5], labels[:5])
    assert (result["accuracy_float"], result["method"]) == (None, None)


def test_the_verilog_is_on_the_curve():
    network = networks.stepping(Dynamics(3, 2, signed=True, bound="elapsed"), seed=3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4, (30, *network.input_shape))
    labels = network.predict(images).argmax(axis=1)
    result = curve(network, images, labels, rtl=7, jobs=1,
                   design=lambda: design_for(network, boards.find("arty-a7")))
    assert (result["rtl_images"], result["mismatches"]) == (7, 0)
    steps = network.run(network.encode(images[:7])).steps
    assert result["rtl_accuracy"] == [(now.argmax(axis=1) == labels[:7]).mean() for now in steps]
    assert result["rtl_accuracy"][-1] == 1


def test_the_verilog_of_a_probed_network_runs_to_the_end():
    network = networks.stepping(Dynamics(2, probe=1), seed=3)
    images = np.random.default_rng(0).integers(0, 4, (3, *network.input_shape))
    result = curve(network, images, network.predict(images).argmax(axis=1), rtl=3, jobs=1,
                   design=lambda: design_for(network, boards.find("arty-a7")))
    assert (result["rtl_accuracy"], result["mismatches"]) == ([None, 1.0], 0)


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_plot(suffix, digits, tmp_path):
    network, images, labels = digits
    result = curve(network, images[:20], labels[:20]) | {
        "rtl_accuracy": [None] * 5 + [0.8, 0.9], "rtl_images": 10}
    drawn = []
    for name in ("a", "b"):
        draw(result, require_plot(tmp_path / (name + suffix)))
        drawn.append((tmp_path / (name + suffix)).read_bytes())
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 1000


@pytest.mark.parametrize("name", ["a.txt", "a", "folder.svg"])
def test_files_that_are_no_plot(name, tmp_path):
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OutputError):
        require_plot(tmp_path / name)


def test_networks_that_fire_once():
    with pytest.raises(NetworkError, match=r"^digits fires once, after all the charge, so there "
                       r"is no curve; train or convert it with --method$"):
        curve(shipped.find("digits"), np.zeros((1, 1, 8, 8), int), np.zeros(1, int))


def test_command(digits, tmp_path, capsys):
    path, plot = tmp_path / "casc.npz", tmp_path / "curve.svg"
    artifact.save(digits[0], path)
    assert cli.main(["curve", str(path), "--limit", "50", "-o", str(plot)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["time-steps", "input", "accuracy"]
    assert [line.split()[:2] for line in lines[1:8]] == [
        *([str(k), "charges"] for k in (1, 2, 3)), *([str(k), "-"] for k in (4, 5, 6, 7))]
    assert "Verilog            not simulated (--rtl)" in lines
    assert "exact              50 images: all neurons are quiet in the end" in lines
    assert lines[-1] == f"plot               {plot}"
    assert plot.read_text().startswith("<?xml")
    assert cli.main(["curve", str(path), "--limit", "20", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["accuracy"]) == 7
