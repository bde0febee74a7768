"""Whatever the user's code does to its process stays there: one JSON object, or one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.leftovers import eventually, users

ROOT = Path(__file__).parents[3]

MODEL = """
import atexit, ctypes, os, signal, sys, threading, time
from torch import nn

class Odd:
    __class__ = property(lambda self: odd())
    def __repr__(self):
        raise SystemExit

class Worse(Exception):
    def __str__(self):
        sys.exit(3)

def odd():
    raise ZeroDivisionError("odd")

def say(what):
    print(what, "print")
    sys.__stdout__.write(f"{what} original\\n")
    ctypes.CDLL(None).puts(f"{what} C".encode())
    os.system(f"echo {what} child")

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    def forward(self, x):
        say("forward")
        return super().forward(x)

def build():
    say("function")
    BEHAVIOUR
    return Net()
"""


@pytest.fixture
def convert(tmp_path):
    torch.manual_seed(0)
    save_file({"0.weight": torch.randn(5, 6), "0.bias": torch.zeros(5),
               "2.weight": torch.randn(3, 5), "2.bias": torch.zeros(3)}, tmp_path / "w.safetensors")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (50, 6)))

    def convert(behaviour):
        (tmp_path / "model.py").write_text(MODEL.replace("BEHAVIOUR", behaviour))
        done = subprocess.run(
            [sys.executable, "-m", "gen", "convert", f"{tmp_path}/model.py:build", "--weights",
             tmp_path / "w.safetensors", "--calibration", tmp_path / "x.npy", "--json",
             "-o", tmp_path / "net.npz"], cwd=ROOT, text=True, timeout=60,
            capture_output=True, check=False)
        assert "Traceback" not in done.stderr
        assert eventually(lambda: not users(tmp_path))
        return done
    return convert


@pytest.mark.parametrize("behaviour", [
    "pass",
    "atexit.register(say, 'end')",
    "threading.Thread(target=lambda: [print('x') or time.sleep(0.1) for _ in range(999)]).start()",
    "threading.Thread(target=signal.pause).start()",
    "os.system('sleep 1000 &')",
    "sys.stdout.close()",
    "sys.stdout = None",
    "os.close(1)",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "os.closerange(3, 200)",
    "os.closerange(3, 60); [open(os.devnull) for _ in range(20)]",
    "sys.stdout = object()",
    "sys.path = None",
    "import types; sys.modules['foo'] = types.SimpleNamespace(__file__=3, __name__='foo')",
], ids=lambda text: text[:30])
def test_one_object_whatever_it_does(convert, tmp_path, behaviour):
    if "stdout" in behaviour or "close" in behaviour:
        behaviour += "; globals().update(say=lambda what: None)"
    done = convert(behaviour)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["network"] == str(tmp_path / "net.npz")
    assert (tmp_path / "net.npz").exists()
    if behaviour == "pass":
        for what in "function", "forward":
            for how in "print", "original", "child":
                assert f"{what} {how}\n" in done.stderr


@pytest.mark.parametrize("behaviour, how", [
    ("os._exit(0)", "status 0"), ("os._exit(7)", "status 7"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"), ("ctypes.string_at(0)", "SIGSEGV"),
    ("raise KeyboardInterrupt", "status 130"), ("os.kill(os.getpid(), 40)", "signal 40"),
])
def test_an_end_from_within(convert, tmp_path, behaviour, how):
    done = convert(behaviour)
    assert done.returncode == 1
    assert not done.stdout
    assert not (tmp_path / "net.npz").exists()
    assert done.stderr.splitlines()[-1] == (
        f"error: {tmp_path}/model.py:build: the process was ended from within ({how}); the module "
        f"and its file must return")


@pytest.mark.parametrize("behaviour, message", [
    ("raise ValueError('no')", "{}: ValueError: no"),
    ("from gen.errors import SpikeloomError; raise SpikeloomError('')", ""),
    ("return 3", "{}: must return a torch.nn.Module, not int"),
    ("return Odd()", "{}: ZeroDivisionError: odd"),
    ("sys.exit(Odd())", "{}: calls sys.exit()"),
    ("raise Worse", "{}: Worse: Worse"),
])
def test_errors_are_those_of_the_conversion(convert, tmp_path, behaviour, message):
    done = convert(behaviour)
    assert done.returncode == 1
    said = message.format(f"{tmp_path}/model.py:build")
    assert done.stderr.splitlines()[-1].rstrip() == f"error: {said}".rstrip()


def test_a_fork_that_stays_keeps_nobody_waiting(convert):
    done = convert("if os.fork(): os._exit(3)\n    time.sleep(600)")
    assert done.returncode == 1
    assert "ended from within (status 3)" in done.stderr


def test_arguments_of_any_length(tmp_path):
    (tmp_path / "model.py").write_text(MODEL.replace("BEHAVIOUR", "pass"))
    done = subprocess.run(
        [sys.executable, "-m", "gen", "convert", f"{tmp_path}/model.py:build", "--weights",
         "é" * 25_000, "--calibration", "x.npy", "-o", tmp_path / "net.npz"], cwd=ROOT, text=True,
        capture_output=True, check=False)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert line.endswith("safetensors.torch.save_model(module, ...)")
