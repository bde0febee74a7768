"""The demonstration: a shipped network is built, and a host sends real images through it."""

import json
import logging
import sys
from pathlib import Path

import numpy as np

from gen.build.builder import build
from gen.data.datasets import load
from gen.errors import DataError, SimulationError
from gen.ir.reference import torch_run
from gen.ir.shipped import find
from gen.system import files, processes

__all__ = ["demo", "table"]

log = logging.getLogger(__name__)

_IMAGES, _SUMMARY = "images.npy", "summary.json"


def demo(*, network: str = "digits", board: str = "arty-a7", out: str | Path = "build/demo",
         limit: int | None = None) -> dict:
    """Build a network, start its virtual board and compare its answers with PyTorch.

    Parameters
    ----------
    network : name or path; its metadata names its data set
    board : name of a board
    out : directory that everything is written to; ``summary.json`` comes last, so an unfinished
        demonstration leaves none
    limit : only the first test images

    Returns
    -------
    ``network``, ``board``, ``images``, ``accuracy``; ``mismatches``, logits that differ;
    ``cycles_per_image`` and ``microseconds_per_image``, mean latencies; ``luts``, ``brams``,
    ``dsps``; ``bitstream``, path or None; ``retries`` of the link.

    Raises
    ------
    SimulationError
        If the host can't talk to the virtual board.
    """
    out, net = Path(out), find(network)
    files.require_directory(out, (_IMAGES, _SUMMARY))
    images, labels = _test_images(net, limit)
    (out / _SUMMARY).unlink(missing_ok=True)
    built = build(net, board=board, out=out)
    with files.replacing(out / _IMAGES) as draft:
        np.save(draft, images)
    log.info("streaming %d images through the virtual board ...", len(images))
    answer = _infer(out)
    logits = torch_run(net, net.encode(images))[net.readout.name].reshape(len(images), -1)
    mismatches = np.asarray(answer["logits"]) != logits
    cycles = float(np.mean(answer["cycles"]))
    summary = {
        "network": net.name,
        "board": built["board"],
        "images": len(images),
        "accuracy": float(np.mean(np.asarray(answer["predictions"]) == labels)),
        "mismatches": int(np.count_nonzero(mismatches)),
        "cycles_per_image": cycles,
        "microseconds_per_image": cycles / built["clock_hz"] * 1e6,
        "luts": built["luts"], "brams": built["brams"], "dsps": built["dsps"],
        "bitstream": built["bitstream"],
        "retries": answer["retries"],
    }
    files.write_text(out / _SUMMARY, json.dumps(summary, indent=1) + "\n")
    return summary


def table(summary: dict) -> list[tuple[str, str]]:
    """The rows that a person wants to see."""
    return [
        ("network", f"{summary['network']} on {summary['board']}"),
        ("images", f"{summary['images']:,}"),
        ("accuracy", f"{summary['accuracy']:.2%}"),
        ("mismatches against PyTorch", f"{summary['mismatches']:,}"),
        ("clock cycles an image", f"{summary['cycles_per_image']:,.0f}"),
        ("microseconds an image", f"{summary['microseconds_per_image']:,.1f}"),
        ("LUTs", f"{summary['luts']:,}"),
        ("block RAMs", f"{summary['brams']:g}"),
        ("DSPs", f"{summary['dsps']:,}"),
        ("bitstream", summary["bitstream"] or "no tool for it on this machine"),
    ]


def _test_images(network, limit):
    dataset = network.metadata.get("dataset")
    if dataset is None:
        raise DataError(f"{network.name} does not say what it was trained on")
    data = load(dataset)
    return data.test_images[:limit], data.test_labels[:limit]


def _infer(out):
    """Results that the host driver, a separate process, gets from the virtual board."""
    out = out.absolute()  # no option, whatever its name
    done = processes.run(
        [sys.executable, "-m", "host", "infer", str(out / _IMAGES), "--board", str(out),
         "--port", "virtual", "--json"], stdout=processes.PIPE, encoding="utf-8")
    if done.returncode:
        raise SimulationError(f"the host driver failed with status {done.returncode}: its messages "
                              f"are above")
    return json.loads(done.stdout)
