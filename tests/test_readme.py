"""What the documents say can be done: their commands parse, their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from bench.__main__ import BENCHMARKS
from gen.cli import main as cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md",
             *sorted((ROOT / "docs").glob("*.md"))]


def commands(program):
    """Commands in the documents' code blocks, a tuple of arguments each."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    blocks = "\n".join(re.findall(r"^```[^`\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(rf"^{re.escape(program)} (.*)$", blocks, re.MULTILINE)
    return [tuple(shlex.split(line, comments=True)) for line in lines]


@pytest.mark.parametrize("arguments", commands("python -m gen"), ids=" ".join)
def test_commands_parse(arguments):
    assert callable(cli._parser().parse_args(arguments).command)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_benchmarks_are_there(document):
    named = re.findall(r"python -m bench((?: [a-z][a-z0-9-]*)*)", document.read_text())
    assert set(" ".join(named).split()) <= {benchmark.name for benchmark in BENCHMARKS}
    assert not re.search(r"python bench/", document.read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links(document):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        assert "://" in target or (document.parent / target).exists(), target


def test_make_targets():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = {arguments[0] for arguments in commands("make")}
    assert {"demo", "test", "figures"} <= used <= set(targets)
