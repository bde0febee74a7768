"""Sweeps over boards, intervals and networks, and their best points: the Pareto front.

A point is a mapping of a network to a board at an interval, with its predicted figures. Points are
independent of each other. They are computed in processes on this machine, or by the workers of a
Dask cluster. Each finished point becomes a file in the output directory at once, so an interrupted
sweep goes on where it stopped. Weights of another width make another network, because integers
can't be quantised again and have to be trained.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

import boards as all_boards
import hw
from gen.build.synthesis import require_pure
from gen.build.synthesis import synthesise as run_yosys
from gen.build.toolchain import identity
from gen.build.verilog import component_verilog
from gen.data.datasets import load
from gen.errors import BuildError, DataError, FitError, NetworkError
from gen.ir import artifact
from gen.ir.logits import accuracy
from gen.ir.network import Network
from gen.plan.floor import require_possible
from gen.plan.mapping import Options, map_network
from gen.plan.planner import plan
from gen.plan.resources import COEFFICIENTS, placement
from gen.plan.workload import Calibration, Workload, calibrate
from gen.system import files, processes
from hw.top import Top

__all__ = ["explore", "front"]

log = logging.getLogger(__name__)

# Folder of the finished points.
_POINTS = "points"

_FILES = {"table": "explore.json", "plot": "explore.svg", "picture": "explore.png"}

# Seconds to wait for a scheduler.
_PATIENCE = 20

# What a design is made of, beside its network.
_OPTIONS = tuple(name for name in Options.__annotations__ if name in Options.__required_keys__)

# Folders of the source code that computes points.
_PROGRAMS = [Path(file).parent for file in (__file__, hw.__file__, all_boards.__file__)]


def _content(network):
    """A network as the bytes of its file, the only form in which networks travel."""
    with processes.scratch() as folder:
        file = folder / "network.npz"
        artifact.save(network, file)
        return file.read_bytes()


def _network(content):
    with processes.scratch() as folder:
        file = folder / "network.npz"
        files.write_bytes(file, content)
        return artifact.load(file)


# The tasks of workers take and return plain data.

def _point(content, counts, board, code, interval, objective):
    network, board = _network(content), all_boards.find(board)
    try:
        require_possible(network, board, code)
        workload = Workload(network, counts)
        found = plan(network, board, code=code, interval=interval, objective=objective,
                     workload=workload)
    except FitError as error:
        return {"refused": str(error)}
    return {
        "network": network.name, "board": board.name, "device": board.device,
        **found.options, "clock_hz": board.clock_hz, "interval_cycles": round(found.interval),
        "images_per_second": board.clock_hz / found.interval,
        "latency_cycles": round(workload.latency(found.config)),
        **{what: getattr(found.needs, what) for what in ("luts", "ffs", "cells", "brams")},
    }


def _accuracy(content, images, labels):
    network = _network(content)
    return {"accuracy": accuracy(network.predict(images), labels)}


def _synthesis(content, board, options):
    network, board = _network(content), all_boards.find(board)
    config, image = map_network(network, **options)
    placed = placement(config, board.family.name, board.budget.brams)
    top = Top(config, image, digest="0" * 64, clock_hz=board.clock_hz, baud=1_000_000)
    with processes.scratch() as folder:
        files.write_text(folder / "top.v", component_verilog(top, "top", placed))
        resources = run_yosys(folder, ["top.v"], top="top", command=board.synth)
    require_pure(resources, network.name)
    return asdict(resources)


def _version():
    """A hash of everything that decides a point besides its arguments: programs and
    coefficients."""
    files = [file for folder in _PROGRAMS for file in sorted(folder.rglob("*.py"))]
    sha = hashlib.sha256(identity("yosys").encode())
    for file in [*files, COEFFICIENTS]:
        sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()


class _Store:
    """Results on disk, each under a hash of all that it depends on."""

    def __init__(self, folder):
        self._folder = Path(folder) / _POINTS
        self._version = _version()

    def file(self, task, arguments):
        sha = hashlib.sha256(f"{task.__name__} {self._version}\n".encode())
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                sha.update(json.dumps(argument.shape).encode() + argument.astype("<i8").tobytes())
            elif isinstance(argument, bytes):
                sha.update(argument)
            else:
                sha.update(json.dumps(argument, sort_keys=True).encode() + b"\0")
        return self._folder / f"{sha.hexdigest()[:32]}.json"

    @staticmethod
    def read(file):
        try:
            result = json.loads(files.read_text(file))
        except (OSError, ValueError, RecursionError):
            return None
        return result if isinstance(result, dict) else None

    @staticmethod
    def write(file, result):
        files.write_text(file, json.dumps(result, indent=1) + "\n")


class _Sweep:
    """Runs and counts the tasks that are not finished yet."""

    def __init__(self, executor, store):
        self._executor, self._store = executor, store
        self.computed = self.kept = 0

    def run(self, tasks):
        """Results of ``(function, *arguments)``, in this order."""
        tasks = list(tasks)
        files = [self._store.file(task, arguments) for task, *arguments in tasks]
        results = [self._store.read(file) for file in files]
        missing = [k for k, result in enumerate(results) if result is None]
        self.kept += len(tasks) - len(missing)
        futures = {self._executor.submit(*tasks[k]): k for k in missing}
        for number, done in enumerate(as_completed(futures), 1):
            k = futures[done]
            results[k] = done.result()
            self._store.write(files[k], results[k])
            self.computed += 1
            log.info("%s: %d of %d", tasks[k][0].__name__.strip("_"), number, len(missing))
        return results


@contextmanager
def _executor(scheduler, jobs):
    if scheduler is None:
        with processes.workers(jobs) as executor:
            yield executor
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise BuildError("a cluster needs Dask: pip install spikeloom[explore]") from error
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise BuildError(f"there is no Dask scheduler at {scheduler}: {error}") from error
    with client, client.get_executor(pure=False) as executor:
        yield executor


def front(points: list[dict]) -> list[dict]:
    """The points that no other point of the same board and data set beats.

    A point beats another if it is at least as good in images a second, LUTs and accuracy, and
    better in one of them.
    """
    def merits(point):
        return (point["images_per_second"], -point["luts"], point["accuracy"] or 0)

    def beaten(point):
        return any(
            (other["board"], other["dataset"]) == (point["board"], point["dataset"])
            and merits(other) != merits(point)
            and all(a >= b for a, b in zip(merits(other), merits(point), strict=True))
            for other in points)

    return [point for point in points if not beaten(point)]


def _data(network, dataset, data_dir, limit, calibration):
    """``(data set's name or None, samples that decide the clocks, images, labels)``."""
    name = dataset or network.metadata.get("dataset")
    if name is None:
        return None, calibrate(network), None, None
    try:
        data = load(name, data_dir)
    except DataError as error:
        if dataset is not None:
            raise
        log.info("%s: no accuracy, since %s", network.name, error)
        return name, calibrate(network), None, None
    images, labels = data.test_images[:limit], data.test_labels[:limit]
    workload = calibrate(network, Calibration(calibration, name, data_dir))
    return name, workload, images, labels


def _intervals(fastest, slowest, points):
    """Intervals between two results, in equal ratios."""
    if "refused" in fastest or "refused" in slowest:
        return []
    bounds = fastest["interval_cycles"], max(slowest["interval_cycles"],
                                             fastest["interval_cycles"])
    return sorted({math.ceil(interval) for interval in np.geomspace(*bounds, points)})


def explore(networks: Sequence[Network], *, boards: Sequence[str],
            intervals: Sequence[int] | None = None, points: int = 6,
            codes: Sequence[str] = ("phase",), out: str | Path = "build/explore",
            dataset: str | None = None, data_dir: str | os.PathLike | None = None,
            calibration: int = 1000, limit: int = 1000, scheduler: str | None = None,
            jobs: int | None = None, synthesise: bool = False) -> dict:
    """Sweep networks over boards and intervals.

    Parameters
    ----------
    boards : names of boards
    intervals : clocks an image to try; by default ``points`` of them, at least 2, from the
        shortest that fits to that of the mapping with the fewest LUTs
    codes : ``"phase"``, ``"rate"``
    out : directory of the results; results that it already holds are not computed again
    dataset, data_dir : data set of the images; by default the one that each network's metadata
        names, or else the images that travel with the network, without accuracy
    calibration : number of training images whose spikes decide
    limit : number of test images on which the accuracy is measured
    scheduler : address of a Dask scheduler; its workers must have this package installed
    jobs : processes on this machine, where there is no scheduler; by default all cores
    synthesise : run Yosys on the points of the front

    Returns
    -------
    ``points``, each with ``network``, ``board``, ``device``, ``code``, ``lanes``, ``replicas``,
    ``slice_steps``, ``clock_hz``, ``interval_cycles``, ``images_per_second``, ``latency_cycles``,
    ``luts``, ``ffs``, ``brams``, ``dataset``, ``calibration`` (from which samples the clocks are
    predicted), ``accuracy`` (or None), ``front`` (whether it is on the Pareto front) and, with
    ``synthesise``, ``synthesis`` (Yosys' figures) on the front; ``refused``, why there is no
    mapping at some of the points; ``computed`` and ``kept``, the numbers of results that were
    computed and that were already there; ``files``, the table and the plots.

    Raises
    ------
    BuildError
        If there is no scheduler at the address.
    FitError
        If counts in time-steps are to have a code, or if there is no mapping at any point.
    NetworkError
        If two networks have the same name.
    OutputError
        If the results can't be written. This is checked before any is computed.
    """
    out = Path(out)
    _require(out, networks, boards, codes)
    with _executor(scheduler, jobs) as executor:
        sweep = _Sweep(executor, _Store(out))
        subjects = [(_content(network), *_data(network, dataset, data_dir, limit, calibration))
                    for network in networks]
        results, refused = _results(_found(sweep, subjects, boards, codes, intervals, points))
        best = front(results)
        for point in results:
            point["front"] = point in best
        if synthesise:
            names = (network.name for network in networks)
            _synthesise(sweep, best, dict(zip(names, subjects, strict=True)))
    return {"points": results, "computed": sweep.computed, "kept": sweep.kept,
            "refused": refused, "files": _write(out, results)}


def _require(out, networks, boards, codes):
    """Check what a sweep needs before it begins: places for its results, known boards, and
    networks that differ by name and have the codes."""
    files.require_directory(out, _FILES.values())
    files.require_directory(out / _POINTS)
    for board in boards:
        all_boards.find(board)
    digests: dict[str, str] = {}
    for network in networks:
        name, digest = network.name, network.digest
        if name in digests:
            raise NetworkError(f"{name} is given twice" if digests[name] == digest else
                               f"two networks are called {name}; give each another name (--name of "
                               f"train and convert)")
        digests[name] = digest
        if network.dynamics is not None and set(codes) != {"phase"}:
            raise FitError(f"{name} fires in time-steps, so its counts have no code; leave --codes "
                           f"out")


def _found(sweep, subjects, boards, codes, intervals, points):
    """Pairs of facts about a network and a point of it, for each interval on each board.

    Parameters
    ----------
    subjects : of each network its content, and what :func:`_data` returns
    """
    facts = _facts(sweep, subjects)
    cases = [(fact, (content, workload.counts, board, code))
             for fact, (content, _, workload, _, _) in zip(facts, subjects, strict=True)
             for board in boards for code in codes]
    if intervals is None:
        ends = sweep.run((_point, *case, None, objective) for _, case in cases
                         for objective in ("throughput", "smallest"))
        pairs = list(zip(ends[::2], ends[1::2], strict=True))
        tried = [_intervals(*pair, points)[1:-1] for pair in pairs]
        found = [(fact, end) for (fact, _), pair in zip(cases, pairs, strict=True) for end in pair]
    else:
        tried, found = [intervals] * len(cases), []
    tasks = [(fact, (_point, *case, interval, "smallest"))
             for (fact, case), own in zip(cases, tried, strict=True) for interval in own]
    results = sweep.run(task for _, task in tasks)
    return found + [(fact, point) for (fact, _), point in zip(tasks, results, strict=True)]


def _results(found):
    """The points, and why others are refused.

    Raises
    ------
    FitError
        If there is no point.
    """
    points = _distinct({**point, **fact} for fact, point in found if "refused" not in point)
    refused = sorted({point["refused"] for _, point in found if "refused" in point})
    if not points:
        raise FitError(f"no point was found: {'; '.join(refused)}")
    return points, refused


def _facts(sweep, subjects):
    """Of each network the data set, the samples that decide, and the accuracy (or None)."""
    accuracies = iter(sweep.run((_accuracy, content, images, labels)
                                for content, _, _, images, labels in subjects
                                if images is not None))
    return [{"dataset": name, "calibration": workload.source,
             "accuracy": next(accuracies)["accuracy"] if images is not None else None}
            for _, name, workload, images, _ in subjects]


def _synthesise(sweep, best, subjects):
    """Add Yosys' figures to the best points. Subjects are by the name of the network."""
    checked = sweep.run((_synthesis, subjects[point["network"]][0], point["board"],
                         {name: point[name] for name in _OPTIONS}) for point in best)
    for point, figures in zip(best, checked, strict=True):
        point["synthesis"] = figures


def _write(out, results):
    """Write the table and the plots. Returns their paths by name."""
    from .fronts import draw
    paths = {name: out / file for name, file in _FILES.items()}
    files.write_text(paths["table"], json.dumps(results, indent=1) + "\n")
    draw(results, [paths["plot"], paths["picture"]])
    return {name: str(path) for name, path in paths.items()}


def _distinct(points):
    """Points of different mappings, in a fixed order."""
    seen: dict[str, dict] = {}
    for point in points:
        key = json.dumps([point[name] for name in (
            "network", "board", *_OPTIONS)])
        seen.setdefault(key, point)
    return sorted(seen.values(), key=lambda point: (
        point["network"], point["board"], point["code"], -point["images_per_second"]))
