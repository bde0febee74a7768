"""What a benchmark is, and where results are kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gen.system import files

__all__ = ["FIGURES", "ROOT", "Benchmark", "label", "load", "store"]

ROOT = Path(__file__).resolve().parents[1]

FIGURES = Path(__file__).with_name("figures.json")
"""Benchmark -> case -> ``key`` (see :func:`bench.keys.key`) and ``result``."""


def _no_tools(case):
    """Of a benchmark that runs none."""
    return ()


@dataclass(frozen=True)
class Benchmark:
    """Cases of one kind.

    Parameters
    ----------
    name : what the command line takes
    cases : what there is to measure, name -> text or number; ``network`` is a shipped network
    measure : called with a case, in a process of its own; returns what JSON can hold
    sources : patterns of the files, from the root, that results depend on, see :mod:`bench.keys`
    tools : called with a case: the programs that it needs, see :mod:`gen.build.toolchain`
    """

    name: str
    cases: list[dict]
    measure: Callable[[dict], dict]
    sources: tuple[str, ...]
    tools: Callable[[dict], tuple[str, ...]] = _no_tools

    def rows(self, figures: dict) -> list[dict]:
        """The cases that have results, in order, each with its result."""
        kept = figures.get(self.name, {})
        return [case | kept[label(case)]["result"] for case in self.cases if label(case) in kept]


def label(case: dict) -> str:
    """What a case is called, once in a benchmark."""
    return " ".join(map(str, case.values()))


def load(path: Path = FIGURES) -> dict:
    """All that has been measured."""
    return json.loads(path.read_text(encoding="utf-8"))


def store(benchmark: Benchmark, case: dict, key: str, result: dict, path: Path = FIGURES) -> None:
    """Keep a result. Those of cases that are no more are dropped."""
    figures = load(path)
    kept = figures.get(benchmark.name, {}) | {label(case): {"key": key, "result": result}}
    figures[benchmark.name] = {name: kept[name] for name in map(label, benchmark.cases)
                               if name in kept}
    files.write_text(path, json.dumps(figures, indent=1) + "\n")
