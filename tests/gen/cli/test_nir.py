"""NIR files on the command line, and events through an imported network, end to end."""

import json
import re
from itertools import pairwise

import nir
import numpy as np
import pytest

import host.cli
from gen.cli import main as cli
from gen.ir import artifact
from tests.networks import linear

STEPS = 6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Recordings like those of N-MNIST, two kinds of them, and a network in NIR that tells them
    apart: the events of one kind are in the left half of the sensor, those of the other in the
    right."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for k in range(12):
        x = rng.integers(0, 3, 60) + 3 * (k % 2)
        y, p = rng.integers(0, 6, 60), rng.integers(0, 2, 60)
        t = np.sort(rng.integers(0, 1000 * STEPS, 60))
        (tmp_path / f"{k:02}.bin").write_bytes(b"".join(
            (int(a) << 32 | int(b) << 24 | int(c) << 23 | int(d)).to_bytes(5, "big")
            for a, b, c, d in zip(x, y, p, t, strict=True)))
    halves = np.zeros((2, 8, 3, 3))
    halves[0, :, :, 0] = halves[1, :, :, 2] = 1
    conv = nir.Conv2d((6, 6), rng.uniform(0.1, 0.5, (8, 2, 3, 3)), 1, 1, 1, 1, np.zeros(8))
    nodes = {"input": nir.Input(np.array([2, 6, 6])), "conv": conv,
             "if": nir.LIF(np.full((8, 6, 6), 4e-4), np.full((8, 6, 6), 4.0), np.zeros((8, 6, 6)),
                           np.ones((8, 6, 6))),
             "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
             "flat": nir.Flatten(np.array([8, 3, 3]), 0, -1),
             "fc": nir.Linear(halves.reshape(2, 72) / 9),
             "out": nir.IF(np.full(2, 1e4), np.ones(2)), "output": nir.Output(np.array([2]))}
    names = list(nodes)
    nir.write("net.nir", nir.NIRGraph(nodes, list(pairwise(names)), {},
                                      type_check=False))
    nir.write("recurrent.nir", recurrent(rng))
    artifact.save(linear(), "linear.npz")
    return tmp_path


def recurrent(rng):
    """Eight neurons that look at one half each, and whose spikes come back to them, as a graph
    within."""
    weights = np.zeros((8, 2, 6, 6))
    weights[:4, :, :, :3], weights[4:, :, :, 3:] = rng.uniform(0.1, 0.4, (2, 4, 2, 6, 3))
    within = nir.NIRGraph(
        {"in": nir.Input(np.array([8])), "out": nir.Output(np.array([8])),
         "back": nir.Linear(rng.normal(size=(8, 8)) / 4),
         "lif": nir.LIF(np.full(8, 4e-4), np.full(8, 4.0), np.zeros(8), np.ones(8))},
        [("in", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "out")], {}, type_check=False)
    nodes = {"input": nir.Input(np.array([2, 6, 6])), "flat": nir.Flatten(np.array([2, 6, 6]), 0),
             "fc": nir.Linear(weights.reshape(8, 72)), "lif": within,
             "sum": nir.Linear(np.repeat(np.eye(2), 4, axis=1) / 2),
             "out": nir.IF(np.full(2, 1e4), np.ones(2)), "output": nir.Output(np.array([2]))}
    return nir.NIRGraph(nodes, list(pairwise(nodes)), {}, type_check=False)


def run(capsys, *arguments):
    assert cli.main([*arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def recordings(capsys, layout, out):
    return run(capsys, "events", *(f"{k:02}.bin" for k in range(12)), "-o", out, "--sensor", "6x6",
               "--window", "1000", "--levels", "1", "--elements", str(STEPS), "--layout", layout)


@pytest.mark.parametrize("rtl", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("file, layout, shape", [
    ("net.nir", "trains", [12, 2, 6, 6]), ("recurrent.nir", "rows", [12, 72, STEPS, 1])])
def test_events_from_recordings_to_the_array(file, layout, shape, rtl, folder, capsys):
    """Recordings, NIR, integers, and every spike of the Verilog."""
    assert recordings(capsys, "steps", "steps.npy")["shape"] == [12, STEPS, 2, 6, 6]
    assert recordings(capsys, layout, "trains.npy")["shape"] == shape
    told = run(capsys, "convert", file, "--calibration", "steps.npy", "-o", "net.npz",
               "--origin", "snntorch")
    assert told["timesteps"] == STEPS
    assert told["agreement"] == 1
    assert min(told["spikes"].values()) > 0.97
    network = artifact.load("net.npz")
    trains = np.load("trains.npy")
    assert np.array_equal(network.samples, trains)
    found = run(capsys, "run", "net.npz", "trains.npy")
    assert found["predictions"] == [k % 2 for k in range(12)]
    assert min(found["spikes"].values()) > 1
    if not rtl:
        return
    verified = run(capsys, "verify", "net.npz", "--images-file", "trains.npy", "--images", "2")
    assert verified["mismatches"] == 0
    assert verified["spikes"] > 0
    run(capsys, "build", "net.npz", "--no-synthesis", "--board", "arty-a7", "-o", "built")
    assert host.cli.main(["infer", "trains.npy", "--board", "built", "--port", "virtual",
                          "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["logits"] == network.run(network.encode(trains)).logits.tolist()


def test_export(folder, capsys):
    told = run(capsys, "export-nir", "linear.npz", "-o", "linear.nir")
    assert (told["nodes"], told["neurons"]) == (6, ["IF"])
    assert len(nir.read("linear.nir", type_check=False).nodes) == 6


@pytest.mark.parametrize("arguments, message", [
    (["convert", "net.nir", "--method", "qcfs"],
     "error: net.nir: spikes already, so --method means nothing; leave it out"),
    (["convert", "net.nir", "--weights", "w.safetensors"],
     "error: net.nir: spikes already, so --weights means nothing; leave it out"),
    (["convert", "net.nir", "--labels", "y.npy"],
     "error: net.nir: spikes already, so --labels means nothing; leave it out"),
    (["convert", "m.py:build", "--weights", "w", "--dt", "1"],
     "error: --dt is for .nir files; leave it out"),
    (["convert", "m.py:build", "--weights", "w"], "error: m.py: there is no such file"),
    (["convert", "absent.nir"], "error: absent.nir: can't be read as NIR (["),
    (["convert", "net.nir", "--timesteps", "5"],
     "error: steps.npy: has 6 time-steps, not 5; leave --timesteps out"),
])
def test_one_line_and_status_1(folder, capsys, arguments, message):
    recordings_left = ["--calibration", "steps.npy", "-o", "out.npz"]
    np.save("steps.npy", np.zeros((3, STEPS, 2, 6, 6), np.uint8))
    assert cli.main(arguments + recordings_left) == 1
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize("shape, most, message", [
    ((3, 2, 6), 1, r"must have the shape \(N, 2, 6, 6\) of images, or \(N, T, 2, 6, 6\) of ev"),
    ((3, 30, 2, 6, 6), 1, "30 time-steps with up to 1 events of a pixel need 30 bits, and 24 are "),
    ((3, 70, 2, 6, 6), 1, "has 70 time-steps; 64 are the most"),
    ((3, 9, 2, 6, 6), -1, "events must be integers that are not negative"),
    ((3, 2, 6, 6), 999, r"images must lie in 0..255, not 999..999"),
])
def test_data_that_do_not_fit(folder, capsys, shape, most, message):
    np.save("x.npy", np.full(shape, most))
    assert cli.main(["convert", "net.nir", "--calibration", "x.npy", "-o", "out.npz"]) == 1
    assert re.match(f"error: x.npy: {message}", capsys.readouterr().err)
