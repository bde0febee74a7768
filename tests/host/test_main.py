import os
import pickle
import pty
import re
import subprocess
import sys
import tty

import numpy as np
import pytest

from host import cli
from host.cli import main
from host.errors import HostError
from host.transport import Transport


@pytest.fixture
def files(tmp_path, builds):
    folder = builds("linear")
    np.save(tmp_path / "images.npy", np.zeros((3, 2, 3, 3), np.uint8))
    return folder, tmp_path


def fails(capsys, *arguments):
    """The one line that the command complains with."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line.removeprefix("error: ")


def infer(capsys, files, *arguments, images="images.npy", port="/nowhere/ttyUSB9"):
    folder, tmp_path = files
    return fails(capsys, "infer", tmp_path / images, "--board", folder, "--port", port, *arguments)


def test_no_such_port(capsys, files):
    assert infer(capsys, files) == ("/nowhere/ttyUSB9: there is no such port; is the board "
                                    "connected?")
    assert fails(capsys, "status", "--board", files[0], "--port", "/nowhere/x").startswith(
        "/nowhere/x: there is no such port")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("")],
                         ids=["folder", "file"])
def test_not_a_serial_port(make, capsys, files):
    make(files[1] / "port")
    assert "not a serial port" in infer(capsys, files, port=files[1] / "port")


def test_a_device_without_terminal(capsys, files):
    assert infer(capsys, files, port="/dev/null") == "/dev/null: not a serial port"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_permission(capsys, files):
    (files[1] / "port").touch(mode=0)
    assert "permission denied" in infer(capsys, files, port=files[1] / "port")


def test_reasons_have_words():
    class Denied(Exception):
        errno = 13
    assert Transport._reason(Denied(), "port").startswith("permission denied; your user may have")


@pytest.fixture
def silent_port():
    """A serial port at whose other end nobody answers."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_nobody_answers(capsys, files, silent_port):
    line = infer(capsys, files, "--timeout", "0.01", port=silent_port)
    assert "no answer; is the board powered and configured, and this its port?" in line


def test_a_port_in_use(capsys, files, silent_port):
    with Transport(silent_port, 1_000_000):
        line = infer(capsys, files, port=silent_port)
    assert re.fullmatch(rf"{silent_port}: another program uses the port "
                        rf"\(process {os.getpid()}: .*python.*\)", line)
    Transport(silent_port, 1_000_000).close()


def test_a_port_that_another_process_uses(capsys, files, silent_port):
    code = (f"from host.transport import Transport; port = Transport({silent_port!r}, 9600); "
            "print(flush=True); input()")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        line = infer(capsys, files, port=silent_port)
        process.communicate(b"\n")
    assert f"another program uses the port (process {process.pid}: {sys.executable} -c " in line


def test_the_line_is_cut():
    master, slave = pty.openpty()
    tty.setraw(slave)
    with Transport(os.ttyname(slave), 1_000_000) as transport:
        assert transport.read(0) == b""
        os.write(master, b"abc")
        assert transport.read(1) == b"abc"
        os.close(slave)
        os.close(master)
        with pytest.raises(HostError, match=r": the line was cut while "):
            transport.read(1)


@pytest.mark.parametrize("write, message", [
    (lambda path: path.write_bytes(b""), "images must be a .npy file without pickled objects"),
    (lambda path: path.write_bytes(b"junk" * 50), "images must be a .npy file without pickled"),
    (lambda path: path.write_bytes(pickle.dumps([1, 2])), "without pickled objects"),
    (lambda path: np.save(path, np.array([{}, 5], object)), "without pickled objects"),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{"), "must be a .npy file"),
    (lambda path: np.save(path, np.zeros((2, 2, 3, 3))),
     "does not say what its numbers mean, as networks do that"),
    (lambda path: np.save(path, np.int64(3)), "images must have the shape (N, 2, 3, 3), not ()"),
    (lambda path: np.save(path, np.zeros((3, 3, 3), int)), "images must have the shape (N, 2, 3,"),
    (lambda path: None, "No such file or directory"),
    (lambda path: path.mkdir(), "images must be a regular file"),
], ids=range(10))
def test_bad_images(write, message, capsys, files):
    write(files[1] / "bad.npy")
    assert message in infer(capsys, files, images="bad.npy")


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (0,)])
def test_no_images(shape, capsys, files):
    """As `python -m gen run` and `verify` say it."""
    path = files[1] / "none.npy"
    np.save(path, np.zeros(shape, np.uint8))
    assert infer(capsys, files, images="none.npy") == f"{path} has no images"


def test_an_archive(capsys, files):
    np.savez(files[1] / "bad.npz", a=np.zeros(3))
    line = infer(capsys, files, images="bad.npz")
    assert "images must be a .npy file without pickled objects" in line


@pytest.mark.parametrize("option, array, message", [
    ("--labels", np.zeros(2, int), "the shape must be (3,) to match the images, not (2,)"),
    ("--labels", np.zeros(3), "labels must be one array of integers with 1 axis"),
    ("--reference", np.zeros((3, 4), int), "the shape must be (3, 5) to match the images, not"),
    ("--reference", np.zeros(3, int), "logits must be one array of integers with 2 axes"),
])
def test_bad_comparisons(option, array, message, capsys, files):
    np.save(files[1] / "other.npy", array)
    assert message in infer(capsys, files, option, files[1] / "other.npy")


def test_no_manifest(capsys, tmp_path):
    assert "manifest.json: No such file" in fails(
        capsys, "status", "--board", tmp_path, "--port", "virtual")


def test_a_board_that_does_not_start(capfd, files, tmp_path):
    folder, _ = files
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    assert main(["status", "--board", str(tmp_path), "--port", "virtual"]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert "can't be read: No such file or directory; it is part of the build" in lines[0]
    assert lines[-1] == (f"error: the virtual board of {tmp_path} did not start (status 1); its "
                         f"message is above")


@pytest.mark.parametrize("arguments", [
    [], ["infer"], ["status", "--board", "x"], ["status", "--board", "x", "--port", "y", "--baud",
                                                "0"],
    ["status", "--board", "x", "--port", "y", "--timeout", "-1"],
])
def test_usage(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "usage: python -m host" in capsys.readouterr().err


class TestProgress:
    def test_short_work_says_nothing_where_nobody_looks_on(self, capsys):
        assert list(cli._progress([1, 2])) == [1, 2]
        assert capsys.readouterr().err == ""

    def test_long_work_says_a_line_now_and_then(self, capsys, monkeypatch):
        monkeypatch.setattr(cli, "_PAUSE", 0)
        assert list(cli._progress([1, 2])) == [1, 2]
        assert capsys.readouterr().err == "1 of 2 images\n2 of 2 images\n"

    def test_a_terminal_is_told_in_place(self, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert list(cli._progress([1, 2])) == [1, 2]
        assert capsys.readouterr().err.endswith("\r2 of 2 images\n")


def test_every_step_has_a_line():
    steps = [{"timesteps": 1, "accuracy": 0.5}, {"timesteps": 12, "exact": [True, False]}]
    assert list(cli._lines({"images": 2, "steps": steps})) == [
        "time-step    1   accuracy 0.5", "time-step   12   accuracy -   exact 1",
        "images            2"]


def test_exactness_is_said_of_each_image_and_layer():
    assert list(cli._lines({"predictions": [3, 0], "exact": [True, False], "images_exact": 1,
                            "not_quiet": {"2": 1}})) == [
        "3 0", "exact yes no", "images exact      1", "not quiet         layer 2 in 1 image"]
