"""The driver's public functions say what they take and what they give."""

import ast
from pathlib import Path

import pytest

import host

MODULES = sorted(Path(host.__file__).parent.glob("*.py"))


def public(tree):
    """Functions and methods of a module whose names, and whose classes' names, are public."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node)
        elif isinstance(node, ast.FunctionDef) and (
                node.name.startswith("__") or not node.name.startswith("_")):
            yield node


def unannotated(function):
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs,
                 function.args.vararg, function.args.kwarg]
    yield from (a.arg for a in arguments if a and not a.annotation and a.arg not in ("self", "cls"))
    if function.returns is None:
        yield "return"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_public_functions_are_annotated(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {function.name: missing for function in public(tree)
            if (missing := list(unannotated(function)))} == {}


def test_what_is_not_annotated_is_noticed():
    tree = ast.parse("def f(a, *, b: int) -> int: ...\nclass C:\n    def g(self, *a: int): ...")
    assert [list(unannotated(function)) for function in public(tree)] == [["a"], ["return"]]
