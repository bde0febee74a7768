"""What code and documents refer to is in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = "bench|boards|docs|examples|firmware|gen|host|hw|tests"
FOREIGN = re.compile(r"\bCONVERSIONS\b|\b(?:DESIGN|RESULTS|STYLE|PEERS|BOARDS)\.md\b")
"""Notes that are no part of the repository."""

FILES = [path for pattern in ("*.md", "*.toml", ".github/**/*", ".*.yaml", *(
    f"{package}/**/*.{suffix}" for package in PACKAGES.split("|") for suffix in ("py", "md")))
    for path in sorted(ROOT.glob(pattern)) if path.is_file() and path != Path(__file__)]


def wrong(text):
    """References in a text that lead nowhere: to files, to modules, to sections of the methods."""
    yield from FOREIGN.findall(text)
    paths = re.findall(rf"(?<![\w/.-])(?:{PACKAGES})/[\w/-]+\.\w+\b", text)
    folders = re.findall(rf"`((?:{PACKAGES})(?:/[\w-]+)+/?)`", text)
    for path in paths + folders:
        if not (ROOT / path).exists():
            yield path
    for name in re.findall(r"`((?:boards|firmware|gen|host|hw)(?:\.\w+)+)`", text):
        if not _is_name(name):
            yield name
    sections = re.findall(r"^## (\d+)\.", (ROOT / "docs/methods.md").read_text(), re.MULTILINE)
    for section in re.findall(r"docs/methods\.md, (\d+)", text):
        if section not in sections:
            yield f"docs/methods.md, {section}"


def _is_name(name):
    """Whether a dotted name is a module, or something that a module's file speaks of."""
    place, parts = ROOT, name.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place /= f"{parts.pop(0)}.py"
    file = place if place.is_file() else place / "__init__.py"
    return not parts or (file.is_file() and all(part in file.read_text() for part in parts))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_references(file):
    assert not list(wrong(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("reference", [
    "docs/nothing.md", "`tests/nothing`", "(gen/plan/nothing.py)", "`gen.nothing.mapping`",
    "`gen.plan.mapping.nothing`", "docs/methods.md, 99", "CONVERSIONS 1.4", "see STYLE.md"])
def test_a_wrong_reference_is_found(reference):
    assert len(list(wrong(f"as in {reference}, say"))) == 1
