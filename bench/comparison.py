"""docs/comparison.md: our figures beside those that others have published, on the same data sets.

    python bench/figures.py --json > bench/figures.json
    python bench/peers.py --area > bench/spiker_plus.json
    python bench/comparison.py > docs/comparison.md

What others have published is in ``bench/peers.toml``, with its source and how sure it is.
"""

import argparse
import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent

DATASETS = {"digits": "Handwritten digits of scikit-learn", "mnist": "MNIST",
            "fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10"}

SURE = {
    "measured": "run by us",
    "abstract": "the paper's abstract",
    "second-hand": "second-hand",
}

TEXT = """\
# Comparison

Figures of Spikeloom beside published ones of other systems, on the same data sets. This page is
what `python bench/comparison.py` prints of `bench/figures.json`, which is what
`python bench/figures.py --json` prints, and of `bench/peers.toml`.

Before comparing, mind what is compared:

* Our accuracy and clocks are of the simulated Verilog over the whole test set, with no mismatch
  against the network in integers. Images a second are the clock of the board's fabric by the
  clocks from image to image; the latency is that of an image alone. LUTs, block RAMs and DSPs are
  Yosys'. Nothing of ours is measured on silicon.
* Others count LUTs or logic cells after placement by their vendor's tool, some with and some
  without their links and memories. An empty cell means that the source does not say.
* *Sure* says how a figure was come by: *run by us*; *the paper's abstract* (or its page); or
  *second-hand*, by a survey that cites the paper. Figures that we only remember are not here.
* One over the latency is no rate where images overlap, and is not filled in as one.
"""

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


def ours(rows):
    """Entries of what ``bench/figures.py --json`` prints."""
    for row in rows:
        if row["mismatches"]:
            raise ValueError(f"{row['network']}: {row['mismatches']} mismatches: no figure of it "
                             f"counts")
        asked = f", `{row['asked']}`" if row["asked"] else ""
        yield Entry(
            system="**Spikeloom**", dataset=row["dataset"], network=f"`{row['network']}`{asked}",
            accuracy=row["accuracy"] * 100, clocks=row["interval_cycles"],
            images_per_second=row["images_per_second"], latency_us=row["latency_us"],
            luts=row["luts"], brams=row["brams"], dsps=row["dsps"], device=row["device"],
            clock_mhz=row["clock_hz"] / 1e6, sure="measured")


def same_network(result):
    """The entry of what ``bench/peers.py --area`` prints: our network through Spiker+."""
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


def peers(path):
    return [Entry(**facts) for facts in tomllib.loads(path.read_text(encoding="utf-8"))["peer"]]


def _number(value, digits=0):
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.{digits}f}"


def _time(us):
    return _number(us, 0 if isinstance(us, str | None) or us >= 10 else 2)


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


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _section(dataset, entries):
    notes = []
    lines = [_line(HEAD), _line(["---", "---", *["--:"] * 8, "---", "--:", "---"])]
    for entry in entries:
        lines.append(_line([
            entry.system, entry.network, _number(entry.accuracy, 2), _number(entry.clocks),
            _number(entry.images_per_second), _time(entry.latency_us), _number(entry.luts),
            "" if entry.brams is None else f"{entry.brams:g}", _number(entry.dsps),
            _number(entry.density), entry.device, _number(entry.clock_mhz),
            _source(entry, notes)]))
    text = f"## {DATASETS[dataset]}\n\n" + "\n".join(lines)
    if notes:
        text += "\n\n" + "\n".join(f"{k}. {note}" for k, note in enumerate(notes, 1))
    return text


def comparison(rows, published):
    """The document: a section for each data set that somebody has figures of.

    Parameters
    ----------
    rows : of ``bench/figures.py --json``
    published : entries of other systems
    """
    entries = [*ours(rows), *published]
    sections = [_section(dataset, [entry for entry in entries if entry.dataset == dataset])
                for dataset in DATASETS if any(entry.dataset == dataset for entry in entries)]
    return "\n\n".join([TEXT.rstrip("\n"), *sections]) + "\n"


def document(figures=HERE / "figures.json"):
    """The document of the files in this folder."""
    published = peers(HERE / "peers.toml")
    run_here = HERE / "spiker_plus.json"
    if run_here.exists():
        published.insert(0, same_network(json.loads(run_here.read_text(encoding="utf-8"))))
    return comparison(json.loads(figures.read_text(encoding="utf-8"))["rows"], published)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, default=HERE / "figures.json", metavar="FILE",
                        help="what bench/figures.py --json has printed (default: %(default)s)")
    args = parser.parse_args()
    sys.stdout.write(document(args.figures))


if __name__ == "__main__":
    main()
