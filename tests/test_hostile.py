"""Hostile values for every option of every command: a status, one line, no traceback, no hang.

The options are those that the parsers declare, so that a new one is covered as soon as it is there.
Commands whose work takes long are given something that ends them early (:data:`FIXED`), unless that
is what the hostile value stands for.
"""

import argparse
import contextlib
import io
import math
import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_model

import gen.cli.main
import host.cli
from gen.build.builder import build
from gen.convert import usercode
from gen.convert.conversion import convert
from gen.errors import BuildError
from gen.ir import artifact
from tests.networks import linear
from tests.onnx_files import mlp, model, saved
from tests.sequences import layered

MODEL = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear({}, 3), nn.ReLU(), nn.Linear(3, 2))
"""

MAIN = {"gen": gen.cli.main.main, "host": host.cli.main}
PARSER = {"gen": gen.cli.main._parser, "host": host.cli._parser}

# What ends a command before it works for long, by the names of its arguments.
FIXED = {
    ("gen", "train"): {"--dataset": "digits", "--model": "none"},
    ("gen", "convert"): {"target": "model.py:build", "--weights": "w.safetensors",
                         "--calibration": "images.npy", "-o": "out.npz"},
    ("gen", "tune"): {"target": "model.py:build", "--weights": "w.safetensors",
                      "--images": "images.npy", "-o": "out.npz", "--epochs": "0"},
    ("gen", "events"): {"files": "events.npy", "-o": "out.npy", "--sensor": "3x3",
                        "--window": "1000"},
    ("gen", "export-nir"): {"network": "net.npz", "-o": "out.nir"},
    ("gen", "run"): {"network": "net.npz", "images": "images.npy"},
    ("gen", "show"): {"network": "net.npz", "-o": "shown"},
    ("gen", "fit"): {"network": "net.npz"},
    ("gen", "explore"): {"networks": "absent.npz"},
    ("gen", "build"): {"network": "net.npz", "--no-synthesis": None, "-o": "out"},
    ("gen", "verify"): {"design": "net.npz", "--images-file": "absent.npy"},
    ("gen", "simulate"): {"design": "net.npz", "--dataset": "none"},
    ("gen", "curve"): {"design": "net.npz", "--dataset": "none"},
    ("gen", "report"): {"design": "empty"},
    ("gen", "virtual"): {"design": "empty"},
    ("gen", "program"): {"design": "empty"},
    ("gen", "ip"): {"design": "net.npz", "--images-file": "absent.npy", "-o": "out"},
    ("gen", "boards"): {},
    ("gen", "demo"): {"--network": "absent.npz"},
    ("host", "infer"): {"images": "images.npy", "--board": "built", "--port": "absent"},
    ("host", "stream"): {"elements": "elements.npy", "--board": "streams", "--port": "absent"},
    ("host", "load"): {"image": "loads/memory.img", "--board": "loads", "--port": "absent"},
    ("host", "serve"): {"--board": "built", "--port": "absent", "--listen": "0"},
    ("host", "devices"): {},
    ("host", "status"): {"--board": "built", "--port": "absent"},
}

# No absolute paths: a test may run as somebody who may write everywhere.
NASTY = ["--", "", " ", "-", "-1", "0", "1", "nan", "inf", "-inf", "1e10", "1e999", "0x10", "1.5",
         str(2**31), str(2**64), "9" * 5000, "bogus", "a" * 3000, "é\n\t\x1b[31m", "=", "a=", "a=b",
         "=1", "a=" + "9" * 5000, ",", "1,,2", ":", "%s%n{}", ".", "..", "empty", "net.npz",
         "images.npy", "model.py", "model.py:build", "w.safetensors", "lying.npy", "zip.npy",
         "lying.onnx",
         "pipe", "absent/absent", "\udcff\udc80"]

SECONDS = 30


def commands():
    for program, make in PARSER.items():
        (subparsers,) = (action for action in make()._actions
                         if isinstance(action, argparse._SubParsersAction))
        for name, parser in subparsers.choices.items():
            yield program, name, [action for action in parser._actions
                                  if not isinstance(action, argparse._HelpAction)]


COMMANDS = {(program, name): actions for program, name, actions in commands()}
OPTIONS = [(program, name, action) for (program, name), actions in COMMANDS.items()
           for action in actions]


def key(action):
    """What an action is called in :data:`FIXED`."""
    return action.option_strings[0] if action.option_strings else action.dest


def words(program, name, values):
    """The command line for values by the names of arguments; None is a flag's."""
    positional = []
    line = [name]
    for action in COMMANDS[program, name]:
        if key(action) not in values:
            continue
        value = values[key(action)]
        if not action.option_strings:
            positional.append(value)
        elif action.nargs == 0 or value is None:
            line.append(key(action))
        elif key(action).startswith("--"):
            line.append(f"{key(action)}={value}")
        else:
            line += [key(action), value]
    return line + (["--", *positional] if positional else [])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a network, images, a build, and files that are not what they say."""
    place = tmp_path_factory.mktemp("hostile")
    net = linear()
    artifact.save(net, place / "net.npz")
    np.save(place / "images.npy", np.zeros((2, *net.input_shape), np.uint8))
    build(net, board="arty-a7", out=place / "built", synthesise=False)
    build(net, board="arty-a7", out=place / "loads", reloadable=True, synthesise=False)
    sequences = layered()
    np.save(place / "elements.npy", np.zeros((4, sequences.input_shape[0]), np.uint8))
    build(sequences, board="arty-a7", out=place / "streams", stream=2, synthesise=False)
    np.save(place / "events.npy", np.array([(0, 1, 1, 5), (2, 0, 0, 2500)], [
        ("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "i8")]))
    (place / "lying.npy").write_bytes(npy("(1099511627776,)"))
    nodes, constants = mlp()
    lying = model(nodes, (16,), constants)
    lying.graph.initializer[0].dims[0] = 1 << 20
    saved(place, lying, "lying.onnx")
    np.savez(place / "zip.npz", a=np.zeros(3))
    (place / "zip.npz").rename(place / "zip.npy")
    os.mkfifo(place / "pipe")
    (place / "model.py").write_text(MODEL.format(math.prod(net.input_shape)))
    with usercode.loaded(f"{place}/model.py:build") as module:
        save_model(module, str(place / "w.safetensors"))
    return place


@pytest.fixture(autouse=True)
def together(monkeypatch):
    """Conversion in this process: one of its own costs seconds, and is tested elsewhere."""
    monkeypatch.setattr("gen.convert.apart.convert_apart", convert)


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """No tool works for long, and no virtual board takes the place of this process."""
    def end(*_, **__):
        raise BuildError("it would work for long")
    monkeypatch.setattr("gen.build.synthesis._run", end)
    monkeypatch.setattr("gen.verify.virtual.verilate", end)


def npy(shape, descr="'|u1'"):
    """A ``.npy`` file of one byte whose header says something else."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x00"


@contextlib.contextmanager
def limited():
    def stop(*_):
        raise AssertionError(f"did not end in {SECONDS} s")
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def working_directory(place):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "inner" / "directory"
        (directory / "empty").mkdir(parents=True)
        for file in place.iterdir():
            (directory / file.name).symlink_to(file)
        with contextlib.chdir(directory):
            yield


def check(program, line, place):
    """Run a command line in this process, with streams as strict as a terminal's, in a fresh
    directory: one that a build has filled is a build."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in (
        "strict", "backslashreplace"))
    with (limited(), working_directory(place), contextlib.redirect_stdout(out),
          contextlib.redirect_stderr(err)):
        try:
            status = MAIN[program](line)
        except SystemExit as end:
            status = end.code
    err.flush()
    lines = err.buffer.getvalue().decode().splitlines()
    assert status in (0, 1, 2), (line, status)
    assert all(len(text) <= 500 for text in lines), (line, lines)
    assert not any("Traceback" in text for text in lines), (line, lines)
    if status:
        said = [text for text in lines if text.startswith("error: ") or ": error: " in text]
        assert len(said) == 1, (line, lines)
        assert lines[-1] == said[0], (line, lines)


def test_every_command_is_covered():
    assert COMMANDS.keys() == FIXED.keys()


@pytest.mark.parametrize("program, name, action", OPTIONS,
                         ids=[f"{p}-{n}-{key(action)}" for p, n, action in OPTIONS])
def test_nasty_values(program, name, action, place):
    fixed = FIXED[program, name]
    for value in NASTY[::9] if action.nargs != 0 else [None]:
        check(program, words(program, name, fixed | {key(action): value}), place)


@pytest.mark.slow
@pytest.mark.parametrize("program, name", COMMANDS)
def test_any_values(program, name, place):
    text = st.text(st.characters(codec=None, exclude_characters="\0/"), max_size=40)
    raw = st.binary(max_size=20).filter(lambda data: not set(data) & set(b"\0/"))
    hostile = st.one_of(st.sampled_from(NASTY), text, raw.map(os.fsdecode),
                        st.integers().map(str), st.floats().map(str),
                        st.integers(0, 2**70).map("a={}".format))
    actions = COMMANDS[program, name]

    @settings(max_examples=200, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from([key(action) for action in actions]), hostile,
                           min_size=1, max_size=4))
    def search(values):
        check(program, words(program, name, FIXED[program, name] | values), place)
    search()


@pytest.mark.parametrize("content", [
    npy("(1099511627776,)"), npy(f"({10**26},)"), npy("(4294967296, 4294967296, 16)"),
    npy("(-1,)"), npy("(1,)", "'|S99999999999'"), npy("(1,)", "'|O'"), npy("(1,)", "'<f16'"),
    npy("(" * 3000), npy("[" * 90 + "]" * 90), npy("(1L,)"), npy("(1,)", "[('a', '|u1', (9,)*9)]"),
    npy("1"), npy("(True,)"), npy("(1,"), npy('"""'),
    b"PK\x03\x04", b"PK\x03\x04" + bytes(100), b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x09\x09",
    b"\x93NUMPY\x03\x00\xff\xff\xff\xff{", b"", b"\x80\x04."],
    ids=lambda content: ascii(content[:12] + content[40:60]))
def test_arrays_that_lie(content, place):
    (place / "bad.npy").write_bytes(content)
    check("gen", ["run", "net.npz", "bad.npy"], place)
    check("gen", ["verify", "net.npz", "--images-file", "bad.npy"], place)
    check("host", ["infer", "bad.npy", "--board", "built", "--port", "absent"], place)
    check("host", ["infer", "images.npy", "--labels", "bad.npy", "--board", "built", "--port",
                   "absent"], place)
    check("host", ["stream", "bad.npy", "--board", "streams", "--port", "absent"], place)
