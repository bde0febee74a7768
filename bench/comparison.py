"""Our figures beside those that others have published, on the same data sets.

What others have published is in ``bench/peers.toml``, with its source and how sure it is.
"""

import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from . import figures, peers
from .markdown import line, named, number

PEERS = Path(__file__).with_name("peers.toml")

DATASETS = ("digits", "mnist", "fashion-mnist", "cifar-10")

SURE = {
    "measured": "run by us",
    "abstract": "the paper's abstract",
    "second-hand": "second-hand",
}

HEAD = ("system", "network", "accuracy %", "clocks an image", "images a second", "latency us",
        "LUTs", "block RAMs", "DSPs", "images/s per 1,000 LUTs", "device", "MHz", "sure, source")


@dataclass(frozen=True)
class Entry:
    """A row; numbers are as in ``bench/peers.toml``, a string stands for itself."""

    system: str
    dataset: str
    sure: str
    source: str | None = None
    network: str = ""
    accuracy: float | str | None = None
    clocks: float | None = None
    images_per_second: float | None = None
    latency_us: float | str | None = None
    luts: int | None = None
    brams: float | None = None
    dsps: int | None = None
    device: str = ""
    clock_mhz: float | None = None
    note: str | None = None

    def __post_init__(self):
        if self.dataset not in DATASETS or self.sure not in SURE:
            raise ValueError(f"{self.system}: data set must be one of {', '.join(DATASETS)} and "
                             f"sure one of {', '.join(SURE)}, not {self.dataset!r}, {self.sure!r}")

    @property
    def density(self):
        """Images a second for 1,000 LUTs, where both are known."""
        if self.luts is None or self.images_per_second is None:
            return None
        return self.images_per_second / self.luts * 1000


def ours(row):
    """The entry of a row of :mod:`bench.figures`."""
    return Entry(
        system="**Spikeloom**", dataset=row["dataset"], network=named(row),
        accuracy=row["accuracy"] * 100, clocks=row["interval_cycles"],
        images_per_second=row["images_per_second"], latency_us=row["latency_us"],
        luts=row["luts"], brams=row["brams"], dsps=row["dsps"], device=row["device"],
        clock_mhz=row["clock_hz"] / 1e6, sure="measured")


def same_network(result):
    """The entry of a row of :mod:`bench.peers`: our network through Spiker+."""
    clock_hz = 100e6
    return Entry(
        system="Spiker+ 2.0.3", dataset="mnist",
        network=f"`{result['network']}`, the same integers, T = {result['steps']}",
        clocks=result["peer_clocks"],
        images_per_second=clock_hz / result["peer_clocks"], luts=result["peer_luts"],
        device="7-series", clock_mhz=clock_hz / 1e6, sure="measured",
        source="https://arxiv.org/abs/2401.01141",
        note=f"Our network carried over to it and run through both (`bench/peers.py`): "
             f"{result['agreement']:.0%} of {result['images']} images get the same class, it takes "
             f"{result['ratio_clocks']:.1f} times our clocks and, by the same Yosys (Debian's), "
             f"{result['ratio_luts']:.1f} times our LUTs, its weight memories left out; "
             f"{result['peer_latches']:,} of its registers are latches.")


def published(path=PEERS):
    """Entries of other systems."""
    return [Entry(**facts) for facts in tomllib.loads(path.read_text(encoding="utf-8"))["peer"]]


def _time(us):
    return number(us, 0 if isinstance(us, str | None) or us >= 10 else 2)


def _source(entry, notes):
    where = ""
    if entry.source is not None:
        parts = urlsplit(entry.source)
        name = parts.path.strip("/").removeprefix("abs/")
        where = f", [{name}]({entry.source})"
    if entry.note is not None:
        if entry.note not in notes:
            notes.append(entry.note)
        where += f" ({notes.index(entry.note) + 1})"
    return SURE[entry.sure] + where


def section(entries):
    """The table of some entries, and its notes."""
    notes = []
    lines = [line(HEAD), line(["---", "---", *["--:"] * 8, "---", "--:", "---"])]
    for entry in entries:
        lines.append(line([
            entry.system, entry.network, number(entry.accuracy, 2), number(entry.clocks),
            number(entry.images_per_second), _time(entry.latency_us), number(entry.luts),
            "" if entry.brams is None else f"{entry.brams:g}", number(entry.dsps),
            number(entry.density), entry.device, number(entry.clock_mhz),
            _source(entry, notes)]))
    if notes:
        lines += ["", *(f"{k}. {note}" for k, note in enumerate(notes, 1))]
    return "\n".join(lines)


def comparison(dataset, measured):
    """The section of a data set, of :func:`bench.benchmark.load`."""
    entries = [*map(ours, figures.BENCHMARK.rows(measured)),
               *map(same_network, peers.BENCHMARK.rows(measured)), *published()]
    return section([entry for entry in entries if entry.dataset == dataset])


TABLES = {f"comparison-{dataset}": partial(comparison, dataset) for dataset in DATASETS}
"""Name of a table in docs/comparison.md -> what makes it."""
