"""A page about a build: what runs where, how fast and how full it is, and whether it is right.

``directory`` reads what the build has left, ``measure`` simulates and verifies it, ``drawings``
draws, and ``page`` puts it into one file of HTML that needs nothing else.
"""

import os
from pathlib import Path

from gen.build.manifest import NAME
from gen.system.files import require_output, write_text

from .directory import read

__all__ = ["report"]


def report(directory: str | Path, *, out: str | Path | None = None, dataset: str | None = None,
           data_dir: str | os.PathLike | None = None, limit: int | None = None,
           jobs: int | None = None) -> dict:
    """Write a page about a build directory.

    Parameters
    ----------
    directory : of the build
    out : the page; by default ``report.html`` in the directory
    dataset, data_dir, limit, jobs : see :func:`gen.report.measure.measure`

    Returns
    -------
    ``report``, the page's path; ``network``, ``board``; ``headline``, its first sentence;
    ``images``, ``accuracy`` (``None`` without labels); ``mismatches``, values that differ from the
    network in integers; ``interval_cycles``, ``cycles_mean``, ``bottleneck``,
    ``lane_utilisation`` and ``array_utilisation`` as :func:`gen.verify.simulation.simulate` has
    them.

    Raises
    ------
    BuildError
        If the directory is not what a build leaves.
    OutputError
        If the page can't be written. This is checked before anything is simulated.
    """
    built = read(directory)
    from .measure import CACHE, measure
    from .page import headline, render, wrong
    out = Path(out or built.directory / "report.html")
    require_output(out, inputs=[built.directory / name for name in (NAME, *built.manifest.files)])
    require_output(built.directory / CACHE)
    measured = measure(built, dataset=dataset, data_dir=data_dir, limit=limit, jobs=jobs)
    write_text(out, render(built, measured))
    return {
        "report": str(out), "network": built.network.name, "board": built.board,
        "headline": headline(built, measured),
        "images": measured["images"], "accuracy": measured["accuracy"],
        "mismatches": wrong(built, measured),
        "interval_cycles": measured["interval"], "cycles_mean": measured["latency"]["mean"],
        "bottleneck": measured["bottleneck"], "lane_utilisation": measured["busy"],
        "array_utilisation": measured["array"],
    }
