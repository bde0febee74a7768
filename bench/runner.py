"""Measures what is missing or out of date, case by case."""

import logging
import os
import time
from concurrent.futures import as_completed
from dataclasses import dataclass, field

from gen.build.toolchain import find
from gen.errors import EXPLAINED, DataError, explain
from gen.system import processes
from host.terminal import one_line

from .benchmark import FIGURES, label, load, store
from .keys import key

__all__ = ["Outcome", "due", "run"]

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of the cases: numbers, and ``benchmark: case: reason`` for each of the rest.

    Parameters
    ----------
    absent : not measured for want of data or tools
    failed : not measured because of an error
    """

    current: int = 0
    measured: int = 0
    absent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def _measure(measure, case):
    """In a process of its own, at the lowest priority: the result, and how long it took in
    seconds."""
    os.nice(19)
    logging.basicConfig(level=logging.INFO, format="    %(message)s")
    began = time.monotonic()
    return measure(case), time.monotonic() - began


def _due(benchmark, figures, outcome):
    """Cases to be measured, with their keys."""
    kept, cases = figures.get(benchmark.name, {}), []
    for case in benchmark.cases:
        lacking = [tool for tool in benchmark.tools(case) if find(tool) is None]
        now = key(benchmark, case)
        if kept.get(label(case), {}).get("key") == now:
            outcome.current += 1
        elif lacking:
            outcome.absent.append(f"{benchmark.name}: {label(case)}: there is no "
                                  f"{', no '.join(lacking)}")
        else:
            cases.append((case, now))
    return cases


def _keep(benchmark, case, before, future, outcome, path):
    """Store what a process has measured, or say why there is nothing."""
    name = f"{benchmark.name}: {label(case)}"
    try:
        result, seconds = future.result()
    except EXPLAINED as error:
        missing = isinstance(error, DataError | ImportError)
        reason = one_line(f"{name}: {explain(error)}")
        (outcome.absent if missing else outcome.failed).append(reason)
        log.info("%s", reason)
        return
    if key(benchmark, case) != before:
        outcome.failed.append(f"{name}: a source file was changed meanwhile")
        return
    store(benchmark, case, before, result, path)
    outcome.measured += 1
    log.info("%s: %.0f s", name, seconds)


def due(benchmark, outcome: Outcome, *, path=FIGURES) -> list[str]:
    """The cases that :func:`run` would measure, ``benchmark: case: reason``; takes what it does."""
    figures = load(path)
    kept = figures.get(benchmark.name, {})
    return [f"{benchmark.name}: {label(case)}: "
            f"{'out of date' if label(case) in kept else 'missing'}"
            for case, _ in _due(benchmark, figures, outcome)]


def run(benchmark, outcome: Outcome, *, jobs: int = 1, path=FIGURES) -> None:
    """Measure the cases whose results are missing or out of date.

    Each result is stored at once. A case that can't be measured keeps its old one.

    Parameters
    ----------
    outcome : where it is noted what became of each case
    jobs : cases at a time; each has a process of its own
    path : where results are kept
    """
    cases = _due(benchmark, load(path), outcome)
    for first in range(0, len(cases), jobs):
        batch = cases[first:first + jobs]
        for place, (case, _) in enumerate(batch, first + 1):
            log.info("%s: %s ... (%d of %d)", benchmark.name, label(case), place, len(cases))
        with processes.workers(jobs) as pool:
            futures = {pool.submit(_measure, benchmark.measure, case): (case, before)
                       for case, before in batch}
            for future in as_completed(futures):
                _keep(benchmark, *futures[future], future, outcome, path)
