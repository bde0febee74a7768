"""The pages: what is between ``<!-- figures: NAME -->`` and ``<!-- end -->`` is a table of ours."""

import json
import re
from pathlib import Path

from gen.plan.resources import COEFFICIENTS
from gen.system import files

from . import calibrate, comparison, links, losses, tables
from .benchmark import ROOT

__all__ = ["TABLES", "filled", "outdated", "write"]

TABLES = tables.TABLES | comparison.TABLES | links.TABLES | losses.TABLES
"""Name -> what makes the Markdown of :func:`bench.benchmark.load`."""

_PLACE = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def filled(text: str, figures: dict) -> str:
    """A page with its tables as they should be."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]](figures)}\n\n{place[3]}", text)


def documents() -> list[Path]:
    """The pages that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def outdated(figures: dict) -> dict[Path, str]:
    """File -> its text as it should be, of the files that say anything else: pages, and the
    coefficients of the planner, which :mod:`bench.calibrate` measures."""
    due = {page: filled(page.read_text(encoding="utf-8"), figures) for page in documents()}
    due[COEFFICIENTS] = json.dumps(
        {row["family"]: row["model"] for row in calibrate.BENCHMARK.rows(figures)},
        indent=1, sort_keys=True) + "\n"
    return {path: text for path, text in due.items() if path.read_text(encoding="utf-8") != text}


def write(figures: dict) -> None:
    """Write the files that are out of date."""
    for path, text in outdated(figures).items():
        files.write_text(path, text)
