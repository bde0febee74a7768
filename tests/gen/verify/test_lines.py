"""The process behind the page: lines of JSON in, spikes of each layer out."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from gen.build.builder import build
from gen.cli import main as cli
from gen.verify.lines import main
from tests.networks import linear, settling

NETWORKS = {"linear": linear(), "settling": settling()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines")
    for name, network in NETWORKS.items():
        build(network, board="arty-a7", out=folder / name, synthesise=False)
    return folder


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<i2")


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_are_those_of_the_network(name, built):
    network = NETWORKS[name]
    rng = np.random.default_rng(2)
    images = rng.integers(0, network.pixel_max + 1, (3, *network.input_shape))
    lines = [json.dumps({"image": image.ravel().tolist(), "timesteps": network.timesteps})
             for image in images]
    described, *answers = main(lines, str(built / name))
    trace = network.run(network.encode(images))
    assert [layer["name"] for layer in described["layers"]] == [
        layer.name for layer in network.layers[:-1]]
    assert [answer["logits"] for answer in answers] == trace.logits.tolist()
    for number, layer in enumerate(described["layers"]):
        for k, answer in enumerate(answers):
            said = answer["layers"][number]
            if trace.trains:
                train = trace.trains[layer["name"]][:, k]
                assert (numbers(said["steps"]).reshape(train.shape) == train).all()
                spikes = np.abs(train).sum(axis=0)
            else:
                assert said["steps"] is None
                spikes = trace.counts[layer["name"]][k]
            assert (numbers(said["counts"]).reshape(layer["shape"]) == spikes).all()
            assert said["spikes"] == spikes.sum()
            assert answer["beats"] is answer["difference"] is None


def test_spikes_that_are_taken_back_are_negative(built):
    network = NETWORKS["settling"]
    rng = np.random.default_rng(3)
    images = rng.integers(0, network.pixel_max + 1, (20, *network.input_shape))
    lines = [json.dumps({"image": image.ravel().tolist(), "timesteps": network.timesteps})
             for image in images]
    _, *answers = main(lines, str(built / "settling"))
    assert min(numbers(layer["steps"]).min() for answer in answers
               for layer in answer["layers"]) < 0


def test_a_record_that_has_nothing_to_do_with_the_image(built, tmp_path):
    (tmp_path / "beats").write_text("0 1\n0 1\n")
    size = int(np.prod(NETWORKS["linear"].input_shape))
    line = json.dumps({"image": [0] * size, "timesteps": 1})
    _, answer = main([line], str(built / "linear"), str(tmp_path / "beats"))
    assert answer["beats"] == 2
    assert answer["difference"] == "fc1 sent 2 beats instead of 1"


def test_what_the_network_does_not_take(built):
    size = int(np.prod(NETWORKS["linear"].input_shape))
    lines = [json.dumps(request) for request in (
        {"image": [0] * size, "timesteps": 2}, {"image": [-1] * size, "timesteps": 1},
        {"image": [0] * size, "timesteps": 1})]
    _, steps, pixels, right = main(lines, str(built / "linear"))
    assert "no time-steps to choose" in steps["error"]
    assert "pixels must lie in" in pixels["error"]
    assert "error" not in right


@pytest.mark.parametrize("place, reason", [("absent/beats", "No such file or directory"),
                                           (".", "Is a directory")])
def test_a_record_that_can_t_be_written(place, reason, built, tmp_path, capsys):
    """It is said before anything is compiled."""
    assert cli.main(["virtual", str(built / "linear"), "--beats", str(tmp_path / place)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / place}: {reason}\n"


def test_no_build(tmp_path):
    (said,) = main(["{}"], str(tmp_path))
    assert said["error"].startswith(f"{tmp_path}/manifest.json: can't be read")


def test_a_missing_package(built):
    code = ("import runpy, sys; sys.modules['amaranth'] = None; "
            f"sys.argv[1:] = [{str(built / 'linear')!r}]; "
            "runpy.run_module('gen.verify.lines', run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "error": "the Python package amaranth is missing: pip install spikeloom[gen]"}


def test_it_ends_with_its_input(built):
    done = subprocess.run([sys.executable, "-m", "gen.verify.lines", str(built / "linear")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout)["layers"]
