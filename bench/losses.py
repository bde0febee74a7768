"""The tables of what a conversion costs, of what has been measured."""

from . import mobilenet, tuned
from .markdown import table

__all__ = ["TABLES"]


def _spoken(options):
    """Options as the command line has them."""
    words = " ".join(f"--{name} {value}" for name, value in options.items())
    return f"`{words}`" if words else "the defaults"


def _table(measured):
    return table([
        ("options", lambda row: _spoken(tuned.OPTIONS[row["options"]])),
        ("module", lambda row: f"{row['float']:.2%}"),
        ("integers", lambda row: f"{row['integer']:.2%}"),
        ("tuned", lambda row: f"{row['tuned']:.2%}"),
    ], tuned.BENCHMARK.rows(measured))


_RUNS = {"default": "the defaults", "63 levels": "`--levels 63`", "tuned": "the defaults, tuned"}


def _deep(measured):
    (row,) = mobilenet.BENCHMARK.rows(measured)
    found = {"the module": {"accuracy": row["float"]}} | {
        told: row[run] for run, told in _RUNS.items()}
    return table([
        ("", lambda name: name),
        ("accuracy", lambda name: f"{found[name]['accuracy']:.2%}"),
        ("agreement", lambda name: f"{found[name].get('agreement', 1):.2%}"),
    ], found)


def _layers(measured):
    (row,) = mobilenet.BENCHMARK.rows(measured)
    return table([
        ("layer", lambda name: f"`{name}`"),
        *((told, lambda name, run=run: f"{row[run]['errors'][name]:.1%}")
          for run, told in _RUNS.items()),
    ], row["default"]["errors"])


TABLES = {"tuned": _table, "mobilenet": _deep, "mobilenet-layers": _layers}
"""Name -> what makes the Markdown of :func:`bench.benchmark.load`."""
