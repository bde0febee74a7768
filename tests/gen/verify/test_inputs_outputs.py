"""Files that a user names: places of results are checked before the work, and only regular files
are read."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from gen.cli import demo as demonstration
from gen.cli import main as cli
from gen.convert.usercode import loaded
from gen.ir import artifact, shipped
from host.terminal import one_line

MODEL = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.fixture
def user(tmp_path):
    """A module with weights, calibration images, and a link to a network; results go elsewhere."""
    (tmp_path / "model.py").write_text(MODEL)
    with loaded(f"{tmp_path}/model.py:build") as module:
        save_file(module.state_dict(), tmp_path / "w.safetensors")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 1, 2, 2)))
    artifact.save(shipped.find("digits"), tmp_path / "net.npz")
    (tmp_path / "results").mkdir()
    return tmp_path


def convert(user, **files):
    files = {"target": f"{user}/model.py", "weights": user / "w.safetensors",
             "calibration": user / "x.npy"} | files
    return ["convert", f"{files['target']}:build", "--weights", str(files["weights"]),
            "--calibration", str(files["calibration"])]


def error(capsys, arguments):
    """The one line of a command that fails."""
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    *_, line = err.splitlines()
    assert out == ""
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


# Command -> where its work begins, whether its result is a file, and the words before its place.
COMMANDS = {
    "train": ("gen.data.datasets.load", True,
              lambda _: ["train", "--dataset", "digits", "--model", "mlp", "-o"]),
    "convert": ("gen.convert.conversion.opened", True, lambda user: [*convert(user), "-o"]),
    "simulate": ("gen.verify.simulation.load", True,
                 lambda _: ["simulate", "digits", "--images-out"]),
    "build": ("gen.build.builder.design_for", False, lambda _: ["build", "digits", "-o"]),
    "explore": ("gen.explore.sweep._executor", False, lambda _: ["explore", "digits", "-o"]),
    "demo": ("gen.cli.demo.load", False, lambda _: ["demo", "-o"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_places_of_results(command, user, capsys, monkeypatch):
    work, is_file, words = COMMANDS[command]
    arguments = [*words(user), ""]
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("began"))
    results = user / "results"
    (results / "file").write_text("old")
    (results / "folder").mkdir()
    os.mkfifo(results / "fifo")
    cases = {
        "file/net.npz": "Not a directory", f"{'x' * 250}.npz/{'y' * 300}": "File name too long",
        **({"folder": "Is a directory", "fifo": "Not a regular file"} if is_file else
           {"file": "Not a directory", "fifo": "Not a directory"}),
    }
    for name, reason in cases.items():
        if command == "convert":
            arguments = [*words(user)[:-1], "--name", "net", "-o", ""]
        line = error(capsys, [*arguments[:-1], str(results / name)])
        expected = one_line(f"error: {results / name}: can't be written: {reason}; make it "
                            f"possible or choose another place")
        assert f"error: {line}" == expected
    assert sorted(path.name for path in results.iterdir()) == ["fifo", "file", "folder"]
    assert (results / "file").read_text() == "old"


@pytest.mark.parametrize("command, name", [("train", "a/b"), ("convert", "a b"), ("convert", "")])
def test_names_of_networks(command, name, user, capsys, monkeypatch):
    work, _, words = COMMANDS[command]
    arguments = [*words(user), str(user / f"{name or 'my net'}.npz")]
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("began"))
    line = error(capsys, [*arguments, "--name", name])
    assert line == (f"a network's name must be letters, digits, '-' and '_', not "
                    f"{name or 'my net'!r}")


@pytest.mark.parametrize("name", ["model.py", "w.safetensors", "x.npy"])
def test_a_conversion_does_not_replace_what_it_reads(name, user, capsys):
    before = (user / name).read_bytes()
    line = error(capsys, [*convert(user), "--name", "net", "-o", str(user / name)])
    assert line == (f"{user / name}: is an input of this command and would be overwritten; "
                    f"choose another place")
    assert (user / name).read_bytes() == before


def test_a_conversion_that_fails_leaves_the_old_network(user, capsys):
    before = (user / "net.npz").read_bytes()
    error(capsys, [*convert(user), "-o", str(user / "net.npz"), "--activation", "None,a,b"])
    assert (user / "net.npz").read_bytes() == before


@pytest.mark.parametrize("interrupted", ["build", "_infer"])
def test_an_interrupted_demonstration_leaves_no_summary(interrupted, user, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(demonstration, "build", lambda *_, **__: {})
    monkeypatch.setattr(demonstration, interrupted, interrupt)
    (user / "summary.json").write_text("{}")
    assert cli.main(["demo", "-o", str(user)]) == 130
    assert not (user / "summary.json").exists()


@pytest.fixture
def alarm():
    """A command that waits for ever fails."""
    def ring(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS = {
    "network of run": lambda user, path: ["run", path, "--dataset", "digits"],
    "network of fit": lambda user, path: ["fit", path],
    "network of build": lambda user, path: ["build", path, "-o", str(user / "out")],
    "images of run": lambda user, path: ["run", "digits", path],
    "images of verify": lambda user, path: ["verify", "digits", "--images-file", path],
    "module": lambda user, path: [*convert(user, target=path), "-o", str(user / "out.npz")],
    "weights": lambda user, path: [*convert(user, weights=path), "-o", str(user / "out.npz")],
    "calibration": lambda user, path: [*convert(user, calibration=path), "-o",
                                       str(user / "out.npz")],
    "build of virtual": lambda user, path: ["virtual", path],
}


@pytest.mark.parametrize("words", READERS.values(), ids=READERS)
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_only_regular_files_are_read(words, kind, user, capsys, alarm):
    path = "/dev/zero"
    if kind == "fifo":
        path = str(user / "fifo")
        os.mkfifo(path)
    line = error(capsys, words(user, path))
    assert path in line
    assert len(line) < 500
    assert not (user / "out.npz").exists()
    assert not (user / "out").exists()


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_data_sets_too(name, user, capsys, alarm):
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (user / f"{part}-{kind}-ubyte.gz").touch()
    (user / name).unlink()
    os.mkfifo(user / name)
    line = error(capsys, ["run", "digits", "--dataset", "mnist", "--data", str(user)])
    assert line.startswith(f"{user}: has no mnist data; it must hold ")
    Path(user / name).unlink()
