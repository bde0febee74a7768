"""Accuracy against time-steps: of the integers, of the quantised network, and of the gateware."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gen.build.design import Design
from gen.errors import NetworkError, OutputError
from gen.ir.batches import batches
from gen.ir.network import Network
from gen.system.files import replacing, require_output
from gen.system.progress import bar
from gen.verify.simulation import stream
from hw.dynamics import Dynamics

__all__ = ["curve", "draw", "require_plot"]

log = logging.getLogger(__name__)

_SUFFIXES = (".svg", ".png", ".pdf")


def require_plot(path: str | Path) -> Path:
    """Refuse a file that can't be written, or whose suffix is none of a plot.

    Raises
    ------
    OutputError
        The message says what is wrong with the path.
    """
    if Path(path).suffix not in _SUFFIXES:
        raise OutputError(f"{path}: must end with {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")
    require_output(path)
    return Path(path)


def curve(network: Network, images: np.ndarray, labels: np.ndarray, *, dataset: str | None = None,
          design: Callable[[], Design] | None = None, rtl: int = 0, jobs: int | None = None
          ) -> dict[str, Any]:
    """The accuracy after each time-step.

    Parameters
    ----------
    network : with time-steps
    images, labels : raw test images
    dataset : that they are of; by default what the network was trained on
    design : makes the design whose Verilog is simulated
    rtl : how many of the images are simulated, once for each number of time-steps
    jobs : see :func:`gen.verify.simulation.stream`

    Returns
    -------
    ``network``, ``method`` (or ``None``), ``images``; ``accuracy``, after each step that counts;
    ``awake``, for each step whether the input charges; ``accuracy_quantised``, of the same network
    if its neurons fire after all the charge (``None`` with ``one-spike``, see
    :meth:`gen.ir.network.Network.quantised`); ``accuracy_float``, of the network in real numbers on
    all test images, if it was trained on this data set and its file says it, or ``None``;
    ``images_exact``, those whose logits after the last time-step are known to be those of the
    quantised network (``None`` if they need not be, see :meth:`gen.ir.network.Network.exact`);
    ``rtl_images``, and for these ``rtl_accuracy``, after each step that a run can end with
    (``None`` for others), and ``mismatches``, logits of all these runs that differ from the
    integers' (both ``None`` without).

    Raises
    ------
    NetworkError
        If the network has no time-steps.
    """
    if network.dynamics is None:
        raise NetworkError(f"{network.name} fires once, after all the charge, so there is no "
                           f"curve; train or convert it with --method")
    progress = partial(bar, desc="curve", unit="batch")
    counted = _counted(network, network.dynamics, images, labels, rtl, progress)
    result = {
        "network": network.name, "method": network.metadata.get("method"), "images": len(images),
        "accuracy": (counted.right / len(images)).tolist(),
        "awake": list(network.dynamics.awake[network.dynamics.probe:]),
        "accuracy_quantised": None if counted.quantised is None
        else counted.quantised / len(images),
        "accuracy_float": _known(network, dataset), "images_exact": counted.exact,
        "rtl_images": 0, "rtl_accuracy": None, "mismatches": None}
    if not rtl or design is None:
        return result
    return result | _simulated(network, network.dynamics, design(), images[:rtl], labels[:rtl],
                               counted.steps, jobs)


def _simulated(network: Network, dynamics: Dynamics, design: Design, images: np.ndarray,
               labels: np.ndarray, steps: np.ndarray, jobs: int | None) -> dict[str, Any]:
    """What :func:`curve` says of the Verilog; ``steps`` are the logits of the integers after each
    time-step."""
    counts, mismatches = network.encode(images), 0
    accuracy: list[float | None] = []
    for number in range(dynamics.probe + 1, dynamics.timesteps + 1):
        if number < dynamics.shortest:
            accuracy.append(None)
            continue
        log.info("simulating %d time-step%s", number, "s" * (number > 1))
        run = stream(design.config, design.image, counts, jobs=jobs, timesteps=number,
                     progress=log.info)
        accuracy.append(float(np.mean(run.logits.argmax(axis=1) == labels)))
        mismatches += int(np.sum(run.logits != steps[number - 1]))
    return {"rtl_images": len(images), "rtl_accuracy": accuracy, "mismatches": mismatches}


@dataclass
class _Counted:
    """Of all images: right answers after each time-step, and of the quantised network; those that
    are exact after the last one; and of the first images the logits after each time-step."""

    right: np.ndarray
    quantised: int | None
    exact: int | None
    steps: np.ndarray


def _counted(network: Network, dynamics: Dynamics, images: np.ndarray, labels: np.ndarray,
             kept: int, progress: Callable[[Iterable[slice]], Iterable[slice]]) -> _Counted:
    """``kept``: images whose logits are kept."""
    counted = _Counted(np.zeros(dynamics.timesteps - dynamics.probe, dtype=np.int64),
                       0 if network.approximates else None, None,
                       np.empty((dynamics.timesteps, 0, network.classes), dtype=np.int64))
    for part in progress(batches(network, len(images))):
        counts, wanted = network.encode(images[part]), labels[part]
        trace = network.run(counts)
        counted.right += (trace.steps[dynamics.probe:].argmax(axis=2) == wanted).sum(axis=1)
        if counted.quantised is not None:
            counted.quantised += int((network.quantised(counts).predictions == wanted).sum())
        counted.exact = network.count_exact(trace, counted.exact)
        counted.steps = np.concatenate(
            [counted.steps, trace.steps[:, :max(0, kept - part.start)]], axis=1)
    return counted


def _known(network: Network, dataset: str | None) -> float | None:
    known = network.metadata.get("dataset")
    return network.metadata.get("accuracy_float") if dataset in (None, known) else None


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw what :func:`curve` returns; the same result gives the same bytes.

    Parameters
    ----------
    path : see :func:`require_plot`
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = range(1, len(result["accuracy"]) + 1)
    axes.plot(steps, result["accuracy"], marker="o", markersize=4, color="C0",
              label=f"integers, {result['images']:,} images")
    for key, label, style in (("accuracy_quantised", "quantised network", "--"),
                              ("accuracy_float", "real numbers, all test images", ":")):
        if result[key] is not None:
            axes.axhline(result[key], linestyle=style, color="0.4", linewidth=1, label=label)
    if result["rtl_accuracy"] is not None:
        run = [(step, accuracy) for step, accuracy in zip(
            steps, result["rtl_accuracy"], strict=True) if accuracy is not None]
        axes.plot(*zip(*run, strict=True), marker="x", linestyle="", markersize=9, color="C3",
                  label=f"Verilog, {result['rtl_images']:,} images")
    asleep = [step for step, awake in zip(steps, result["awake"], strict=True) if not awake]
    for step in asleep:
        axes.axvspan(step - 0.5, step + 0.5, color="0.93", zorder=0)
    if asleep:
        axes.plot([], [], marker="s", linestyle="", color="0.85", label="the input is silent")
    axes.set(xlabel="time-steps", ylabel="accuracy",
             title=" ".join(filter(None, (result["network"], result["method"]))))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    date = {".png": {"Software": None}, ".svg": {"Date": None}}.get(
        path.suffix, {"CreationDate": None})
    with (matplotlib.rc_context({"svg.hashsalt": "spikeloom", "text.parse_math": False}),
          replacing(path) as draft):
        figure.savefig(draft, format=path.suffix[1:], metadata=date)
