"""A missing prerequisite gives one line that names it and its package; a second run is quick."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("g++", "make", "perl")


@pytest.fixture
def make(tmp_path):
    """Say what ``make test`` would do in a fresh copy, with only some tools on the path."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)

    def run(*tools, python=sys.executable):
        path = tmp_path / "bin"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for tool in tools:
            (path / tool).symlink_to(shutil.which(tool))
        environment = {**os.environ, "PATH": str(path)}
        for inherited in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            environment.pop(inherited, None)
        return subprocess.run([shutil.which("make"), "--dry-run", f"PYTHON={python}", "test"],
                              cwd=tmp_path, env=environment, text=True, capture_output=True,
                              check=False)

    return run


def test_all_there(make):
    done = make(*TOOLS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "-m venv .venv" in done.stdout
    assert "-m pytest" in done.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_missing_tool(make, tool):
    done = make(*(other for other in TOOLS if other != tool))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{tool} is missing: install it, on Debian and Ubuntu with: apt install {tool}" in line


def test_missing_python(make):
    done = make(*TOOLS, python="/nonexistent/python3")
    (line,) = done.stderr.splitlines()
    assert "Python 3.11 or later (/nonexistent/python3) is missing: " in line
    assert "apt install python3." in line


def test_missing_venv(make, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = make(*TOOLS, python=python)
    (line,) = done.stderr.splitlines()
    assert "Python's venv module is missing: " in line
    assert "apt install python3-venv" in line


def test_second_run_installs_nothing(make, tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed").touch()
    done = make()
    assert done.returncode == 0
    assert "pip" not in done.stdout
    assert "-m pytest" in done.stdout


def test_no_package_index_is_named():
    """Where packages come from is pip's configuration, not ours."""
    for name in ("Makefile", "pyproject.toml", ".ci/run"):
        assert "index" not in (ROOT / name).read_text()
