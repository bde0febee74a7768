"""Networks as plain files: the program of docs/own-hardware.md reproduces every spike."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from gen.cli.main import main
from gen.errors import OutputError
from gen.ir import artifact, shipped
from gen.ir.plain import FILES, export, structure
from hw.dynamics import Membrane
from tests import networks, sequences

PAGE = Path(__file__).parents[3] / "docs" / "own-hardware.md"


@pytest.fixture(scope="module")
def run():
    """The function of the page, made of nothing but its text."""
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(program, str(PAGE), "exec"), names)
    return names["run"]


NETWORKS = {
    "linear": networks.linear(), "convolutional": networks.convolutional(),
    "residual": networks.residual(), "recurrent": sequences.layered(),
    "lasting": sequences.random_lasting(np.random.default_rng(3), elements=9, own=True),
    "currents": sequences.random_lasting(np.random.default_rng(3), elements=9, current=(2,)),
    "lasting, delayed": sequences.random_lasting(
        np.random.default_rng(4), elements=9, membrane=Membrane((2, 4), delayed=True)),
    "digits": shipped.find("digits"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_numpy_alone_reproduces_every_spike(name, run, tmp_path):
    network = NETWORKS[name]
    images = np.random.default_rng(0).integers(0, network.pixel_max, (6, *network.input_shape),
                                               endpoint=True)
    export(network, tmp_path)
    found, trace = run(tmp_path, images), network.run(network.encode(images))
    assert found.keys() == {*trace.counts, network.readout.name}
    for layer, counts in trace.counts.items():
        assert np.array_equal(found[layer], counts), layer
    assert np.array_equal(found[network.readout.name].reshape(trace.logits.shape), trace.logits)
    assert any(counts.any() for layer, counts in trace.counts.items() if layer != "input")


@pytest.mark.parametrize("name", [*NETWORKS, "mnist-casc"])
def test_what_is_said_holds(name, tmp_path):
    network = NETWORKS.get(name) or shipped.find(name)
    said = export(network, tmp_path)
    assert json.loads((tmp_path / FILES[0]).read_text()) == json.loads(json.dumps(said))
    assert said == structure(network)
    with np.load(tmp_path / FILES[1], allow_pickle=False) as archive:
        arrays = dict(archive)
    about = {name: facts for layer in said["layers"] for name, facts in layer["arrays"].items()}
    assert about.keys() == arrays.keys()
    for array, facts in about.items():
        assert arrays[array].dtype == np.int64
        assert list(arrays[array].shape) == facts["shape"]
        assert [arrays[array].min(), arrays[array].max()] == facts["range"]
    bundles = [window for layer in said["layers"] for window in layer["windows"]
               if "weights" in window]
    assert sum(arrays[window["weights"]].size for window in bundles) == network.weight_count
    for window in bundles:
        bound = 1 << window["bits"] - 1
        low, high = about[window["weights"]]["range"]
        assert -bound <= low <= high < bound
        assert about[window["weights"]]["shape"][2:] == window["kernel"]
    trace = network.run(np.zeros((1, *network.input_shape), int))
    for layer in said["layers"][:-1]:
        assert list(trace.counts[layer["name"]].shape[1:]) == layer["shape"]
        assert trace.counts[layer["name"]].max() <= layer["counts"][1]


def test_same_network_same_bytes(tmp_path):
    for folder in "ab":
        export(networks.residual(), tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_table(tmp_path, capsys):
    network = networks.residual()
    artifact.save(network, tmp_path / "net.npz")
    assert main(["show", str(tmp_path / "net.npz"), "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(line for line in lines if line.startswith("layer"))
    rows = lines[lines.index(head) + 1:]
    assert len(rows) == sum(len(layer.windows) for layer in network.layers)
    for layer in network.layers:
        (row,) = (row for row in rows if row.split(" ")[0] == layer.name)
        assert "x".join(map(str, network.shapes[layer.name])) in row
        assert row.index(layer.label) == head.index("kind")
        assert row[head.index("from"):].startswith(layer.sources[0])
    assert sorted(os.listdir(tmp_path / "out")) == sorted(FILES)


def test_object(capsys):
    assert main(["show", "mnist-casc", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(json.dumps(structure(shipped.find("mnist-casc"))))
    assert said["dynamics"]["wake"] == 8


def test_a_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written: Not a directory"):
        export(networks.linear(), tmp_path / "file")


def test_no_network(capsys):
    assert main(["show", "absent.npz"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
