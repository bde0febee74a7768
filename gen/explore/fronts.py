"""The plot of an exploration: images a second against LUTs, with the Pareto fronts.

A front is a surface, since it includes accuracy. For one accuracy it is a rising line, and its
points are drawn as such a line.
"""

from collections import defaultdict
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from gen.system.files import replacing

__all__ = ["draw"]

_MARKERS = "osD^vPX*<>"


def _label(point):
    accuracy = "" if point["accuracy"] is None else f", {point['accuracy']:.2%}"
    return f"{point['network']}{accuracy}"


def draw(points: list[dict], files: list[Path]) -> None:
    """Draw points into files; the same points give the same bytes.

    Parameters
    ----------
    points : see :func:`gen.explore.sweep.explore`
    files : output files, with suffixes that matplotlib knows
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    boards = sorted({point["board"] for point in points})
    labels = sorted({_label(point) for point in points})
    colours = {label: f"C{k}" for k, label in enumerate(labels)}
    lines = defaultdict(list)
    for point in points:
        axes.plot(point["luts"], point["images_per_second"],
                  marker=_MARKERS[boards.index(point["board"]) % len(_MARKERS)], linestyle="",
                  color=colours[_label(point)], alpha=1 if point["front"] else 0.35, markersize=8)
        if point["front"]:
            lines[point["board"], point["dataset"], point["accuracy"]].append(
                (point["luts"], point["images_per_second"]))
    for line in lines.values():
        axes.plot(*zip(*sorted(line), strict=True), color="0.6", linewidth=1, zorder=0)
    for label in labels:
        axes.plot([], [], marker="o", linestyle="", color=colours[label], label=label)
    for k, board in enumerate(boards):
        axes.plot([], [], marker=_MARKERS[k % len(_MARKERS)], linestyle="", color="0.4",
                  label=board)
    axes.set(xlabel="LUTs (predicted)", ylabel="images a second at the board's clock",
             yscale="log", title="Pareto fronts: the best of a board and an accuracy are joined")
    axes.grid(alpha=0.3)
    if points:
        axes.legend(fontsize="small")
    for file in files:
        date = {"Date": None} if file.suffix == ".svg" else {"Software": None}
        with matplotlib.rc_context({"svg.hashsalt": "spikeloom"}), replacing(file) as draft:
            figure.savefig(draft, metadata=date)
