"""A key changes with whatever a result depends on."""

import ast

import pytest

from bench import keys
from bench.__main__ import BENCHMARKS
from bench.benchmark import ROOT, Benchmark
from tests.bench import subject

CASE = {"network": "digits", "board": "arty-a7"}

BESIDE = ("gen/system", "gen/errors.py", "gen/extras.py", "gen/__init__.py", "bench/keys.py",
          "bench/benchmark.py", "bench/__init__.py")
"""What changes no figure."""


def benchmark(*sources, tools=()):
    return Benchmark("name", [CASE], subject.doubled, sources, lambda case: tools)


def test_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "ROOT", tmp_path)
    for name in ("some/a.py", "some/deep/b.py", "some/__pycache__/a.pyc", "other/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")
    found = [keys.key(benchmark("some/**/*"), CASE)]
    for name in ("some/a.py", "some/deep/b.py"):
        (tmp_path / name).write_text("2", encoding="utf-8")
        found.append(keys.key(benchmark("some/**/*"), CASE))
    (tmp_path / "some/a.py").rename(tmp_path / "some/c.py")
    found.append(keys.key(benchmark("some/**/*"), CASE))
    assert len(set(found)) == 4
    for name in ("some/__pycache__/a.pyc", "other/c.py"):
        (tmp_path / name).write_text("3", encoding="utf-8")
    assert keys.key(benchmark("some/**/*"), CASE) == found[-1]


@pytest.mark.parametrize("text, same", [
    ('"""Other words."""\n\n\ndef f(a: int, *, b: str = "1") -> str:\n    return a  # why\n', True),
    ('def f(a, *, b="1"):\n    """Other words."""\n    return a\n', True),
    ('"""Words."""\ndef f(a, *, b="2"):\n    return a\n', False),
    ('"""Words."""\ndef f(a, *, b="1"):\n    return b\n', False),
    ('"""Words."""\ndef f(a, *, b="1"):\n    """Words."""\n    "Words."\n    return a\n', False),
])
def test_words_change_no_key(text, same, tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "ROOT", tmp_path)
    file = tmp_path / "a.py"
    found = []
    for content in ('"""Words."""\ndef f(a, *, b="1"):\n    """Words."""\n    return a\n', text):
        file.write_text(content, encoding="utf-8")
        found.append(keys.key(benchmark("a.py"), CASE))
    assert (found[0] == found[1]) == same


def test_case_and_network():
    other = {"network": "digits-mlp", "board": "arty-a7"}
    assert keys.key(benchmark(), CASE) == keys.key(benchmark(), CASE | {})
    assert keys.key(benchmark(), CASE) != keys.key(benchmark(), CASE | {"interval": 100})
    assert keys.key(benchmark(), CASE) != keys.key(benchmark(), other)


def test_digest_of_the_network(monkeypatch):
    before = keys.key(benchmark(), CASE)
    mlp = keys.shipped.find("digits-mlp")
    monkeypatch.setattr(keys.shipped, "find", lambda name: mlp)
    assert keys.key(benchmark(), CASE) != before


def test_versions_of_tools(monkeypatch):
    before = keys.key(benchmark(tools=("yosys",)), CASE)
    assert before != keys.key(benchmark(), CASE)
    monkeypatch.setattr(keys, "identity", lambda tool: f"{tool} 0.99")
    assert before != keys.key(benchmark(tools=("yosys",)), CASE)


def imported(file):
    """Files of ours that a file imports, anywhere in it."""
    names, package = set(), file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[:len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parent, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    places = [ROOT / name.replace(".", "/") for name in names]
    return {path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")
            if path.is_file() and not str(path.relative_to(ROOT)).startswith(BESIDE)}


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_all_that_is_imported_is_a_source(benchmark):
    left, seen = {ROOT / f"{benchmark.measure.__module__.replace('.', '/')}.py"}, set()
    while left:
        file = left.pop()
        seen.add(file)
        left |= imported(file) - seen
    assert seen & {ROOT / "hw/config.py", ROOT / "gen/ir/network.py"}
    strangers = {str(file.relative_to(ROOT)) for file in seen - set(keys.files(benchmark))}
    assert not strangers


def test_networks_are_no_sources():
    """They have digests of their own: a new one does not put the others out of date."""
    for benchmark in BENCHMARKS:
        names = {file.name for file in keys.files(benchmark) if file.suffix == ".npz"}
        assert names <= {"digits.npz"}, benchmark.name


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_patterns_find_something(benchmark):
    for pattern in benchmark.sources:
        assert any(path.is_file() for path in ROOT.glob(pattern)), pattern
