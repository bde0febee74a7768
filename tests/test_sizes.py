"""The project's modules and functions are small; tests are not measured.

``python -m tests.test_sizes`` prints how long functions are.
"""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MODULE, FUNCTION = 400, 59
"""The most lines of a module, and of a function from its ``def`` to its last line."""

FILES = [file for folder in ("hw", "gen", "firmware", "host", "boards", "bench")
         for file in sorted((ROOT / folder).rglob("*.py"))]


def functions(text):
    """Name and number of lines of each function in a module, methods and inner ones among them. An
    ``elaborate`` describes a circuit, whose length is no measure, and is left out."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "elaborate":
            yield node.name, node.end_lineno - node.lineno + 1


def too_long(text):
    """Phrases about what is too long in a module."""
    lines = len(text.splitlines())
    if lines > MODULE:
        yield f"the module has {lines} lines"
    for name, length in functions(text):
        if length > FUNCTION:
            yield f"{name} has {length} lines"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_sizes(file):
    assert not list(too_long(file.read_text(encoding="utf-8")))


def function(name, lines, indent=""):
    return "".join([f"{indent}def {name}():\n", *[f"{indent}    pass\n"] * (lines - 1)])


@pytest.mark.parametrize("text, found", [
    (function("f", FUNCTION), []),
    (function("f", FUNCTION + 1), ["f has 60 lines"]),
    ("async " + function("f", FUNCTION + 1), ["f has 60 lines"]),
    ("@cache\n" + function("f", FUNCTION), []),
    ("class C:\n" + function("method", FUNCTION + 1, "    "), ["method has 60 lines"]),
    (function("f", 2) + function("inner", FUNCTION + 1, "    "),
     ["f has 62 lines", "inner has 60 lines"]),
    ("class C:\n" + function("elaborate", FUNCTION + 1, "    "), []),
    ("x = 1\n" * MODULE, []),
    ("x = 1\n" * (MODULE + 1), ["the module has 401 lines"])])
def test_what_is_too_long_is_found(text, found):
    assert list(too_long(text)) == found


def test_every_package_is_measured():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == {file.relative_to(ROOT).parts[0] for file in FILES}


if __name__ == "__main__":
    lengths = [length for file in FILES
               for _, length in functions(file.read_text(encoding="utf-8"))]
    print(f"{len(lengths):,} functions: median {statistics.median(lengths):g} lines, 90th "
          f"percentile {statistics.quantiles(lengths, n=10)[-1]:g}, longest {max(lengths)}")
