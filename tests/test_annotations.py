"""Public functions say what they take and what they give, and mypy believes it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MODULES = sorted(path for room in ("firmware", "gen", "host")
                 for path in (ROOT / room).rglob("*.py"))


def public(tree):
    """Functions and methods of a module whose names, and whose classes' names, are public."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
                node.name.startswith("__") or not node.name.startswith("_")):
            yield node


def unannotated(function):
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs,
                 function.args.vararg, function.args.kwarg]
    yield from (a.arg for a in arguments if a and not a.annotation and a.arg not in ("self", "cls"))
    if function.returns is None:
        yield "return"


def test_types(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", tmp_path], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_annotated(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {function.name: missing for function in public(tree)
            if (missing := list(unannotated(function)))} == {}


def test_what_is_not_annotated_is_noticed():
    tree = ast.parse("def f(a, *, b: int) -> int: ...\nclass C:\n    def g(self, *a: int): ...")
    assert [list(unannotated(function)) for function in public(tree)] == [["a"], ["return"]]
