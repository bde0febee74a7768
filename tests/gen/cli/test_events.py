"""The command ``events``: recordings in, images that commands take out."""

import json

import numpy as np
import pytest

from gen.cli import main as cli
from gen.ir import artifact
from tests.networks import linear

EVENTS = [(0, 0, 0, 0), (0, 0, 0, 9), (2, 1, 1, 10), (1, 2, 1, 25)]
"""x, y, polarity, time."""

OPTIONS = ["--sensor", "3x3", "--window", "10"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"".join(
        (x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for x, y, p, t in EVENTS))
    np.save("b.npy", np.array([(2, 2, 1, 4)], [(name, "i8") for name in "xypt"]))
    artifact.save(linear(), "net.npz")  # images of (2, 3, 3)
    return tmp_path


def test_text(folder, capsys):
    assert cli.main(["events", "a.bin", "b.npy", "-o", "out.npy", *OPTIONS, "--levels", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["output    out.npy", "shape     4 2 3 3", "files     2",
                                "events    5", "elements  4", "clipped   1", "outside   0"]
    assert err == ""
    assert np.argwhere(np.load("out.npy")).tolist() == [
        [0, 0, 0, 0], [1, 1, 1, 2], [2, 1, 2, 1], [3, 1, 2, 2]]


def test_json(folder, capsys):
    assert cli.main(["events", "a.bin", "-o", "out.npy", *OPTIONS, "--layout", "rows", "--elements",
                     "4", "--start", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "output": "out.npy", "shape": [1, 18, 4, 1], "files": 1, "events": 4, "elements": 4,
        "clipped": 0, "outside": 1}
    assert np.load("out.npy")[0, :, :, 0].sum(axis=0).tolist() == [2, 0, 1, 0]


def test_a_network_runs_on_them(folder, capsys):
    assert cli.main(["events", "a.bin", "-o", "out.npy", *OPTIONS]) == 0
    assert cli.main(["run", "net.npz", "out.npy", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    network = linear()
    images = np.zeros((3, 2, 3, 3), np.int64)
    for x, y, p, t in EVENTS:
        images[t // 10, p, y, x] += 1
    assert result["predictions"] == network.run(network.encode(images)).predictions.tolist()


@pytest.mark.parametrize("arguments, message", [
    (["a.bin", "-o", "out.npy", "--sensor", "2x3", "--window", "10"],
     "error: a.bin: event 2 is at column 2, row 1, outside of a sensor of 2 x 3 pixels; give "),
    (["absent.bin", "-o", "out.npy", *OPTIONS],
     "error: absent.bin: can't be read: No such file or directory\n"),
    (["a.bin", "-o", "a.bin", *OPTIONS], "error: a.bin: is an input of this command and would be "),
    (["a.bin", "b.npy", "-o", "out.npy", *OPTIONS, "--layout", "rows"],
     "error: b.npy: the number of elements is 1, not 3 as in a.bin; give one for all sequences\n"),
])
def test_one_line(arguments, message, folder, capsys):
    assert cli.main(["events", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not (folder / "out.npy").exists()


@pytest.mark.parametrize("option, message", [
    (["--sensor", "34"], "argument --sensor: must be WIDTHxHEIGHT, not '34'"),
    (["--sensor", "34x"], "argument --sensor: must be an integer from 1 to 65,536, not ''"),
    (["--sensor", "0x3"], "argument --sensor: must be an integer from 1 to 65,536, not '0'"),
    (["--window", "0"], "argument --window: must be an integer from 1 to"),
    (["--levels", "256"], "argument --levels: must be an integer from 1 to 255, not '256'"),
    (["--elements", "0"], "argument --elements: must be an integer from 1 to"),
    (["--start", "-1"], "argument --start: must be an integer from 0 to"),
    (["--layout", "columns"], "argument --layout: invalid choice: 'columns'"),
])
def test_wrong_values(option, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["events", "a.bin", "-o", "out.npy", *OPTIONS, *option])
    assert caught.value.code == 2
    assert f"python -m gen events: error: {message}" in capsys.readouterr().err
