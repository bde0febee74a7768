"""The command line: one object or one line, and a status."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from gen.cli import main as cli
from gen.cli.commands import boards
from gen.convert.methods import METHODS
from gen.errors import FitError, SpikeloomError, unknown
from gen.ir import artifact
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses

ROOT = Path(__file__).parents[3]
COMMANDS = ("train", "convert", "events", "run", "fit", "explore", "build", "verify", "simulate",
            "curve", "report", "virtual", "program", "boards", "demo")


def python_m_gen(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "gen", *arguments], cwd=ROOT, text=True,
                          capture_output=True, check=False, **options)


@pytest.fixture
def tiny(tmp_path):
    """Path of a network of four pixels that says which of two halves is brighter."""
    halves = np.array([[1, 1, -1, -1], [-1, -1, 1, 1]]).reshape(2, 1, 2, 2)
    one_to_one = np.eye(2, dtype=np.int64).reshape(2, 2, 1, 1)
    network = Network("tiny", (1, 2, 2), 3, 255, (
        Neurons("hidden", (Synapses(source=INPUT, weights=halves, bits=2),),
                np.zeros(2, dtype=np.int64), np.ones(2, dtype=np.int64), 7),
        Readout("readout", (Synapses(source="hidden", weights=one_to_one, bits=2),),
                np.zeros(2, dtype=np.int64))))
    artifact.save(network, tmp_path / "tiny.npz")
    return tmp_path / "tiny.npz"


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "images.npy", np.array([[[255, 0], [0, 0]], [[0, 0], [0, 255]]], np.uint8))
    return tmp_path / "images.npy"


class TestHelp:
    def test_is_instant(self):
        """What takes time is to import torch, numpy or amaranth; none is."""
        script = ("import sys; from gen.cli.main import _parser; _parser().format_help(); "
                  "print([m for m in ('torch', 'numpy', 'amaranth') if m in sys.modules])")
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True,
                              capture_output=True, check=True)
        assert done.stdout == "[]\n"

    def test_lists_the_commands(self):
        before = time.monotonic()
        done = python_m_gen("--help")
        assert time.monotonic() - before < 2
        assert done.returncode == 0
        assert all(f"\n    {command} " in done.stdout for command in COMMANDS)

    def test_names_the_methods_of_the_command(self, capsys):
        named = {}
        for command in ("train", "convert"):
            with pytest.raises(SystemExit):
                cli.main([command, "--help"])
            text = " ".join(capsys.readouterr().out.split())
            named[command] = {name for name in METHODS
                              if re.search(rf"(?<!-)\b{name}\b", text)}
        assert named["train"] == {"qcfs", "threshold-balance", "casc"}
        assert named["convert"] == set(METHODS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_a_command(self, command, capsys):
        with pytest.raises(SystemExit) as caught:
            cli.main([command, "--help"])
        assert caught.value.code == 0
        text = capsys.readouterr().out
        assert f"example:\n  python -m gen {command}" in text
        assert "default: None" not in text
        assert "SUPPRESS" not in text

    def test_time_steps_of_one_spike(self, capsys):
        for command, told in (("convert", True), ("train", False)):
            with pytest.raises(SystemExit):
                cli.main([command, "--help"])
            text = " ".join(capsys.readouterr().out.split())
            assert ("of one-spike the phases of its only time-step" in text) == told

    def test_the_script_is_this_program(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert pkgutil.resolve_name(project["scripts"]["spikeloom"]) is cli.main

    @pytest.mark.parametrize("started, name", [
        ("/usr/bin/spikeloom", "spikeloom"), ("C:/Scripts/spikeloom.exe", "spikeloom"),
        (str(ROOT / "gen/__main__.py"), "python -m gen")])
    def test_says_how_it_was_started(self, started, name, capsys, monkeypatch):
        monkeypatch.setattr(sys, "argv", [started])
        with pytest.raises(SystemExit):
            cli.main(["fit", "--help"])
        text = capsys.readouterr().out
        assert text.startswith(f"usage: {name} fit [-h] ")
        assert f"\n  {name} fit mnist --board " in text
        with pytest.raises(SystemExit):
            cli.main(["frobnicate"])
        assert f"\n{name}: error: " in capsys.readouterr().err
        with pytest.raises(SystemExit):
            cli.main(["--help"])
        assert f"{name} COMMAND --help explains a command." in capsys.readouterr().out

    def test_wrong_arguments(self, capsys):
        with pytest.raises(SystemExit) as caught:
            cli.main(["frobnicate"])
        assert caught.value.code == 2


class TestRun:
    def test_json(self, tiny, images, capsys):
        assert cli.main(["run", str(tiny), str(images), "--json"]) == 0
        out, _err = capsys.readouterr()
        assert json.loads(out) == {
            "network": "tiny", "images": 2, "accuracy": None, "predictions": [0, 1],
            "images_exact": None,
            "spikes": {"input": 3.0, "hidden": 3.0}, "rates": {"input": 0.75, "hidden": 1.5}}
        assert out.count("\n") == 1

    def test_text(self, tiny, images, capsys):
        assert cli.main(["run", str(tiny), str(images)]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "network      tiny",
            "images       2",
            "spikes       input 3, hidden 3",
            "rates        input 0.75, hidden 1.5",
            "predictions  0 1"]

    def test_limit(self, tiny, images, capsys):
        cli.main(["run", str(tiny), str(images), "--limit", "1", "--json"])
        assert json.loads(capsys.readouterr().out)["predictions"] == [0]
        cli.main(["run", str(tiny), str(images), "--limit", "2", "--json"])
        assert json.loads(capsys.readouterr().out)["predictions"] == [0, 1]

    def test_data_set(self, capsys):
        assert cli.main(["run", "digits", "--limit", "50", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9


@pytest.mark.parametrize("shape", [(0, 2, 2), (0,)])
@pytest.mark.parametrize("command", [["run", "TINY"], ["verify", "TINY", "--images-file"]])
def test_no_images(command, shape, tiny, tmp_path, capsys):
    """As `python -m host infer` says it."""
    path = tmp_path / "none.npy"
    np.save(path, np.zeros(shape, np.uint8))
    assert cli.main([str(tiny) if word == "TINY" else word for word in [*command, str(path)]]) == 1
    assert capsys.readouterr() == ("", f"error: {path} has no images\n")


@pytest.mark.parametrize("arguments, message", [
    (["run", "nothing"],
     "error: there is no file or shipped network 'nothing'; known are "),
    (["run", "TINY"],
     "error: tiny does not say what it was trained on; give images or --dataset\n"),
    (["run", "TINY", "absent.npy"],
     "error: absent.npy: can't be read as an .npy file of numbers: No such file or directory\n"),
    (["run", "TINY", "pyproject.toml"],
     "error: pyproject.toml: is not an .npy file of numbers: "),
    (["run", "TINY", "TINY"],
     "error: TINY: is not an .npy file of numbers: its header can't be read\n"),
    (["build", "TINY", "--board", "artie"],
     "error: there is no board 'artie'; did you mean 'arty-a7'? known are "),
    (["build", "TINY", "--lanes", "hiden=1"],
     "error: lanes: there is no layer with synapses 'hiden'; did you mean 'hidden'? known are hid"),
    (["build", "TINY", "--lanes", "hidden=3"],
     "error: hidden: lanes must be 1 to 2"),
    (["curve", "digits"],
     "error: digits fires once, after all the charge, so there is no curve; train or conv"),
    *((["curve", "digits", *flag],
       f"error: {flag[0]} has no effect without --rtl: leave it out\n")
      for flag in (["--board", "arty-a7"], ["--lanes", "conv1=4"], ["--interval", "500"],
                   ["--objective", "latency"], ["--code", "rate"], ["--calibration"],
                   ["--calibration", "50"], ["--jobs", "1"])),
    (["curve", "digits", "-o", "curve.txt"],
     "error: curve.txt: must end with .svg, .png or .pdf\n"),
    (["explore", "digits", "digits"], "error: digits is given twice\n"),
    (["train", "--dataset", "digits", "--model", "mlp", "--until-quiet"],
     "error: --until-quiet needs --method casc\n"),
    (["fit", "TINY", "--calibration"],
     "error: tiny names no data set to calibrate with: say which (--dataset)\n"),
    (["fit", "TINY", "--dataset", "digits"],
     "error: --dataset and --data choose calibration images: add --calibration\n"),
    *((["run", "digits", "i.npy", *flag],
       "error: i.npy gives the images: leave --dataset and --data out\n")
      for flag in (["--dataset", "mnist"], ["--data", "nowhere"])),
    *((["verify", "digits", "--images-file", "i.npy", *flag],
       "error: i.npy gives the images: leave --dataset and --data out\n")
      for flag in (["--dataset", "mnist"], ["--data", "nowhere"])),
    (["verify", "TINY", "--data", "nowhere"],
     "error: tiny names no data set: say which (--dataset)\n"),
    (["report", "digits", "--data", "nowhere"],
     "error: --data is the folder of a data set: say which (--dataset)\n"),
    *(([command, ""], "error: the name of a network is empty\n")
      for command in ("run", "fit", "explore", "build", "verify", "report", "program")),
    (["demo", "--network", ""], "error: the name of a network is empty\n"),
    (["fit", "TINY", "--board", ""], "error: there is no board ''; known are "),
])
def test_one_line_and_status_1(arguments, message, tiny, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main([str(tiny) if word == "TINY" else word for word in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message.replace("TINY", str(tiny)))
    assert err.count("\n") == 1
    assert err.endswith("\n")


@pytest.mark.parametrize("arguments, message", [
    (["build", "digits", "--clock", "nan"],
     "argument --clock: must be a number from 0.001 to 10,000, not 'nan'"),
    (["build", "digits", "--clock", "inf"], "argument --clock: must be a number from 0.001"),
    (["build", "digits", "--clock", "0"], "argument --clock: must be a number from 0.001"),
    (["build", "digits", "--baud", "1000000000000"],
     "argument --baud: must be an integer from 1 to 100,000,000, not '1000000000000'"),
    (["build", "digits", "--lanes", "conv1"],
     "argument --lanes: must be LAYER=NUMBER, not 'conv1'"),
    (["build", "digits", "--lanes", " =1"], "argument --lanes: must be LAYER=NUMBER, not ' =1'"),
    (["build", "digits", "--differential", "fc1"],
     "argument --differential: must be LAYER=SOURCE, not 'fc1'"),
    (["fit", "digits-rows-rnn", "--differential", "rnn1=rnn1", "--differential", "rnn1 = rnn1"],
     "argument --differential: rnn1=rnn1 is given twice"),
    (["fit", "digits", "--lanes", "conv1=4", "--lanes", "fc1=2", "--lanes", "conv1 = 4"],
     "argument --lanes: conv1 is given twice"),
    (["build", "digits", "--lanes", "conv1=" + "9" * 5000],
     "argument --lanes: must be an integer from 1 to 1,048,576, not '9999"),
    (["verify", "digits", "--seed", str(2**64)],
     "argument --seed: must be an integer from 0 to 4,294,967,295"),
    (["verify", "digits", "--images", "1e3"], "argument --images: must be an integer from 1 to "),
    (["train", "--dataset", "digits", "--model", "cnn", "--input-levels", str(2**70)],
     "argument --input-levels: must be an integer from 1 to 65,535"),
    (["train", "--dataset", "digits", "--model", "cnn", "--bits", "4,readout=" + "9" * 5000],
     "argument --bits: must be an integer from 2 to 8"),
    (["convert", "a.py:f", "--weights", "w", "--calibration", "c", "-o", "n", "--timesteps", "0"],
     "argument --timesteps: must be an integer from 1 to 64, not '0'"),
    (["train", "--dataset", "digits", "--model", "cnn", "--method", "st-bif"],
     "argument --method: invalid choice: 'st-bif' (choose from "),
    (["convert", "a.py:f", "--weights", "w", "--calibration", "c", "-o", "n", "--pixel-max",
      str(2**61)], "argument --pixel-max: must be an integer from 1 to 4,294,967,295"),
    (["explore", "digits", "--codes", "phase,bogus"],
     "argument --codes: there is no code 'bogus'; known are phase, rate"),
    (["explore", "digits", "--intervals", "5,,6"], "argument --intervals: must be an integer"),
    (["explore", "digits", "--points", "1"],
     "argument --points: must be an integer from 2 to 1,000, not '1'"),
    (["explore", "digits", "--codes", "rate,phase,rate"], "argument --codes: rate is given twice"),
    (["explore", "digits", "--boards", "arty-a7,arty-a7"],
     "argument --boards: arty-a7 is given twice"),
    (["explore", "digits", "--intervals", "500,+500"],
     "argument --intervals: 500 is given twice"),
    (["simulate", "digits", "--jobs", "1000000"], "argument --jobs: must be an integer from 1 to "),
    (["fit", "digits", "--interval=--"], "argument --interval: expected one argument"),
])
def test_wrong_values(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert out == ""
    assert len(last) <= 500
    assert last.startswith(f"python -m gen {arguments[0]}: error: {message}")


def test_the_nearest_name_is_guessed():
    assert unknown("layer", "con1", ["conv1", "fc1"]) == (
        "there is no layer 'con1'; did you mean 'conv1'? known are conv1, fc1")
    assert unknown("layer", "x", ["conv1"]) == "there is no layer 'x'; known are conv1"


class TestOutcome:
    """What becomes of what a command returns or raises."""

    @pytest.fixture
    def outcome(self, monkeypatch):
        def run(outcome):
            def command(_):
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome
            monkeypatch.setattr(boards, "_run", command)
            return cli.main(["boards", "--json"])
        return run

    def test_mismatch(self, outcome):
        assert outcome({"mismatches": 0}) == 0
        assert outcome({"mismatches": 3}) == 1

    def test_error_is_one_line(self, outcome, capsys):
        assert outcome(FitError("too\nlarge")) == 1
        assert capsys.readouterr().err == "error: too large\n"

    def test_interrupt_is_quiet(self, outcome, capsys):
        assert outcome(KeyboardInterrupt()) == 130
        assert capsys.readouterr() == ("", "")

    def test_a_bug_is_not_hidden(self, outcome):
        with pytest.raises(ZeroDivisionError):
            outcome(ZeroDivisionError())
        assert not issubclass(ZeroDivisionError, SpikeloomError)


def test_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "gen", "boards"], cwd=ROOT, text=True,
                          stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_boards(capsys):
    assert cli.main(["boards", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["boards"][0]
    assert (first["name"], first["clock_hz"]) == ("arty-a7", 100_000_000)
    assert cli.main(["boards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["board", "device", "clock"]
    assert lines[1].split()[:5] == ["arty-a7", "xc7a35ticsg324-1L", "100", "MHz", "20,800"]


def test_build(tiny, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["build", str(tiny), "-o", str(out), "--no-synthesis", "--lanes",
                     " hidden = 1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["board"], result["luts"], result["bitstream"]) == ("arty-a7", None, None)
    assert json.loads((out / "manifest.json").read_text())["lanes"]["hidden"] == 1
