"""Text files are UTF-8, whatever the locale: whoever reads or writes one says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FILES = [file for folder in ("boards", "firmware", "gen", "host", "hw", "bench", "tests/formal",
                             "tests/mutation") for file in sorted((ROOT / folder).rglob("*.py"))]

TEXT = ("read_text", "write_text", "NamedTemporaryFile", "TemporaryFile", "fdopen", "open")

# Whose functions of these names open no text file, or one in UTF-8.
OTHERS = ("os", "gzip", "tarfile", "Image", "files")


def silent(call):
    """Whether a call opens text without an encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    owner = getattr(getattr(call.func, "value", None), "id", None)
    names = {keyword.arg: keyword.value for keyword in call.keywords}
    modes = [node.value for node in (*call.args, *names.values())
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    binary = name not in ("read_text", "write_text") and any(
        set(mode) <= set("rwabx+") and "b" in mode for mode in modes)
    if isinstance(names.get("text"), ast.Constant) and names["text"].value:
        return "encoding" not in names
    if isinstance(call.func, ast.Name) and name != "open":
        return False  # of gen.system.files
    return name in TEXT and owner not in OTHERS and not binary and "encoding" not in names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_text_has_an_encoding(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and silent(node)]
    assert not lines, f"{file.relative_to(ROOT)} opens text without an encoding in lines {lines}"
